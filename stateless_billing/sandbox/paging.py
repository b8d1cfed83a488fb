"""Pages of a list kept in order of `created`: by bisection, so that page 900 costs what page 1 costs.

docs.stripe.com/api/pagination: newest first, `starting_after` goes to the older, `ending_before` to the newer.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable
from operator import attrgetter
from typing import Protocol, TypeVar

from stateless_billing.sandbox.parameters import Window


class Ordered(Protocol):
    """Anything with a place: (`created`, running number)."""

    order: tuple[int, int]


R = TypeVar("R", bound=Ordered)
_order = attrgetter("order")


def insert(rows: list[R], row: R) -> None:
    """Put a row in its place; nearly always at the end."""
    if not rows or rows[-1].order < row.order:
        rows.append(row)
    else:
        insort(rows, row, key=_order)


def page(
    rows: list[R],
    window: Window,
    after: R | None,
    before: R | None,
    limit: int,
    keep: Callable[[R], bool] | None = None,
) -> tuple[list[R], bool]:
    """One page, newest first, and whether more follows in the direction of travel. `keep` filters row by row."""
    low, high = 0, len(rows)
    if window.first is not None:
        low = bisect_left(rows, (window.first, -1), key=_order)
    if window.end is not None:
        high = bisect_left(rows, (window.end, -1), key=_order)
    if after is not None:
        high = min(high, bisect_left(rows, after.order, key=_order))
    if before is not None:
        low = max(low, bisect_right(rows, before.order, key=_order))
        found = _forwards(rows, low, high, limit + 1, keep)
        return found[:limit][::-1], len(found) > limit
    found = _backwards(rows, low, high, limit + 1, keep)
    return found[:limit], len(found) > limit


def _forwards(rows: list[R], low: int, high: int, count: int, keep: Callable[[R], bool] | None) -> list[R]:
    if keep is None:
        return rows[low : min(high, low + count)]
    found: list[R] = []
    for place in range(low, high):
        if keep(rows[place]):
            found.append(rows[place])
            if len(found) == count:
                break
    return found


def _backwards(rows: list[R], low: int, high: int, count: int, keep: Callable[[R], bool] | None) -> list[R]:
    if keep is None:
        return rows[max(low, high - count) : high][::-1] if high > low else []
    found: list[R] = []
    for place in range(high - 1, low - 1, -1):
        if keep(rows[place]):
            found.append(rows[place])
            if len(found) == count:
                break
    return found
