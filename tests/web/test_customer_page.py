"""A customer's page: whatever its ledger holds is shown, and what is not shown is said."""

import html
import re
from collections.abc import Mapping

import pytest

from stateless_billing.sandbox.account import Entry
from stateless_billing.services.container import Services
from tests.fakes.desk import ANN, MODERATOR, Desk, run_desk
from tests.fakes.factories import CUSTOMER, payment
from tests.fakes.in_process_service import SERVICE, LoopClock, Town

PAGE = f"/admin/customers/{CUSTOMER}"


def write(town: Town, cents: int, metadata: Mapping[str, str], customer: str = CUSTOMER, currency: str = "usd") -> str:
    """Write an entry past the service, in Stripe's sign, and return its ID."""
    now = LoopClock().wall()
    entry = Entry(cents, currency, "Somebody's row", metadata)
    return town.stripe.account.add_transaction(town.customer(customer), entry, now, int(now)).id


@pytest.mark.parametrize("named", ["abc", ":::", "1:2:3", "8453:0xA:0x1:0:7", "x" * 500, "a\u202eb:c:d:e"])
@pytest.mark.parametrize("kind", ["payment", "grant", "reversal", "order", "reservation", "elsewhere"])
def test_malformed_metadata_is_shown_as_it_is(kind: str, named: str) -> None:
    town = Town([payment()])
    fields = ("payment", "order", "grant", "reason", "note", "operator", "reverses", "wallet", "sequence")

    async def scenario(services: Services) -> None:
        entries = [write(town, -500, {"kind": kind} | dict.fromkeys(fields, named)), write(town, -500, {"kind": kind})]
        ordered = {"kind": "order", "payment": named, "order": f"redirect:{CUSTOMER}", "operator": named}
        entries.append(write(town, -1, ordered, SERVICE))
        page = html.unescape(await Desk(services, MODERATOR).page(PAGE))
        assert all(f'<tr id="{entry}"' in page for entry in entries)
        assert "\u202e" not in re.sub("<[^>]*>", "", page)
        shown = named.replace("\u202e", "[U+202E]")
        if kind == "payment":
            assert f"names no payment of ours: <code>{shown}</code>" in page
            assert "names no payment of ours: <code></code>" in page
        decisions = html.unescape(await Desk(services, ANN).page("/admin/decisions"))
        assert f'<code class="hex">{shown.lower().replace("u+202e", "U+202E")}</code>' in decisions
        found = await Desk(services, MODERATOR).page(f"/admin?q={entries[-1]}")
        assert f"redirect:{CUSTOMER}" in found

    run_desk(town, scenario)
