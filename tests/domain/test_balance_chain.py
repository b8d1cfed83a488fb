"""A ledger reading with a gap, a wrong balance or a false start does not prove an absence."""

import random
from dataclasses import replace
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from stateless_billing.bookkeeping.proofs import MAX_FAILURES, Proofs
from stateless_billing.domain.balance_chain import (
    LedgerReading,
    find_flaw,
    gapless_chain,
    opening_balance,
    order_by_balance,
)
from stateless_billing.domain.ledger import Entry
from tests.fakes.factories import START, entry

READ_AT = START + 1000


def ledger(*cents: int, first: int = 0, created: int = START, every: int = 1) -> list[Entry]:
    """Create entries of these cents, newest first."""
    rows, balance = [], first
    for index, amount in enumerate(cents):
        balance += amount
        rows.append(entry(id=f"cbtxn_{index}", cents=amount, ending_cents=balance, created=created + index * every))
    return rows[::-1]


def reading(rows: list[Entry], balance: int | None = None, **changes: object) -> LedgerReading:
    """Create a reading that reached the start of the ledger."""
    if balance is None:
        balance = rows[0].ending_cents if rows else 0
    default = LedgerReading(entries=rows, balance_cents=balance, read_at=READ_AT, anchored=False, ended=True)
    return replace(default, **changes)  # type: ignore[arg-type]


def test_a_complete_ledger_has_no_flaw() -> None:
    assert find_flaw(reading(ledger(5, -3, -2, 7))) == ""
    assert find_flaw(reading([])) == ""


@pytest.mark.parametrize("missing", range(4))
def test_a_missing_row_is_a_flaw(missing: int) -> None:
    rows = ledger(500, -30, -40, 80)
    listed = [row for index, row in enumerate(rows) if index != missing]
    assert find_flaw(reading(listed, rows[0].ending_cents))


def test_missing_newest_rows_contradict_the_balance() -> None:
    rows = ledger(500, -30, 40)
    assert find_flaw(reading(rows[1:], rows[0].ending_cents)) == "its balance does not match the newest entry listed"
    assert find_flaw(reading([], 510)) == "its balance does not match the newest entry listed"


def test_rows_newer_than_the_balance_are_allowed() -> None:
    rows = ledger(500, -30, created=READ_AT - 61, every=2)
    assert find_flaw(reading(rows, 500)) == "", "the newer one may not be in the balance yet"
    assert find_flaw(reading(ledger(500, -30, created=READ_AT - 63, every=2), 500)), "it must be"
    assert find_flaw(reading(ledger(500, -30, created=READ_AT), 0)) == "", "both came after it was read"


def test_a_balance_inside_the_chain_is_a_flaw() -> None:
    assert find_flaw(reading(ledger(500, -30, 20), 470))


def test_opening_at_zero_is_the_start_only_if_the_list_ended() -> None:
    rows = ledger(500, -500, 300, -1)
    cut = rows[:2]  # the ledger passes through 0 there
    assert opening_balance(cut[-1]) == 0
    assert find_flaw(reading(cut, ended=False)) == "its list does not reach the first entry of the ledger"
    assert find_flaw(reading(cut, ended=True)) == "", "a list that ends early twice is beyond the guarantee"


def test_an_initial_entry_is_a_start() -> None:
    rows = ledger(-30, first=500)
    assert find_flaw(reading(rows)) == "its list does not reach the first entry of the ledger"
    rows = [
        *rows,
        structs.replace(rows[-1], id="cbtxn_i", type="initial", cents=100, ending_cents=500, created=START - 1),
    ]
    assert find_flaw(reading(rows)) == ""


def test_an_anchored_reading_needs_no_start() -> None:
    assert find_flaw(reading(ledger(-30, 40, first=500), anchored=True, ended=False)) == ""
    assert find_flaw(reading(ledger(-30, 40, first=500), ended=False))


def test_created_proves_nothing_on_a_test_clock() -> None:
    rows = ledger(500, -30, created=READ_AT + 5)
    assert find_flaw(reading(rows, 500)) == ""
    assert find_flaw(reading(rows, 500, timeless=True))


def test_other_currencies_are_ignored() -> None:
    rows = ledger(500, -30)
    euros = entry(id="cbtxn_e", cents=900, currency="eur", ending_cents=900, created=START)
    assert find_flaw(reading([rows[0], euros, rows[1]])) == ""
    assert find_flaw(reading([euros], 0)) == ""


def test_the_reason_for_breaking_off_is_the_flaw() -> None:
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
def test_a_chain_is_found_if_created_is_out_of_order(cents: list[int], seed: int) -> None:
    rows = ledger(*cents)
    shuffled = random.Random(seed)
    rows = [structs.replace(row, created=START + shuffled.randrange(9)) for row in rows]
    rows.sort(key=lambda row: -row.created)
    assert order_by_balance(rows) is not None


@given(st.lists(st.integers(-2, 2).filter(bool), min_size=2, max_size=6))
def test_missing_rows_are_noticed_unless_they_sum_to_zero(cents: list[int]) -> None:
    rows = ledger(*cents)
    for count in range(1, len(rows)):
        for omitted in combinations(rows, count):
            listed = [row for row in rows if row not in omitted]
            if sum(row.cents for row in omitted):
                assert find_flaw(reading(listed, rows[0].ending_cents))


def test_rows_of_different_seconds_keep_their_order() -> None:
    first, second = ledger(1, 2)[::-1]
    assert gapless_chain([second, first]) == [first, second]
    assert gapless_chain([structs.replace(first, created=START + 5), second]) is None


class TestProofs:
    def test_an_absence_needs_two_readings_half_an_hour_apart(self) -> None:
        proofs, listing = Proofs(), reading(ledger(500, -30))
        first = proofs.judge("p", "cus_A", 1, listing)
        assert (first.proven, first.wait_seconds) == (False, 1800)
        early = proofs.judge("p", "cus_A", 1, replace(listing, read_at=READ_AT + 1799))
        assert (early.proven, early.wait_seconds) == (False, 1)
        assert proofs.judge("p", "cus_A", 1, replace(listing, read_at=READ_AT + 1800)).proven

    @pytest.mark.parametrize(("sought", "customer", "epoch"), [("q", "cus_A", 1), ("p", "cus_B", 1), ("p", "cus_A", 2)])
    def test_evidence_is_per_subject_customer_and_epoch(self, sought: str, customer: str, epoch: int) -> None:
        proofs, listing = Proofs(), reading(ledger(500, -30))
        proofs.judge("p", "cus_A", 1, listing)
        assert not proofs.judge(sought, customer, epoch, replace(listing, read_at=READ_AT + 4000)).proven

    def test_another_oldest_entry_restarts_the_wait(self) -> None:
        proofs = Proofs()
        proofs.judge("p", "cus_A", 1, reading(ledger(500, -30)))
        other = reading(ledger(500, -30), read_at=READ_AT + 4000)
        other = replace(other, entries=[structs.replace(row, id=f"{row.id}x") for row in other.entries])
        assert not proofs.judge("p", "cus_A", 1, other).proven

    def test_an_unused_customers_empty_ledger_is_proven_at_once(self) -> None:
        assert Proofs().judge("p", "cus_A", 1, reading([]), unused=True).proven
        assert not Proofs().judge("p", "cus_A", 1, reading([])).proven
        assert not Proofs().judge("p", "cus_A", 1, reading([], 5), unused=True).proven

    def test_failures_are_counted_until_a_sound_reading(self) -> None:
        proofs, bad = Proofs(), reading([], 5)
        assert [proofs.judge("p", "cus_A", 1, bad).failures for _ in range(MAX_FAILURES)] == [1, 2]
        proofs.judge("p", "cus_A", 1, reading([]))
        assert proofs.judge("p", "cus_A", 1, bad).failures == 1
