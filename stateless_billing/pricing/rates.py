"""Chooses the rate at a time from price samples. Pure; every refusal says why there is no rate."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

import msgspec

from stateless_billing.domain.money import RATE_SCALE

HOUR = 3600
MAX_SAMPLE_AGE_SECONDS = 600
RECENT = 23 * HOUR  # further back, the feed has hourly samples only
HOURLY_GAP = 2 * HOUR
MIN_SAMPLES = 3  # samples in an hour, below which its movement cannot be judged

IMPLAUSIBLE = 0  # the rate of a sample without a usable price; refused only if that sample is used
_MAX_SAMPLES = 5_000  # a day has 288; every quote goes through all of them
_MAX_PRICE_LENGTH = 100  # the exact fraction of millions of digits would take hours
_LOWEST, _HIGHEST = Decimal("1e-12"), Decimal("1e6")  # dollars per whole token


class NoRate(Exception):
    """No rate may be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A market rate in 10^-18 dollars per whole token, or IMPLAUSIBLE, at a time in unix seconds."""

    time: int
    rate: int


class _MarketChart(msgspec.Struct, frozen=True, kw_only=True):
    """Pairs of milliseconds and price. A price stays text, so that an odd one spoils only its own sample."""

    prices: list[tuple[int, msgspec.Raw]]


def parse_samples(answer: bytes | str) -> list[Sample]:
    """Parse the samples of CoinGecko's `market_chart/range`, oldest first. Raises: NoRate."""
    try:
        points = msgspec.json.decode(answer, type=_MarketChart).prices
    except (ValueError, RecursionError) as error:
        raise NoRate(f"the price feed's answer is not what it documents: {error}") from error
    if len(points) > _MAX_SAMPLES:
        raise NoRate(f"the price feed sent more than {_MAX_SAMPLES} samples")
    samples = [Sample(milliseconds // 1000, _parse_price(price)) for milliseconds, price in points]
    if any(later.time < earlier.time for earlier, later in pairwise(samples)):
        raise NoRate("the price feed's samples are not in order")
    return samples


def _parse_price(raw: msgspec.Raw) -> int:
    """Convert a price to a rate, exactly."""
    if len(bytes(raw)) > _MAX_PRICE_LENGTH:
        return IMPLAUSIBLE
    try:
        price = Decimal(bytes(raw).decode(errors="replace"))
    except ArithmeticError:
        return IMPLAUSIBLE
    return int(Fraction(price) * RATE_SCALE) if _LOWEST <= price <= _HIGHEST else IMPLAUSIBLE


def rate_near(samples: Sequence[Sample], time: int) -> Sample:
    """Return the lower of the newest sample at `time` and the mean of the hour before, rounded down. Raises: NoRate."""
    until = [sample for sample in samples if sample.time <= time]
    if not until or time - until[-1].time > MAX_SAMPLE_AGE_SECONDS:
        raise NoRate("the newest price is more than ten minutes old")
    hour = [sample.rate for sample in until if sample.time > time - HOUR]
    if len(hour) < MIN_SAMPLES:
        raise NoRate("too few prices are known of the last hour")
    if IMPLAUSIBLE in hour:
        raise NoRate("the price feed shows an absurd price")
    if max(hour) * 10 > min(hour) * 12:
        raise NoRate("the price moved by more than 20 % within an hour")
    return Sample(until[-1].time, min(hour[-1], sum(hour) // len(hour)))


def rate_between_hours(samples: Sequence[Sample], time: int) -> Sample:
    """Return the lower of the samples around `time`, which may be two hours apart. Raises: NoRate."""
    before = [sample for sample in samples if sample.time <= time][-1:]
    after = [sample for sample in samples if sample.time > time][:1]
    if not before or not after or after[0].time - before[0].time > HOURLY_GAP:
        raise NoRate("the hourly prices around the payment's block are missing")
    lower = min(before[0], after[0], key=lambda sample: sample.rate)
    if lower.rate == IMPLAUSIBLE:
        raise NoRate("the price feed shows an absurd price")
    return lower
