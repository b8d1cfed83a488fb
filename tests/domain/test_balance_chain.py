"""What a reading of a ledger proves: a missing row, a wrong balance or a false beginning proves no absence."""

import random
from dataclasses import replace
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stateless_billing.bookkeeping.proofs import MAX_FAILURES, Proofs
from stateless_billing.domain.balance_chain import (
    LedgerReading,
    find_flaw,
    is_gapless,
    opening_balance,
    order_by_balance,
)
from stateless_billing.domain.ledger import Entry
from tests.fakes.factories import START, entry

READ_AT = START + 1000


def ledger(*cents: int, first: int = 0, created: int = START, every: int = 1) -> list[Entry]:
    """Entries of these cents, newest first."""
    rows, balance = [], first
    for place, one in enumerate(cents):
        balance += one
        rows.append(entry(id=f"cbtxn_{place}", cents=one, ending_cents=balance, created=created + place * every))
    return rows[::-1]


def reading(rows: list[Entry], balance: int | None = None, **changes: object) -> LedgerReading:
    """A reading that reached the ledger's beginning."""
    told = balance if balance is not None else rows[0].ending_cents if rows else 0
    usual = LedgerReading(entries=rows, balance_cents=told, read_at=READ_AT, anchored=False, ended=True)
    return replace(usual, **changes)  # type: ignore[arg-type]


def test_a_whole_ledger_proves_what_it_shows() -> None:
    assert find_flaw(reading(ledger(5, -3, -2, 7))) == ""
    assert find_flaw(reading([])) == ""


@pytest.mark.parametrize("missing", range(4))
def test_a_row_that_is_left_out_is_noticed(missing: int) -> None:
    rows = ledger(500, -30, -40, 80)
    left = [one for place, one in enumerate(rows) if place != missing]
    assert find_flaw(reading(left, rows[0].ending_cents))


def test_a_list_without_its_newest_rows_contradicts_the_balance() -> None:
    rows = ledger(500, -30, 40)
    assert find_flaw(reading(rows[1:], rows[0].ending_cents)) == "its balance is not that of the newest entry listed"
    assert find_flaw(reading([], 510)) == "its balance is not that of the newest entry listed"


def test_rows_written_after_the_balance_was_read_are_no_contradiction() -> None:
    rows = ledger(500, -30, created=READ_AT - 61, every=2)
    assert find_flaw(reading(rows, 500)) == "", "the newer one may not be in the balance yet"
    assert find_flaw(reading(ledger(500, -30, created=READ_AT - 63, every=2), 500)), "it must be"
    assert find_flaw(reading(ledger(500, -30, created=READ_AT), 0)) == "", "both came after it was read"


def test_a_balance_somewhere_in_the_chain_proves_nothing() -> None:
    assert find_flaw(reading(ledger(500, -30, 20), 470))


def test_opening_at_nothing_is_a_beginning_only_where_nothing_lies_behind() -> None:
    rows = ledger(500, -500, 300, -1)
    cut = rows[:2]  # the ledger passes through 0 there
    assert opening_balance(cut[-1]) == 0
    assert find_flaw(reading(cut, ended=False)) == "its list ends where the ledger does not begin"
    assert find_flaw(reading(cut, ended=True)) == "", "two tellings that lie alike are not promised"


def test_a_ledger_may_begin_with_an_initial_entry() -> None:
    rows = ledger(-30, first=500)
    assert find_flaw(reading(rows)) == "its list ends where the ledger does not begin"
    rows = [*rows, replace(rows[-1], id="cbtxn_i", type="initial", cents=100, ending_cents=500, created=START - 1)]
    assert find_flaw(reading(rows)) == ""


def test_an_anchor_needs_no_beginning() -> None:
    assert find_flaw(reading(ledger(-30, 40, first=500), anchored=True, ended=False)) == ""
    assert find_flaw(reading(ledger(-30, 40, first=500), ended=False))


def test_on_a_test_clock_no_entry_is_late() -> None:
    rows = ledger(500, -30, created=READ_AT + 5)
    assert find_flaw(reading(rows, 500)) == ""
    assert find_flaw(reading(rows, 500, timeless=True))


def test_other_currencies_are_another_chain() -> None:
    rows = ledger(500, -30)
    euros = entry(id="cbtxn_e", cents=900, currency="eur", ending_cents=900, created=START)
    assert find_flaw(reading([rows[0], euros, rows[1]])) == ""
    assert find_flaw(reading([euros], 0)) == ""


def test_a_reading_that_was_broken_off_says_why() -> None:
    assert find_flaw(reading(ledger(1), broken_off="it is too long")) == "it is too long"


@given(st.lists(st.integers(-3, 3).filter(bool), min_size=1, max_size=8), st.integers(0, 2**32))
def test_the_order_within_a_second_does_not_matter(cents: list[int], seed: int) -> None:
    rows = ledger(*cents, every=0)
    random.Random(seed).shuffle(rows)
    balance = sum(cents)
    chain = order_by_balance(rows)
    assert chain is not None
    assert opening_balance(chain[0]) + balance == chain[-1].ending_cents


@given(st.lists(st.integers(-3, 3).filter(bool), min_size=2, max_size=7), st.integers(0, 2**32))
def test_a_chain_is_found_where_created_is_not_the_order_of_writing(cents: list[int], seed: int) -> None:
    rows = ledger(*cents)
    shuffled = random.Random(seed)
    rows = [replace(one, created=START + shuffled.randrange(9)) for one in rows]
    rows.sort(key=lambda one: -one.created)
    assert order_by_balance(rows) is not None


@given(st.lists(st.integers(-2, 2).filter(bool), min_size=2, max_size=6))
def test_rows_left_out_are_noticed_unless_their_sum_is_nothing(cents: list[int]) -> None:
    rows = ledger(*cents)
    for count in range(1, len(rows)):
        for left_out in combinations(rows, count):
            shown = [one for one in rows if one not in left_out]
            if sum(one.cents for one in left_out):
                assert find_flaw(reading(shown, rows[0].ending_cents))


def test_gapless_keeps_the_seconds_apart() -> None:
    first, second = ledger(1, 2)[::-1]
    assert is_gapless([second, first]) == [first, second]
    assert is_gapless([replace(first, created=START + 5), second]) is None


class TestProofs:
    def test_an_absence_is_told_twice_half_an_hour_apart(self) -> None:
        proofs, told = Proofs(), reading(ledger(500, -30))
        first = proofs.judge("p", "cus_A", 1, told)
        assert (first.proven, first.wait_seconds) == (False, 1800)
        early = proofs.judge("p", "cus_A", 1, replace(told, read_at=READ_AT + 1799))
        assert (early.proven, early.wait_seconds) == (False, 1)
        assert proofs.judge("p", "cus_A", 1, replace(told, read_at=READ_AT + 1800)).proven

    @pytest.mark.parametrize(("sought", "customer", "epoch"), [("q", "cus_A", 1), ("p", "cus_B", 1), ("p", "cus_A", 2)])
    def test_each_tells_for_itself(self, sought: str, customer: str, epoch: int) -> None:
        proofs, told = Proofs(), reading(ledger(500, -30))
        proofs.judge("p", "cus_A", 1, told)
        assert not proofs.judge(sought, customer, epoch, replace(told, read_at=READ_AT + 4000)).proven

    def test_another_oldest_entry_begins_anew(self) -> None:
        proofs = Proofs()
        proofs.judge("p", "cus_A", 1, reading(ledger(500, -30)))
        other = reading(ledger(500, -30), read_at=READ_AT + 4000)
        other = replace(other, entries=[replace(one, id=f"{one.id}x") for one in other.entries])
        assert not proofs.judge("p", "cus_A", 1, other).proven

    def test_an_empty_ledger_of_a_customer_without_currency_is_believed_at_once(self) -> None:
        assert Proofs().judge("p", "cus_A", 1, reading([]), unused=True).proven
        assert not Proofs().judge("p", "cus_A", 1, reading([])).proven
        assert not Proofs().judge("p", "cus_A", 1, reading([], 5), unused=True).proven

    def test_failures_are_counted_until_a_reading_is_sound(self) -> None:
        proofs, bad = Proofs(), reading([], 5)
        assert [proofs.judge("p", "cus_A", 1, bad).failures for _ in range(MAX_FAILURES)] == [1, 2]
        proofs.judge("p", "cus_A", 1, reading([]))
        assert proofs.judge("p", "cus_A", 1, bad).failures == 1
