"""StatusCache schedules attempts and keeps credited statuses; Backoff spaces out retries."""

import pytest

from stateless_billing.crediting.payment_status import STATES, PaymentStatus, confirming_status, credited_status
from stateless_billing.crediting.status_cache import StatusCache
from stateless_billing.domain.finality import Depth
from stateless_billing.runtime.backoff import Backoff
from tests.fakes.factories import PAYER, FakeClock, entry, payment, tx_hash

PAYMENT = payment()
PENDING = PaymentStatus("pending", cause="stripe_down")


@pytest.fixture
def clock() -> FakeClock:
    """A stopped clock."""
    return FakeClock()


@pytest.fixture
def status_cache(clock: FakeClock) -> StatusCache:
    """The empty cache of a new process."""
    return StatusCache(clock)


def test_a_new_cache_is_empty(status_cache: StatusCache) -> None:
    assert (
        status_cache.credited_status(PAYMENT),
        status_cache.pending_status(PAYMENT),
        status_cache.recent_lookup(PAYMENT),
    ) == (None, None, None)


@pytest.mark.parametrize(
    ("depth", "retry_after"),
    [
        (Depth(reached=False, confirmed=3, needed=15), 12),
        (Depth(reached=False, confirmed=0, needed=60), 15),
        (Depth(reached=False, confirmed=15, needed=15), 1),
        (Depth(reached=False), 30),
    ],
)
def test_a_confirming_status_says_when_to_ask_again(depth: Depth, retry_after: int) -> None:
    status = confirming_status(depth)
    assert (status.state, status.confirmed, status.needed) == ("confirming", depth.confirmed, depth.needed)
    assert status.retry_after == retry_after


def test_a_credited_status_names_its_entry_if_any() -> None:
    assert credited_status(5, entry(id="cbtxn_9")) == PaymentStatus("credited", cents=5, credit="cbtxn_9")
    assert credited_status(0, None) == PaymentStatus("credited", cents=0)


def test_the_least_advanced_state_comes_first() -> None:
    assert min(["credited", "pending", "held"], key=STATES.index) == "pending"
    assert (STATES[0], STATES[-1]) == ("unknown", "credited")


@pytest.mark.parametrize("state", ["credited", "reversed"])
def test_a_final_status_does_not_expire(status_cache: StatusCache, clock: FakeClock, state: str) -> None:
    status_cache.record_attempt(PAYMENT, PENDING)
    final = status_cache.record_attempt(PAYMENT, PaymentStatus(state, cents=5, credit="cbtxn_9"))
    clock.wait(10**7)
    assert status_cache.credited_status(PAYMENT) == final
    assert status_cache.pending_status(PAYMENT) is None
    assert status_cache.credited_status(payment(tx_hash=tx_hash(2))) is None


def record_all(status_cache: StatusCache, clock: FakeClock, *outcomes: PaymentStatus) -> list[int]:
    """Record each outcome when the previous one is due, and return the delays in seconds."""
    delays = []
    for outcome in outcomes:
        recorded = status_cache.record_attempt(PAYMENT, outcome)
        assert recorded.retry_after is not None
        delays.append(recorded.retry_after)
        clock.wait(recorded.retry_after - 1)
        assert status_cache.pending_status(PAYMENT) is not None
        clock.wait(1)
        assert status_cache.pending_status(PAYMENT) is None
    return delays


LIMITED = PaymentStatus("pending", cause="rate_limited")
HELD = PaymentStatus("held", cause="over_limit")
NO_RATE = PaymentStatus("held", cause="rate_unavailable")
UNCLEAR = PaymentStatus("pending", cause="stripe_unclear")
TWICE = None  # twice the previous delay, up to an hour
HOUR = 3600
DAY = 24 * HOUR


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ([PENDING] * 9, [60, *[TWICE] * 8]),
        ([LIMITED] * 4, [5, TWICE, TWICE, TWICE]),
        ([NO_RATE] * 3, [60, TWICE, TWICE]),  # a rate needs no admin to come back
        ([HELD, HELD], [DAY, DAY]),
        ([PENDING, HELD], [60, DAY]),
        ([HELD, PENDING, PENDING], [DAY, 60, TWICE]),  # a new cause starts over
        ([PENDING, PENDING, UNCLEAR, UNCLEAR, PENDING], [60, TWICE, 5, TWICE, 60]),
        ([PENDING, PENDING, LIMITED, LIMITED, PENDING], [60, TWICE, 5, TWICE, 60]),
        ([NO_RATE, PaymentStatus("pending", cause="rate_unavailable")], [60, 60]),
        ([PaymentStatus("pending", retry_after=7), PaymentStatus("pending", retry_after=7)], [7, 7]),
    ],
)
def test_the_delay_until_the_next_attempt(
    status_cache: StatusCache, clock: FakeClock, outcomes: list[PaymentStatus], expected: list[int | None]
) -> None:
    previous = 0
    for delay, exact in zip(record_all(status_cache, clock, *outcomes), expected, strict=True):
        shortest = exact or min(previous * 2, HOUR)
        assert shortest <= delay <= shortest * 1.25
        previous = delay


def test_delays_have_jitter() -> None:
    delays = {StatusCache(FakeClock()).record_attempt(PAYMENT, PENDING).retry_after for _ in range(200)}
    assert len(delays) > 8
    assert {min(delay or 0, 60) for delay in delays} == {60}


def test_a_status_is_cached_for_exactly_these_facts(status_cache: StatusCache) -> None:
    status_cache.record_attempt(PAYMENT, credited_status(5_000, entry()))
    status_cache.record_attempt(payment(tx_hash=tx_hash(5)), PENDING)
    status_cache.record_lookup(payment(tx_hash=tx_hash(6)), PENDING)
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
        assert other.identity == PAYMENT.identity
        assert status_cache.credited_status(other) is None
        assert status_cache.pending_status(payment(tx_hash=tx_hash(5), **change)) is None
        assert status_cache.recent_lookup(payment(tx_hash=tx_hash(6), **change)) is None
    assert status_cache.credited_status(payment(block=101, log_index=9)) is not None  # a reorg may move the payment


def test_an_invalidated_status_is_dropped(status_cache: StatusCache) -> None:
    status_cache.record_attempt(PAYMENT, credited_status(5_000, entry()))
    status_cache.invalidate(payment(customer_id="cus_Bob"))
    assert status_cache.credited_status(PAYMENT) is not None
    status_cache.invalidate(PAYMENT)
    assert status_cache.credited_status(PAYMENT) is None
    status_cache.invalidate(PAYMENT)


def next_try(backoff: Backoff, clock: FakeClock, key: str) -> int:
    """Seconds until a key is due."""
    for second in range(2 * HOUR):
        if backoff.is_due(key):
            return second
        clock.wait(1)
    raise AssertionError("never due")


def test_a_backoff_doubles_from_a_minute_to_an_hour(clock: FakeClock) -> None:
    backoff = Backoff(clock, lambda: 0.0)
    assert next_try(backoff, clock, "a") == 0
    for shortest in (60, 120, 240, 480, 960, 1920, HOUR, HOUR):
        backoff.record_failure("a")
        assert backoff.is_due("b")
        assert shortest <= next_try(backoff, clock, "a") <= shortest * 1.25
    backoff.record_failure("a")
    backoff.record_success("a")
    assert backoff.is_due("a")
    backoff.record_success("never failed")
    backoff.record_failure("a")
    assert 60 <= next_try(backoff, clock, "a") <= 75


def test_what_failed_before_a_recovery_is_due_at_once(clock: FakeClock) -> None:
    recovered_at = 0.0
    backoff = Backoff(clock, lambda: recovered_at)
    for _ in range(9):
        backoff.record_failure("a")
    assert not backoff.is_due("a")
    clock.wait(5)
    recovered_at = clock.boot()
    assert backoff.is_due("a")
    backoff.record_failure("a")
    assert 60 <= next_try(backoff, clock, "a") <= 75, "it begins anew"


def test_the_wall_clock_does_not_end_a_backoff(clock: FakeClock) -> None:
    backoff = Backoff(clock, lambda: 0.0)
    backoff.record_failure("a")
    clock.wall_time += 10**6
    assert not backoff.is_due("a")


def test_a_pending_status_returns_the_remaining_seconds(status_cache: StatusCache, clock: FakeClock) -> None:
    wait = status_cache.record_attempt(PAYMENT, PENDING).retry_after or 0
    clock.wait(20.5)
    pending = status_cache.pending_status(PAYMENT)
    assert pending is not None
    assert (pending.state, pending.cause, pending.retry_after) == ("pending", "stripe_down", wait - 20)


def test_the_wall_clock_does_not_make_an_attempt_due(status_cache: StatusCache, clock: FakeClock) -> None:
    status_cache.record_attempt(PAYMENT, PENDING)
    clock.wall_time += 10**6
    assert status_cache.pending_status(PAYMENT) is not None


def test_a_lookup_is_cached_for_ten_seconds_and_delays_no_attempt(status_cache: StatusCache, clock: FakeClock) -> None:
    lookup = PaymentStatus("pending", retry_after=5)
    assert status_cache.record_lookup(PAYMENT, lookup) == lookup
    assert status_cache.recent_lookup(PAYMENT) == lookup
    assert status_cache.pending_status(PAYMENT) is None
    clock.wait(11)
    assert status_cache.recent_lookup(PAYMENT) is None


def test_a_lookup_that_finds_the_credit_does_not_expire(status_cache: StatusCache, clock: FakeClock) -> None:
    status_cache.record_lookup(PAYMENT, credited_status(5, entry()))
    clock.wait(10**6)
    assert status_cache.credited_status(PAYMENT) == credited_status(5, entry())


def test_an_attempt_that_fails_right_after_a_recovery_is_repeated_soon(clock: FakeClock) -> None:
    """It may have begun before."""
    recovered_at = clock.boot()
    cache = StatusCache(clock, lambda cause: recovered_at if cause == "stripe_down" else 0.0)
    clock.wait(1)
    assert 5 <= (cache.record_attempt(PAYMENT, PENDING).retry_after or 0) <= 6
    clock.wait(30)
    assert 10 <= (cache.record_attempt(PAYMENT, PENDING).retry_after or 0) <= 15, "then it doubles"
    assert 60 <= (cache.record_attempt(PAYMENT, PaymentStatus("held", cause="rate_unavailable")).retry_after or 0) <= 75
    assert 60 <= (StatusCache(clock).record_attempt(PAYMENT, PENDING).retry_after or 0) <= 75, "it never failed"


def test_a_confirming_status_is_the_last_one_and_delays_no_attempt(status_cache: StatusCache, clock: FakeClock) -> None:
    waiting = confirming_status(Depth(reached=False, cause="node_unavailable"))
    assert status_cache.record_confirming(PAYMENT, waiting), "its cause is new"
    assert not status_cache.record_confirming(PAYMENT, waiting)
    assert status_cache.last_status(PAYMENT) == waiting
    assert status_cache.pending_status(PAYMENT) is None
    assert status_cache.record_confirming(PAYMENT, confirming_status(Depth(reached=False, cause="finality_stalled")))
    assert not status_cache.record_confirming(PAYMENT, confirming_status(Depth(reached=False)))
    status_cache.record_attempt(PAYMENT, PENDING)
    assert status_cache.last_status(PAYMENT) == PENDING
    status_cache.record_confirming(PAYMENT, waiting)
    clock.wait(121)
    assert status_cache.last_status(PAYMENT) == PENDING


def test_the_usual_time_to_credit_is_the_median_of_the_last_ones(status_cache: StatusCache) -> None:
    for seconds in (7.2, 3.0, 9.0, 5.0):
        status_cache.record_credit_time(seconds)
    assert status_cache.median_credit_seconds is None, "a few say nothing"
    status_cache.record_credit_time(3_600.0)
    assert status_cache.median_credit_seconds == 8
    for _ in range(101):
        status_cache.record_credit_time(4.0)
    assert status_cache.median_credit_seconds == 4
