"""A customer's page: whatever its ledger holds is shown, and what is not shown is said."""

import html
import re
from collections.abc import Mapping
from decimal import Decimal

import pytest

from stateless_billing.domain.ledger import cursor_key
from stateless_billing.grants.caps import DAY
from stateless_billing.sandbox.account import Entry
from stateless_billing.services.container import Services
from tests.fakes.desk import ANN, MODERATOR, Desk, opened, run_desk
from tests.fakes.factories import CHAIN_ID, CUSTOMER, GATEWAY, WHOLE_TOKEN, payment, tx_hash
from tests.fakes.grants_on_record import reserve
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


def test_older_payments_that_may_wait_are_counted() -> None:
    paid = [
        payment(cents=0, sequence=index, block=100 + index, tx_hash=tx_hash(index + 1), amount=WHOLE_TOKEN * 1500)
        for index in range(23)
    ]
    town = Town(paid)
    town.price = Decimal("0")

    async def scenario(services: Services) -> None:
        mod = Desk(services, MODERATOR)
        page = await mod.page(PAGE)
        assert page.count("Payment on the chain") == 20
        assert "3 older payments of this customer are not shown as on the chain" in page
        assert '<a href="/admin/stuck">stuck list</a>' in page
        town.set_metadata(CUSTOMER, {cursor_key(CHAIN_ID, GATEWAY): f"2:{paid[1].tx_hash}"})
        assert "1 older payment of this customer is not shown" in await Desk(await opened(town), ANN).page(PAGE)
        town.set_metadata(CUSTOMER, {cursor_key(CHAIN_ID, GATEWAY): f"5:{paid[4].tx_hash}"})
        page = await Desk(await opened(town), ANN).page(PAGE)
        assert "older payment" not in page

    run_desk(town, scenario)


def row_of(page: str, entry: str) -> str:
    """Return an entry's row."""
    return page.partition(f'<tr id="{entry}"')[2].partition("</tr>")[0]


def test_an_admin_can_take_back_a_grant_of_any_age_where_it_is_shown() -> None:
    town = Town([payment()])

    async def scenario(services: Services) -> None:
        _, credit = reserve(town, 400 * DAY)
        ann, mod = Desk(services, ANN), Desk(services, MODERATOR)
        assert "Take back" not in row_of(await mod.page(PAGE), credit)
        row = row_of(await ann.page(PAGE), credit)
        [link] = re.findall(r'<a href="([^"#]*)#cbtxn_\w+">Take back</a>', row)
        found = row_of(await ann.page(PAGE + html.unescape(link)), credit)
        [reservation] = re.findall(r'data-undo="(\w+)"', found)
        assert "Take $7.50 back" in (await ann.show("grants/undo", {"reservation": reservation}))["sentence"]
        assert "data-undo" not in await mod.page(PAGE + html.unescape(link))
        for odd in ("0", "-5", "x", "9" * 12, "٣"):
            assert "data-undo" not in await ann.page(f"{PAGE}?grants={odd}")
        foreign = write(town, -500, {"kind": "grant", "grant": "1-f"})
        page = await ann.page(f"{PAGE}?grants={int(services.clock.wall()) - DAY}")
        assert "Take back" not in row_of(page, foreign), "no reservation of it is on the record"

    run_desk(town, scenario)


def test_a_page_of_older_entries_says_what_it_does_not_mark() -> None:
    town = Town([payment()])
    words = "What was taken back by an entry of a newer page is not marked on this one."

    async def scenario(services: Services) -> None:
        grant = write(town, -500, {"kind": "grant", "grant": "1-a"})
        last = write(town, 500, {"kind": "reversal", "reverses": grant})
        mod = Desk(services, MODERATOR)
        page = await mod.page(PAGE)
        assert "taken back by" in row_of(page, grant)
        assert words not in page
        older = await mod.page(f"{PAGE}?after={last}")
        assert "taken back by" not in row_of(older, grant)
        assert words in older

    run_desk(town, scenario)


def test_other_currencies_are_not_shown_as_dollars() -> None:
    town = Town([payment()])

    async def scenario(services: Services) -> None:
        town.customer(CUSTOMER).currency = "eur"
        entry = write(town, -512, {}, currency="eur")
        ann = Desk(services, ANN)
        page = await ann.page(PAGE)
        assert '<strong id="balance">5.12 EUR</strong>' in page
        row = row_of(page, entry)
        assert ("+5.12 EUR" in row, row.count("5.12 EUR"), "$" in row) == (True, 2, False)
        found = await ann.page(f"/admin?q={CUSTOMER}")
        assert "<strong>5.12 EUR</strong>" in found
        assert "$5.12" not in page + found + await ann.page(f"/admin?q={entry}")

    run_desk(town, scenario)
