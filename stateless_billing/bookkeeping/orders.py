"""Reads and writes admins' orders, entries of one cent on the service record.

`domain/order_rules.py` interprets them.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from chain.payment import Payment
from stateless_billing.bookkeeping.entry_writer import EntryDraft, find_or_write
from stateless_billing.bookkeeping.order_subjects import OrderSubject
from stateless_billing.bookkeeping.records import ServiceRecords
from stateless_billing.domain import order_rules
from stateless_billing.domain.epochs import LISTING_LEAD_SECONDS, EpochPosition, epoch_position
from stateless_billing.domain.errors import ProblemError
from stateless_billing.domain.form_ids import FORM_SECONDS, minted_at
from stateless_billing.domain.ledger import Entry
from stateless_billing.domain.money import format_decimal
from stateless_billing.domain.order_rules import DAY, Order, OrderCaps
from stateless_billing.runtime.clock import Clock
from stateless_billing.stripe.client import StripeApi
from stateless_billing.stripe.errors import NotSent, RequestRejected, StripeUnavailable
from stateless_billing.stripe.objects import Customer

MAX_ENTRIES = 100_000
READING_TTL_SECONDS = 60  # one reading serves all payments for this long
_ROUNDING_SECONDS = 2  # Date is in whole seconds, so one connection's time may be so far behind another's

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RecordReading:
    """The service record, read at `started_at`, then its entries, newest first.

    `started_at` is by Stripe's clock. The entries reach back to `since` at least.
    """

    started_at: int
    record: Customer
    entries: Sequence[Entry]
    since: int
    orders: Sequence[Order]


@dataclass(frozen=True, slots=True)
class PaymentOrders:
    """The orders about a payment, by one reading.

    `effective` is the order to follow, `named_customers` are all that any order ever named, `absent_customers` the
    deleted ones stated not to be credited. `flaw` is why the reading may omit an order, `limits_flaw` why it may omit
    one that brings `effective` above its admin's limits.
    """

    payment: str
    started_at: int
    effective: Order | None
    named_customers: tuple[str, ...]
    absent_customers: frozenset[str]
    flaw: str
    limits_flaw: str = ""
    orders: Sequence[Order] = ()

    @property
    def resolved_customer(self) -> str | None:
        """The customer to register for a wallet, if an order names one and the reading omits none."""
        return self.effective.target if self.effective and not self.flaw else None

    def vouches_for(self, customer: str, epoch: int, origin: int) -> bool:
        """Whether an admin vouched for a customer's ledger in an epoch of the payment."""
        times = order_rules.vouch_times(self.payment, customer, self.orders)
        return any(epoch_position(time, origin).epoch == epoch for time in times)


class Orders:
    """Admins' orders. One reading of the record serves all payments for a minute.

    `stripe` must be a separate connection pool: a reading may be needed while the caller holds a connection.
    """

    def __init__(self, *, stripe: StripeApi, records: ServiceRecords, clock: Clock, caps: OrderCaps) -> None:
        self._stripe = stripe
        self._records = records
        self._clock = clock
        self.caps = caps
        self._cached: tuple[float, RecordReading] | None = None
        self._invalidated_at = 0.0
        self._reading = asyncio.Lock()

    def is_bookkeeping(self, customer_id: str) -> bool:
        """Whether a customer is one of the two bookkeeping records, which are never credited."""
        return customer_id in (self._records.service_id, self._records.grants_id)

    async def find_within_epoch(self, payment: Payment, now: Callable[[], int]) -> PaymentOrders:
        """Find the orders of a payment by a reading that is valid for a credit at `now()`.

        `now` is Stripe's clock. The reading must be of the last minute, started in the payment's current epoch and not
        in the quiet zone at the epoch's start.

        Raises: StripeFailure; NotSent if a new reading is not valid either.
        """
        reading = await self._read(payment.time - LISTING_LEAD_SECONDS - DAY, payment.time, now)
        if not may_still_be_used(reading, payment.time, now()):
            self.invalidate()
            raise NotSent("the orders were not read in this epoch of the payment")
        return orders_of_payment(payment, reading)

    async def find(self, payment: OrderSubject) -> PaymentOrders:
        """Find the orders of a payment or wallet by a reading of the last minute.

        Raises: StripeFailure.
        """
        return orders_of_payment(payment, await self._read(payment.time - LISTING_LEAD_SECONDS - DAY))

    def invalidate(self) -> None:
        """Drop the cached reading and any that has begun: somebody may have written since."""
        self._invalidated_at = self._clock.boot()

    async def find_by_form(self, form_id: str, payment: OrderSubject) -> Order | None:
        """Find the order that a form wrote, by a new reading: another process may have written it.

        Raises: StripeFailure.
        """
        self.invalidate()
        reading = await self._read(payment.time - LISTING_LEAD_SECONDS - DAY)
        written = (entry for entry in reading.entries if entry.description.startswith(f"Order {form_id} by "))
        return next(filter(None, map(order_rules.parse, written)), None)

    async def read_version(self) -> int:
        """Read the record's balance, which rises with every order.

        Raises: StripeFailure.
        """
        async with self._stripe.session() as session:
            try:
                return (await session.get_customer(self._records.service_id, balance=True)).usd_cents or 0
            except RequestRejected as error:
                raise StripeUnavailable(f"the service record could not be read: {error}") from error

    async def list_since(self, since: int) -> Sequence[Order]:
        """List orders back to `since` at least, in the order of writing, by a reading of the last minute.

        Raises: StripeFailure.
        """
        return (await self._read(since)).orders

    async def _read(self, since: int, origin: int = 0, now: Callable[[], int] | None = None) -> RecordReading:
        async with self._reading:
            cached = self._recent_reading()
            if cached is not None:
                if cached.since <= since and (now is None or may_still_be_used(cached, origin, now())):
                    return cached
                since = min(since, cached.since)
            read_at = self._clock.boot()
            reading = await self._read_or_unavailable(since)
            self._cached = read_at, reading
            return reading

    def _recent_reading(self) -> RecordReading | None:
        if self._cached is None:
            return None
        read_at, reading = self._cached
        is_recent = self._invalidated_at <= read_at <= self._clock.boot() < read_at + READING_TTL_SECONDS
        return reading if is_recent else None

    async def _read_or_unavailable(self, since: int) -> RecordReading:
        try:
            return await self._read_record(since)
        except RequestRejected as error:  # our own record is missing, not a payer's customer
            raise StripeUnavailable(f"the service record could not be read: {error}") from error

    async def _read_record(self, since: int) -> RecordReading:
        service = self._records.service_id
        async with self._stripe.session() as session:
            record = await session.get_customer(service, balance=True)
            started_at = session.now()
            page = await session.list_newest_entries(service, None)
            entries = {entry.id: entry for entry in page.entries}
            while not page.complete and page.entries and page.entries[-1].created >= since:
                page = await session.list_newest_entries(service, None, page.entries[-1].id)
                if any(entry.id in entries for entry in page.entries) or len(entries) > MAX_ENTRIES:
                    raise StripeUnavailable("the list of orders repeats itself or does not end")
                entries |= {entry.id: entry for entry in page.entries}
        rows = list(entries.values())
        return RecordReading(started_at, record, rows, since, order_rules.parse_all(rows))

    async def write(self, form_id: str, payment: OrderSubject, draft: "OrderDraft") -> Order:
        """Write an order, or return the one this form wrote before.

        Raises: ProblemError, StripeFailure.
        """
        minted = minted_at(form_id)
        if minted is None or not -LISTING_LEAD_SECONDS <= self._clock.wall() - minted < FORM_SECONDS:
            raise ProblemError(
                "form_dead", "This form is more than 22 hours old. Nothing was ordered. Load the page again."
            )
        entry = order_draft(form_id, payment, draft, self.caps, self._records.service_id)

        def find_entry(entries: Sequence[Entry]) -> Entry | None:
            return next((row for row in entries if row.description == entry.description), None)

        written = await find_or_write(self._stripe, entry, minted - LISTING_LEAD_SECONDS, find_entry)
        self.invalidate()
        order = order_rules.parse(written)
        assert order is not None, "our own order is valid"
        if (order.text, order.operator) != (draft.text, draft.operator):
            raise ProblemError(
                "already_done",
                f"This form already ordered “{order.text}”. Nothing more was ordered. Load the page again to decide.",
            )
        return order


def may_still_be_used(reading: RecordReading, origin: int, now: int) -> bool:
    """Whether a reading is valid at `now` for a payment of block time `origin`."""
    return -_ROUNDING_SECONDS <= now - reading.started_at <= READING_TTL_SECONDS and _is_same_epoch(
        epoch_position(reading.started_at, origin), epoch_position(now, origin)
    )


def _is_same_epoch(started: EpochPosition, now: EpochPosition) -> bool:
    return started.epoch == now.epoch and not (started.epoch > 0 and started.in_quiet_zone and not now.in_quiet_zone)


def orders_of_payment(payment: OrderSubject, reading: RecordReading) -> PaymentOrders:
    """Return the orders about a payment in a reading."""
    identity, orders = payment.identity, reading.orders
    return PaymentOrders(
        payment=identity,
        started_at=reading.started_at,
        effective=order_rules.effective_order(identity, orders),
        named_customers=order_rules.find_named_customers(identity, reading.entries),
        absent_customers=order_rules.find_acknowledged_absent(identity, orders),
        flaw=record_flaw(reading, payment),
        limits_flaw=order_rules.find_limits_flaw(identity, orders, reading.entries),
        orders=orders,
    )


def record_flaw(reading: RecordReading, payment: OrderSubject) -> str:
    """Return why a reading may omit an order about a payment; empty if it does not."""
    record = reading.record
    anchor_before = payment.time - LISTING_LEAD_SECONDS if payment.time else record.created + 1
    return order_rules.find_record_flaw(reading.entries, record.usd_cents or 0, record.created, anchor_before)


@dataclass(frozen=True, slots=True)
class OrderDraft:
    """An admin's order.

    `value` is the most it may credit, `market` the current market rate if known.
    """

    text: str
    operator: str
    reason: str
    value: int
    market: int | None = None
    confirms: str = ""


def order_draft(form_id: str, payment: OrderSubject, order: OrderDraft, caps: OrderCaps, service_id: str) -> EntryDraft:
    """Create the entry of an order: one cent on the service record, under its form's key.

    It may be written while its form is valid. An order that vouches for a ledger is written only in the payment's epoch
    in which its form was created. A process suspended in between would otherwise vouch in an epoch whose ledger the
    admin never saw.
    """
    minted = minted_at(form_id) or 0
    instruction = order_rules.parse_order_text(order.text)
    vouches = instruction is not None and bool(instruction.unproven)
    form_epoch = epoch_position(minted, payment.time).epoch
    metadata = {
        "kind": "order",
        "payment": payment.identity,
        "order": order.text,
        "operator": order.operator,
        "reason": order.reason,
        "value": str(order.value),
        "caps": str(caps),
    }
    if order.market is not None:
        metadata["market"] = format_decimal(order.market)
    if order.confirms:
        metadata["confirms"] = order.confirms

    def still_valid(now: int) -> bool:
        return now < minted + FORM_SECONDS and (not vouches or epoch_position(now, payment.time).epoch == form_epoch)

    return EntryDraft(
        customer_id=service_id,
        cents=1,
        description=f"Order {form_id} by {order.operator}: {order.text}"[:350],
        metadata=metadata,
        origin=minted,
        idempotency_key=lambda epoch: f"order:{form_id}",
        still_valid=still_valid,
    )
