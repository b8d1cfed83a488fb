"""The pacer, in virtual time: when each request may start."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from itertools import pairwise

import pytest

from stateless_billing.stripe.rate_limiter import Endpoint, RateLimiter
from tests.fakes.virtual_time import run_virtually

GAP = 0.0416  # at 25 a second: 25 in 1.04 s
LIST, CREATE, READ = Endpoint.LIST_ENTRIES, Endpoint.CREATE_ENTRY, Endpoint.READ_CUSTOMER


def starts(pacer: RateLimiter, *wanted: tuple[Endpoint, ...], before: Callable[[], None] = lambda: None) -> list[float]:
    """When each of these was granted, asked for at once in this order."""

    async def main() -> list[float]:
        before()
        loop = asyncio.get_running_loop()

        async def one(endpoints: tuple[Endpoint, ...]) -> float:
            await pacer.acquire_together(*endpoints)
            return loop.time()

        return await asyncio.gather(*(one(endpoints) for endpoints in wanted))

    return run_virtually(main())


def test_requests_to_one_endpoint_are_spaced_evenly() -> None:
    assert starts(RateLimiter(25, 1), *[(LIST,)] * 5) == pytest.approx([0, GAP, 2 * GAP, 3 * GAP, 4 * GAP])


@pytest.mark.parametrize(
    ("rate", "processes", "gap"),
    [(10, 1, 0.104), (25, 5, 0.208), (25, 3, 0.13), (100, 1, 0.0104), (1, 3, 3.12), (7, 8, 1.04 * 8 / 7)],
)
def test_the_share_of_one_process(rate: int, processes: int, gap: float) -> None:
    assert starts(RateLimiter(rate, processes), (LIST,), (LIST,)) == pytest.approx([0, gap])


def test_all_endpoints_together_have_four_times_the_rate() -> None:
    endpoints = [(endpoint,) for endpoint in Endpoint]
    assert starts(RateLimiter(25, 1), *endpoints) == pytest.approx([GAP / 4 * place for place in range(len(endpoints))])


def test_what_belongs_together_starts_together_and_counts_for_each() -> None:
    assert starts(RateLimiter(25, 1), (READ, CREATE), (READ,), (CREATE,), (LIST,)) == pytest.approx([0, GAP, GAP, GAP])


def test_what_belongs_together_counts_twice_in_all() -> None:
    assert starts(RateLimiter(25, 1), (READ, CREATE), (LIST,)) == pytest.approx([0, GAP / 2])


def test_the_second_of_what_belongs_together_counts_for_its_endpoint() -> None:
    assert starts(RateLimiter(25, 1), (READ, CREATE), (CREATE,)) == pytest.approx([0, GAP])


def test_a_pair_waits_for_the_slower_of_its_endpoints() -> None:
    assert starts(RateLimiter(10, 1), (CREATE,), (READ, CREATE)) == pytest.approx([0, 0.104])


def test_no_second_ever_sees_more_than_the_share() -> None:
    wanted = [(READ, CREATE), (LIST,), (LIST,)] * 40
    granted = starts(RateLimiter(25, 1), *wanted)
    for endpoint in (READ, CREATE, LIST):
        times = sorted(time for time, endpoints in zip(granted, wanted, strict=True) if endpoint in endpoints)
        assert all(later - earlier >= GAP - 1e-9 for earlier, later in pairwise(times))
    sent = sum(len(endpoints) for endpoints in wanted)
    assert sent / (max(granted) + GAP) <= 100


def test_an_idle_pacer_saves_nothing_up() -> None:
    async def main() -> list[float]:
        pacer, loop = RateLimiter(25, 1), asyncio.get_running_loop()
        await asyncio.sleep(100)
        times = []
        for _ in range(3):
            await pacer.acquire_together(LIST)
            times.append(loop.time())
        return times

    assert run_virtually(main()) == pytest.approx([100, 100 + GAP, 100 + 2 * GAP])


def delayed(act: Callable[[RateLimiter], None], then: Endpoint = LIST) -> float:
    """How long a request waits after `act`."""

    async def main() -> float:
        pacer, loop = RateLimiter(25, 1), asyncio.get_running_loop()
        await asyncio.sleep(10)
        act(pacer)
        await pacer.acquire_together(then)
        return loop.time() - 10

    return run_virtually(main())


@pytest.mark.parametrize(("times", "pause"), [(1, 1), (2, 2), (3, 4), (5, 16), (6, 30), (20, 30)])
def test_each_429_in_a_row_doubles_the_pause_to_half_a_minute(times: int, pause: float) -> None:
    async def main() -> float:
        pacer, loop = RateLimiter(25, 1), asyncio.get_running_loop()
        for _ in range(times):
            await pacer.acquire_together(LIST)
            pacer.on_rate_limited(LIST, "endpoint-rate")
        refused = loop.time()
        await pacer.acquire_together(LIST)
        return loop.time() - refused

    assert run_virtually(main()) == pytest.approx(pause)


def test_requests_under_way_that_are_refused_together_count_as_one() -> None:
    def act(pacer: RateLimiter) -> None:
        for _ in range(15):
            pacer.on_rate_limited(LIST, "endpoint-rate")

    assert delayed(act) == pytest.approx(1)


def test_a_429_pauses_its_endpoint_only() -> None:
    assert delayed(lambda pacer: pacer.on_rate_limited(CREATE, "endpoint-rate")) == 0


@pytest.mark.parametrize("reason", ["global-rate", "global-concurrency"])
def test_a_429_of_the_whole_account_pauses_every_endpoint(reason: str) -> None:
    for endpoint in Endpoint:
        assert delayed(lambda pacer: pacer.on_rate_limited(CREATE, reason), endpoint) == pytest.approx(1)


@pytest.mark.parametrize("reason", ["endpoint-rate", "endpoint-concurrency", "resource-specific"])
def test_a_429_of_one_endpoint_pauses_no_other(reason: str) -> None:
    for endpoint in set(Endpoint) - {CREATE}:
        assert delayed(lambda pacer: pacer.on_rate_limited(CREATE, reason), endpoint) == 0


def test_who_waits_for_a_paused_endpoint_does_not_delay_others() -> None:
    def pause(pacer: RateLimiter) -> Callable[[], None]:
        return lambda: pacer.on_rate_limited(CREATE, "endpoint-rate")

    pacer = RateLimiter(25, 1)
    granted = starts(pacer, (CREATE,), (LIST,), (READ,), (CREATE,), before=pause(pacer))
    assert granted == pytest.approx([1, GAP / 4, GAP / 2, 1 + GAP])
    pacer = RateLimiter(25, 1)
    granted = starts(pacer, (READ, CREATE), (LIST,), (LIST,), before=pause(pacer))
    assert granted == pytest.approx([1, GAP / 2, GAP * 3 / 2])


def test_search_has_a_slower_limit_of_its_own() -> None:
    search = Endpoint.SEARCH_CUSTOMERS
    assert starts(RateLimiter(25, 1), (search,), (search,), (search,)) == pytest.approx([0, 0.052, 0.104])
    assert starts(RateLimiter(25, 5), (search,), (search,)) == pytest.approx([0, 0.26])


def test_a_proper_answer_ends_the_doubling() -> None:
    async def main() -> float:
        pacer, loop = RateLimiter(25, 1), asyncio.get_running_loop()
        for _ in range(4):
            await pacer.acquire_together(LIST)
            pacer.on_rate_limited(LIST, "endpoint-rate")
            pacer.on_success(LIST)
        refused = loop.time()
        await pacer.acquire_together(LIST)
        return loop.time() - refused

    assert run_virtually(main()) == pytest.approx(1)


def test_grants_keep_the_order_in_which_they_were_asked_for() -> None:
    order: list[int] = []

    async def main() -> None:
        pacer = RateLimiter(25, 1)

        async def one(number: int) -> None:
            await pacer.acquire_together(LIST)
            order.append(number)

        jobs: list[Awaitable[None]] = [one(number) for number in range(20)]
        await asyncio.gather(*jobs)

    run_virtually(main())
    assert order == list(range(20))


def sent(
    granted_at: list[float], late: Callable[[int], float] = lambda _: 0.0, pacer: RateLimiter | None = None
) -> list[float]:
    """When requests go out that come for their turn at these times, `late` being how much later each wakes."""

    async def main() -> list[float]:
        line, loop, times = pacer or RateLimiter(25, 1), asyncio.get_running_loop(), []

        async def one(number: int, at: float) -> None:
            await asyncio.sleep(at + late(number))
            await line.wait_to_send(CREATE)
            times.append(loop.time())

        await asyncio.gather(*(one(number, at) for number, at in enumerate(granted_at)))
        return times

    return run_virtually(main())


def kept(times: list[float], most: int = 25) -> bool:
    """Whether no second and a little more of these times holds more than so many requests."""
    return all(later - earlier >= 1.04 - 1e-9 for earlier, later in zip(times, times[most:], strict=False))


def grid(number: int) -> list[float]:
    """When so many are granted."""
    return [place * GAP for place in range(number)]


def test_what_was_granted_one_by_one_does_not_go_out_at_once() -> None:
    closest = GAP * 3 / 4
    assert sent([0, 1, 1, 1, 1.2]) == pytest.approx([0, 1, 1 + closest, 1 + 2 * closest, 1.2])


def test_one_that_is_late_moves_those_behind_it_only_as_far_as_they_must() -> None:
    out = sent(grid(100), lambda number: 0.1 if number == 10 else 0.0)
    assert sorted(out) == pytest.approx(out)
    assert kept(out)
    assert out[-1] == pytest.approx(99 * GAP, abs=0.05)


@pytest.mark.parametrize("seed", range(20))
def test_however_a_process_stalls_no_second_has_more_than_the_share(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    real, dice = asyncio.sleep, random.Random(seed)

    def stalling(seconds: float) -> Awaitable[None]:
        late = dice.choice([0, 0.001, 0.01, 0.1, 0.5]) if dice.random() < 0.1 else 0
        return real(seconds + late if seconds > 0 else 0)

    monkeypatch.setattr(asyncio, "sleep", stalling)
    assert kept(sent(grid(400)))
    assert kept(sent([0.0] * 200))
    assert kept(sent([0.0] * 60, pacer=RateLimiter(25, 3)), 8)


def test_a_delay_is_made_up_for_as_far_as_a_second_has_room() -> None:
    """Standing still for 0.3 s a few times over costs what one of these times does, not their sum."""
    stop, stops = 0.3, [number * GAP for number in (100, 210, 320, 430)]

    def late(number: int) -> float:
        """All that would have been sent meanwhile is sent when the process goes on."""
        return next((at + stop - number * GAP for at in stops if 0 <= number * GAP - at < stop), 0)

    out = sent(grid(1000), late)
    assert kept(out)
    assert out[-1] < 999 * GAP + 0.35


def test_who_gives_up_waiting_for_a_turn_is_not_counted() -> None:
    async def main() -> float:
        pacer, loop = RateLimiter(25, 1), asyncio.get_running_loop()
        await pacer.wait_to_send(CREATE)
        for _ in range(30):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(pacer.wait_to_send(CREATE), 0.0001)
        await pacer.wait_to_send(CREATE)
        return loop.time()

    assert run_virtually(main()) == pytest.approx(GAP * 3 / 4)
