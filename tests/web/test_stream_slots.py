"""A new stream ends the oldest where there are too many."""

import asyncio

from stateless_billing.web.api.stream_slots import MAX_STREAMS, MAX_STREAMS_OF_ORIGIN, Slot, StreamSlots


def open_streams(slots: StreamSlots, count: int, origin: str) -> list[Slot]:
    """Open streams of one origin."""
    return [slots.take(origin, asyncio.Event()) for _ in range(count)]


def ends(streams: list[Slot]) -> list[str]:
    """Return why each ended, empty for those that go on."""
    return [slot.end for slot in streams]


def test_the_seventh_of_an_origin_ends_its_oldest_and_nobody_elses() -> None:
    slots = StreamSlots()
    others = open_streams(slots, 6, "192.0.2.2")
    mine = open_streams(slots, MAX_STREAMS_OF_ORIGIN + 2, "192.0.2.1")
    assert ends(mine) == ["displaced"] * 2 + [""] * 6
    assert mine[0].wake.is_set()
    assert ends(others) == [""] * 6


def test_one_more_than_a_process_holds_ends_the_oldest_of_all() -> None:
    slots = StreamSlots()
    first = [slots.take(f"198.51.100.{number // 5}", asyncio.Event()) for number in range(MAX_STREAMS)]
    assert not any(ends(first))
    slots.take("203.0.113.1", asyncio.Event())
    assert ends(first) == ["displaced"] + [""] * (MAX_STREAMS - 1)


def test_released_streams_make_room() -> None:
    slots = StreamSlots()
    mine = open_streams(slots, MAX_STREAMS_OF_ORIGIN, "192.0.2.1")
    slots.release(mine[3])
    slots.release(mine[3])
    mine += open_streams(slots, 1, "192.0.2.1")
    assert not any(ends(mine))
    open_streams(slots, 1, "192.0.2.1")
    assert ends(mine)[0] == "displaced"
    slots.release(mine[0])  # it ends after it made room
    assert ends(open_streams(slots, 1, "192.0.2.1")) == [""]


def test_closing_ends_all_and_later_ones_at_once() -> None:
    slots = StreamSlots()
    mine = open_streams(slots, 3, "192.0.2.1")
    slots.close()
    assert ends(mine + open_streams(slots, 1, "192.0.2.1")) == ["shutdown"] * 4
