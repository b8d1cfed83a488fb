"""Golden files of the report on a fixed world. Regenerate them with `python -m tests.audit.golden`.

A change affects every program that reads reports, so it belongs in the change log.
"""

import asyncio
from pathlib import Path

from stateless_billing.audit.report.formats import WRITERS
from stateless_billing.audit.report.report import Options
from stateless_billing.sandbox.account import Entry as Row
from tests.audit.builders import quoted
from tests.audit.world import World
from tests.fakes.factories import CUSTOMER, WALLET, tx_hash

FOLDER = Path(__file__).parent / "golden"
FILES = {"report.csv": "csv", "report.jsonl": "jsonl", "report.json": "json", "report.txt": "table"}


def create_world() -> World:
    """Create a world with a matched, a plain, a doubly credited and an uncredited payment, and a formula in a grant."""
    paid = [
        quoted(),
        quoted(1, block=110, tx_hash=tx_hash(2), cents=0),
        quoted(2, block=120, tx_hash=tx_hash(3)),
        quoted(3, block=130, tx_hash=tx_hash(4)),
    ]
    world = World(paid[:3])
    world.node.payments = paid
    customer = world.get_or_add_customer(CUSTOMER)
    customer.set_metadata(world.now, {"wallet_address": WALLET})
    world.add(customer, world.credit_row(paid[2], created=paid[2].time + 90))
    metadata = {"kind": "grant", "grant": "g", "operator": "=o@example.org", "reason": "goodwill", "note": "=1+1"}
    world.add(customer, (paid[2].time + 500, Row(-250, "usd", "Grant", metadata)))
    world.add(customer, (paid[2].time + 600, Row(-1, "usd", "sorry, „Grüße“")))
    return world


async def write_reports() -> dict[str, str]:
    """Return the content of every file."""
    async with create_world().create_auditor() as auditor:
        report = await auditor.run(Options(deep=True))
    return {name: "".join(WRITERS[form](report)) for name, form in FILES.items()}


if __name__ == "__main__":
    for name, content in asyncio.run(write_reports()).items():
        (FOLDER / name).write_text(content, encoding="utf-8", newline="")
