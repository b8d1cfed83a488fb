"""One crediting attempt: check every customer that may carry the credit and, if none does, write it once."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from chain.payment import Payment
from stateless_billing.bookkeeping.entry_writer import EntryDraft, write_entry
from stateless_billing.bookkeeping.orders import Orders, PaymentOrders
from stateless_billing.bookkeeping.proofs import Proofs
from stateless_billing.crediting.credit_case import CreditCase, read_cursor
from stateless_billing.crediting.credit_terms import CreditPricer, CreditTerms
from stateless_billing.crediting.payment_status import PaymentStatus, credited_status
from stateless_billing.crediting.status_cache import StatusCache
from stateless_billing.crediting.stripe_outcomes import (
    covered_status,
    credit_status,
    deleted_customer_status,
    find_objection,
    ineligible_customer_status,
    maybe_credited_status,
    reverses_older,
    unproven_ledger_status,
    unproven_limits_status,
)
from stateless_billing.domain import ledger
from stateless_billing.domain.epochs import EpochPosition, can_skip_check, epoch_position, seconds_until_writable
from stateless_billing.domain.ledger import DescriptionPattern, Entry
from stateless_billing.domain.order_rules import Order
from stateless_billing.stripe.client import StripeSession
from stateless_billing.stripe.errors import RequestRejected, StripeUnavailable
from stateless_billing.stripe.ledger_reader import ListingCache, entries_or_none, read_session
from stateless_billing.stripe.objects import Customer, Page
from stateless_billing.stripe.rate_limiter import Endpoint

MAX_UNSENT_SECONDS = 5  # retry_after of a read-only check that found no credit

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CreditTools:
    """Collaborators that all attempts share."""

    pricer: CreditPricer
    orders: Orders
    proofs: Proofs
    listings: ListingCache
    other_credits: DescriptionPattern


@dataclass
class _LedgerReadings:
    """Results of one check: ledgers, customers and unproven ledgers by customer ID, and a fully reversed credit."""

    ledgers: dict[str, Sequence[Entry]] = field(default_factory=dict)
    customers: dict[str, Customer] = field(default_factory=dict)
    unproven: dict[str, PaymentStatus] = field(default_factory=dict)
    reversed: PaymentStatus | None = None


class Attempt:
    """One attempt over one connection. `terms` are the payment's own; an order replaces them."""

    def __init__(
        self,
        tools: CreditTools,
        status_cache: StatusCache,
        session: StripeSession,
        case: CreditCase,
        terms: CreditTerms,
    ) -> None:
        self._tools = tools
        self._status_cache = status_cache
        self._session = session
        self._case = case
        self._terms = terms
        self._order: Order | None = None
        self._started_at: EpochPosition | None = None  # None if no check is needed
        self._readings = _LedgerReadings()
        self.written_to: str | None = None

    @property
    def _payment(self) -> Payment:
        return self._case.payment

    @property
    def _credited_customer_id(self) -> str:
        """The customer to credit: the order's target, or else the event's own."""
        return (self._order.target if self._order else None) or self._case.customer_id or ""

    async def run(self, now: int) -> PaymentStatus:
        """Check and, if nothing forbids it, write. `now` is this machine's clock. Raises: StripeFailure, ChainError."""
        if self._case.is_fresh(now):
            return await self._write_if_due(await self._read_credited_customer())
        page = await self._newest_page()
        if page and (credited := self._find_unreversed_credit(self._case.customer_id or "", page.entries)):
            return credited
        orders = await self._read_orders()
        if orders.effective and not self._case.final:
            return PaymentStatus("confirming", retry_after=30, detail="its order is applied at finality")
        if not self._credited_customer_id:
            blocked = await self._check_within_epoch(orders, None)
            return blocked or PaymentStatus("held", cause="customer_invalid", detail="the event names no customer")
        assert self._started_at is not None
        if self._started_at.epoch == 0 or not self._case.may_prove:
            blocked = await self._check_within_epoch(orders, page)
        elif self._started_at.in_quiet_zone:
            wait = seconds_until_writable(self._session.now(), self._payment.time)
            return PaymentStatus("pending", retry_after=wait, detail="waiting for the quiet zone to end")
        else:
            blocked = await self._check_by_proof(orders)
        if self._readings.reversed and (blocked is None or blocked.state != "credited"):
            return self._readings.reversed  # nothing will be written, so no absence has to be proven
        return (
            blocked
            or unproven_limits_status(orders.limits_flaw)
            or self._find_objection(self._readings.ledgers)
            or await self._write_if_due(self._readings.customers.get(self._credited_customer_id))
        )

    async def _newest_page(self) -> Page | None:
        """The newest page of the event's customer, which usually shows the credit; None if it has no ledger."""
        if self._case.customer_id is None:
            for customer_id in (await self._tools.orders.find(self._payment)).named_customers[:1]:
                # Any response sets the session's clock, which the epoch is counted by.
                self._readings.customers[customer_id] = await self._session.get_customer(customer_id)
            return None
        return await self._tools.listings.newest_or_none(self._session, self._case.customer_id, self._case.since)

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
        """All customers that may carry the credit, the event's own first."""
        return list(dict.fromkeys(filter(None, [self._case.customer_id, *orders.named_customers])))

    async def _check_within_epoch(self, orders: PaymentOrders, page: Page | None) -> PaymentStatus | None:
        """Check in the first epoch. Its idempotency key excludes a second credit, so complete listings suffice."""
        own, covered = self._case.customer_id, None
        if self._credited_customer_id == own:
            customer = await self._read_credited_customer()
            if deleted := deleted_customer_status(customer, listing_missing=page is None):
                return deleted
            covered = await self._covered_by(customer)
            if covered and not (page and reverses_older(page.entries)):
                return covered
            self._readings.customers[own] = customer
        for customer_id in self._possible_customers(orders):
            entries: Sequence[Entry] | None
            if customer_id == own and page:
                entries = await self._tools.listings.list_entries(self._session, customer_id, self._case.since, page)
            else:
                entries = await entries_or_none(self._session, customer_id, self._case.since)
            if entries is None:
                in_later_epoch = self._started_at is not None and self._started_at.epoch > 0
                if in_later_epoch and not covered and customer_id not in orders.absent_customers:
                    return maybe_credited_status(customer_id)
                entries = []
            self._readings.ledgers[customer_id] = entries
            if credited := self._find_unreversed_credit(customer_id, entries):
                return credited
        return None if self._readings.reversed else covered

    async def _check_by_proof(self, orders: PaymentOrders) -> PaymentStatus | None:
        """Check in a later epoch. Stripe may have dropped the earlier key, so prove the absence in every ledger."""
        blocked = self._judge_orders_ledger(orders)
        for customer_id in self._possible_customers(orders):
            customer, entries = await self._read_with_proof(customer_id, orders)
            if isinstance(entries, PaymentStatus):
                blocked = blocked or entries
                continue
            if credited := self._find_unreversed_credit(customer_id, entries):
                return credited
            if customer and customer_id == self._case.customer_id and (covered := await self._covered_by(customer)):
                return covered
            blocked = blocked or self._readings.unproven.get(customer_id)
        return blocked

    def _judge_orders_ledger(self, orders: PaymentOrders) -> PaymentStatus | None:
        assert self._started_at is not None
        if not (flaw := orders.flaw or orders.limits_flaw):
            return None
        failure = self._tools.proofs.record_failure(self._payment.identity, "", self._started_at.epoch, flaw)
        return unproven_ledger_status(failure, "orders")

    async def _read_with_proof(
        self, customer_id: str, orders: PaymentOrders
    ) -> tuple[Customer | None, Sequence[Entry] | PaymentStatus]:
        """Read a customer's ledger back to its anchor; instead of entries, a status if it cannot be read."""
        assert self._started_at is not None
        try:
            customer, reading = await read_session(self._session, customer_id, self._case.since)
        except RequestRejected as error:
            if error.code not in ("resource_missing", "customer_invalid"):
                raise
            customer, reading = None, None
        if reading is None or customer is None:
            return None, self._judge_absent(customer_id, customer, orders)
        self._readings.customers[customer_id] = customer
        self._readings.ledgers[customer_id] = reading.entries
        epoch, sought, proofs = self._started_at.epoch, self._payment.identity, self._tools.proofs
        if not self._shows_absence(customer_id, reading.entries):
            proofs.discard(sought, customer_id, epoch)  # two readings must show the absence
        elif not orders.vouches_for(customer_id, epoch, self._payment.time):
            proof = proofs.judge(sought, customer_id, epoch, reading, unused=customer.currency is None)
            if not proof.proven:
                self._readings.unproven[customer_id] = unproven_ledger_status(proof, customer_id)
        return customer, reading.entries

    def _judge_absent(
        self, customer_id: str, customer: Customer | None, orders: PaymentOrders
    ) -> Sequence[Entry] | PaymentStatus:
        """Judge a customer whose ledger cannot be read: its deleted entries may have included the credit."""
        if customer_id in orders.absent_customers and customer_id != self._credited_customer_id:
            return []
        if customer is None and customer_id == self._case.customer_id and not orders.effective:
            return PaymentStatus("held", cause="customer_invalid", detail=f"Stripe has no customer {customer_id}")
        return maybe_credited_status(customer_id)

    async def _covered_by(self, customer: Customer) -> PaymentStatus | None:
        """The status by the customer's cursor, which proves that there was a credit, not that it still stands."""
        cursor = read_cursor(self._status_cache, self._case.gateway, customer)
        if self._readings.reversed or not await self._case.is_covered_by(cursor):
            return None
        return covered_status(self._payment, self._terms)

    def _find_unreversed_credit(self, customer_id: str, entries: Sequence[Entry]) -> PaymentStatus | None:
        """Find a credit not reversed in full. Note a reversed one: another customer may carry an unreversed credit."""
        redirected = customer_id != self._case.customer_id
        status = credit_status(self._payment, entries, self._tools.other_credits, redirected=redirected)
        if status and redirected:
            status = replace(status, credited_customer=customer_id, verified_on_target=True)
        if status and status.state == "reversed":
            self._readings.reversed = self._readings.reversed or status
            return None
        return status

    def _find_objection(self, ledgers: Mapping[str, Sequence[Entry]]) -> PaymentStatus | None:
        other_credits = self._tools.other_credits
        return find_objection(self._case, self._terms, self._order, ledgers, other_credits=other_credits)

    def _shows_absence(self, customer_id: str, entries: Sequence[Entry]) -> bool:
        redirected = customer_id != self._case.customer_id
        credit = credit_status(self._payment, entries, self._tools.other_credits, redirected=redirected)
        return self._terms.price is not None and not (credit or self._find_objection({customer_id: entries}))

    async def _read_credited_customer(self) -> Customer:
        """Read the customer to credit right before the write, reserving rate limit for both requests together."""
        write = [Endpoint.CREATE_ENTRY] if self._case.may_write else []
        await self._session.reserve_together(Endpoint.READ_CUSTOMER, *write)
        customer = await self._session.get_customer(self._credited_customer_id)
        if customer.id == self._case.customer_id:
            read_cursor(self._status_cache, self._case.gateway, customer)
        return customer

    async def _write_if_due(self, customer: Customer | None) -> PaymentStatus:
        """Write the credit, unless the customer is ineligible, the amount is zero or this attempt is read-only."""
        customer = customer or await self._read_credited_customer()
        if deleted := deleted_customer_status(customer, listing_missing=False):
            return deleted
        bookkeeping = any(map(self._tools.orders.is_bookkeeping, (customer.id, self._case.customer_id or "")))
        if ineligible := ineligible_customer_status(customer, self._terms, self._order, bookkeeping=bookkeeping):
            return ineligible
        assert self._terms.price is not None
        if self._terms.price.cents == 0:
            return credited_status(0, None)
        if not self._case.may_write:
            return PaymentStatus("pending", retry_after=MAX_UNSENT_SECONDS)
        assert self._case.may_prove, "credits are written only after a check that may prove absence"
        return await self._write(customer.id)

    async def _write(self, customer_id: str) -> PaymentStatus:
        payment, price = self._payment, self._terms.price
        assert price is not None
        if self._started_at is not None and customer_id not in self._readings.ledgers:
            raise StripeUnavailable(f"the ledger of {customer_id} was not checked")
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
        status = credited_status(entry.cents, entry)
        return status if customer_id == self._case.customer_id else replace(status, credited_customer=customer_id)
