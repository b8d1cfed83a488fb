"""Amounts. Pure. Money is integer cents, tokens integer base units, rates integers of 10^-18 dollars per whole token.

Every function rounds once, at the end, in the direction its name says.
"""

import re
from dataclasses import dataclass

BASE_UNITS = 10**18  # of one whole token
RATE_SCALE = 10**18  # a rate of 1 is 10^-18 dollars per whole token
HIGHEST_RATE = 10**6 * RATE_SCALE
_BPS = 10_000
_RATE = re.compile(r"([0-9]{1,7})(?:\.([0-9]{1,18}))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Rate:
    """A market rate: `market` in 10^-18 dollars per whole token, where it is from, and when (unix seconds)."""

    market: int
    source: str
    at: int


def parse_rate(text: str) -> int | None:
    """A decimal rate in dollars per whole token as 10^-18 dollars, exactly; None where it is none."""
    found = _RATE.fullmatch(text.strip())
    if not found:
        return None
    rate = int(found[1]) * RATE_SCALE + int((found[2] or "").ljust(18, "0"))
    return rate if 0 < rate <= HIGHEST_RATE else None


def cents_down(amount: int, market: int, discount_bps: int) -> int:
    """The cents that `amount` base units are worth at a market rate, with the discount, rounded down."""
    return amount * market * 100 * _BPS // (BASE_UNITS * RATE_SCALE * (_BPS - discount_bps))


def amount_up(cents: int, market: int, discount_bps: int) -> int:
    """The base units to ask for `cents`, rounded up: `cents_down` of the answer is never less than `cents`."""
    return -(-cents * BASE_UNITS * RATE_SCALE * (_BPS - discount_bps) // (market * 100 * _BPS))


def after_discount_down(market: int, discount_bps: int) -> int:
    """The rate a payer gets, rounded down to 10^-18 dollars."""
    return market * _BPS // (_BPS - discount_bps)


def rate_down(cents: int, amount: int) -> int:
    """The rate at which `amount` base units came to `cents`, rounded down."""
    return cents * BASE_UNITS * RATE_SCALE // (amount * 100)


def is_below_ceiling(cents: int, amount: int, rate_ceiling: int) -> bool:
    """The gateway's own rule for quotes: `cents · 10^24 ≤ amount · rateCeiling` (millionths of a cent per token)."""
    return cents * 10**24 <= amount * rate_ceiling


def format_decimal(value: int, decimals: int = 18) -> str:
    """A scaled integer as a decimal string with all its decimals: 6000000000000000 → `0.006000000000000000`."""
    whole, part = divmod(value, 10**decimals)
    return f"{whole}.{part:0{decimals}d}"


def format_tokens(amount: int) -> str:
    """Base units as whole tokens for people: at most four decimals, rounded up, so it never says too little."""
    whole, part = divmod(-(-amount // 10**14), 10**4)
    return f"{whole:,}.{part:04d}".rstrip("0").rstrip(".")


def format_dollars(cents: int) -> str:
    """Cents as dollars for people: 123456 → `$1,234.56`."""
    whole, part = divmod(abs(cents), 100)
    return f"{'-' if cents < 0 else ''}${whole:,}.{part:02d}"
