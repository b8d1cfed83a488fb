"""Limits what a customer's payments of 24 hours may be credited without an order. Derived from the chain alone."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Protocol

from chain.gateway import Gateway
from chain.payment import Payment
from stateless_billing.domain.money import BASE_UNITS, Rate, cents_down
from stateless_billing.pricing.rates import NoRate
from stateless_billing.stripe.errors import StripeFailure

DAY = 24 * 3600
_WINDOW = 16


class Market(Protocol):
    """A source of the current market rate."""

    async def current_rate(self) -> Rate:
        """The current market rate. Raises: NoRate."""
        ...


class DailyLimit:
    """Allows a customer `maximum_cents` of payments in the 24 hours up to and including a block."""

    def __init__(self, *, gateways: Sequence[Gateway], maximum_cents: int, rates: Market, discount_bps: int) -> None:
        self._gateways = gateways
        self._rates = rates
        self._discount_bps = discount_bps
        self.maximum_cents = maximum_cents

    async def is_exceeded(self, payment: Payment, customer_id: str, cents: int) -> bool:
        """Whether this payment, worth `cents`, takes its customer above the limit. Raises: ChainError."""
        if cents > self.maximum_cents:
            return True
        rate = Fraction(cents, payment.amount or 1)
        earlier = [
            other
            for gateway in self._gateways
            for other in await self._cents_since(gateway, customer_id, payment.time - DAY, before=payment)
            if (other.block, other.log_index) < (payment.block, payment.log_index)
        ]
        return cents + counted_cents(earlier, rate) > self.maximum_cents

    async def remaining_cents(self, customer_id: str, now: int) -> int:
        """The cents that the customer may still pay now. Plain payments count at the current rate, or 0 without one."""
        paid = [
            payment
            for gateway in self._gateways
            for payment in await self._cents_since(gateway, customer_id, now - DAY)
        ]
        try:
            market = (await self._rates.current_rate()).market if any(not payment.quoted for payment in paid) else 0
        except (NoRate, StripeFailure):
            market = 0
        rate = Fraction(cents_down(BASE_UNITS**2, market, self._discount_bps), BASE_UNITS**2)
        return max(0, self.maximum_cents - counted_cents(paid, rate))

    async def _cents_since(
        self, gateway: Gateway, customer_id: str, after: int, before: Payment | None = None
    ) -> list[Payment]:
        """The customer's payments in blocks later than `after`, read backward from the head or from `before`."""
        if before and before.gateway == gateway.address:
            stop = before.sequence
        else:
            stop = await gateway.payment_count(customer_id)
        payments: list[Payment] = []
        while stop > 0:
            start = max(0, stop - _WINDOW)
            window = await gateway.payments_of(customer_id, start, stop)
            payments += [payment for payment in window if payment.time > after]
            if window[0].time <= after:
                break
            stop = start
        return payments


def counted_cents(payments: Sequence[Payment], rate: Fraction) -> int:
    """Sum payments: quoted ones by their cents, plain ones by amount at `rate` cents per base unit, rounded up."""
    quoted = sum(payment.cents for payment in payments)
    plain = sum(payment.amount for payment in payments if not payment.quoted)
    return quoted - (-plain * rate.numerator // rate.denominator)
