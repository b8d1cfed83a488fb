"""Amounts round once, in the direction that the function's name states."""

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
    """Compute the credit without rounding."""
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
def test_the_quoted_amount_is_the_least_that_is_worth_the_cents(cents: int, market: int, discount_bps: int) -> None:
    amount = money.amount_up(cents, market, discount_bps)
    assert exact_cents(amount, market, discount_bps) >= cents
    assert exact_cents(amount - 1, market, discount_bps) < cents
    assert money.cents_down(amount, market, discount_bps) >= cents


@given(RATES, DISCOUNTS)
def test_the_discounted_rate_is_rounded_down(market: int, discount_bps: int) -> None:
    exact = Fraction(market * 10_000, 10_000 - discount_bps)
    discounted = money.after_discount_down(market, discount_bps)
    assert discounted <= exact < discounted + 1


@pytest.mark.parametrize(
    ("cents", "amount", "ceiling", "allowed"),
    [
        (6_000, 10_000 * BASE_UNITS, 600_000, True),  # exactly 0.6 cents per token
        (6_001, 10_000 * BASE_UNITS, 600_000, False),
        (6_000, 10_000 * BASE_UNITS - 1, 600_000, False),
        (1, BASE_UNITS, 0, False),  # quotes are off
    ],
)
def test_the_ceiling_is_the_contracts_rule(cents: int, amount: int, ceiling: int, allowed: bool) -> None:
    assert money.is_below_ceiling(cents, amount, ceiling) is allowed


@given(st.integers(0, 10**40), st.integers(1, 30))
def test_format_decimal_keeps_every_digit(value: int, decimals: int) -> None:
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
def test_format_tokens_rounds_up(amount: int, text: str) -> None:
    assert money.format_tokens(amount) == text


@pytest.mark.parametrize(
    ("cents", "text"), [(0, "$0.00"), (5, "$0.05"), (123_456, "$1,234.56"), (-5, "-$0.05"), (-123_400, "-$1,234.00")]
)
def test_format_dollars(cents: int, text: str) -> None:
    assert money.format_dollars(cents) == text


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        (123_456, None, "$1,234.56"),
        (-5, "usd", "-$0.05"),
        (123_456, "eur", "1,234.56 EUR"),
        (-5, "eur", "-0.05 EUR"),
        (0, "gbp", "0.00 GBP"),
        (-123_456, "jpy", "-123,456 JPY"),
        (123_456, "xpf", "123,456 XPF"),
        (5, "bif", "5 BIF"),
        (-1_234_567, "kwd", "-1,234.567 KWD"),
        (5, "tnd", "0.005 TND"),
        (5, "bhd", "0.005 BHD"),
    ],
)
def test_format_money_names_every_currency_but_the_dollar(amount: int, currency: str | None, text: str) -> None:
    assert money.format_money(amount, currency) == text


@given(st.integers(1, 10**9), st.integers(1, 10**30))
def test_rate_down_never_overstates(cents: int, amount: int) -> None:
    rate = money.rate_down(cents, amount)
    assert rate * amount * 100 <= cents * money.BASE_UNITS * money.RATE_SCALE < (rate + 1) * amount * 100


POSITIVE_AMOUNTS = st.integers(1, 10**30)


class TestExactness:
    """Rates, amounts and formats against exact arithmetic."""

    def test_tokens_and_rates_have_18_decimals(self) -> None:
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
    def test_rate_down(self, cents: int, amount: int, rate: int) -> None:
        assert money.rate_down(cents, amount) == rate

    @given(CENTS, POSITIVE_AMOUNTS)
    def test_rate_down_is_the_floor_of_the_exact_rate(self, cents: int, amount: int) -> None:
        exact = Fraction(cents, 100) / Fraction(amount, BASE_UNITS) * RATE_SCALE
        rate = money.rate_down(cents, amount)
        assert rate <= exact < rate + 1

    @given(CENTS, RATES)
    def test_a_quotes_rate_is_never_above_the_market(self, cents: int, market: int) -> None:
        assert money.rate_down(cents, money.amount_up(cents, market, 0)) <= market

    @given(POSITIVE_AMOUNTS, RATES, DISCOUNTS)
    def test_converting_to_cents_and_back_never_increases_the_amount(
        self, amount: int, market: int, discount: int
    ) -> None:
        cents = money.cents_down(amount, market, discount)
        assert money.amount_up(cents, market, discount) <= amount

    @given(POSITIVE_AMOUNTS, POSITIVE_AMOUNTS, RATES, DISCOUNTS)
    def test_splitting_a_payment_never_gains_a_cent(self, first: int, second: int, market: int, discount: int) -> None:
        parts = money.cents_down(first, market, discount) + money.cents_down(second, market, discount)
        assert parts <= money.cents_down(first + second, market, discount) <= parts + 1

    @given(POSITIVE_AMOUNTS, RATES, DISCOUNTS)
    def test_a_discount_never_costs_the_payer(self, amount: int, market: int, discount: int) -> None:
        assert money.cents_down(amount, market, discount) >= money.cents_down(amount, market, 0)
        assert money.after_discount_down(market, discount) >= market

    @given(CENTS, POSITIVE_AMOUNTS, st.integers(0, 10**12))
    def test_the_ceiling_is_the_exact_comparison(self, cents: int, amount: int, ceiling: int) -> None:
        per_token = Fraction(cents) / Fraction(amount, BASE_UNITS)
        assert money.is_below_ceiling(cents, amount, ceiling) == (per_token * 10**6 <= ceiling)

    @given(st.integers(0, 10**30))
    def test_format_tokens_is_the_amount_rounded_up_to_four_decimals(self, amount: int) -> None:
        tokens = Fraction(money.format_tokens(amount).replace(",", ""))
        assert tokens - Fraction(1, 10**4) < Fraction(amount, BASE_UNITS) <= tokens

    @pytest.mark.parametrize(
        ("amount", "text"), [(10 * 10**18, "10"), (1_000 * 10**18, "1,000"), (100_5 * 10**17, "100.5")]
    )
    def test_trailing_zeros_of_whole_tokens_stay(self, amount: int, text: str) -> None:
        assert money.format_tokens(amount) == text

    @given(st.integers(-(10**12), 10**12))
    def test_format_dollars_shows_every_cent(self, cents: int) -> None:
        text = money.format_dollars(cents)
        assert Fraction(text.replace("$", "").replace(",", "")) * 100 == cents
        assert text.startswith("-$" if cents < 0 else "$")
