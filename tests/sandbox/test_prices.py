"""The price feed: the points of a range, and its faults."""

import json
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from stateless_billing.sandbox.answers import Delivery
from stateless_billing.sandbox.prices import DAY, PriceFeed
from tests.sandbox.in_process_client import START, SetClock

HOUR = 3600


@pytest.fixture
def feed(clock: SetClock) -> PriceFeed:
    """Return a feed with a constant price."""
    return PriceFeed(clock)


def ask(feed: PriceFeed, path: str, headers: dict[str, str] | None = None) -> tuple[int, Any]:
    """Send a request; prices are parsed as exact decimals."""
    answer = feed.handle("GET", path, headers or {})
    return answer.status, json.loads(answer.body, parse_float=Decimal)


def points(feed: PriceFeed, first: float, last: float, rest: str = "") -> list[tuple[int, Decimal]]:
    """Return the points of a range."""
    path = f"/api/v3/coins/lit-protocol/market_chart/range?vs_currency=usd&from={int(first)}&to={int(last)}{rest}"
    status, body = ask(feed, path)
    assert status == 200, body
    return [(point[0], point[1]) for point in body["prices"]]


def grain(series: list[tuple[int, Decimal]]) -> int:
    """Return the median distance between points, in seconds, rounded to minutes."""
    times = [moment // 1000 for moment, _ in series]
    gaps = sorted(later - earlier for earlier, later in pairwise(times))
    return round(gaps[len(gaps) // 2] / 60) * 60


def test_the_last_day_has_five_minute_points(feed: PriceFeed) -> None:
    series = points(feed, START - DAY + 1, START)
    assert grain(series) == 300
    assert len(series) == 288
    assert START - 300 - 50 <= series[-1][0] / 1000 <= START
    assert {price for _, price in series} == {Decimal("0.006")}


def test_the_same_range_a_day_later_has_hourly_points(feed: PriceFeed, clock: SetClock) -> None:
    clock.now += DAY
    series = points(feed, START - DAY, START)
    assert (grain(series), len(series)) == (3600, 24)


def test_exactly_a_day_counts_as_longer(feed: PriceFeed) -> None:
    assert grain(points(feed, START - DAY, START)) == 3600


def test_less_than_a_day_of_the_past_has_no_points_unless_lenient(feed: PriceFeed) -> None:
    assert points(feed, START - 8 * HOUR, START - 2 * HOUR) == []
    assert points(feed, START - 9 * DAY, START - 8 * DAY - 1) == []
    assert grain(points(feed, START - 9 * DAY, START - 8 * DAY)) == 3600
    feed.strict = False
    assert grain(points(feed, START - 8 * HOUR, START - 2 * HOUR)) == 300


@pytest.mark.parametrize(("days", "step"), [(2, 3600), (90, 3600), (91, DAY)])
def test_longer_ranges_have_hourly_then_daily_points(feed: PriceFeed, days: int, step: int) -> None:
    assert grain(points(feed, START - days * DAY, START)) == step


def test_an_interval_can_be_asked_for_but_not_five_minutes(feed: PriceFeed) -> None:
    assert grain(points(feed, START - DAY, START, "&interval=hourly")) == 3600
    path = f"/api/v3/coins/lit-protocol/market_chart/range?vs_currency=usd&from={START - 9}&to={START}&interval=5m"
    assert ask(feed, path)[1]["status"]["error_code"] == 10005


def test_a_day_is_complete_at_35_past_midnight(feed: PriceFeed, clock: SetClock) -> None:
    midnight = START - START % DAY + DAY
    for late, complete in ((0, False), (12 * HOUR + 1, True)):
        clock.now = midnight + late
        series = points(feed, midnight - 100 * DAY, midnight)
        assert (series[-1][0] == midnight * 1000) is complete


def test_prices_step_and_print_exactly(feed: PriceFeed) -> None:
    feed.set_steps((0, Decimal("0.005")), (START - HOUR, Decimal("0.0061234567890123456")))
    series = dict(points(feed, START - DAY + 1, START, "&precision=full"))
    assert set(series.values()) == {Decimal("0.005"), Decimal("0.0061234567890123456")}
    assert max(moment for moment, price in series.items() if price == Decimal("0.005")) < (START - HOUR) * 1000
    assert {price for _, price in points(feed, START - 600, START, "&precision=4")} == {Decimal("0.0061")}


def test_history_ends_after_365_days(feed: PriceFeed) -> None:
    path = "/api/v3/coins/lit-protocol/market_chart/range?vs_currency=usd&from=5&to=9"
    status, body = ask(feed, path)
    assert (status, body["status"]["error_code"]) == (401, 10012)


@pytest.mark.parametrize(
    "query", ["", "vs_currency=usd", "vs_currency=usd&from=9&to=5", "vs_currency=usd&from=x&to=5", "vs_currency=xxx"]
)
def test_invalid_ranges_are_rejected(feed: PriceFeed, query: str) -> None:
    assert ask(feed, f"/api/v3/coins/lit-protocol/market_chart/range?{query}")[0] == 400


def test_dates_may_be_iso(feed: PriceFeed) -> None:
    path = "/api/v3/coins/lit-protocol/market_chart/range?vs_currency=usd&from=2026-09-20&to=2026-09-21T06:00Z"
    times = [point[0] // 1000 for point in ask(feed, path)[1]["prices"]]
    assert (len(times), times[0] // HOUR) == (30, 1_789_862_400 // HOUR)


def test_unknown_coins_and_paths(feed: PriceFeed) -> None:
    assert ask(feed, "/api/v3/coins/nonesuch/market_chart/range")[1] == {"error": "coin not found"}
    assert ask(feed, "/api/v3/nonesuch")[0] == 404
    assert feed.handle("POST", "/api/v3/ping", {}).status == 404


def test_the_simple_price(feed: PriceFeed) -> None:
    path = "/api/v3/simple/price?ids=lit-protocol,x&vs_currencies=usd,xxx&include_last_updated_at=true&precision=full"
    updated = START - START % 60
    assert ask(feed, path) == (200, {"lit-protocol": {"usd": Decimal("0.006"), "last_updated_at": updated}})
    feed.fail("stale", seconds=7200)
    assert ask(feed, path)[1]["lit-protocol"]["last_updated_at"] == updated - 7200
    assert ask(feed, "/api/v3/simple/price?ids=x&vs_currencies=usd") == (200, {})
    assert ask(feed, "/api/v3/simple/price")[0] == 422


def test_a_key_is_required_if_set(feed: PriceFeed) -> None:
    feed.api_key = "CG-1"
    assert ask(feed, "/api/v3/ping")[1]["status"]["error_code"] == 10002
    assert ask(feed, "/api/v3/ping", {"X-CG-Demo-API-Key": "CG-2"})[0] == 401
    assert ask(feed, "/api/v3/ping", {"x-cg-pro-api-key": "CG-1"})[0] == 200


def test_calls_per_minute(feed: PriceFeed, clock: SetClock) -> None:
    feed.calls_per_minute = 2
    assert [ask(feed, "/api/v3/ping")[0] for _ in range(3)] == [200, 200, 429]
    clock.now += 60
    assert ask(feed, "/api/v3/ping")[0] == 200


@pytest.mark.parametrize(
    ("name", "prices"),
    [("null", "null"), ("nan", "NaN"), ("zero", "0"), ("absurd", "6.000")],
)
def test_absurd_prices(feed: PriceFeed, name: str, prices: str) -> None:
    feed.fail(name)
    path = f"/api/v3/coins/lit-protocol/market_chart/range?vs_currency=usd&from={START - 600}&to={START}"
    assert f",{prices}]" in feed.handle("GET", path, {}).body.decode()
    assert ",0.006]" in feed.handle("GET", path, {}).body.decode()


def test_missing_and_old_prices(feed: PriceFeed) -> None:
    feed.fail("empty")
    feed.fail("stale", seconds=7200)
    assert points(feed, START - DAY, START) == []
    assert points(feed, START - DAY, START)[-1][0] / 1000 < START - 6900


def test_a_feed_that_is_down(feed: PriceFeed) -> None:
    for name in ("lost", "html", "rate_limited"):
        feed.fail(name)
    answers = [feed.handle("GET", "/api/v3/ping", {}) for _ in range(4)]
    assert answers[0].delivery is Delivery.LOST
    assert [answer.status for answer in answers[1:]] == [502, 429, 200]
    feed.fail("zero", times=None)
    assert len(feed.faults) == 1
