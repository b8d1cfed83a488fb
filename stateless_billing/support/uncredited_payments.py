"""Final payments that are not credited: what holds each, how old it is, and the one thing to do about it."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from chain.gateway import Gateway
from chain.payment import Payment
from stateless_billing.bookkeeping import records
from stateless_billing.bookkeeping.orders import OrderDraft, Orders, PaymentOrders
from stateless_billing.bookkeeping.records import ServiceRecords
from stateless_billing.crediting.confirmations import Confirmations
from stateless_billing.crediting.credit_terms import CreditPricer
from stateless_billing.crediting.payment_status import PaymentStatus
from stateless_billing.crediting.processor import CreditProcessor
from stateless_billing.crediting.status_cache import StatusCache
from stateless_billing.domain.errors import ProblemError
from stateless_billing.domain.finality import Heads, is_final
from stateless_billing.domain.order_rules import Order
from stateless_billing.runtime import logs
from stateless_billing.runtime.clock import Clock
from stateless_billing.stripe.objects import Customer

_MOST = 60
_GRACE = 120  # seconds after finality in which the sweep has not come to it yet

log = logging.getLogger(__name__)

RELEASE, PRICE, REDIRECT, WAIT, INSPECT, VOUCH = "release", "price", "redirect", "wait", "inspect", "vouch"

ACTIONS: dict[str, str] = {
    "over_limit": RELEASE,
    "rate_unavailable": PRICE,
    "customer_deleted": REDIRECT,
    "customer_invalid": REDIRECT,
    "currency": REDIRECT,
    "test_clock": REDIRECT,
    "not_payable": RELEASE,
    "ledger_altered": INSPECT,
    "ledger_unproven": VOUCH,
    "stripe_refused": INSPECT,
}
"""What to do about each cause; about every other one: wait, it is tried again by itself."""


@dataclass(frozen=True, slots=True)
class UncreditedPayment:
    """One payment that waits, and what was ordered about it."""

    payment: Payment
    progress: PaymentStatus
    age: int
    orders: PaymentOrders

    @property
    def order(self) -> Order | None:
        """The order that stands for it, if any."""
        return self.orders.standing

    @property
    def action(self) -> str:
        """The one next action."""
        if self.progress.state != "held":
            return WAIT
        return ACTIONS.get(self.progress.cause or "", WAIT)


class UncreditedPayments:
    """Reads the service record, the chain's newest payments, and where each of them stands."""

    def __init__(
        self,
        gateways: Sequence[Gateway],
        confirmations: Confirmations,
        crediting: CreditProcessor,
        terms: CreditPricer,
        orders: Orders,
        books: ServiceRecords,
        memory: StatusCache,
        clock: Clock,
    ) -> None:
        self._gateways, self._confirmations, self._crediting = gateways, confirmations, crediting
        self._terms, self._orders = terms, orders
        self._books, self._memory, self._clock = books, memory, clock

    async def listed(self) -> tuple[list[UncreditedPayment], bool]:
        """The oldest first, and whether that is all of them. Raises ChainError, StripeFailure."""
        heads = await self._confirmations.heads()
        service = await self._books.check()
        found: list[UncreditedPayment] = []
        whole = True
        for gateway in self._gateways:
            payments, all_of_them = await self._candidates(gateway, service)
            whole = whole and all_of_them
            for payment in payments:
                age = int(self._clock.wall()) - payment.time
                if not is_final(payment, heads):
                    continue
                progress = await self._crediting.get_status(gateway, payment, heads, proving=True)
                if progress.state in ("credited", "reversed"):
                    continue
                orders = await self._orders.latest(payment)
                if progress.state == "held" or age > _GRACE or orders.standing:
                    found.append(UncreditedPayment(payment, progress, age, orders))
        return sorted(found, key=lambda one: (one.payment.time, one.payment.log_index)), whole

    async def _candidates(self, gateway: Gateway, service: Customer) -> tuple[list[Payment], bool]:
        total = await gateway.total_payments()
        swept = min(records.swept(service, gateway), total)
        still_open = sorted(index for index in records.open_payments(service, gateway) if index < swept)
        payments = [await gateway.payment_at(index) for index in still_open[:_MOST]]
        async for window in gateway.payments(swept, total):
            payments += [payment for index, payment in window if index >= swept]
            if len(payments) >= _MOST:
                break
        return payments[:_MOST], len(payments) < _MOST or total - swept + len(still_open) <= _MOST

    async def worth(self, payment: Payment, rate: int | None) -> int | None:
        """The cents of a payment at a rate, or at its own; None where it has none. Raises ChainError, StripeFailure."""
        return await self._terms.worth(payment, rate)

    async def order(
        self, gateway: Gateway, payment: Payment, heads: Heads, form: str, draft: OrderDraft
    ) -> tuple[Order, PaymentStatus]:
        """Give an order about a payment read after `heads`, and follow it at once. Safe to repeat with the same form.

        Raises ProblemError, ChainError, StripeFailure.
        """
        logs.note(work="order")
        progress = await self._crediting.get_status(gateway, payment, heads)
        if progress.state in ("credited", "reversed"):
            if given := await self._orders.given_by(form, payment):
                return given, progress
            raise ProblemError("already_done", f"This payment is {progress.state}. Nothing was ordered.")
        order = await self._orders.write(form, payment, draft)
        self._memory.retry(payment)
        return order, await self._crediting.advance(gateway, payment, heads)
