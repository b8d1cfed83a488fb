"""Amounts and rates: what a rate came to, how amounts read, and what two roundings cost together."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stateless_billing.domain import money
from stateless_billing.domain.money import BASE_UNITS, RATE_SCALE

CENTS = st.integers(1, 10**9)
RATES = st.integers(RATE_SCALE // 10**12, RATE_SCALE * 10**6)
DISCOUNTS = st.integers(0, 9_999)
AMOUNTS = st.integers(1, 10**30)


def test_a_token_has_18_decimals_and_a_rate_too() -> None:
    assert BASE_UNITS == RATE_SCALE == 1_000_000_000_000_000_000
    assert money.format_decimal(6_000_000_000_000_000) == "0.006000000000000000"


@pytest.mark.parametrize(
    ("cents", "amount", "rate"),
    [
        (6_000, 10_000 * BASE_UNITS, 6_000_000_000_000_000),  # 60 dollars for 10,000 tokens
        (1, 3 * BASE_UNITS, 3_333_333_333_333_333),
        (1, 10**40, 0),
        (0, 1, 0),
        (10**17 + 1, 10**18 + 1, (10**17 + 1) * 10**34 // (10**18 + 1)),  # more digits than a float has
    ],
)
def test_the_rate_that_a_payment_came_to(cents: int, amount: int, rate: int) -> None:
    assert money.rate_down(cents, amount) == rate


@given(CENTS, AMOUNTS)
def test_the_rate_that_a_payment_came_to_is_the_exact_one_rounded_down(cents: int, amount: int) -> None:
    exact = Fraction(cents, 100) / Fraction(amount, BASE_UNITS) * RATE_SCALE
    found = money.rate_down(cents, amount)
    assert found <= exact < found + 1


@given(CENTS, RATES)
def test_a_quotes_rate_is_never_above_the_markets(cents: int, market: int) -> None:
    assert money.rate_down(cents, money.amount_up(cents, market, 0)) <= market


@given(AMOUNTS, RATES, DISCOUNTS)
def test_the_amount_for_the_cents_of_an_amount_is_never_more_than_it(amount: int, market: int, discount: int) -> None:
    cents = money.cents_down(amount, market, discount)
    assert money.amount_up(cents, market, discount) <= amount


@given(AMOUNTS, AMOUNTS, RATES, DISCOUNTS)
def test_splitting_a_payment_never_gains_a_cent(one: int, other: int, market: int, discount: int) -> None:
    parts = money.cents_down(one, market, discount) + money.cents_down(other, market, discount)
    assert parts <= money.cents_down(one + other, market, discount) <= parts + 1


@given(AMOUNTS, RATES, DISCOUNTS)
def test_a_discount_never_costs_the_payer(amount: int, market: int, discount: int) -> None:
    assert money.cents_down(amount, market, discount) >= money.cents_down(amount, market, 0)
    assert money.after_discount_down(market, discount) >= market


@given(CENTS, AMOUNTS, st.integers(0, 10**12))
def test_the_ceiling_is_the_exact_comparison(cents: int, amount: int, ceiling: int) -> None:
    per_token = Fraction(cents) / Fraction(amount, BASE_UNITS)
    assert money.is_below_ceiling(cents, amount, ceiling) == (per_token * 10**6 <= ceiling)


@given(st.integers(0, 10**30))
def test_tokens_for_people_are_the_amount_rounded_up_to_four_decimals(amount: int) -> None:
    shown = Fraction(money.format_tokens(amount).replace(",", ""))
    assert shown - Fraction(1, 10**4) < Fraction(amount, BASE_UNITS) <= shown


@pytest.mark.parametrize(
    ("amount", "text"), [(10 * 10**18, "10"), (1_000 * 10**18, "1,000"), (100_5 * 10**17, "100.5")]
)
def test_zeros_before_the_point_stay(amount: int, text: str) -> None:
    assert money.format_tokens(amount) == text


@given(st.integers(-(10**12), 10**12))
def test_dollars_for_people_say_every_cent(cents: int) -> None:
    shown = money.format_dollars(cents)
    assert Fraction(shown.replace("$", "").replace(",", "")) * 100 == cents
    assert shown.startswith("-$" if cents < 0 else "$")
