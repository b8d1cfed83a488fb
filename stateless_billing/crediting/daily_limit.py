"""The most that a customer's payments of 24 hours may be credited without an admin: a function of the chain alone."""

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
    """Whoever knows today's rate."""

    async def current_rate(self) -> Rate:
        """The market rate now. Raises NoRate."""
        ...


class DailyLimit:
    """`maximum_cents` for a customer's payments of the 24 hours before a block, that block included."""

    def __init__(self, *, gateways: Sequence[Gateway], maximum_cents: int, rates: Market, discount_bps: int) -> None:
        self._gateways = gateways
        self._rates = rates
        self._discount_bps = discount_bps
        self.maximum_cents = maximum_cents

    async def is_exceeded(self, payment: Payment, customer_id: str, cents: int) -> bool:
        """Whether this payment, worth `cents`, takes its customer above the limit. Raises ChainError."""
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
        """The cents that the customer may still pay now; plain payments count at today's rate, if there is one."""
        paid = [
            payment
            for gateway in self._gateways
            for payment in await self._cents_since(gateway, customer_id, now - DAY)
        ]
        try:
            market = (await self._rates.current_rate()).market if any(not one.quoted for one in paid) else 0
        except (NoRate, StripeFailure):
            market = 0
        rate = Fraction(cents_down(BASE_UNITS**2, market, self._discount_bps), BASE_UNITS**2)
        return max(0, self.maximum_cents - counted_cents(paid, rate))

    async def _cents_since(
        self, gateway: Gateway, customer_id: str, after: int, before: Payment | None = None
    ) -> list[Payment]:
        """The customer's payments in blocks later than `after`, read backwards from the head or from a payment."""
        if before and before.gateway == gateway.address:
            stop = before.sequence
        else:
            stop = await gateway.payment_count(customer_id)
        found: list[Payment] = []
        while stop > 0:
            start = max(0, stop - _WINDOW)
            window = await gateway.payments_of(customer_id, start, stop)
            found += [payment for payment in window if payment.time > after]
            if window[0].time <= after:
                break
            stop = start
        return found


def counted_cents(payments: Sequence[Payment], rate: Fraction) -> int:
    """What payments count: quoted ones their cents, plain ones their amount at `rate` cents a base unit, rounded up."""
    quoted = sum(payment.cents for payment in payments)
    plain = sum(payment.amount for payment in payments if not payment.quoted)
    return quoted - (-plain * rate.numerator // rate.denominator)
