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

_MAX_PAYMENTS = 60
_SWEEP_GRACE_SECONDS = 120  # seconds after finality in which the sweep has not come to it yet

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
    status: PaymentStatus
    age: int
    orders: PaymentOrders

    @property
    def order(self) -> Order | None:
        """The order that stands for it, if any."""
        return self.orders.effective

    @property
    def action(self) -> str:
        """The one next action."""
        if self.status.state != "held":
            return WAIT
        return ACTIONS.get(self.status.cause or "", WAIT)


class UncreditedPayments:
    """Reads the service record, the chain's newest payments, and where each of them stands."""

    def __init__(
        self,
        *,
        gateways: Sequence[Gateway],
        confirmations: Confirmations,
        crediting: CreditProcessor,
        pricer: CreditPricer,
        orders: Orders,
        records: ServiceRecords,
        status_cache: StatusCache,
        clock: Clock,
    ) -> None:
        self._gateways = gateways
        self._confirmations = confirmations
        self._crediting = crediting
        self._pricer = pricer
        self._orders = orders
        self._records = records
        self._status_cache = status_cache
        self._clock = clock

    async def list_all(self) -> tuple[list[UncreditedPayment], bool]:
        """The oldest first, and whether that is all of them. Raises ChainError, StripeFailure."""
        heads = await self._confirmations.heads()
        service = await self._records.load()
        found: list[UncreditedPayment] = []
        whole = True
        for gateway in self._gateways:
            payments, all_of_them = await self._candidates(gateway, service)
            whole = whole and all_of_them
            for payment in payments:
                age = int(self._clock.wall()) - payment.time
                if not is_final(payment, heads):
                    continue
                progress = await self._crediting.get_status(gateway, payment, heads, may_prove=True)
                if progress.state in ("credited", "reversed"):
                    continue
                orders = await self._orders.find(payment)
                if progress.state == "held" or age > _SWEEP_GRACE_SECONDS or orders.effective:
                    found.append(UncreditedPayment(payment, progress, age, orders))
        return sorted(found, key=lambda one: (one.payment.time, one.payment.log_index)), whole

    async def _candidates(self, gateway: Gateway, service: Customer) -> tuple[list[Payment], bool]:
        total = await gateway.total_payments()
        swept = min(records.parse_swept(service, gateway), total)
        still_open = sorted(index for index in records.parse_open_payments(service, gateway) if index < swept)
        payments = [await gateway.payment_at(index) for index in still_open[:_MAX_PAYMENTS]]
        async for window in gateway.payments(swept, total):
            payments += [payment for index, payment in window if index >= swept]
            if len(payments) >= _MAX_PAYMENTS:
                break
        return payments[:_MAX_PAYMENTS], len(payments) < _MAX_PAYMENTS or total - swept + len(
            still_open
        ) <= _MAX_PAYMENTS

    async def value_cents(self, payment: Payment, rate: int | None) -> int | None:
        """The cents of a payment at a rate, or at its own; None where it has none. Raises ChainError, StripeFailure."""
        return await self._pricer.value_cents(payment, rate)

    async def write_order(
        self, gateway: Gateway, payment: Payment, heads: Heads, form_id: str, draft: OrderDraft
    ) -> tuple[Order, PaymentStatus]:
        """Give an order about a payment read after `heads`, and follow it at once. Safe to repeat with the same form.

        Raises ProblemError, ChainError, StripeFailure.
        """
        logs.add_to_context(work="order")
        progress = await self._crediting.get_status(gateway, payment, heads)
        if progress.state in ("credited", "reversed"):
            if given := await self._orders.find_by_form(form_id, payment):
                return given, progress
            raise ProblemError("already_done", f"This payment is {progress.state}. Nothing was ordered.")
        order = await self._orders.write(form_id, payment, draft)
        self._status_cache.make_due(payment)
        return order, await self._crediting.process(gateway, payment, heads)
