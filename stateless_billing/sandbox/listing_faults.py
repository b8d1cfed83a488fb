"""Faults that falsify listings of balance transactions.

Stripe's documentation rules none of these out: it does not guarantee complete listings, nor an order within one second
of `created`.
"""

import random
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from stateless_billing.sandbox.paging import SameSecond
from stateless_billing.sandbox.parameters import Cursor

R = TypeVar("R")


class Lie(StrEnum):
    """What is false about a page; each is named like its effect."""

    NONE = ""
    CUT = "listing_cut"
    """`has_more: false` on a page other than the last."""
    EMPTY = "listing_ends_empty"
    """No rows and `has_more: false` although rows remain."""
    HOLE = "listing_hole"
    """One row is missing; `has_more` is correct."""


@dataclass(frozen=True, slots=True)
class ListingFault:
    """The fault of one request. `later` limits it to pages with a cursor; `same_second` None keeps the set order."""

    lie: Lie = Lie.NONE
    later: bool = False
    same_second: SameSecond | None = None


NO_LISTING_FAULT = ListingFault()


def apply_listing_fault(
    fault: ListingFault, rows: list[R], more: bool, cursor: Cursor, rng: random.Random
) -> tuple[list[R], bool]:
    """Return the falsified page, or the page itself if the fault does not apply.

    A hole is never the row that the next page starts from, so that no later page shows the missing row.
    """
    if not rows or (fault.later and cursor.starting_after is None and cursor.ending_before is None):
        return rows, more
    if fault.lie is Lie.CUT:
        return rows, False
    if fault.lie is Lie.EMPTY:
        return [], False
    if fault.lie is Lie.HOLE:
        first = 1 if more and cursor.ending_before is not None else 0
        end = len(rows) - 1 if more and cursor.ending_before is None else len(rows)
        if first < end:
            hole = rng.randrange(first, end)
            return rows[:hole] + rows[hole + 1 :], more
    return rows, more
