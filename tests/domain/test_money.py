"""Amounts round once, in the direction their name says, and never in anybody's favour but ours by more than that."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stateless_billing.domain import money
from stateless_billing.domain.money import BASE_UNITS, RATE_SCALE

CENTS = st.integers(1, 10**9)
RATES = st.integers(RATE_SCALE // 10**12, RATE_SCALE * 10**6)
DISCOUNTS = st.integers(0, 9_999)
AMOUNTS = st.integers(0, 10**30)


def exact_cents(amount: int, market: int, discount_bps: int) -> Fraction:
    """The formula of the design, unrounded: `market` in dollars per whole token."""
    rate = Fraction(market, RATE_SCALE)
    return Fraction(amount) * rate * 100 * 10_000 / (10**18 * (10_000 - discount_bps))


@pytest.mark.parametrize(
    ("amount", "dollars_per_token", "discount_bps", "cents"),
    [
        (0, "0.006", 0, 0),
        (10**18, "0.006", 0, 0),  # 0.6 cents
        (10_000 * 10**18, "0.006", 0, 6_000),
        (10_000 * 10**18 - 1, "0.006", 0, 5_999),
        (10_000 * 10**18, "0.006", 2_500, 8_000),
        (10_000 * 10**18, "0.006", 1, 6_000),  # 6000.60…
        (1, "1000000", 9_999, 0),
    ],
)
def test_cents_are_rounded_down(amount: int, dollars_per_token: str, discount_bps: int, cents: int) -> None:
    market = int(Fraction(dollars_per_token) * RATE_SCALE)
    assert money.cents_down(amount, market, discount_bps) == cents


@given(AMOUNTS, RATES, DISCOUNTS)
def test_cents_are_the_floor_of_the_exact_value(amount: int, market: int, discount_bps: int) -> None:
    exact = exact_cents(amount, market, discount_bps)
    assert money.cents_down(amount, market, discount_bps) == exact.numerator // exact.denominator


@given(CENTS, RATES, DISCOUNTS)
def test_the_amount_asked_for_is_worth_the_cents_and_one_unit_less_is_not(
    cents: int, market: int, discount_bps: int
) -> None:
    amount = money.amount_up(cents, market, discount_bps)
    assert exact_cents(amount, market, discount_bps) >= cents
    assert exact_cents(amount - 1, market, discount_bps) < cents
    assert money.cents_down(amount, market, discount_bps) >= cents


@given(RATES, DISCOUNTS)
def test_the_shown_rate_is_the_exact_one_rounded_down(market: int, discount_bps: int) -> None:
    exact = Fraction(market * 10_000, 10_000 - discount_bps)
    shown = money.after_discount_down(market, discount_bps)
    assert shown <= exact < shown + 1


@pytest.mark.parametrize(
    ("cents", "amount", "ceiling", "allowed"),
    [
        (6_000, 10_000 * BASE_UNITS, 600_000, True),  # exactly 0.6 cents a token
        (6_001, 10_000 * BASE_UNITS, 600_000, False),
        (6_000, 10_000 * BASE_UNITS - 1, 600_000, False),
        (1, BASE_UNITS, 0, False),  # quotes are off
    ],
)
def test_the_ceiling_is_the_gateways_own_rule(cents: int, amount: int, ceiling: int, allowed: bool) -> None:
    assert money.is_below_ceiling(cents, amount, ceiling) is allowed


@given(st.integers(0, 10**40), st.integers(1, 30))
def test_decimal_keeps_every_digit(value: int, decimals: int) -> None:
    text = money.format_decimal(value, decimals)
    assert Fraction(text) == Fraction(value, 10**decimals)
    assert len(text.split(".")[1]) == decimals


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (0, "0"),
        (1, "0.0001"),
        (10**14, "0.0001"),
        (10**14 + 1, "0.0002"),
        (10**18, "1"),
        (15 * 10**17, "1.5"),
        (1_234_567 * 10**18 + 1, "1,234,567.0001"),
        (10**19, "10"),
    ],
)
def test_tokens_for_people_never_say_too_little(amount: int, text: str) -> None:
    assert money.format_tokens(amount) == text


@pytest.mark.parametrize(
    ("cents", "text"), [(0, "$0.00"), (5, "$0.05"), (123_456, "$1,234.56"), (-5, "-$0.05"), (-123_400, "-$1,234.00")]
)
def test_dollars_for_people(cents: int, text: str) -> None:
    assert money.format_dollars(cents) == text


@given(st.integers(1, 10**9), st.integers(1, 10**30))
def test_the_rate_of_a_payment_never_says_too_much(cents: int, amount: int) -> None:
    rate = money.rate_down(cents, amount)
    assert rate * amount * 100 <= cents * money.BASE_UNITS * money.RATE_SCALE < (rate + 1) * amount * 100
