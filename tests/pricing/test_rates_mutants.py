"""Rates: why there is none, as the log says it, and the bounds of what is believed."""

import contextlib
import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stateless_billing.domain.money import RATE_SCALE
from stateless_billing.pricing import rates
from stateless_billing.pricing.rates import IMPLAUSIBLE, NoRate, Sample, parse_samples, rate_between_hours, rate_near

NOW = 1_790_000_000
SIX = 6 * RATE_SCALE // 1000


def answer(*points: tuple[object, object]) -> str:
    """An answer of the feed."""
    return json.dumps({"prices": [list(point) for point in points]})


def even(*values: int) -> list[Sample]:
    """Samples a minute apart, the last at NOW."""
    return [Sample(NOW - 60 * back, rate) for back, rate in zip(range(len(values) - 1, -1, -1), values, strict=True)]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (answer((2_000, 1), (1_000, 1)), "the price feed's samples are not in order"),
        (
            answer(("1", 1)),
            "the price feed's answer is not what it documents: Expected `int`, got `str` - at `$.prices[0][0]`",
        ),
        (
            '{"prices": [[1, NaN]]}',
            "the price feed's answer is not what it documents: JSON is malformed: invalid character (byte 16)",
        ),
        (
            '{"error": 1}',
            "the price feed's answer is not what it documents: Object missing required field `prices`",
        ),
    ],
)
def test_a_refused_answer_says_why(text: str, sentence: str) -> None:
    with pytest.raises(NoRate) as caught:
        parse_samples(text)
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("samples", "sentence"),
    [
        ([], "the newest price is more than ten minutes old"),
        (even(SIX, SIX), "too few prices are known of the last hour"),
        (even(SIX, IMPLAUSIBLE, SIX), "the price feed shows an absurd price"),
        (even(SIX, SIX, 2 * SIX), "the price moved by more than 20 % within an hour"),
    ],
)
def test_no_rate_of_now_says_why(samples: list[Sample], sentence: str) -> None:
    with pytest.raises(NoRate) as caught:
        rate_near(samples, NOW)
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("samples", "sentence"),
    [
        (even(SIX, SIX), "the hourly prices around the payment's block are missing"),
        ([Sample(NOW, IMPLAUSIBLE), Sample(NOW + 1, SIX)], "the price feed shows an absurd price"),
        ([Sample(NOW, SIX), Sample(NOW + 1, IMPLAUSIBLE)], "the price feed shows an absurd price"),
    ],
)
def test_no_rate_of_then_says_why(samples: list[Sample], sentence: str) -> None:
    with pytest.raises(NoRate) as caught:
        rate_between_hours(samples, NOW)
    assert str(caught.value) == sentence


def test_two_samples_of_one_second_are_in_order() -> None:
    assert [one.time for one in parse_samples(answer((1_000, 1), (1_999, 1), (1_999, 1)))] == [1, 1, 1]


def test_a_price_that_is_no_text_spoils_its_own_sample_only() -> None:
    assert [sample.rate for sample in parse_samples(b'{"prices": [[1, "\xff"], [2, 0.006]]}')] == [IMPLAUSIBLE, SIX]


def test_an_absurd_sample_has_its_time_in_whole_seconds() -> None:
    [found] = parse_samples(answer((2_999, "much")))
    assert (found.time, type(found.time), found.rate) == (2, int, IMPLAUSIBLE)


def test_neighbours_are_two_hours_apart_at_most_and_the_nearest_ones() -> None:
    wide = [Sample(NOW - 3_600, SIX), Sample(NOW + 3_600, SIX + 1)]
    assert rate_between_hours(wide, NOW) == wide[0]
    with pytest.raises(NoRate):
        rate_between_hours([wide[0], Sample(NOW + 3_601, SIX)], NOW)
    nearest = [Sample(NOW - 9, 5), Sample(NOW - 8, 7), Sample(NOW + 8, 8), Sample(NOW + 9, 5)]
    assert rate_between_hours(nearest, NOW) == Sample(NOW - 8, 7)


def test_close_samples_are_asked_for_only_while_the_feed_has_them() -> None:
    # docs.coingecko.com: five-minutely within the last day, hourly before
    assert 22 * 3_600 <= rates.RECENT <= 23 * 3_600


def test_three_samples_within_the_hour_are_enough_and_the_hour_is_open_at_its_beginning() -> None:
    hour = [Sample(NOW - 3_599, SIX), Sample(NOW - 60, SIX), Sample(NOW, SIX)]
    assert rate_near(hour, NOW) == Sample(NOW, SIX)
    with pytest.raises(NoRate, match="too few"):
        rate_near([Sample(NOW - 3_600, SIX), *hour[1:]], NOW)


@given(st.lists(st.integers(1, 10**25), min_size=3, max_size=12))
def test_any_hour_gives_a_rate_within_a_fifth_of_all_its_prices_or_none(values: list[int]) -> None:
    try:
        found = rate_near(even(*values), NOW).rate
    except NoRate:
        assert max(values) * 10 > min(values) * 12
        return
    assert min(values) <= found <= min(values[-1], sum(values) // len(values))
    assert max(values) * 10 <= found * 12


@given(st.lists(st.tuples(st.integers(0, 20_000), st.integers(0, 10**20)), max_size=8), st.integers(0, 20_000))
def test_any_neighbours_give_the_lower_of_the_two_or_none(points: list[tuple[int, int]], time: int) -> None:
    samples = [Sample(*point) for point in sorted(points)]
    earlier = [one for one in samples if one.time <= time]
    later = [one for one in samples if one.time > time]
    try:
        found = rate_between_hours(samples, time)
    except NoRate:
        assert (
            not earlier
            or not later
            or later[0].time - earlier[-1].time > 7_200
            or IMPLAUSIBLE in (earlier[-1].rate, later[0].rate)
        )
        return
    assert found.rate == min(earlier[-1].rate, later[0].rate) > 0
    assert found in (earlier[-1], later[0])


@given(st.binary(max_size=200))
def test_any_bytes_give_samples_or_no_rate(raw: bytes) -> None:
    with contextlib.suppress(NoRate):
        assert all(type(one.time) is type(one.rate) is int for one in parse_samples(raw.decode("latin-1")))


@given(st.integers(0, 2**32), st.integers(0, 200))
def test_an_answer_with_any_bytes_changed_gives_samples_or_no_rate(seed: int, changes: int) -> None:
    chance = random.Random(seed)
    text = list(answer(*((1_000 * at, 0.006) for at in range(20))))
    for _ in range(changes % 5):
        text[chance.randrange(len(text))] = chance.choice('0123456789.eE-+[]{},:" nulltrue')
    try:
        samples = parse_samples("".join(text))
    except NoRate:
        return
    assert all(one.rate == IMPLAUSIBLE or 10**6 <= one.rate <= 10**24 for one in samples)
    assert [one.time for one in samples] == sorted(one.time for one in samples)
