"""What a process remembers: when a payment is tried again, and that credited is for good."""

import pytest

from stateless_billing.crediting.payment_status import STATES, PaymentStatus, confirming_status, credited_status
from stateless_billing.crediting.status_cache import StatusCache
from stateless_billing.domain.finality import Depth
from stateless_billing.runtime.backoff import Backoff
from tests.fakes.factories import PAYER, FakeClock, entry, payment, tx_hash

ONE = payment()
PENDING = PaymentStatus("pending", cause="stripe_down")


@pytest.fixture
def clock() -> FakeClock:
    """A clock that stands still."""
    return FakeClock()


@pytest.fixture
def memory(clock: FakeClock) -> StatusCache:
    """A fresh process."""
    return StatusCache(clock)


def test_a_fresh_process_knows_nothing(memory: StatusCache) -> None:
    assert (memory.credited_status(ONE), memory.pending_status(ONE), memory.recent_lookup(ONE)) == (None, None, None)


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
    found = confirming_status(depth)
    assert (found.state, found.confirmed, found.needed) == ("confirming", depth.confirmed, depth.needed)
    assert found.retry_after == retry_after


def test_credited_names_its_entry_where_there_is_one() -> None:
    assert credited_status(5, entry(id="cbtxn_9")) == PaymentStatus("credited", cents=5, credit="cbtxn_9")
    assert credited_status(0, None) == PaymentStatus("credited", cents=0)


def test_the_least_advanced_state_comes_first() -> None:
    assert min(["credited", "pending", "held"], key=STATES.index) == "pending"
    assert (STATES[0], STATES[-1]) == ("unknown", "credited")


@pytest.mark.parametrize("state", ["credited", "reversed"])
def test_what_is_settled_is_kept_for_good(memory: StatusCache, clock: FakeClock, state: str) -> None:
    memory.record_attempt(ONE, PENDING)
    settled = memory.record_attempt(ONE, PaymentStatus(state, cents=5, credit="cbtxn_9"))
    clock.wait(10**7)
    assert memory.credited_status(ONE) == settled
    assert memory.pending_status(ONE) is None
    assert memory.credited_status(payment(tx_hash=tx_hash(2))) is None


def waits(memory: StatusCache, clock: FakeClock, *outcomes: PaymentStatus) -> list[int]:
    """After how many seconds each outcome is tried again, the next try following when it is due."""
    found = []
    for outcome in outcomes:
        remembered = memory.record_attempt(ONE, outcome)
        assert remembered.retry_after is not None
        found.append(remembered.retry_after)
        clock.wait(remembered.retry_after - 1)
        assert memory.pending_status(ONE) is not None
        clock.wait(1)
        assert memory.pending_status(ONE) is None
    return found


LIMITED = PaymentStatus("pending", cause="rate_limited")
HELD = PaymentStatus("held", cause="over_limit")
NO_RATE = PaymentStatus("held", cause="rate_unavailable")
UNCLEAR = PaymentStatus("pending", cause="stripe_unclear")
TWICE = None  # what was waited before, doubled, to an hour
HOUR = 3600
DAY = 24 * HOUR


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ([PENDING] * 9, [60, *[TWICE] * 8]),
        ([LIMITED] * 4, [5, TWICE, TWICE, TWICE]),
        ([NO_RATE] * 3, [60, TWICE, TWICE]),  # a price comes back by itself
        ([HELD, HELD], [DAY, DAY]),
        ([PENDING, HELD], [60, DAY]),
        ([HELD, PENDING, PENDING], [DAY, 60, TWICE]),  # what a day's wait was for is over
        ([PENDING, PENDING, UNCLEAR, UNCLEAR, PENDING], [60, TWICE, 60, TWICE, 60]),
        ([PENDING, PENDING, LIMITED, LIMITED, PENDING], [60, TWICE, 5, TWICE, 60]),
        ([NO_RATE, PaymentStatus("pending", cause="rate_unavailable")], [60, 60]),
        ([PaymentStatus("pending", retry_after=7), PaymentStatus("pending", retry_after=7)], [7, 7]),
    ],
)
def test_when_a_payment_is_tried_again(
    memory: StatusCache, clock: FakeClock, outcomes: list[PaymentStatus], expected: list[int | None]
) -> None:
    before = 0
    for wait, one in zip(waits(memory, clock, *outcomes), expected, strict=True):
        least = one or min(before * 2, HOUR)
        assert least <= wait <= least * 1.25
        before = wait


def test_waits_are_spread_so_that_processes_do_not_come_back_together() -> None:
    many = {StatusCache(FakeClock()).record_attempt(ONE, PENDING).retry_after for _ in range(200)}
    assert len(many) > 8
    assert {min(one or 0, 60) for one in many} == {60}


def test_what_is_remembered_is_the_payment_of_these_facts(memory: StatusCache) -> None:
    memory.record_attempt(ONE, credited_status(5_000, entry()))
    memory.record_attempt(payment(tx_hash=tx_hash(5)), PENDING)
    memory.record_lookup(payment(tx_hash=tx_hash(6)), PENDING)
    others: list[dict[str, object]] = [
        {"customer_id": "cus_Bob"},
        {"customer_id": None},
        {"sequence": 1},
        {"wallet": PAYER},
        {"amount": 1},
        {"cents": 1},
    ]
    for change in others:
        other = payment(**change)
        assert other.identity == ONE.identity
        assert memory.credited_status(other) is None
        assert memory.pending_status(payment(tx_hash=tx_hash(5), **change)) is None
        assert memory.recent_lookup(payment(tx_hash=tx_hash(6), **change)) is None
    assert memory.credited_status(payment(block=101, log_index=9)) is not None  # where it lies may change


def test_what_is_forgotten_begins_again(memory: StatusCache) -> None:
    memory.record_attempt(ONE, credited_status(5_000, entry()))
    memory.invalidate(payment(customer_id="cus_Bob"))
    assert memory.credited_status(ONE) is not None
    memory.invalidate(ONE)
    assert memory.credited_status(ONE) is None
    memory.invalidate(ONE)


def next_try(backoff: Backoff, clock: FakeClock, key: str) -> int:
    """After how many seconds a key is due."""
    for second in range(2 * HOUR):
        if backoff.is_due(key):
            return second
        clock.wait(1)
    raise AssertionError("never")


def test_what_fails_is_put_off_for_a_minute_doubling_to_an_hour(clock: FakeClock) -> None:
    backoff = Backoff(clock)
    assert next_try(backoff, clock, "a") == 0
    for least in (60, 120, 240, 480, 960, 1920, HOUR, HOUR):
        backoff.record_failure("a")
        assert backoff.is_due("b")
        assert least <= next_try(backoff, clock, "a") <= least * 1.25
    backoff.record_failure("a")
    backoff.record_success("a")
    assert backoff.is_due("a")
    backoff.record_success("never failed")
    backoff.record_failure("a")
    assert 60 <= next_try(backoff, clock, "a") <= 75


def test_the_wall_clock_does_not_end_a_backoff(clock: FakeClock) -> None:
    backoff = Backoff(clock)
    backoff.record_failure("a")
    clock.wall_time += 10**6
    assert not backoff.is_due("a")


def test_while_it_waits_the_seconds_left_are_told(memory: StatusCache, clock: FakeClock) -> None:
    wait = memory.record_attempt(ONE, PENDING).retry_after or 0
    clock.wait(20.5)
    left = memory.pending_status(ONE)
    assert left is not None
    assert (left.state, left.cause, left.retry_after) == ("pending", "stripe_down", wait - 20)


def test_the_wall_clock_does_not_bring_a_try_forward(memory: StatusCache, clock: FakeClock) -> None:
    memory.record_attempt(ONE, PENDING)
    clock.wall_time += 10**6
    assert memory.pending_status(ONE) is not None


def test_a_look_is_kept_for_ten_seconds_and_puts_off_no_try(memory: StatusCache, clock: FakeClock) -> None:
    seen = PaymentStatus("pending", retry_after=5)
    assert memory.record_lookup(ONE, seen) == seen
    assert memory.recent_lookup(ONE) == seen
    assert memory.pending_status(ONE) is None
    clock.wait(11)
    assert memory.recent_lookup(ONE) is None


def test_a_look_that_finds_the_credit_is_kept_for_good(memory: StatusCache, clock: FakeClock) -> None:
    memory.record_lookup(ONE, credited_status(5, entry()))
    clock.wait(10**6)
    assert memory.credited_status(ONE) == credited_status(5, entry())
