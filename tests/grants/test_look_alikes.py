"""What repeats an earlier grant, and whether its operator was shown it, is a function of the ledger up to its row."""

from dataclasses import replace

import pytest

from stateless_billing.domain.ledger import Entry
from stateless_billing.grants import caps
from stateless_billing.grants.caps import Listing
from stateless_billing.grants.look_alikes import ANY, LOOK_ALIKE_SECONDS, is_unconfirmed_repeat
from tests.grants.test_caps import ANN, BEN, Ledger


def is_repeat(ledger: Ledger, row: Entry, *, again: str = "", complete: bool = True) -> bool:
    mine = caps.parse_reservation(row)
    assert mine is not None
    return is_unconfirmed_repeat(replace(mine, again=again), Listing(ledger.listed(), complete, 0))


@pytest.mark.parametrize(
    ("at", "cents", "customer", "repeats"),
    [
        (0, 500, "cus_A", True),
        (LOOK_ALIKE_SECONDS, 500, "cus_A", True),
        (LOOK_ALIKE_SECONDS + 1, 500, "cus_A", False),
        (0, 501, "cus_A", False),
        (0, 500, "cus_B", False),
    ],
)
def test_the_same_cents_to_the_same_customer_within_ten_minutes(
    at: int, cents: int, customer: str, repeats: bool
) -> None:
    ledger = Ledger()
    ledger.reserve(500, 0, BEN)
    row = ledger.reserve(cents, at, ANN)
    row.metadata["customer"] = customer  # type: ignore[index]
    assert is_repeat(ledger, row) == repeats


def test_what_was_shown_is_confirmed_and_nothing_newer() -> None:
    ledger = Ledger()
    shown = ledger.reserve(500, 0, BEN)
    mine = ledger.reserve(500, 10)
    ledger.reserve(500, 20, BEN)  # later rows do not matter
    assert is_repeat(ledger, mine)
    assert not is_repeat(ledger, mine, again=shown.id)
    assert not is_repeat(ledger, mine, again=ANY)
    late = ledger.reserve(500, 30)
    assert is_repeat(ledger, late, again=shown.id), "a newer one came between"


def test_what_was_taken_back_before_is_no_warning_and_later_changes_nothing() -> None:
    ledger = Ledger()
    undone = ledger.reserve(500, 0)
    ledger.reverse(undone, 5)
    first = ledger.reserve(500, 10)
    assert not is_repeat(ledger, first)
    second = ledger.reserve(500, 20)
    ledger.reverse(first, 30)
    assert is_repeat(ledger, second), "its verdict was given when its row was written"


def test_a_listing_that_may_omit_the_earlier_row_proves_nothing() -> None:
    ledger = Ledger()
    mine = ledger.reserve(500, 10)
    assert not is_repeat(ledger, mine)
    assert is_repeat(ledger, mine, complete=False)
