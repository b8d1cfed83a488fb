"""Rates: exact from the feed's text, and a refusal wherever a price is not to be trusted."""

import contextlib
import json
import re
import time
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stateless_billing.domain.money import RATE_SCALE
from stateless_billing.pricing.rates import IMPLAUSIBLE, NoRate, Sample, parse_samples, rate_between_hours, rate_near

NOW = 1_790_000_000
SIX = 6 * RATE_SCALE // 1000  # 0.006 dollars


def feed(*points: tuple[object, str]) -> str:
    """An answer of the feed; prices as they stand in its JSON."""
    return '{"prices": [' + ", ".join(f"[{json.dumps(time)}, {price}]" for time, price in points) + "]}"


def every_five_minutes(*rates: int, newest: int = NOW) -> list[Sample]:
    """Samples of which the last is at `newest`."""
    return [Sample(newest - 300 * back, rate) for back, rate in zip(range(len(rates) - 1, -1, -1), rates, strict=True)]


@pytest.mark.parametrize(
    ("price", "rate"),
    [
        ("0.006", 6 * 10**15),
        ("6e-3", 6 * 10**15),
        ("0.1", 10**17),  # a float would say 0.1000000000000000055…
        ("0.12345678901234567890", 123456789012345678),
        ("1", 10**18),
        ("0.000000000001", 10**6),
        ("1000000", 10**24),
    ],
)
def test_a_price_is_read_exactly(price: str, rate: int) -> None:
    assert parse_samples(feed((1_790_000_000_999, price))) == [Sample(1_790_000_000, rate)]


@given(st.decimals(min_value=Decimal("0.000001"), max_value=Decimal("999999"), places=18))
def test_every_price_of_18_decimals_is_read_exactly(price: Decimal) -> None:
    assert Decimal(parse_samples(feed((0, str(price))))[0].rate) == price.scaleb(18)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "<html>busy</html>",
        '{"prices": null}',
        '{"prices": 5}',
        '{"prices": [5]}',
        '{"prices": [[1]]}',
        '{"prices": [[1, 0.006, 3]]}',
        '{"prices": [[1, 0.006]',
        '{"error": "coin not found"}',
        *(feed((1, price)) for price in ("NaN", "Infinity", "-Infinity")),  # no JSON
        feed(("1", "0.006")),
        feed((True, "0.006")),
        feed((None, "0.006")),
        feed((1.5, "0.006")),
        feed((2000, "0.006"), (1000, "0.006")),
    ],
)
def test_what_is_no_list_of_prices_gives_no_rate(text: str) -> None:
    with pytest.raises(NoRate):
        parse_samples(text)


ABSURDITIES = ["null", "0", "0.0", "-1", '"0.006"', "true", "[]", "{}", "1e-13", "1000001", "1e9999999", "1e-9999999"]


@pytest.mark.parametrize("price", ABSURDITIES)
def test_an_absurd_price_spoils_its_own_sample_only(price: str) -> None:
    [before, absurd, after] = parse_samples(feed((1_000, "0.006"), (2_000, price), (3_000, "0.006")))
    assert (before, absurd, after) == (Sample(1, SIX), Sample(2, IMPLAUSIBLE), Sample(3, SIX))


@pytest.mark.parametrize("price", ABSURDITIES)
def test_an_absurd_price_does_harm_only_where_it_is_used(price: str) -> None:
    def samples(at: int) -> list[Sample]:
        when = range(NOW - 9_000, NOW + 9_000, 300)
        return parse_samples(feed(*((one * 1000, price if one == at else "0.006") for one in when)))

    hour_ago, hour_to_come = NOW - 3_600, NOW + 300
    assert rate_near(samples(hour_ago), NOW).rate == SIX
    assert rate_near(samples(hour_to_come), NOW).rate == SIX
    for used in (NOW - 3_300, NOW - 300, NOW):
        with pytest.raises(NoRate, match="absurd"):
            rate_near(samples(used), NOW)
    assert rate_between_hours(samples(NOW - 300), NOW).rate == SIX
    for neighbour in (NOW, NOW + 300):
        with pytest.raises(NoRate, match="absurd"):
            rate_between_hours(samples(neighbour), NOW)


@pytest.mark.parametrize("price", ["1e9999999", "-1e9999999", "1e9999999999999999999999", "9" * 4_000, "9" * 100_000])
def test_a_price_without_end_takes_no_time(price: str) -> None:
    begun = time.process_time()
    with contextlib.suppress(NoRate):
        assert parse_samples(feed((1_000, price))) == [Sample(1, IMPLAUSIBLE)]
    assert time.process_time() - begun < 0.5


@pytest.mark.parametrize("text", ["[" * 5_000, '{"prices":' * 5_000, '{"prices": ' + "[" * 5_000 + "]" * 5_000 + "}"])
def test_deep_nesting_gives_no_rate(text: str) -> None:
    with pytest.raises(NoRate):
        parse_samples(text)


@given(st.text() | st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists).map(json.dumps))
def test_any_answer_gives_samples_or_no_rate(text: str) -> None:
    for answer in (text, f'{{"prices": {text}}}'):
        try:
            samples = parse_samples(answer)
        except NoRate:
            continue
        assert all(sample.rate == IMPLAUSIBLE or 10**6 <= sample.rate <= 10**24 for sample in samples)


@pytest.mark.parametrize(
    ("rates", "rate"),
    [
        ((SIX, SIX, SIX), SIX),
        ((SIX, SIX, SIX + 30), SIX + 10),  # rising: the mean
        ((SIX, SIX, SIX + 29), SIX + 9),  # … rounded down
        ((SIX + 30, SIX + 30, SIX), SIX),  # falling: the newest
        ((100, 100, 120), 106),  # just 20 %
        ((120, 100, 100), 100),
    ],
)
def test_the_lower_of_the_newest_and_the_hours_mean(rates: tuple[int, ...], rate: int) -> None:
    assert rate_near(every_five_minutes(*rates), NOW) == Sample(NOW, rate)


@given(st.lists(st.integers(100_000, 120_000), min_size=3, max_size=12))
def test_the_rate_is_never_above_the_newest_nor_the_mean(rates: list[int]) -> None:
    rate = rate_near(every_five_minutes(*rates), NOW).rate
    assert rate <= rates[-1]
    assert rate * len(rates) <= sum(rates)
    assert rate >= min(rates)


@pytest.mark.parametrize(
    ("samples", "why"),
    [
        ([], "ten minutes old"),
        (every_five_minutes(SIX, SIX, SIX, newest=NOW - 601), "ten minutes old"),
        (every_five_minutes(SIX, SIX, SIX, newest=NOW + 900), "ten minutes old"),  # what comes later is not known yet
        (every_five_minutes(SIX, SIX), "too few"),
        ([Sample(NOW - 3600, SIX), *every_five_minutes(SIX, SIX)], "too few"),  # not within the hour
        (every_five_minutes(100, 100, 121), "20 %"),
        (every_five_minutes(121, 100, 100), "20 %"),
        (every_five_minutes(100, 121, 100), "20 %"),  # a spike that is over
    ],
)
def test_no_rate_where_prices_are_stale_few_or_jump(samples: list[Sample], why: str) -> None:
    with pytest.raises(NoRate, match=why):
        rate_near(samples, NOW)


def test_the_newest_may_be_just_ten_minutes_old() -> None:
    assert rate_near(every_five_minutes(SIX, SIX, SIX, newest=NOW - 600), NOW).time == NOW - 600


def test_a_jump_that_is_an_hour_ago_or_still_to_come_does_not_count() -> None:
    samples = [Sample(NOW - 3600, 10 * SIX), *every_five_minutes(SIX, SIX, SIX), Sample(NOW + 1, 10 * SIX)]
    assert rate_near(samples, NOW).rate == SIX


@pytest.mark.parametrize(
    ("before", "after", "chosen"),
    [
        (Sample(NOW - 1800, 100), Sample(NOW + 1800, 101), Sample(NOW - 1800, 100)),
        (Sample(NOW - 1800, 101), Sample(NOW + 1800, 100), Sample(NOW + 1800, 100)),
        (Sample(NOW, 101), Sample(NOW + 7200, 100), Sample(NOW + 7200, 100)),
    ],
)
def test_between_hours_the_lower_neighbour_counts(before: Sample, after: Sample, chosen: Sample) -> None:
    far = [Sample(NOW - 9_000, 1), before, after, Sample(NOW + 9_000, 1)]
    assert rate_between_hours(far, NOW) == chosen


@pytest.mark.parametrize(
    "samples",
    [
        [],
        [Sample(NOW - 60, SIX)],
        [Sample(NOW + 60, SIX)],
        [Sample(NOW, SIX)],
        [Sample(NOW - 3600, SIX), Sample(NOW + 3601, SIX)],
    ],
)
def test_between_hours_a_gap_gives_no_rate(samples: list[Sample]) -> None:
    with pytest.raises(NoRate, match=re.escape("hourly prices around")):
        rate_between_hours(samples, NOW)
