"""Prices a payment, or says why it is held, before its customer is read from Stripe."""

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
    """The price, None if there is no rate; `held` is the cause if crediting it takes an order."""

    price: Price | None
    held: str | None
    detail: str = ""


class CreditPricer:
    """Prices payments and enforces the daily limit."""

    def __init__(self, rates: RateSource, daily_limit: DailyLimit, discount_bps: int) -> None:
        self._rates = rates
        self._daily_limit = daily_limit
        self._discount_bps = discount_bps

    async def price_payment(self, payment: Payment, order: Order | None = None) -> CreditTerms:
        """Price a payment, by its order if it has one. Raises: ChainError, StripeFailure."""
        order_id = order.id if order else None
        if payment.quoted:
            price = Price(payment.cents, order=order_id)
        else:
            try:
                rate = await self._rate(payment, order)
            except NoRate as error:
                return CreditTerms(None, "rate_unavailable", str(error))
            cents = money.cents_down(payment.amount, rate.market, self._discount_bps)
            price = Price(cents, rate, self._discount_bps, order_id)
        limited_customer_id = payment.customer_id if order is None else None
        if limited_customer_id and await self._daily_limit.is_exceeded(payment, limited_customer_id, price.cents):
            return CreditTerms(price, "over_limit", "the customer's payments of 24 hours exceed the maximum")
        return CreditTerms(price, None)

    async def value_cents(self, payment: Payment, rate: int | None) -> int | None:
        """Value a payment at `rate` (10^-18 dollars), or else at its own price; None if it has none.

        Raises: ChainError, StripeFailure.
        """
        if payment.quoted:
            return payment.cents
        rate = rate if rate is not None else await self.market_rate(payment)
        return None if rate is None else money.cents_down(payment.amount, rate, self._discount_bps)

    async def market_rate(self, payment: Payment) -> int | None:
        """Return the rate at a plain payment's block, before the discount; None if it has none.

        Raises: StripeFailure.
        """
        try:
            return (await self._rates.rate_at(payment.time)).market
        except NoRate:
            return None

    async def _rate(self, payment: Payment, order: Order | None) -> Rate:
        if order and order.rate is not None:
            return Rate(order.rate, "order", order.created)
        return await self._rates.rate_at(payment.time)
