"""Pages a list ordered by `created`, by bisection, so that page 900 costs as much as page 1.

docs.stripe.com/api/pagination: newest first; `starting_after` returns older rows, `ending_before` newer ones. The order
within one second is not documented.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Sequence
from enum import StrEnum
from operator import attrgetter
from typing import Protocol, TypeVar, overload

from stateless_billing.sandbox.parameters import Window


class Ordered(Protocol):
    """Anything with a position: (`created`, sequence number)."""

    order: tuple[int, int]


class SameSecond(StrEnum):
    """The order of rows within one second: latest written first, or earliest written first."""

    NEWEST_FIRST = "newest_first"
    OLDEST_FIRST = "oldest_first"


R = TypeVar("R", bound=Ordered)
_order = attrgetter("order")


class Mirrored(Sequence[R]):
    """A view of ordered rows that reverses each second: the row written last comes first."""

    def __init__(self, rows: list[R]) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, place: int) -> R: ...

    @overload
    def __getitem__(self, place: slice) -> list[R]: ...

    def __getitem__(self, place: int | slice) -> R | list[R]:
        """Return the row at an index of the view, or a list for a slice."""
        if isinstance(place, slice):
            return [self[index] for index in range(*place.indices(len(self._rows)))]
        second = self._rows[place].order[0]
        first = bisect_left(self._rows, (second,), key=_order)
        end = bisect_left(self._rows, (second + 1,), key=_order)
        return self._rows[first + end - 1 - place % len(self._rows)]


def insert(rows: list[R], row: R) -> None:
    """Insert a row in order, nearly always at the end."""
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
    same_second: SameSecond = SameSecond.NEWEST_FIRST,
) -> tuple[list[R], bool]:
    """Return a page, newest first, and whether more rows follow in the paging direction. `keep` filters rows."""
    low, high = 0, len(rows)
    if window.first is not None:
        low = bisect_left(rows, (window.first,), key=_order)
    if window.end is not None:
        high = bisect_left(rows, (window.end,), key=_order)
    mirrored = same_second is SameSecond.OLDEST_FIRST
    view: Sequence[R] = Mirrored(rows) if mirrored else rows
    key = _mirrored_order if mirrored else _order
    if after is not None:
        high = min(high, bisect_left(view, key(after), key=key))
    if before is not None:
        low = max(low, bisect_right(view, key(before), key=key))
        matches = _forwards(view, low, high, limit + 1, keep)
        return matches[:limit][::-1], len(matches) > limit
    matches = _backwards(view, low, high, limit + 1, keep)
    return matches[:limit], len(matches) > limit


def _mirrored_order(row: Ordered) -> tuple[int, int]:
    return row.order[0], -row.order[1]


def _forwards(rows: Sequence[R], low: int, high: int, count: int, keep: Callable[[R], bool] | None) -> list[R]:
    if keep is None:
        return [*rows[low : min(high, low + count)]]
    matches: list[R] = []
    for place in range(low, high):
        row = rows[place]
        if keep(row):
            matches.append(row)
            if len(matches) == count:
                break
    return matches


def _backwards(rows: Sequence[R], low: int, high: int, count: int, keep: Callable[[R], bool] | None) -> list[R]:
    if keep is None:
        return [*rows[max(low, high - count) : high]][::-1] if high > low else []
    matches: list[R] = []
    for place in range(high - 1, low - 1, -1):
        row = rows[place]
        if keep(row):
            matches.append(row)
            if len(matches) == count:
                break
    return matches
