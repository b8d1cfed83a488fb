"""What a process remembers: when a payment is tried again, and that credited is for good."""

import asyncio
import gc

import pytest

from stateless_billing.depth import Depth
from stateless_billing.progress import STATES, Memory, Progress, confirming, credited
from tests.factories import FakeClock, entry, payment, tx_hash

ONE = payment()
PENDING = Progress("pending", cause="stripe_down")


@pytest.fixture
def clock() -> FakeClock:
    """A clock that stands still."""
    return FakeClock()


@pytest.fixture
def memory(clock: FakeClock) -> Memory:
    """A fresh process."""
    return Memory(clock)


def test_a_fresh_process_knows_nothing(memory: Memory) -> None:
    assert (memory.done(ONE), memory.waiting(ONE), memory.looked(ONE)) == (None, None, None)


@pytest.mark.parametrize(
    ("depth", "retry_after"),
    [
        (Depth(reached=False, confirmed=3, needed=15), 12),
        (Depth(reached=False, confirmed=0, needed=60), 15),
        (Depth(reached=False, confirmed=15, needed=15), 1),
        (Depth(reached=False), 30),
    ],
)
def test_a_confirming_payment_says_when_to_ask_again(depth: Depth, retry_after: int) -> None:
    found = confirming(depth)
    assert (found.state, found.confirmed, found.needed) == ("confirming", depth.confirmed, depth.needed)
    assert found.retry_after == retry_after


def test_credited_names_its_entry_where_there_is_one() -> None:
    assert credited(5, entry(id="cbtxn_9")) == Progress("credited", cents=5, credit="cbtxn_9")
    assert credited(0, None) == Progress("credited", cents=0)


def test_the_least_advanced_state_comes_first() -> None:
    assert min(["credited", "pending", "held"], key=STATES.index) == "pending"
    assert (STATES[0], STATES[-1]) == ("unknown", "credited")


@pytest.mark.parametrize("state", ["credited", "reversed"])
def test_what_is_settled_is_kept_for_good(memory: Memory, clock: FakeClock, state: str) -> None:
    memory.remember(ONE, PENDING)
    settled = memory.remember(ONE, Progress(state, cents=5, credit="cbtxn_9"))
    clock.wait(10**7)
    assert memory.done(ONE) == settled
    assert memory.waiting(ONE) is None
    assert memory.done(payment(tx_hash=tx_hash(2))) is None


def waits(memory: Memory, clock: FakeClock, *outcomes: Progress) -> list[int]:
    """After how many seconds each outcome is tried again, the next try following when it is due."""
    found = []
    for outcome in outcomes:
        remembered = memory.remember(ONE, outcome)
        assert remembered.retry_after is not None
        found.append(remembered.retry_after)
        clock.wait(remembered.retry_after - 1)
        assert memory.waiting(ONE) is not None
        clock.wait(1)
        assert memory.waiting(ONE) is None
    return found


LIMITED = Progress("pending", cause="rate_limited")
HELD = Progress("held", cause="over_limit")
NO_RATE = Progress("held", cause="rate_unavailable")
DAY = 24 * 3600


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ([PENDING] * 8, [60, 120, 240, 480, 960, 1920, 3600, 3600]),
        ([LIMITED] * 4, [5, 10, 20, 40]),
        ([NO_RATE] * 3, [60, 120, 240]),  # a price comes back by itself
        ([HELD, HELD], [DAY, DAY]),
        ([PENDING, HELD], [60, DAY]),
        ([Progress("pending", retry_after=7), Progress("pending", retry_after=7)], [7, 7]),
    ],
)
def test_when_a_payment_is_tried_again(
    memory: Memory, clock: FakeClock, outcomes: list[Progress], expected: list[int]
) -> None:
    assert waits(memory, clock, *outcomes) == expected


def test_while_it_waits_the_seconds_left_are_told(memory: Memory, clock: FakeClock) -> None:
    memory.remember(ONE, PENDING)
    clock.wait(20.5)
    left = memory.waiting(ONE)
    assert left is not None
    assert (left.state, left.cause, left.retry_after) == ("pending", "stripe_down", 40)


def test_the_wall_clock_does_not_bring_a_try_forward(memory: Memory, clock: FakeClock) -> None:
    memory.remember(ONE, PENDING)
    clock.wall_time += 10**6
    assert memory.waiting(ONE) is not None


def test_a_look_is_kept_for_ten_seconds_and_puts_off_no_try(memory: Memory, clock: FakeClock) -> None:
    seen = Progress("pending", retry_after=5)
    assert memory.remember_look(ONE, seen) == seen
    assert memory.looked(ONE) == seen
    assert memory.waiting(ONE) is None
    clock.wait(11)
    assert memory.looked(ONE) is None


def test_a_look_that_finds_the_credit_is_kept_for_good(memory: Memory, clock: FakeClock) -> None:
    memory.remember_look(ONE, credited(5, entry()))
    clock.wait(10**6)
    assert memory.done(ONE) == credited(5, entry())


def test_one_lock_for_each_customer_while_somebody_holds_it(memory: Memory) -> None:
    held: asyncio.Lock | None = memory.lock("cus_a")
    assert memory.lock("cus_a") is held
    assert memory.lock("cus_b") is not held
    held = None
    gc.collect()
    assert not memory._locks
