"""A price feed that changes its past is counted; corrections of the last hour and rounding are not."""

import httpx
import pytest

from stateless_billing.assumptions.breaches import Breaches
from stateless_billing.assumptions.price_watch import SETTLED_SECONDS, PriceWatch
from stateless_billing.pricing.price_feed import PriceFeed
from tests.fakes.factories import START, FakeClock

HOUR = 3600
PLAN = pytest.mark.anyio


def feed(prices: dict[int, str], clock: FakeClock, watch: PriceWatch) -> PriceFeed:
    """A feed that answers every range with `prices`."""

    def answer(request: httpx.Request) -> httpx.Response:
        points = ", ".join(f"[{time}000, {price}]" for time, price in sorted(prices.items()))
        return httpx.Response(200, text=f'{{"prices": [{points}]}}')

    http = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    return PriceFeed(http=http, base="https://api.example", coin="lit", api_key=None, clock=clock, watch=watch)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("age", "price", "counted"),
    [
        (2 * HOUR, "0.0061", 1),
        (2 * HOUR, "0.0001", 1),
        (2 * HOUR, "0.006000001", 0),
        (2 * HOUR, "0", 0),  # no price: refused where it is used
        (SETTLED_SECONDS - 600, "0.0061", 0),
    ],
)
async def test_a_past_price_that_changes_is_counted(age: int, price: str, counted: int) -> None:
    clock, watch = FakeClock(), PriceWatch(Breaches())
    prices = {START - back: "0.006" for back in range(0, 3 * HOUR, 300)}
    rates = feed(prices, clock, watch)
    rate = await rates.current_rate()
    prices[START - age] = price
    for _ in range(3):
        clock.wait(61)
        prices[int(clock.wall_time)] = "0.006"
        assert (await rates.current_rate()).market == rate.market or age < HOUR
    assert watch.breaches.counts["price_history_changed"] == counted
    assert not watch.breaches.failures


def test_samples_of_different_spacing_are_not_compared() -> None:
    watch = PriceWatch(Breaches())
    watch.sampled("recent", [(START, 100_000)], START + 2 * HOUR)
    watch.sampled("past", [(START, 120_000)], START + 2 * HOUR)
    assert not watch.breaches.counts
