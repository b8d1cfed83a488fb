"""Reads and writes admins' orders: entries of one cent on the service record. `order_rules` says what they mean."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from chain.payment import Payment
from stateless_billing.bookkeeping.entry_writer import EntryDraft, find_or_write
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
READING_TTL_SECONDS = 60  # for how long one reading serves all payments

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RecordReading:
    """The service record read at `begun` (Stripe's clock), then its entries, newest first, back to `since` at least."""

    started_at: int
    record: Customer
    entries: Sequence[Entry]
    since: int
    orders: Sequence[Order]


@dataclass(frozen=True, slots=True)
class PaymentOrders:
    """What one reading says of one payment.

    `standing` is to be followed, `named` are all customers that any order ever named, and `flaw` says why the reading
    does not prove that it shows every order.
    """

    payment: str
    started_at: int
    effective: Order | None
    named_customers: tuple[str, ...]
    absent_customers: frozenset[str]
    flaw: str
    orders: Sequence[Order] = ()

    def vouches_for(self, customer: str, epoch: int, origin: int) -> bool:
        """Whether an admin vouched for a customer's ledger within this epoch of the payment."""
        times = order_rules.vouch_times(self.payment, customer, self.orders)
        return any(epoch_position(time, origin).epoch == epoch for time in times)


class Orders:
    """One reading of the record and its orders serves all payments for a minute.

    `stripe` hands out connections of its own: a reading is asked for while others are held.
    """

    def __init__(self, *, stripe: StripeApi, records: ServiceRecords, clock: Clock, caps: OrderCaps) -> None:
        self._stripe = stripe
        self._records = records
        self._clock = clock
        self.caps = caps
        self._cached: tuple[float, RecordReading] | None = None
        self._reading = asyncio.Lock()

    def is_bookkeeping(self, customer_id: str) -> bool:
        """Whether a customer is one of our two records, which are never credited for a payment."""
        return customer_id in (self._records.service_id, self._records.grants_id)

    async def find_within_epoch(self, payment: Payment, now: Callable[[], int]) -> PaymentOrders:
        """The orders of a payment by a reading that counts at `now()`, Stripe's clock: of the last minute, begun in
        this epoch of the payment and not within half an hour of its border.

        Raises StripeFailure; NotSent where a new reading does not count either.
        """
        reading = await self._read(payment.time - LISTING_LEAD_SECONDS - DAY, payment.time, now)
        if not may_still_be_used(reading, payment.time, now()):
            self._cached = None
            raise NotSent("the orders were not read in this epoch of the payment")
        return orders_of_payment(payment, reading)

    async def find(self, payment: Payment) -> PaymentOrders:
        """The orders of a payment as far as they were read within the last minute. Raises StripeFailure."""
        return orders_of_payment(payment, await self._read(payment.time - LISTING_LEAD_SECONDS - DAY))

    def invalidate(self) -> None:
        """Have the next reading be a new one: another process may have written since the last."""
        self._cached = None

    async def find_by_form(self, form_id: str, payment: Payment) -> Order | None:
        """The order that a form wrote for a payment, by a new reading: another process may have written it.

        Raises StripeFailure.
        """
        self.invalidate()
        reading = await self._read(payment.time - LISTING_LEAD_SECONDS - DAY)
        found = (one for one in reading.entries if one.description.startswith(f"Order {form_id} by "))
        return next(filter(None, map(order_rules.parse, found)), None)

    async def ordered_since(self, since: int) -> set[str]:
        """The identities of all payments with an order written since then. Raises StripeFailure."""
        reading = await self._read(since)
        return {one.payment for one in reading.orders if one.created >= since}

    async def _read(self, since: int, origin: int = 0, now: Callable[[], int] | None = None) -> RecordReading:
        async with self._reading:
            kept = self._recent_reading()
            if kept is not None:
                if kept.since <= since and (now is None or may_still_be_used(kept, origin, now())):
                    return kept
                since = min(since, kept.since)
            at = self._clock.boot()
            found = await self._read_listed(since)
            self._cached = at, found
            return found

    def _recent_reading(self) -> RecordReading | None:
        """The reading of the last minute, where there is one."""
        if self._cached is None:
            return None
        at, kept = self._cached
        return kept if 0 <= self._clock.boot() - at < READING_TTL_SECONDS else None

    async def _read_listed(self, since: int) -> RecordReading:
        try:
            return await self._read_record(since)
        except RequestRejected as error:  # it is our own record that is not there, not a payer's customer
            raise StripeUnavailable(f"the service record could not be read: {error}") from error

    async def _read_record(self, since: int) -> RecordReading:
        service = self._records.service_id
        async with self._stripe.session() as session:
            record = await session.get_customer(service, balance=True)
            begun = session.now()
            page = await session.list_newest_entries(service, None)
            entries = {one.id: one for one in page.entries}
            while not page.complete and page.entries and page.entries[-1].created >= since:
                page = await session.list_newest_entries(service, None, page.entries[-1].id)
                if any(one.id in entries for one in page.entries) or len(entries) > MAX_ENTRIES:
                    raise StripeUnavailable("the list of orders repeats itself, or does not end")
                entries |= {one.id: one for one in page.entries}
        rows = list(entries.values())
        return RecordReading(begun, record, rows, since, order_rules.parse_all(rows))

    async def write(self, form_id: str, payment: Payment, draft: "OrderDraft") -> Order:
        """Write an order, or find that this form wrote it before. Raises ProblemError, StripeFailure."""
        minted = minted_at(form_id)
        if minted is None or not -LISTING_LEAD_SECONDS <= self._clock.wall() - minted < FORM_SECONDS:
            raise ProblemError(
                "form_dead", "This form is more than 22 hours old. Nothing was ordered. Load the page again."
            )
        entry = order_draft(form_id, payment, draft, self.caps, self._records.service_id)

        def found(entries: Sequence[Entry]) -> Entry | None:
            return next((one for one in entries if one.description == entry.description), None)

        written = await find_or_write(self._stripe, entry, minted - LISTING_LEAD_SECONDS, found)
        self._cached = None
        order = order_rules.parse(written)
        assert order is not None, "an order of our own can be followed"
        if (order.text, order.operator) != (draft.text, draft.operator):
            raise ProblemError(
                "already_done",
                f"This form already ordered “{order.text}”. Nothing more was ordered. Load the page again to decide.",
            )
        return order


def may_still_be_used(reading: RecordReading, origin: int, now: int) -> bool:
    """Whether a reading may serve a payment of block time `origin` at `now`, both by Stripe's clock."""
    return 0 <= now - reading.started_at <= READING_TTL_SECONDS and _is_same_epoch(
        epoch_position(reading.started_at, origin), epoch_position(now, origin)
    )


def _is_same_epoch(begun: EpochPosition, now: EpochPosition) -> bool:
    return begun.epoch == now.epoch and not (begun.epoch > 0 and begun.in_quiet_zone and not now.in_quiet_zone)


def orders_of_payment(payment: Payment, reading: RecordReading) -> PaymentOrders:
    """What a reading says of a payment."""
    identity, orders = payment.identity, reading.orders
    return PaymentOrders(
        payment=identity,
        started_at=reading.started_at,
        effective=order_rules.effective_order(identity, orders),
        named_customers=order_rules.find_named_customers(identity, reading.entries),
        absent_customers=order_rules.find_acknowledged_absent(identity, orders),
        flaw=record_flaw(reading, payment),
        orders=orders,
    )


def record_flaw(reading: RecordReading, payment: Payment) -> str:
    """Why a reading does not prove that it shows every order for a payment; empty where it does."""
    record = reading.record
    return order_rules.find_record_flaw(
        reading.entries, record.usd_cents or 0, record.created, payment.time - LISTING_LEAD_SECONDS
    )


@dataclass(frozen=True, slots=True)
class OrderDraft:
    """What an admin orders. `value`: the most cents it may credit; `market`: the market's rate now, where known."""

    text: str
    operator: str
    reason: str
    value: int
    market: int | None = None
    confirms: str = ""


def order_draft(form_id: str, payment: Payment, order: OrderDraft, caps: OrderCaps, service_id: str) -> EntryDraft:
    """An order: one cent on the service record, under one key for as long as its form lives.

    One that vouches for a ledger is written only in the payment's epoch in which its form was made: a process that was
    suspended in between would otherwise vouch in an epoch whose ledger the admin never saw.
    """
    minted = minted_at(form_id) or 0
    words = order_rules.parse_order_text(order.text)
    vouches = words is not None and bool(words.unproven)
    shown = epoch_position(minted, payment.time).epoch
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

    def holds(now: int) -> bool:
        return now < minted + FORM_SECONDS and (not vouches or epoch_position(now, payment.time).epoch == shown)

    return EntryDraft(
        customer_id=service_id,
        cents=1,
        description=f"Order {form_id} by {order.operator}: {order.text}"[:350],
        metadata=metadata,
        origin=minted,
        idempotency_key=lambda epoch: f"order:{form_id}",
        still_valid=holds,
    )
