"""Lists payments without a credit, with their cause, age and next action, and writes orders for them."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from chain.errors import ChainError
from chain.gateway import Gateway
from chain.payment import Payment
from stateless_billing.bookkeeping import records
from stateless_billing.bookkeeping.orders import OrderDraft, Orders, PaymentOrders
from stateless_billing.bookkeeping.records import ServiceRecords
from stateless_billing.crediting.confirmations import Confirmations
from stateless_billing.crediting.credit_terms import CreditPricer
from stateless_billing.crediting.payment_status import PaymentStatus, confirming_status
from stateless_billing.crediting.processor import CreditProcessor
from stateless_billing.crediting.status_cache import StatusCache
from stateless_billing.domain.errors import ProblemError
from stateless_billing.domain.finality import Heads, is_final
from stateless_billing.domain.order_rules import Order
from stateless_billing.runtime import logs
from stateless_billing.runtime.clock import Clock
from stateless_billing.stripe.objects import Customer
from stateless_billing.support.deletions import CustomerDeletions

_MAX_PAYMENTS = 60
_MAX_PAYMENTS_OF_CUSTOMER = 20  # of those that one key leaves open: they must not crowd out other customers'
_SWEEP_GRACE_SECONDS = 120  # a payment this young may just be waiting for the next sweep

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
"""The action for each cause. Every other cause is retried automatically: wait."""


@dataclass(frozen=True, slots=True)
class UncreditedPayment:
    """A payment without a credit, and its orders.

    `history` is what this process, the service record and Stripe's events know about a credit in a deleted ledger.
    An order about a payment that is not `final` is followed once it is.
    """

    payment: Payment
    status: PaymentStatus
    age: int
    orders: PaymentOrders
    final: bool
    history: Sequence[str] = ()

    @property
    def order(self) -> Order | None:
        """The order in effect, if any."""
        return self.orders.effective

    @property
    def action(self) -> str:
        """The next action for an operator."""
        if self.status.state != "held":
            return WAIT
        return ACTIONS.get(self.status.cause or "", WAIT)


class UncreditedPayments:
    """Finds uncredited payments from the service record, the chain and Stripe."""

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
        deletions: CustomerDeletions,
        clock: Clock,
    ) -> None:
        self._gateways = gateways
        self._confirmations = confirmations
        self._crediting = crediting
        self._pricer = pricer
        self._orders = orders
        self._records = records
        self._status_cache = status_cache
        self._deletions = deletions
        self._clock = clock

    async def list_all(self) -> tuple[list[UncreditedPayment], bool]:
        """List uncredited payments, oldest first, and whether the list is complete.

        Raises: ChainError, StripeFailure.
        """
        heads = await self._confirmations.heads()
        service = await self._records.load()
        uncredited: list[UncreditedPayment] = []
        complete = True
        for gateway in self._gateways:
            payments, gateway_complete = await self._candidates(gateway, service)
            complete = complete and gateway_complete
            for payment in payments:
                age, final = int(self._clock.wall()) - payment.time, is_final(payment, heads)
                if not final and age <= _SWEEP_GRACE_SECONDS and not self._status_cache.was_attempted(payment):
                    continue
                try:
                    status = await self._status_of(gateway, payment, heads)
                except ChainError as error:
                    log.warning("payment %s is left out of the list: %s", payment.identity, error)
                    complete = False
                    continue
                if status is None or status.state in ("credited", "reversed"):
                    continue
                orders = await self._orders.find(payment)
                if status.state == "held" or age > _SWEEP_GRACE_SECONDS or orders.effective:
                    history = await self._describe_history(gateway, service, payment, status)
                    uncredited.append(UncreditedPayment(payment, status, age, orders, final, history))
        uncredited.sort(key=lambda entry: (entry.payment.time, entry.payment.log_index))
        return uncredited, complete

    async def _describe_history(
        self, gateway: Gateway, service: Customer, payment: Payment, status: PaymentStatus
    ) -> list[str]:
        """Say what is known about a credit that a deleted ledger may have held."""
        if status.cause != "customer_deleted" or payment.customer_id is None:
            return []
        opened = records.parse_open_payments(service, gateway).customers.get(payment.customer_id)
        if opened and opened.sequence <= payment.sequence:
            recorded = (
                f"The service record lists it as open ({opened.cause.replace('_', ' ')}): no process had seen it"
                " credited when that was written."
            )
        else:
            recorded = "The service record does not list it as open."
        cursor = self._status_cache.cursors_before_deletion.get((payment.customer_id, gateway.address))
        if cursor is None:
            remembered = "This process does not remember that customer's cursor: it knows nothing of a credit."
        elif cursor.next > payment.sequence:
            remembered = "This process remembers that customer's cursor behind this payment: it was credited then."
        else:
            remembered = (
                "This process remembers that customer's cursor before this payment: it was not yet seen as credited."
            )
        return [recorded, remembered, await self._deletions.describe(payment)]

    async def _status_of(self, gateway: Gateway, payment: Payment, heads: Heads) -> PaymentStatus | None:
        """The status of a payment; None, at no Stripe request, for one that is not final and was not attempted."""
        if is_final(payment, heads) or self._status_cache.was_attempted(payment):
            return await self._crediting.get_status(gateway, payment, heads, may_prove=True)
        depth = await self._confirmations.depth_of(payment, heads)
        return None if depth.reached or depth.cause is None else confirming_status(depth)

    async def _candidates(self, gateway: Gateway, service: Customer) -> tuple[list[Payment], bool]:
        total = await gateway.total_payments()
        swept = min(records.parse_swept(service, gateway), total)
        opened = records.parse_open_payments(service, gateway)
        indexes = sorted(index for index in opened.causes if index < swept)
        payments: list[Payment] = []
        complete = len(indexes) <= _MAX_PAYMENTS
        for index in indexes[:_MAX_PAYMENTS]:
            try:
                payments.append(await gateway.payment_at(index))
            except ChainError as error:
                log.warning("payment %d is left out of the list: %s", index, error)
                complete = False
        for customer_id, entry in opened.customers.items():
            try:
                count = await gateway.payment_count(customer_id)
                stop = min(count, entry.sequence + _MAX_PAYMENTS_OF_CUSTOMER)
                payments += await gateway.payments_of(customer_id, min(entry.sequence, stop), stop)
                complete = complete and stop == count
            except ChainError as error:
                log.warning("payments of %s are left out of the list: %s", customer_id, error)
                complete = False
        known = {payment.identity for payment in payments}
        async for window in gateway.payments(swept, total):
            complete = complete and not window.unreadable
            payments += [
                payment
                for index, payment in window.payments
                if index >= swept and payment.identity not in known and not self._status_cache.credited_status(payment)
            ]
            if len(payments) > _MAX_PAYMENTS:
                break
        complete = complete and len(payments) <= _MAX_PAYMENTS
        return payments[:_MAX_PAYMENTS], complete

    async def value_cents(self, payment: Payment, rate: int | None) -> int | None:
        """Value a payment at `rate`, or else at its own price; None if it has none.

        Raises: ChainError, StripeFailure.
        """
        return await self._pricer.value_cents(payment, rate)

    async def write_order(
        self, gateway: Gateway, payment: Payment, heads: Heads, form_id: str, draft: OrderDraft
    ) -> tuple[Order, PaymentStatus]:
        """Write an order for a payment read after `heads`, and apply it. Idempotent per `form_id`.

        Raises: ProblemError, ChainError, StripeFailure.
        """
        logs.add_to_context(work="order")
        status = await self._crediting.get_status(gateway, payment, heads)
        if status.state in ("credited", "reversed"):
            if written := await self._orders.find_by_form(form_id, payment):
                return written, status
            raise ProblemError("already_done", f"This payment is {status.state}. Nothing was ordered.")
        order = await self._orders.write(form_id, payment, draft)
        self._status_cache.make_due(payment)
        return order, await self._crediting.process(gateway, payment, heads)
