"""What the rounding in `domain/money.py` should be, in exact fractions."""

from fractions import Fraction
from math import ceil, floor

TOKEN = Fraction(10**18)
SCALE = Fraction(10**18)


def worth(amount: int, market: int, discount_bps: int) -> Fraction:
    """What base units are worth in cents, exactly: the discount makes each token worth more."""
    return amount / TOKEN * (market / SCALE) * 100 / (1 - Fraction(discount_bps, 10_000))


def cents(amount: int, market: int, discount_bps: int) -> int:
    """Rounded down, once, at the end."""
    return floor(worth(amount, market, discount_bps))


def tokens(wanted: int, market: int, discount_bps: int) -> int:
    """The fewest base units that are worth so many cents."""
    return ceil(wanted / worth(1, market, discount_bps))


def rate(paid_cents: int, amount: int) -> int:
    """Dollars per whole token in 10^-18, rounded down."""
    return floor(Fraction(paid_cents, 100) / (amount / TOKEN) * SCALE)
