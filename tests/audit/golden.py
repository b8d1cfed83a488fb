"""The files that a fixed world's report is compared with; `python -m tests.audit.golden` writes them anew.

A change here is a change for everybody who reads reports with a program: it needs a word in the change log.
"""

import asyncio
from pathlib import Path

from stateless_billing.audit.report.formats import WRITERS
from stateless_billing.audit.report.report import Options
from stateless_billing.sandbox.account import Entry as Row
from tests.audit.made import quoted
from tests.audit.world import World
from tests.fakes.factories import CUSTOMER, WALLET, tx_hash

FOLDER = Path(__file__).parent / "golden"
FILES = {"report.csv": "csv", "report.jsonl": "jsonl", "report.json": "json", "report.txt": "table"}


def world() -> World:
    """One payment in order, one plain one, one credited twice, one not at all, and a grant that is a formula."""
    paid = [
        quoted(),
        quoted(1, block=110, tx_hash=tx_hash(2), cents=0),
        quoted(2, block=120, tx_hash=tx_hash(3)),
        quoted(3, block=130, tx_hash=tx_hash(4)),
    ]
    made = World(paid[:3])
    made.node.payments = paid
    customer = made.customer(CUSTOMER)
    customer.set_metadata(made.now, {"wallet_address": WALLET})
    made.add(customer, made.row_of(paid[2], created=paid[2].time + 90))
    told = {"kind": "grant", "grant": "g", "operator": "=o@example.org", "reason": "goodwill", "note": "=1+1"}
    made.add(customer, (paid[2].time + 500, Row(-250, "usd", "Grant", told)))
    made.add(customer, (paid[2].time + 600, Row(-1, "usd", "sorry, „Grüße“")))
    return made


async def written() -> dict[str, str]:
    """Every file's content."""
    async with world().auditor() as auditor:
        report = await auditor.run(Options(deep=True))
    return {name: "".join(WRITERS[form](report)) for name, form in FILES.items()}


if __name__ == "__main__":
    for name, content in asyncio.run(written()).items():
        (FOLDER / name).write_text(content, encoding="utf-8", newline="")
