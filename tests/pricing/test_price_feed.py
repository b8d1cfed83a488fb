"""The price feed: what is asked of CoinGecko, how seldom, and that a failure is not hammered."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from urllib.parse import parse_qs

import httpx
import pytest

from stateless_billing.domain.money import RATE_SCALE
from stateless_billing.pricing.price_feed import PriceFeed
from stateless_billing.pricing.rates import NoRate, Sample, rate_between_hours, rate_near
from stateless_billing.sandbox import prices
from tests.fakes.factories import START, FakeClock
from tests.fakes.virtual_time import run_virtually

pytestmark = pytest.mark.anyio
HOUR = 3600
SIX = 6 * RATE_SCALE // 1000


class Coingecko:
    """A price feed: 0.006 dollars, in five-minute samples for a day and hourly ones for longer ranges ago."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.asked: list[httpx.Request] = []
        self.says: Callable[[httpx.Request], httpx.Response] = self.samples

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer after a while, and remember the question."""
        self.asked.append(request)
        await asyncio.sleep(0)
        return self.says(request)

    def samples(self, request: httpx.Request) -> httpx.Response:
        """What the range holds."""
        query = parse_qs(request.url.query.decode())
        start, stop = int(query["from"][0]), int(query["to"][0])
        step = 300 if stop >= self.clock.wall_time - 1 else HOUR
        times = range(start - start % -step, stop + 1, step)
        points = ", ".join(f"[{time}000, 0.006]" for time in times)
        return httpx.Response(200, text=f'{{"prices": [{points}]}}')


@pytest.fixture
def clock() -> FakeClock:
    """A clock that stands still."""
    return FakeClock()


@pytest.fixture
def coingecko(clock: FakeClock) -> Coingecko:
    """A feed that works."""
    return Coingecko(clock)


def reading(coingecko: Coingecko, base: str = "https://api.example", key: str | None = None) -> PriceFeed:
    """The service's side of it."""
    http = httpx.AsyncClient(transport=httpx.MockTransport(coingecko))
    return PriceFeed(http=http, base=base, coin="lit-protocol", api_key=key, clock=coingecko.clock)


async def test_the_rate_now_says_where_and_when_it_is_from(coingecko: Coingecko) -> None:
    rate = await reading(coingecko).current_rate()
    assert (rate.market, rate.source, rate.at) == (SIX, "coingecko:lit-protocol", START - START % 300)
    [asked] = coingecko.asked
    assert asked.url.path == "/api/v3/coins/lit-protocol/market_chart/range"
    assert parse_qs(asked.url.query.decode()) == {
        "vs_currency": ["usd"],
        "from": [str(START - 23 * HOUR)],
        "to": [str(START)],
        "precision": ["full"],
    }


@pytest.mark.parametrize(
    ("base", "key", "header"),
    [
        ("https://api.example", None, None),
        ("https://api.example", "sesame", "x-cg-demo-api-key"),
        ("https://pro-api.example", "sesame", "x-cg-pro-api-key"),
    ],
)
async def test_the_key_goes_into_the_header_of_its_plan(
    coingecko: Coingecko, base: str, key: str | None, header: str | None
) -> None:
    await reading(coingecko, base, key).current_rate()
    sent = {name: value for name, value in coingecko.asked[0].headers.items() if name.startswith("x-cg-")}
    assert sent == ({header: key} if header else {})


async def test_many_at_once_ask_once_and_again_after_a_minute(coingecko: Coingecko, clock: FakeClock) -> None:
    feed = reading(coingecko)
    await asyncio.gather(*(feed.current_rate() for _ in range(20)))
    clock.wait(59)
    await feed.current_rate()
    assert len(coingecko.asked) == 1
    clock.wait(2)
    await feed.current_rate()
    assert len(coingecko.asked) == 2


async def test_a_clock_set_back_does_not_make_a_price_live_longer(coingecko: Coingecko, clock: FakeClock) -> None:
    feed = reading(coingecko)
    await feed.current_rate()
    clock.boot_time += 61
    clock.wall_time -= 30
    await feed.current_rate()
    assert len(coingecko.asked) == 2


async def test_a_block_of_today_is_priced_from_the_same_samples(coingecko: Coingecko) -> None:
    feed = reading(coingecko)
    await feed.current_rate()
    old = await feed.rate_at(START - 22 * HOUR)
    assert (old.market, len(coingecko.asked)) == (SIX, 1)
    assert START - 22 * HOUR - 300 < old.at <= START - 22 * HOUR


@pytest.mark.parametrize("age", [22 * HOUR + 1, 23 * HOUR - 1, 23 * HOUR])
async def test_a_block_of_the_23rd_hour_has_the_whole_hour_before_it(coingecko: Coingecko, age: int) -> None:
    """The first sample of the hour is as cheap as it gets: the mean shows whether it counted."""
    feed, time = reading(coingecko), START - age
    first = time - HOUR + 1
    times = [first, *range(first + 300, START, 300)]
    points = ", ".join(f"[{at}000, {'0.0059' if at == first else '0.006'}]" for at in times)
    coingecko.says = lambda _: httpx.Response(200, text=f'{{"prices": [{points}]}}')
    hour = [SIX - RATE_SCALE // 10_000, *[SIX] * (sum(first < at <= time for at in times))]
    assert (await feed.rate_at(time)).market == sum(hour) // len(hour)
    [asked] = coingecko.asked
    query = parse_qs(asked.url.query.decode())
    start, stop = int(query["from"][0]), int(query["to"][0])
    assert start <= first, "its whole hour"
    assert (stop, stop - start < 24 * HOUR) == (START, True), "less than a day that ends now: five-minute samples"


async def test_an_older_block_is_priced_from_the_hours_around_it_which_are_kept(
    coingecko: Coingecko, clock: FakeClock
) -> None:
    feed = reading(coingecko)
    time = START - 23 * HOUR - 1
    first = await feed.rate_at(time)
    assert first.market == SIX
    assert abs(first.at - time) <= HOUR
    query = parse_qs(coingecko.asked[0].url.query.decode())
    assert int(query["from"][0]) <= time - 2 * HOUR
    assert int(query["to"][0]) >= time + 2 * HOUR
    assert int(query["to"][0]) - int(query["from"][0]) == 48 * HOUR
    assert int(query["to"][0]) <= START, "no time that is still to come"
    clock.wait(1700)
    assert await feed.rate_at(time) == first
    assert await feed.rate_at(time - time % HOUR) is not None  # of the same hour
    assert len(coingecko.asked) == 1
    clock.wait(101)
    await feed.rate_at(time)
    assert len(coingecko.asked) == 2


def refuse(_: httpx.Request) -> httpx.Response:
    """A feed that cannot be reached."""
    raise httpx.ConnectError("refused by https://api.example/?key=sesame")


@pytest.mark.parametrize(
    "says",
    [
        refuse,
        lambda _: httpx.Response(429, text="slow down"),
        lambda _: httpx.Response(500, text="<html>"),
        lambda _: httpx.Response(200, text="<html>"),
        lambda _: httpx.Response(200, text='{"prices": [[1]]}'),
        lambda _: httpx.Response(301, headers={"location": "https://elsewhere.example"}),
    ],
)
async def test_a_failing_feed_gives_no_rate_and_is_asked_four_times_a_minute(
    coingecko: Coingecko, clock: FakeClock, says: Callable[[httpx.Request], httpx.Response]
) -> None:
    coingecko.says = says
    feed = reading(coingecko, key="sesame")
    for ask in (feed.current_rate, feed.current_rate, lambda: feed.rate_at(START - 2 * 24 * HOUR)):
        with pytest.raises(NoRate) as caught:
            await ask()
        assert "sesame" not in str(caught.value)
    assert len(coingecko.asked) == 1
    clock.wait(16)
    coingecko.says = coingecko.samples
    assert (await feed.current_rate()).market == SIX


@dataclass
class TickingClock(FakeClock):
    """A clock that goes on whenever somebody looks at it."""

    step: float = 0.0

    def boot(self) -> float:
        """Seconds passed, one step more each time."""
        self.boot_time += self.step
        return self.boot_time


@pytest.mark.parametrize("step", [0.1, 1, 7, 14.9, 15, 29.9, 30, 59.9, 60, 61, 900, 1799, 1800, 10**6])
@pytest.mark.parametrize("works", [True, False], ids=["works", "fails"])
async def test_what_expires_between_two_looks_does_no_harm(step: float, works: bool) -> None:
    coingecko = Coingecko(TickingClock(step=step))
    if not works:
        coingecko.says = refuse
    feed = reading(coingecko)
    for ask in (feed.current_rate, lambda: feed.rate_at(START - 48 * HOUR), lambda: feed.rate_at(START - HOUR)) * 20:
        if works:
            assert (await ask()).market == SIX
        else:
            with pytest.raises(NoRate):
                await ask()


@pytest.mark.parametrize("status", [200, 400, 429, 500])
@pytest.mark.parametrize(
    "text", ["sesame", '{"sesame": 1}', '{"prices": [["sesame", 1]]}', '{"prices": {"sesame": 1}}']
)
async def test_what_the_feed_said_is_not_told(coingecko: Coingecko, status: int, text: str) -> None:
    coingecko.says = lambda _: httpx.Response(status, text=text)
    feed = reading(coingecko)
    for ask in (feed.current_rate, feed.current_rate, lambda: feed.rate_at(START - 48 * HOUR)):
        with pytest.raises(NoRate) as caught:
            await ask()
        assert "sesame" not in str(caught.value)


def test_a_feed_that_never_ends_its_answer_is_given_up() -> None:
    async def dribble(_: httpx.Request) -> httpx.Response:
        await asyncio.sleep(10**6)
        raise AssertionError

    async def scenario() -> list[float]:
        loop = asyncio.get_running_loop()
        http = httpx.AsyncClient(transport=httpx.MockTransport(dribble))
        feed = PriceFeed(http=http, base="https://api.example", coin="coin", api_key=None, clock=FakeClock())
        moments = []
        for match in ("has not answered yet", "has not answered yet"):
            with pytest.raises(NoRate, match=match):
                await feed.current_rate()
            moments.append(loop.time())
        await asyncio.sleep(20)
        with pytest.raises(NoRate, match="TimeoutError"):
            await feed.current_rate()
        with pytest.raises(NoRate, match="TimeoutError"):
            await feed.probe_recent()
        return [*moments, loop.time()]

    assert run_virtually(scenario()) == [2, 2, 22]


async def test_a_failure_leaves_the_last_rate_while_it_is_valid(coingecko: Coingecko, clock: FakeClock) -> None:
    feed = reading(coingecko)
    first = await feed.current_rate()
    for says in (refuse, lambda _: httpx.Response(200, text='{"prices": []}')):
        clock.wait(61)
        coingecko.says = says
        assert await feed.current_rate() == first
        assert await feed.rate_at(START - 12 * HOUR) is not None, "nothing of its hour is missing"
        with pytest.raises(NoRate):
            await feed.rate_at(first.at), "the newest sample may not have been the last before it"
    clock.wait(600)
    with pytest.raises(NoRate):
        await feed.current_rate()
    coingecko.says = coingecko.samples
    recovered_at = feed.recovered_at
    clock.wait(16)
    await feed.current_rate()
    assert feed.recovered_at > recovered_at


async def test_requests_end_with_the_feed(coingecko: Coingecko) -> None:
    feed = reading(coingecko)
    asking = asyncio.create_task(feed.current_rate())
    await asyncio.sleep(0)
    await feed.aclose()
    with pytest.raises(NoRate):
        await asking


async def test_the_strictest_reading_of_the_documents_prices_every_age(clock: FakeClock) -> None:
    """The price of each five minutes differs, so that each rate shows by which samples it was made."""
    stand_in = prices.PriceFeed(clock.wall)
    stand_in.set_steps(
        *((time, Decimal(6000 + time // 300 % 7) / 10**6) for time in range(START - 60 * HOUR, START, 300))
    )

    def answer(request: httpx.Request) -> httpx.Response:
        given = stand_in.handle("GET", request.url.raw_path.decode(), {})
        return httpx.Response(given.status, content=given.body)

    http = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    feed = PriceFeed(http=http, base="https://api.example", coin="lit-protocol", api_key=None, clock=clock)

    def points(step: int) -> list[Sample]:
        times = [time // 1000 for time in prices._points(START - 60 * HOUR, START, step, START)]
        return [Sample(time, int(stand_in.price_at(time) * RATE_SCALE)) for time in times]

    for minutes in range(5, 50 * 60, 7):
        time = START - minutes * 60
        recent = minutes <= 23 * 60
        expected = rate_near(points(300), time) if recent else rate_between_hours(points(HOUR), time)
        rate = await feed.rate_at(time)
        assert (rate.market, rate.at) == (expected.rate, expected.time), minutes


async def test_a_feed_that_stopped_is_not_used_though_it_answers(coingecko: Coingecko, clock: FakeClock) -> None:
    stopped = [f"[{START - back}000, 0.006]" for back in (1500, 1200, 900)]
    coingecko.says = lambda _: httpx.Response(200, text=f'{{"prices": [{", ".join(stopped)}]}}')
    with pytest.raises(NoRate, match="ten minutes old"):
        await reading(coingecko).current_rate()


async def test_kept_samples_grow_stale_too(coingecko: Coingecko, clock: FakeClock) -> None:
    feed = reading(coingecko)
    await feed.current_rate()
    clock.wall_time += 700  # the wall clock was set forward: the samples are old by it
    with pytest.raises(NoRate, match="ten minutes old"):
        await feed.current_rate()


def test_an_answer_without_any_sample_is_no_price() -> None:
    async def main() -> None:
        empty = httpx.MockTransport(lambda _: httpx.Response(200, json={"prices": []}))
        async with httpx.AsyncClient(transport=empty) as http:
            feed = PriceFeed(http=http, base="https://feed.example", coin="coin", api_key=None, clock=FakeClock())
            with pytest.raises(NoRate):
                await feed.current_rate()
            assert feed.latest is None

    run_virtually(main())
