"""RateLimiter in virtual time: when each request is admitted and sent."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from itertools import pairwise

import pytest

from stateless_billing.sandbox.answers import Refusal
from stateless_billing.sandbox.limits import RateLimits
from stateless_billing.stripe.rate_limiter import Endpoint, RateLimiter
from tests.bench import scale
from tests.fakes.virtual_time import run_virtually

WINDOW = 1.04
GAP = WINDOW / 25


def create_limiter(rate: int = 25, processes: int = 1) -> RateLimiter:
    """A limiter whose total is four endpoints' rate."""
    return RateLimiter(rate=rate, total_rate=4 * rate, processes=processes)


LIST, CREATE, READ = Endpoint.LIST_ENTRIES, Endpoint.CREATE_ENTRY, Endpoint.READ_CUSTOMER


def admissions(
    limiter: RateLimiter, *requests: tuple[Endpoint, ...], before: Callable[[], None] = lambda: None
) -> list[float]:
    """Return when each request is admitted; all are made at once, in this order."""

    async def main() -> list[float]:
        before()
        loop = asyncio.get_running_loop()

        async def admit(endpoints: tuple[Endpoint, ...]) -> float:
            await limiter.acquire_together(*endpoints)
            return loop.time()

        return await asyncio.gather(*(admit(endpoints) for endpoints in requests))

    return run_virtually(main())


def test_requests_to_one_endpoint_are_spaced_evenly() -> None:
    assert admissions(create_limiter(), *[(LIST,)] * 5) == pytest.approx([0, GAP, 2 * GAP, 3 * GAP, 4 * GAP])


@pytest.mark.parametrize(
    ("rate", "processes", "gap"),
    [
        (10, 1, WINDOW / 10),
        (25, 5, WINDOW / 5),
        (25, 3, WINDOW * 3 / 25),
        (25, 10, WINDOW * 10 / 25),
        (25, 30, WINDOW * 30 / 25),
        (100, 1, WINDOW / 100),
        (1, 3, 3 * WINDOW),
        (7, 8, WINDOW * 8 / 7),
    ],
)
def test_the_share_of_one_process(rate: int, processes: int, gap: float) -> None:
    assert admissions(create_limiter(rate, processes), (LIST,), (LIST,)) == pytest.approx([0, gap])


def test_all_endpoints_together_have_four_times_the_rate() -> None:
    endpoints = [(endpoint,) for endpoint in Endpoint]
    assert admissions(create_limiter(), *endpoints) == pytest.approx(
        [GAP / 4 * index for index in range(len(endpoints))]
    )


def test_a_pair_starts_together_and_counts_for_each_endpoint() -> None:
    pair, read, create, list_ = admissions(create_limiter(), (READ, CREATE), (READ,), (CREATE,), (LIST,))
    assert pair == 0
    assert sorted((read, create)) == pytest.approx([GAP, GAP * 5 / 4]), "they count in total too"
    assert list_ == pytest.approx(GAP / 2)


def test_a_pair_counts_twice_in_total() -> None:
    assert admissions(create_limiter(), (READ, CREATE), (LIST,)) == pytest.approx([0, GAP / 2])


def test_the_second_of_a_pair_counts_for_its_endpoint() -> None:
    assert admissions(create_limiter(), (READ, CREATE), (CREATE,)) == pytest.approx([0, GAP])


def test_a_pair_waits_for_the_slower_endpoint() -> None:
    assert admissions(create_limiter(10, 1), (CREATE,), (READ, CREATE)) == pytest.approx([0, WINDOW / 10])


def test_no_second_exceeds_the_share() -> None:
    requests = [(READ, CREATE), (LIST,), (LIST,)] * 40
    admitted = admissions(create_limiter(), *requests)
    for endpoint in (READ, CREATE, LIST):
        times = sorted(time for time, endpoints in zip(admitted, requests, strict=True) if endpoint in endpoints)
        assert all(later - earlier >= GAP - 1e-9 for earlier, later in pairwise(times))
    sent = sum(len(endpoints) for endpoints in requests)
    assert sent / (max(admitted) + GAP) <= 100


def test_an_idle_limiter_accumulates_nothing() -> None:
    async def main() -> list[float]:
        limiter, loop = create_limiter(), asyncio.get_running_loop()
        await asyncio.sleep(100)
        times = []
        for _ in range(3):
            await limiter.acquire_together(LIST)
            times.append(loop.time())
        return times

    assert run_virtually(main()) == pytest.approx([100, 100 + GAP, 100 + 2 * GAP])


def delayed(act: Callable[[RateLimiter], None], then: Endpoint = LIST) -> float:
    """Return how long a request waits after `act`."""

    async def main() -> float:
        limiter, loop = create_limiter(), asyncio.get_running_loop()
        await asyncio.sleep(10)
        act(limiter)
        await limiter.acquire_together(then)
        return loop.time() - 10

    return run_virtually(main())


def limited_times(times: int, reason: str = "endpoint-rate", *, succeed: bool = False, processes: int = 1) -> float:
    """Return the wait after so many 429s, each of a request that waited for the pause before."""

    async def main() -> float:
        limiter, loop = create_limiter(processes=processes), asyncio.get_running_loop()
        for _ in range(times):
            await limiter.acquire_together(LIST)
            limiter.on_rate_limited(LIST, reason)
            if succeed:
                limiter.on_success(LIST)
        limited_at = loop.time()
        await limiter.acquire_together(LIST)
        return loop.time() - limited_at

    return run_virtually(main())


@pytest.mark.parametrize(("times", "pause"), [(2, 0.5), (3, 1), (4, 2), (5, 4), (7, 16), (8, 30), (20, 30)])
@pytest.mark.parametrize("seed", range(3))
def test_429s_in_a_row_double_the_pause_to_half_a_minute(times: int, pause: float, seed: int) -> None:
    random.seed(seed)
    assert pause / 2 <= limited_times(times) <= min(30, pause * 3 / 2) + 0.1


@pytest.mark.parametrize(("processes", "shift"), [(1, GAP / 3), (2, GAP * 2 / 3), (3, GAP), (30, GAP)])
def test_a_first_429_only_shifts_what_follows(processes: int, shift: float) -> None:
    assert limited_times(1, processes=processes) == pytest.approx(processes * GAP + shift)


@pytest.mark.parametrize("reason", ["endpoint-concurrency", "resource-specific", "global-concurrency"])
def test_a_first_429_for_anything_but_the_rate_pauses(reason: str) -> None:
    assert 0.25 <= limited_times(1, reason) <= 0.75


def test_thirty_processes_find_a_pattern_that_fits() -> None:
    equal, seconds = scale.LOADS[0], 180
    assert scale.play(30, 25, equal, seconds).second_half > 0.955


def test_429s_during_a_pause_count_once() -> None:
    def act(limiter: RateLimiter) -> None:
        for _ in range(15):
            limiter.on_rate_limited(LIST, "endpoint-rate")

    assert delayed(act) <= 0.75


def test_a_429_pauses_its_endpoint_only() -> None:
    assert delayed(lambda limiter: limiter.on_rate_limited(CREATE, "endpoint-concurrency")) == 0


@pytest.mark.parametrize("reason", ["global-rate", "global-concurrency"])
def test_a_global_429_delays_every_endpoint(reason: str) -> None:
    def act(limiter: RateLimiter) -> None:
        limiter.on_rate_limited(CREATE, reason)
        limiter.on_rate_limited(CREATE, reason)

    for endpoint in Endpoint:
        assert 0.25 <= delayed(act, endpoint) <= 0.75


@pytest.mark.parametrize("reason", ["endpoint-rate", "endpoint-concurrency", "resource-specific"])
def test_a_429_of_one_endpoint_pauses_no_other(reason: str) -> None:
    for endpoint in set(Endpoint) - {CREATE}:
        assert delayed(lambda limiter: limiter.on_rate_limited(CREATE, reason), endpoint) == 0


@pytest.mark.parametrize("pauses_late", [False, True])
def test_a_paused_endpoint_does_not_delay_others(pauses_late: bool) -> None:
    async def main() -> list[float]:
        limiter, loop = RateLimiter(rate=25, total_rate=25, processes=1), asyncio.get_running_loop()

        async def admit(*endpoints: Endpoint) -> float:
            await limiter.acquire_together(*endpoints)
            return loop.time()

        await limiter.acquire_together(LIST)
        jobs = [asyncio.create_task(admit(*endpoints)) for endpoints in ((READ, CREATE), (LIST,), (LIST,))]
        if pauses_late:
            await asyncio.sleep(GAP / 2)  # the pair waits for the total
        limiter.on_rate_limited(CREATE, "endpoint-concurrency")
        return await asyncio.gather(*jobs)

    pair, *others = run_virtually(main())
    assert pair >= 0.25
    assert others == pytest.approx([GAP, 2 * GAP])


def test_search_has_its_own_lower_limit() -> None:
    search = Endpoint.SEARCH_CUSTOMERS
    assert admissions(create_limiter(), (search,), (search,), (search,)) == pytest.approx([0, WINDOW / 20, WINDOW / 10])
    assert admissions(create_limiter(25, 5), (search,), (search,)) == pytest.approx([0, WINDOW / 4])


def test_searches_keep_their_limit_when_others_are_raised() -> None:
    search = Endpoint.SEARCH_CUSTOMERS
    assert admissions(create_limiter(500), (search,), (search,)) == pytest.approx([0, WINDOW / 20])


def test_a_success_ends_the_doubling() -> None:
    assert limited_times(5, succeed=True) <= 3 * GAP / 0.8**2


def gap_after(limiter: RateLimiter, responses: str, endpoint: Endpoint = LIST, reason: str = "endpoint-rate") -> float:
    """Return the interval, in intervals of the share, after these responses: `.` a success, `x` a 429."""

    async def main() -> float:
        loop = asyncio.get_running_loop()
        for response in responses:
            await limiter.acquire_together(LIST)
            limiter.on_rate_limited(LIST, reason) if response == "x" else limiter.on_success(LIST)
        await limiter.acquire_together(endpoint)
        started = loop.time()
        await limiter.acquire_together(endpoint)
        return (loop.time() - started) / GAP

    return run_virtually(main())


@pytest.mark.parametrize(
    ("responses", "gap"),
    [
        ("x" + "." * 10, 1),
        ("x....." * 6, 1),  # what processes need to find their pattern
        ("x....." * 6 + "x", 1 / 0.8),
        ("x....." * 6 + "x" + "." * 39, 1 / 0.8),
        ("x....." * 6 + "x" + "." * 40, 1 / 0.88),
        ("x....." * 6 + "x" + "." * 120, 1),
        ("x" * 40, 1 / 0.8**5),
        ("x" * 200, 8),
    ],
)
def test_many_429s_lower_the_pace_and_it_recovers(responses: str, gap: float) -> None:
    assert gap_after(create_limiter(), responses) == pytest.approx(gap, rel=0.02)


def test_429s_of_the_account_lower_the_pace_of_all_together() -> None:
    assert gap_after(create_limiter(), "x" * 40, reason="global-rate") == pytest.approx(1, rel=0.02)
    limiter = RateLimiter(rate=25, total_rate=25, processes=1)
    assert gap_after(limiter, "x" * 40, READ, reason="global-rate") == pytest.approx(1 / 0.8**5, rel=0.02)


def test_processes_that_begin_together_find_a_pattern_without_429s() -> None:
    """Ten processes send at the limit, in any second of which Stripe admits 25 requests."""
    random.seed(1)
    limits, refused_at = RateLimits(), list[float]()

    async def send_all(limiter: RateLimiter) -> None:
        loop = asyncio.get_running_loop()
        while loop.time() < 180:
            await limiter.acquire_together(CREATE)
            await limiter.wait_to_send(CREATE)
            try:
                limits.admit(CREATE, loop.time(), livemode=True)
            except Refusal as refusal:
                refused_at.append(loop.time())
                limiter.on_rate_limited(CREATE, refusal.headers["Stripe-Rate-Limited-Reason"])
            else:
                limiter.on_success(CREATE)

    async def main() -> None:
        await asyncio.gather(*(send_all(RateLimiter(rate=25, total_rate=100, processes=10)) for _ in range(10)))

    run_virtually(main())
    assert any(time < 10 for time in refused_at)
    assert not any(time > 120 for time in refused_at)


def test_the_total_holds_when_requests_are_sent_too() -> None:
    async def main() -> list[float]:
        limiter, loop = RateLimiter(rate=6, total_rate=20, processes=1), asyncio.get_running_loop()
        times: list[float] = []

        async def send(endpoint: Endpoint) -> None:
            await limiter.wait_to_send(endpoint)
            times.append(loop.time())

        await asyncio.gather(*(send(endpoint) for endpoint in list(Endpoint) * 20))
        return sorted(times)

    assert is_within_limit(run_virtually(main()), 20)


def test_requests_are_admitted_in_order() -> None:
    order: list[int] = []

    async def main() -> None:
        limiter = create_limiter()

        async def admit(number: int) -> None:
            await limiter.acquire_together(LIST)
            order.append(number)

        jobs: list[Awaitable[None]] = [admit(number) for number in range(20)]
        await asyncio.gather(*jobs)

    run_virtually(main())
    assert order == list(range(20))


def send_times(
    admitted_at: list[float], late: Callable[[int], float] = lambda _: 0.0, limiter: RateLimiter | None = None
) -> list[float]:
    """Return when requests admitted at these times are sent; number n wakes `late(n)` s late."""

    async def main() -> list[float]:
        shared, loop, times = limiter or create_limiter(), asyncio.get_running_loop(), []

        async def send(number: int, at: float) -> None:
            await asyncio.sleep(at + late(number))
            await shared.wait_to_send(CREATE)
            times.append(loop.time())

        await asyncio.gather(*(send(number, at) for number, at in enumerate(admitted_at)))
        return times

    return run_virtually(main())


def is_within_limit(times: list[float], limit: int = 25) -> bool:
    """Whether no window contains more than `limit` requests."""
    return all(later - earlier >= WINDOW - 1e-9 for earlier, later in zip(times, times[limit:], strict=False))


def evenly_spaced(number: int) -> list[float]:
    """Return the admission times of `number` requests."""
    return [index * GAP for index in range(number)]


def test_requests_admitted_one_by_one_are_not_sent_as_a_burst() -> None:
    closest = GAP * 3 / 4
    assert send_times([0, 1, 1, 1, 1.2]) == pytest.approx([0, 1, 1 + closest, 1 + 2 * closest, 1.2])


def test_a_late_request_delays_later_ones_only_as_needed() -> None:
    out = send_times(evenly_spaced(100), lambda number: 0.1 if number == 10 else 0.0)
    assert sorted(out) == pytest.approx(out)
    assert is_within_limit(out)
    assert out[-1] == pytest.approx(99 * GAP, abs=0.05)


@pytest.mark.parametrize("seed", range(20))
def test_stalls_never_exceed_the_share(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    real, dice = asyncio.sleep, random.Random(seed)

    def stalling(seconds: float) -> Awaitable[None]:
        late = dice.choice([0, 0.001, 0.01, 0.1, 0.5]) if dice.random() < 0.1 else 0
        return real(seconds + late if seconds > 0 else 0)

    monkeypatch.setattr(asyncio, "sleep", stalling)
    assert is_within_limit(send_times(evenly_spaced(400)))
    assert is_within_limit(send_times([0.0] * 200))
    assert is_within_limit(send_times([0.0] * 60, limiter=create_limiter(25, 3)), 9)


def test_requests_catch_up_after_a_stall() -> None:
    """Several stalls of 0.3 s delay the last request by one stall, not by their sum."""
    stop, stops = 0.3, [number * GAP for number in (100, 210, 320, 430)]

    def late(number: int) -> float:
        """Delay what falls into a stall until its end."""
        return next((at + stop - number * GAP for at in stops if 0 <= number * GAP - at < stop), 0)

    out = send_times(evenly_spaced(1000), late)
    assert is_within_limit(out)
    assert out[-1] < 999 * GAP + 0.35


def test_above_the_usual_limits_delayed_requests_go_at_once_and_still_within_the_limit() -> None:
    out = send_times([1.0] * 700, limiter=create_limiter(500))
    assert out[:500] == pytest.approx([1.0] * 500)
    assert is_within_limit(out, 500)


def test_a_cancelled_wait_is_not_counted() -> None:
    async def main() -> float:
        limiter, loop = create_limiter(), asyncio.get_running_loop()
        await limiter.wait_to_send(CREATE)
        for _ in range(30):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(limiter.wait_to_send(CREATE), 0.0001)
        await limiter.wait_to_send(CREATE)
        return loop.time()

    assert run_virtually(main()) == pytest.approx(GAP * 3 / 4)


def test_a_pause_of_writes_keeps_no_read_waiting() -> None:
    limiter = create_limiter()

    def pause() -> None:
        limiter.on_rate_limited(CREATE, "endpoint-concurrency")

    paused, *reads = admissions(limiter, (CREATE, READ), (READ,), (READ,), before=pause)
    assert paused >= 0.25
    assert reads == pytest.approx([0, GAP], abs=GAP)
