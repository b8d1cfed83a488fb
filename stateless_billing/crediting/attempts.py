"""One attempt at one payment: a look at every customer that may carry its credit and, where none does, one write."""

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from chain.gateway import Gateway
from chain.payment import Payment
from stateless_billing.bookkeeping.entry_writer import EntryDraft, write_entry
from stateless_billing.bookkeeping.orders import Orders, PaymentOrders
from stateless_billing.bookkeeping.proofs import Proofs
from stateless_billing.crediting.credit_case import CreditCase
from stateless_billing.crediting.credit_terms import CreditPricer, CreditTerms
from stateless_billing.crediting.payment_status import PaymentStatus, credited_status
from stateless_billing.crediting.status_cache import StatusCache
from stateless_billing.crediting.stripe_outcomes import (
    credit_status,
    deleted_customer_status,
    find_objection,
    ineligible_customer_status,
    maybe_credited_status,
    unproven_ledger_status,
)
from stateless_billing.domain import ledger
from stateless_billing.domain.epochs import EpochPosition, can_skip_check, epoch_position, seconds_until_writable
from stateless_billing.domain.ledger import Entry
from stateless_billing.domain.order_rules import Order
from stateless_billing.stripe.client import StripeSession
from stateless_billing.stripe.errors import RequestRejected, StripeUnavailable
from stateless_billing.stripe.ledger_reader import entries_or_none, read_newest, read_session
from stateless_billing.stripe.objects import Customer, Page
from stateless_billing.stripe.rate_limiter import Endpoint

MAX_UNSENT_SECONDS = 5  # a look found nothing, and looking does not write

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CreditTools:
    """What attempts work with."""

    pricer: CreditPricer
    orders: Orders
    proofs: Proofs
    other_credits: re.Pattern[str]


@dataclass
class _LedgerReadings:
    """What a look has shown so far: ledgers and customers by id, and a credit that was reversed in full."""

    ledgers: dict[str, Sequence[Entry]] = field(default_factory=dict)
    customers: dict[str, Customer] = field(default_factory=dict)
    unproven: dict[str, PaymentStatus] = field(default_factory=dict)
    reversed: PaymentStatus | None = None


def read_cursor(memory: StatusCache, gateway: Gateway, customer: Customer) -> ledger.Cursor | None:
    """The cursor a customer carries for a gateway, remembered."""
    cursor = ledger.parse_cursor(customer.value(ledger.cursor_key(gateway.chain_id, gateway.address)))
    memory.cursors[customer.id, gateway.address] = cursor
    return cursor


class Attempt:
    """One try over one connection. `terms` are the payment's own; an order brings others."""

    def __init__(
        self, tools: CreditTools, memory: StatusCache, session: StripeSession, case: CreditCase, terms: CreditTerms
    ) -> None:
        self._tools, self._status_cache, self._session = tools, memory, session
        self._case, self._terms = case, terms
        self._order: Order | None = None
        self._started_at: EpochPosition | None = None  # None where no look is needed
        self._readings = _LedgerReadings()
        self.written_to: str | None = None

    @property
    def _payment(self) -> Payment:
        return self._case.payment

    @property
    def _credited_customer_id(self) -> str:
        """Who is to be credited: the customer that an order names, or the event's own."""
        return (self._order.target if self._order else None) or self._case.customer_id or ""

    async def run(self, now: int) -> PaymentStatus:
        """Look and, where nothing stands against it, write. `now` is the machine's clock. Raises StripeFailure."""
        if self._case.is_fresh(now):
            return await self._write_if_due(await self._paying_customer())
        page = await self._newest_page()
        if page and (found := self._find_living_credit(self._case.customer_id or "", page.entries)):
            return found
        orders = await self._read_orders()
        if orders.effective and not self._case.final:
            return PaymentStatus(
                "confirming", retry_after=30, detail="an order stands, and orders are followed at finality"
            )
        if not self._credited_customer_id:
            found = await self._check_within_epoch(orders, None)
            return found or PaymentStatus("held", cause="customer_invalid", detail="the event names no Stripe customer")
        assert self._started_at is not None
        if self._started_at.epoch == 0 or not self._case.may_prove:
            seen = await self._check_within_epoch(orders, page)
        elif self._started_at.in_quiet_zone:
            wait = seconds_until_writable(self._session.now(), self._payment.time)
            return PaymentStatus("pending", retry_after=wait, detail="waiting for the border between two keys to pass")
        else:
            seen = await self._check_by_proof(orders)
        if self._readings.reversed and (seen is None or seen.state != "credited"):
            return self._readings.reversed  # nothing is to be sent, so nothing has to be proven
        return (
            seen
            or self._find_objection()
            or await self._write_if_due(self._readings.customers.get(self._credited_customer_id))
        )

    async def _newest_page(self) -> Page | None:
        """The newest page of the event's customer, which most often shows the credit; None where it has no ledger."""
        if self._case.customer_id is None:
            for place in (await self._tools.orders.find(self._payment)).named_customers[:1]:
                self._readings.customers[place] = await self._session.get_customer(place)  # so that there is a clock
            return None
        return await read_newest(self._session, self._case.customer_id, self._case.since)

    async def _read_orders(self) -> PaymentOrders:
        payment = self._payment
        if self._case.customer_id is None and not self._readings.customers:
            return await self._tools.orders.find(payment)
        self._started_at = epoch_position(self._session.now(), payment.time)
        orders = await self._tools.orders.find_within_epoch(payment, self._session.now)
        self._order = orders.effective
        if self._order:
            self._terms = await self._tools.pricer.price_payment(payment, self._order)
        return orders

    def _possible_customers(self, orders: PaymentOrders) -> list[str]:
        """Every customer that may carry the credit, the event's own first."""
        own = [self._case.customer_id] if self._case.customer_id else []
        return list(dict.fromkeys([*own, *orders.named_customers]))

    async def _check_within_epoch(self, orders: PaymentOrders, page: Page | None) -> PaymentStatus | None:
        """The first epoch: one key for the payment keeps everybody apart, so ended listings are enough to send."""
        own = self._case.customer_id
        if self._credited_customer_id == own:
            customer = await self._paying_customer()
            if held := deleted_customer_status(customer, listing_missing=page is None):
                return held
            if await self._is_covered(customer):
                return credited_status(self._payment.cents or None, None)
            self._readings.customers[own] = customer
        for place in self._possible_customers(orders):
            entries: Sequence[Entry] | None
            if place == own and page:
                entries = await self._session.list_entries(place, self._case.since, page)
            else:
                entries = await entries_or_none(self._session, place, self._case.since)
            if entries is None:
                later = self._started_at is not None and self._started_at.epoch > 0
                if later and place not in orders.absent_customers:
                    return maybe_credited_status(place)
                entries = []
            self._readings.ledgers[place] = entries
            if found := self._find_living_credit(place, entries):
                return found
        return None

    async def _check_by_proof(self, orders: PaymentOrders) -> PaymentStatus | None:
        """Later epochs: the earlier key may be forgotten, so that nothing is there must be proven of every ledger."""
        blocked = self._judge_orders_ledger(orders)
        for place in self._possible_customers(orders):
            customer, entries = await self._read_with_proof(place, orders)
            if isinstance(entries, PaymentStatus):
                blocked = blocked or entries
                continue
            if found := self._find_living_credit(place, entries):
                return found
            if customer and place == self._case.customer_id and await self._is_covered(customer):
                return credited_status(self._payment.cents or None, None)
            blocked = blocked or self._readings.unproven.get(place)
        return blocked

    def _judge_orders_ledger(self, orders: PaymentOrders) -> PaymentStatus | None:
        assert self._started_at is not None
        if not orders.flaw:
            return None
        return unproven_ledger_status(
            self._tools.proofs.record_failure(self._payment.identity, "", self._started_at.epoch, orders.flaw), "orders"
        )

    async def _read_with_proof(
        self, place: str, orders: PaymentOrders
    ) -> tuple[Customer | None, Sequence[Entry] | PaymentStatus]:
        """One customer's ledger back to its anchor; why nothing may be sent where it cannot be read at all."""
        assert self._started_at is not None
        try:
            customer, reading = await read_session(self._session, place, self._case.since)
        except RequestRejected as error:
            if error.code not in ("resource_missing", "customer_invalid"):
                raise
            customer, reading = None, None
        if reading is None or customer is None:
            return None, self._judge_absent(place, customer, orders)
        self._readings.customers[place] = customer
        self._readings.ledgers[place] = reading.entries
        epoch, origin = self._started_at.epoch, self._payment.time
        if not orders.vouches_for(place, epoch, origin):
            unused = customer.currency is None
            proof = self._tools.proofs.judge(self._payment.identity, place, epoch, reading, unused=unused)
            if not proof.proven:
                self._readings.unproven[place] = unproven_ledger_status(proof, place)
        return customer, reading.entries

    def _judge_absent(
        self, place: str, customer: Customer | None, orders: PaymentOrders
    ) -> Sequence[Entry] | PaymentStatus:
        """A customer whose ledger is gone with it: a credit may have been among its entries."""
        if place in orders.absent_customers and place != self._credited_customer_id:
            return []
        if customer is None and place == self._case.customer_id and not orders.effective:
            return PaymentStatus("held", cause="customer_invalid", detail=f"Stripe has no customer {place}")
        return maybe_credited_status(place)

    async def _is_covered(self, customer: Customer) -> bool:
        return await self._case.is_covered_by(read_cursor(self._status_cache, self._case.gateway, customer))

    def _find_living_credit(self, place: str, entries: Sequence[Entry]) -> PaymentStatus | None:
        """A living credit on one customer. One that was reversed is kept: another customer may carry a living one."""
        redirected = place != self._case.customer_id
        found = credit_status(self._payment, entries, self._tools.other_credits, redirected=redirected)
        if found and redirected:
            found = replace(found, credited_customer=place, verified_on_target=True)
        if found and found.state == "reversed":
            self._readings.reversed = self._readings.reversed or found
            return None
        return found

    def _find_objection(self) -> PaymentStatus | None:
        return find_objection(
            self._case, self._terms, self._order, self._readings.ledgers, other_credits=self._tools.other_credits
        )

    async def _paying_customer(self) -> Customer:
        """The customer to be credited, read right before the write: both requests are granted together."""
        write_too = [Endpoint.CREATE_ENTRY] if self._case.may_write else []
        await self._session.reserve_together(Endpoint.READ_CUSTOMER, *write_too)
        customer = await self._session.get_customer(self._credited_customer_id)
        if customer.id == self._case.customer_id:
            read_cursor(self._status_cache, self._case.gateway, customer)
        return customer

    async def _write_if_due(self, customer: Customer | None) -> PaymentStatus:
        """Nothing was found: the write, where there is anything to write and it is for us to do."""
        customer = customer or await self._paying_customer()
        if held := deleted_customer_status(customer, listing_missing=False):
            return held
        if held := ineligible_customer_status(
            customer, self._terms, self._order, bookkeeping=self._is_bookkeeping(customer.id)
        ):
            return held
        assert self._terms.price is not None
        if self._terms.price.cents == 0:
            return credited_status(0, None)
        if not self._case.may_write:
            return PaymentStatus("pending", retry_after=MAX_UNSENT_SECONDS)
        assert self._case.may_prove, "what is to be sent was proven"
        return await self._write(customer.id)

    def _is_bookkeeping(self, customer_id: str) -> bool:
        orders = self._tools.orders
        return orders.is_bookkeeping(customer_id) or orders.is_bookkeeping(self._case.customer_id or "")

    async def _write(self, customer_id: str) -> PaymentStatus:
        payment, price = self._payment, self._terms.price
        assert price is not None
        if self._started_at is not None and customer_id not in self._readings.ledgers:
            raise StripeUnavailable(f"{customer_id} was not looked at")
        draft = EntryDraft(
            customer_id=customer_id,
            cents=price.cents,
            description=ledger.credit_description(payment),
            metadata=ledger.credit_metadata(payment, price),
            origin=payment.time,
            idempotency_key=lambda epoch: ledger.credit_key(payment, epoch),
            still_valid=lambda now: self._started_at is not None or can_skip_check(now, payment.time),
        )
        entry = await write_entry(self._session, draft, self._started_at)
        self.written_to = customer_id
        sent = credited_status(entry.cents, entry)
        return sent if customer_id == self._case.customer_id else replace(sent, credited_customer=customer_id)
