"""Pages equal a naive implementation: filter, cut at the cursor, take the nearest."""

import random
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from stateless_billing.sandbox.paging import Mirrored, SameSecond, insert, page
from stateless_billing.sandbox.parameters import Window


@dataclass
class Row:
    """A row with only a position."""

    order: tuple[int, int]


def expected_page(
    rows: list[Row], window: Window, after: Row | None, before: Row | None, limit: int, way: int
) -> tuple[list[tuple[int, int]], bool]:
    """Return the page by scanning all rows; `way` is -1 if the row written first comes first within a second."""

    def key(order: tuple[int, int]) -> tuple[int, int]:
        return order[0], way * order[1]

    orders = sorted((row.order for row in rows), key=key, reverse=True)
    orders = [order for order in orders if window.first is None or order[0] >= window.first]
    orders = [order for order in orders if window.end is None or order[0] < window.end]
    if after is not None:
        orders = [order for order in orders if key(order) < key(after.order)]
    if before is not None:
        orders = [order for order in orders if key(order) > key(before.order)]
        return orders[-limit:], len(orders) > limit
    return orders[:limit], len(orders) > limit


@given(
    times=st.lists(st.integers(0, 6), max_size=15),
    first=st.none() | st.integers(0, 7),
    end=st.none() | st.integers(0, 7),
    limit=st.integers(1, 5),
    cursor=st.integers(0, 40),
    filtered=st.booleans(),
    same_second=st.sampled_from(SameSecond),
)
def test_pages_equal_a_full_scan(
    times: list[int],
    first: int | None,
    end: int | None,
    limit: int,
    cursor: int,
    filtered: bool,
    same_second: SameSecond,
) -> None:
    rows: list[Row] = []
    for number, created in enumerate(times):
        insert(rows, Row((created, number)))
    assert rows == sorted(rows, key=lambda row: row.order)
    at = rows[cursor // 3 % len(rows)] if rows and cursor % 3 else None
    after, before = (at, None) if cursor % 3 == 1 else (None, at)
    keep = (lambda row: row.order[1] % 2 == 0) if filtered else None
    expected = [row for row in rows if keep is None or keep(row)]
    actual, more = page(rows, Window(first, end), after, before, limit, keep, same_second)
    way = 1 if same_second is SameSecond.NEWEST_FIRST else -1
    assert ([row.order for row in actual], more) == expected_page(
        expected, Window(first, end), after, before, limit, way
    )


def test_a_mirrored_view_turns_every_second_around() -> None:
    rows = [Row((second, number)) for number, second in enumerate((1, 1, 1, 2, 5, 5))]
    view = Mirrored(rows)
    assert [row.order[1] for row in view] == [2, 1, 0, 3, 5, 4]
    assert [row.order[1] for row in view[1:5]] == [1, 0, 3, 5]
    assert (len(view), view[-1].order[1]) == (6, 4)


def test_insertion_keeps_the_order_whatever_comes() -> None:
    rows: list[Row] = []
    orders = [(created, number) for number, created in enumerate(random.Random(1).choices(range(9), k=50))]
    for order in orders:
        insert(rows, Row(order))
    assert [row.order for row in rows] == sorted(orders)
