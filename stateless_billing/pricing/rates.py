"""Which rate holds at a time, given price samples. Pure; every refusal says why there is no rate."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

from stateless_billing.domain.money import RATE_SCALE

HOUR = 3600
MAX_SAMPLE_AGE_SECONDS = 600  # the newest sample may be this old
RECENT = 23 * HOUR  # further back, the feed has hourly samples only
HOURLY_GAP = 2 * HOUR
MIN_SAMPLES = 3  # samples in an hour, below which its movement cannot be judged

IMPLAUSIBLE = 0  # stands for a price that is none; only the samples that are used are judged
_LOWEST, _HIGHEST = Decimal("1e-12"), Decimal("1e6")  # dollars per whole token


class NoRate(Exception):
    """There is no rate that may be used, and why."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A market rate in 10^-18 dollars per whole token, or ABSURD, at a time in unix seconds."""

    time: int
    rate: int


def parse_samples(text: str) -> list[Sample]:
    """The samples of CoinGecko's `market_chart/range`, oldest first. Raises NoRate where the answer is not that."""
    try:
        points = json.loads(text, parse_float=Decimal, parse_constant=_refuse_constant)["prices"]
        samples = [_parse_sample(*point) for point in points]
    except (ValueError, TypeError, KeyError, ArithmeticError, RecursionError) as error:
        raise NoRate(f"the price feed's answer is not what it documents: {error}") from error
    if any(later.time < earlier.time for earlier, later in pairwise(samples)):
        raise NoRate("the price feed's samples are not in order")
    return samples


def _parse_sample(milliseconds: object, price: object) -> Sample:
    if type(milliseconds) is not int:
        raise ValueError("a sample has no time")
    if type(price) not in (int, Decimal) or not _LOWEST <= Decimal(str(price)) <= _HIGHEST:
        return Sample(milliseconds // 1000, IMPLAUSIBLE)
    return Sample(milliseconds // 1000, int(Fraction(str(price)) * RATE_SCALE))


def _refuse_constant(constant: str) -> None:
    raise ValueError(f"{constant} is no price")


def rate_near(samples: Sequence[Sample], time: int) -> Sample:
    """The lower of the newest sample at `time` and the mean of the hour before it, which is rounded down."""
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
    """The lower of the last sample before `time` and the first after it, which may be two hours apart."""
    before = [sample for sample in samples if sample.time <= time][-1:]
    after = [sample for sample in samples if sample.time > time][:1]
    if not before or not after or after[0].time - before[0].time > HOURLY_GAP:
        raise NoRate("the hourly prices around the payment's block are missing")
    lower = min(before[0], after[0], key=lambda sample: sample.rate)
    if lower.rate == IMPLAUSIBLE:
        raise NoRate("the price feed shows an absurd price")
    return lower
