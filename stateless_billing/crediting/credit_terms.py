"""What a payment is to be credited with, or why it may not be: decided before Stripe is asked for the customer."""

from dataclasses import dataclass

from chain.payment import Payment
from stateless_billing.crediting.daily_limit import DailyLimit
from stateless_billing.domain import money
from stateless_billing.domain.ledger import Price
from stateless_billing.domain.money import Rate
from stateless_billing.domain.order_rules import Order
from stateless_billing.pricing.rate_overrides import RateSource
from stateless_billing.pricing.rates import NoRate


@dataclass(frozen=True, slots=True)
class CreditTerms:
    """The price, None where there is none; `held` names the cause where it may not be credited by itself."""

    price: Price | None
    held: str | None
    detail: str = ""


class CreditPricer:
    """Prices payments and holds them to the daily limit."""

    def __init__(self, rates: RateSource, daily_limit: DailyLimit, discount_bps: int) -> None:
        self._rates, self._daily_limit, self._discount_bps = rates, daily_limit, discount_bps

    async def price_payment(self, payment: Payment, order: Order | None = None) -> CreditTerms:
        """The terms of a payment, under an order where there is one. Raises ChainError, StripeFailure."""
        followed = order.id if order else None
        if payment.quoted:
            price = Price(payment.cents, order=followed)
        else:
            try:
                rate = await self._rate(payment, order)
            except NoRate as error:
                return CreditTerms(None, "rate_unavailable", str(error))
            cents = money.cents_down(payment.amount, rate.market, self._discount_bps)
            price = Price(cents, rate, self._discount_bps, followed)
        if (
            order is None
            and payment.customer_id
            and await self._is_over_limit(payment, payment.customer_id, price.cents)
        ):
            return CreditTerms(price, "over_limit", "the customer's payments of 24 hours pass the maximum")
        return CreditTerms(price, None)

    async def value_cents(self, payment: Payment, rate: int | None) -> int | None:
        """The cents of a payment at `rate` (10^-18 dollars), or at its own price; None where there is none.

        Raises ChainError, StripeFailure.
        """
        if payment.quoted:
            return payment.cents
        if rate is None:
            try:
                rate = (await self._rates.rate_at(payment.time)).market
            except NoRate:
                return None
        return money.cents_down(payment.amount, rate, self._discount_bps)

    async def _is_over_limit(self, payment: Payment, customer_id: str, cents: int) -> bool:
        return await self._daily_limit.is_exceeded(payment, customer_id, cents)

    async def _rate(self, payment: Payment, order: Order | None) -> Rate:
        if order and order.rate is not None:
            return Rate(order.rate, "order", order.created)
        return await self._rates.rate_at(payment.time)
