"""Money arithmetic and formatting. Pure.

Money is integer cents, tokens are integer base units, rates are integers of 10^-18 dollars per whole token. Every
function rounds once, at the end, in the direction that its name states.
"""

import re
from dataclasses import dataclass

BASE_UNITS = 10**18  # of one whole token
RATE_SCALE = 10**18  # a rate of 1 is 10^-18 dollars per whole token
HIGHEST_RATE = 10**6 * RATE_SCALE
_BPS = 10_000
# Stripe's smallest units of other currencies than these are hundredths: docs.stripe.com/currencies
_WITHOUT_DECIMALS = frozenset(
    ("bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf", "xof", "xpf")
)
_WITH_THREE_DECIMALS = frozenset(("bhd", "jod", "kwd", "omr", "tnd"))
_RATE = re.compile(r"([0-9]{1,7})(?:\.([0-9]{1,18}))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Rate:
    """A market rate in 10^-18 dollars per whole token, its source, and its time (Unix seconds)."""

    market: int
    source: str
    at: int


def parse_rate(text: str) -> int | None:
    """Parse dollars per whole token to 10^-18 dollars, exactly; None if it is not a valid rate."""
    match = _RATE.fullmatch(text.strip())
    if not match:
        return None
    rate = int(match[1]) * RATE_SCALE + int((match[2] or "").ljust(18, "0"))
    return rate if 0 < rate <= HIGHEST_RATE else None


def cents_down(amount: int, market: int, discount_bps: int) -> int:
    """Return the cents for `amount` base units at a market rate with discount, rounded down."""
    return amount * market * 100 * _BPS // (BASE_UNITS * RATE_SCALE * (_BPS - discount_bps))


def amount_up(cents: int, market: int, discount_bps: int) -> int:
    """Return the base units to charge for `cents`, rounded up.

    `cents_down` of them is never below `cents`.
    """
    return -(-cents * BASE_UNITS * RATE_SCALE * (_BPS - discount_bps) // (market * 100 * _BPS))


def after_discount_down(market: int, discount_bps: int) -> int:
    """Return the rate that a payer gets with the discount, rounded down to 10^-18 dollars."""
    return market * _BPS // (_BPS - discount_bps)


def rate_down(cents: int, amount: int) -> int:
    """Return the rate at which `amount` base units are worth `cents`, rounded down."""
    return cents * BASE_UNITS * RATE_SCALE // (amount * 100)


def market_rate_down(cents: int, amount: int, discount_bps: int) -> int:
    """Return the market rate at which `amount` base units are worth `cents` with the discount, rounded down."""
    return rate_down(cents, amount) * (_BPS - discount_bps) // _BPS


def format_rate(rate: int) -> str:
    """Format a rate with all its digits, at least two decimals: 6000000000000000 → `$0.006`."""
    whole, fraction = format_decimal(rate).split(".")
    return f"${int(whole):,}.{fraction.rstrip('0').ljust(2, '0')}"


def is_below_ceiling(cents: int, amount: int, rate_ceiling: int) -> bool:
    """Apply the contract's rule for quotes: `cents · 10^24 ≤ amount · rateCeiling`.

    The ceiling is in millionths of a cent per token.
    """
    return cents * 10**24 <= amount * rate_ceiling


def format_decimal(value: int, decimals: int = 18) -> str:
    """Format a scaled integer with all its decimals: 6000000000000000 → `0.006000000000000000`."""
    whole, part = divmod(value, 10**decimals)
    return f"{whole}.{part:0{decimals}d}"


def format_tokens(amount: int) -> str:
    """Format base units as whole tokens with up to four decimals, rounded up."""
    whole, part = divmod(-(-amount // 10**14), 10**4)
    return f"{whole:,}.{part:04d}".rstrip("0").rstrip(".")


def format_dollars(cents: int) -> str:
    """Format cents as dollars: 123456 → `$1,234.56`."""
    whole, part = divmod(abs(cents), 100)
    return f"{'-' if cents < 0 else ''}${whole:,}.{part:02d}"


def format_money(amount: int, currency: str | None) -> str:
    """Format an amount of a currency's smallest unit: dollars as such, others with their code, `-12.34 EUR`.

    Without a currency, as of a customer that has no entry yet, it is dollars.
    """
    if currency in (None, "usd"):
        return format_dollars(amount)
    decimals = 0 if currency in _WITHOUT_DECIMALS else 3 if currency in _WITH_THREE_DECIMALS else 2
    whole, part = divmod(abs(amount), 10**decimals)
    fraction = f".{part:0{decimals}d}" if decimals else ""
    return f"{'-' if amount < 0 else ''}{whole:,}{fraction} {currency.upper()}"
