"""The fewest pages, and ledgers that hang together."""

from dataclasses import replace

import pytest

from stateless_billing.audit.rules.listing_plan import (
    LAG_SECONDS,
    TimeWindow,
    find_break,
    join_entries,
    narrow_windows,
    plan_windows,
)
from stateless_billing.domain.epochs import LISTING_LEAD_SECONDS
from stateless_billing.domain.ledger import Entry
from stateless_billing.stripe.objects import Page
from tests.fakes.factories import entry


def run(*cents: int, every: int = 10, opening: int = 0) -> list[Entry]:
    """A ledger, newest first."""
    made, balance = [], opening
    for place, one in enumerate(cents):
        balance += one
        made.append(entry(id=f"cbtxn_{place}", cents=one, created=1_000_000 + place * every, ending_cents=balance))
    return made[::-1]


def test_windows_that_touch_are_one() -> None:
    assert plan_windows([100_000, 101_000, 500_000], 10**9) == [
        TimeWindow(500_000 - LISTING_LEAD_SECONDS, 500_000 + LAG_SECONDS),
        TimeWindow(100_000 - LISTING_LEAD_SECONDS, 101_000 + LAG_SECONDS),
    ]
    assert plan_windows([100_000], 100_010) == [TimeWindow(100_000 - LISTING_LEAD_SECONDS, 100_010)]


def test_a_ledger_of_one_page_needs_nothing_more() -> None:
    assert narrow_windows([1], Page(run(1, 2), complete=True), 0, 10**9) is None


def test_narrow_windows_are_used_where_the_ledger_is_long() -> None:
    page = Page(run(*[1] * 100), complete=False)  # 1,000 seconds a page
    found = narrow_windows([500_000], page, 500_000 - LISTING_LEAD_SECONDS, 2_000_000)
    assert found == [TimeWindow(500_000 - LISTING_LEAD_SECONDS, 500_000 + LAG_SECONDS)]


def test_the_ledger_goes_on_where_windows_would_be_more() -> None:
    page = Page(run(*[1] * 100, every=10_000), complete=False)  # 1,000,000 seconds a page
    assert narrow_windows([600_000, 700_000, 800_000], page, 500_000, 3_000_000) is None


def test_a_ledger_that_adds_up() -> None:
    assert find_break(run(5, -3, 7), starts_at_zero=True) == ""
    assert find_break(run(5, -3, 7, opening=90), starts_at_zero=False) == ""
    assert "zero balance" in find_break(run(5, -3, 7, opening=90), starts_at_zero=True)
    assert find_break([], starts_at_zero=True) == ""


@pytest.mark.parametrize("left_out", [1, 2])
def test_an_entry_that_is_left_out_is_noticed(left_out: int) -> None:
    ledger = run(5, -3, 7, 9)
    assert f"at cbtxn_{4 - left_out}" in find_break(ledger[:left_out] + ledger[left_out + 1 :], starts_at_zero=False)


def test_entries_of_one_second_may_come_in_any_order() -> None:
    ledger = run(5, -3, 7, 9, every=0)
    assert find_break([ledger[2], ledger[0], ledger[3], ledger[1]], starts_at_zero=True) == ""
    assert find_break([ledger[2], ledger[0], ledger[3], ledger[1]], starts_at_zero=False) == ""
    assert find_break([ledger[2], ledger[0], ledger[3]], starts_at_zero=True)


def test_each_currency_has_its_balance() -> None:
    euro = replace(run(4)[0], id="cbtxn_e", currency="eur", created=1_000_015)
    ledger = run(5, -3, 7)
    assert find_break([ledger[0], euro, *ledger[1:]], starts_at_zero=True) == ""


def test_runs_that_overlap_are_joined_once() -> None:
    ledger = run(5, -3, 7)
    assert join_entries([ledger[:2], ledger[1:]]) == ledger
