"""How a listing of balance transactions is told: as it is, or as a fault has it.

Nothing that Stripe documents rules these out: an ended listing is a claim, and the order within one second of
`created` is not stated anywhere.
"""

import random
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from stateless_billing.sandbox.paging import SameSecond
from stateless_billing.sandbox.parameters import Cursor

R = TypeVar("R")


class Lie(StrEnum):
    """What is untrue about a page; each is named like its effect."""

    NONE = ""
    CUT = "listing_cut"
    """`has_more: false` on a page that is not the last."""
    EMPTY = "listing_ends_empty"
    """No rows and `has_more: false` where there are rows."""
    HOLE = "listing_hole"
    """One row is missing; `has_more` is right."""


@dataclass(frozen=True, slots=True)
class Telling:
    """What one request hears; `later`: only a page that has a cursor is lied about; None leaves the order as set."""

    lie: Lie = Lie.NONE
    later: bool = False
    same_second: SameSecond | None = None


TRUTH = Telling()


def told(telling: Telling, rows: list[R], more: bool, cursor: Cursor, rng: random.Random) -> tuple[list[R], bool]:
    """The page as it is told; a page that leaves nothing to lie about comes back as it is.

    A hole is never the row from which the next page goes on, so that no later page shows what is missing.
    """
    if not rows or (telling.later and cursor.starting_after is None and cursor.ending_before is None):
        return rows, more
    if telling.lie is Lie.CUT:
        return rows, False
    if telling.lie is Lie.EMPTY:
        return [], False
    if telling.lie is Lie.HOLE:
        first = 1 if more and cursor.ending_before is not None else 0
        end = len(rows) - 1 if more and cursor.ending_before is None else len(rows)
        if first < end:
            hole = rng.randrange(first, end)
            return rows[:hole] + rows[hole + 1 :], more
    return rows, more
