"""Windows with the fewest pages, and gapless ledgers."""

import pytest
from msgspec.structs import replace

from stateless_billing.audit.rules.listing_plan import (
    LAG_SECONDS,
    TimeWindow,
    find_break,
    fits_balance,
    join_entries,
    last_balance,
    narrow_windows,
    plan_windows,
)
from stateless_billing.domain.epochs import LISTING_LEAD_SECONDS
from stateless_billing.domain.ledger import Entry
from stateless_billing.stripe.objects import Page
from tests.fakes.factories import entry


def create_entries(*cents: int, every: int = 10, opening: int = 0) -> list[Entry]:
    """Create a ledger, newest first."""
    rows, balance = [], opening
    for index, amount in enumerate(cents):
        balance += amount
        rows.append(entry(id=f"cbtxn_{index}", cents=amount, created=1_000_000 + index * every, ending_cents=balance))
    return rows[::-1]


def test_touching_windows_are_merged() -> None:
    assert plan_windows([100_000, 101_000, 500_000], 10**9) == [
        TimeWindow(500_000 - LISTING_LEAD_SECONDS, 500_000 + LAG_SECONDS),
        TimeWindow(100_000 - LISTING_LEAD_SECONDS, 101_000 + LAG_SECONDS),
    ]
    assert plan_windows([100_000], 100_010) == [TimeWindow(100_000 - LISTING_LEAD_SECONDS, 100_010)]


def test_a_ledger_of_one_page_needs_nothing_more() -> None:
    assert narrow_windows([1], Page(create_entries(1, 2), complete=True), 0, 10**9) is None


def test_narrow_windows_are_used_where_the_ledger_is_long() -> None:
    page = Page(create_entries(*[1] * 100), complete=False)  # 1,000 seconds a page
    windows = narrow_windows([500_000], page, 500_000 - LISTING_LEAD_SECONDS, 2_000_000)
    assert windows == [TimeWindow(500_000 - LISTING_LEAD_SECONDS, 500_000 + LAG_SECONDS)]


def test_the_whole_ledger_is_read_if_windows_need_more_pages() -> None:
    page = Page(create_entries(*[1] * 100, every=10_000), complete=False)  # 1,000,000 seconds a page
    assert narrow_windows([600_000, 700_000, 800_000], page, 500_000, 3_000_000) is None


def test_a_ledger_that_adds_up() -> None:
    assert find_break(create_entries(5, -3, 7), starts_at_zero=True) == ""
    assert find_break(create_entries(5, -3, 7, opening=90), starts_at_zero=False) == ""
    assert "zero balance" in find_break(create_entries(5, -3, 7, opening=90), starts_at_zero=True)
    assert find_break([], starts_at_zero=True) == ""


@pytest.mark.parametrize("left_out", [1, 2])
def test_a_missing_entry_is_detected(left_out: int) -> None:
    ledger = create_entries(5, -3, 7, 9)
    assert f"at cbtxn_{4 - left_out}" in find_break(ledger[:left_out] + ledger[left_out + 1 :], starts_at_zero=False)


def test_entries_of_one_second_may_come_in_any_order() -> None:
    ledger = create_entries(5, -3, 7, 9, every=0)
    assert find_break([ledger[2], ledger[0], ledger[3], ledger[1]], starts_at_zero=True) == ""
    assert find_break([ledger[2], ledger[0], ledger[3], ledger[1]], starts_at_zero=False) == ""
    assert find_break([ledger[2], ledger[0], ledger[3]], starts_at_zero=True)


@pytest.mark.parametrize("first_shown", [0, 1])
def test_entries_may_be_applied_in_another_order_than_created(first_shown: int) -> None:
    first, second, third, fourth, fifth = reversed(create_entries(5, -3, 7, -2, 9, opening=90))
    third = replace(third, created=fourth.created + 1)
    ledger = [fifth, third, fourth, second, first]
    euro = replace(first, id="cbtxn_e", currency="eur", created=fourth.created)
    assert find_break([*ledger[first_shown:], euro], starts_at_zero=False) == ""
    assert "zero balance" in find_break(ledger, starts_at_zero=True)
    assert "at cbtxn_" in find_break([fifth, third, second, first], starts_at_zero=False)
    assert find_break([fifth, third, fourth, first], starts_at_zero=False)


def test_each_currency_has_its_balance() -> None:
    euro = replace(create_entries(4)[0], id="cbtxn_e", currency="eur", created=1_000_015)
    ledger = create_entries(5, -3, 7)
    assert find_break([ledger[0], euro, *ledger[1:]], starts_at_zero=True) == ""


class TestFitsBalance:
    """A customer's balance, and the ledger up to the report's time."""

    TIME = 1_000_030

    def fits(self, balance: int, ledger: list[Entry], *, read_newer: bool = True, complete: bool = True) -> bool:
        """Whether it fits a ledger, newest first, whose entries after the time are read."""
        last = [one for one in ledger if one.created <= self.TIME]
        newer = Page([one for one in ledger if one.created > self.TIME], complete)
        cents = last_balance(Page(last, complete=True), starts_at_zero=True)
        assert cents is not None
        return fits_balance(balance, cents, Page(last, complete=True), newer if read_newer else None, self.TIME)

    def test_what_came_since_leads_to_the_balance(self) -> None:
        ledger = create_entries(100, -1, -1, -1, -1, -1)
        assert [balance for balance in range(-5, 105) if self.fits(balance, ledger)] == [0, 95, 96, 97, 98, 99, 100]

    def test_an_entry_of_the_last_minute_may_be_of_later(self) -> None:
        ledger = create_entries(100, -1, -1, every=5)
        assert self.fits(99, ledger, read_newer=False)
        old = [replace(one, created=one.created - 100) for one in ledger]
        assert not self.fits(99, old)
        assert not self.fits(100, old)

    def test_entries_applied_in_another_order_fit(self) -> None:
        first, second, third = reversed(create_entries(100, -1, -2))
        before, after = replace(third, created=self.TIME), replace(second, created=self.TIME + 1)
        assert fits_balance(99, 97, Page([before, first], complete=True), Page([after], complete=True), self.TIME)

    @pytest.mark.parametrize("later", [0, 3])
    def test_entries_that_were_left_out_do_not_fit(self, later: int) -> None:
        ledger = create_entries(100, -500, *[-1] * later, every=40)
        ledger[-2:-1] = []
        assert not self.fits(-400 - later, ledger)
        empty = create_entries(500_000, *[-1] * later, every=40)[:-1]
        assert not self.fits(500_000, empty)
        assert not self.fits(500_000 - later, empty)

    def test_a_page_that_does_not_reach_the_time_tells_nothing(self) -> None:
        assert self.fits(7, create_entries(100, -1), complete=False)

    def test_other_currencies_are_none(self) -> None:
        euro = replace(create_entries(4)[0], currency="eur", created=self.TIME + 1)
        assert not self.fits(4, [euro])


def test_runs_that_overlap_are_joined_once() -> None:
    ledger = create_entries(5, -3, 7)
    assert join_entries([ledger[:2], ledger[1:]]) == ledger
