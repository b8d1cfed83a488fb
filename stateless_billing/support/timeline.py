"""Merges a customer's ledger with its payments on the chain, newest first. Pure."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from chain.payment import PaymentPlace, parse_identity
from stateless_billing.domain.ledger import Entry
from stateless_billing.domain.order_rules import WALLET_PREFIX, Order
from stateless_billing.support.decisions.order_rows import OrderRow, create_rows

KINDS = {
    "payment": "Payment",
    "grant": "Grant",
    "reversal": "Taken back",
    "charge": "Charge",
    "credit": "Credit by another system",
    "waiting": "Payment on the chain",
    "order": "Order",
}


class PaymentSummary(Protocol):
    """What the API says of a payment."""

    @property
    def payment(self) -> str: ...
    @property
    def time(self) -> int: ...
    @property
    def state(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Event:
    """One event. `entry` is None for orders and payments without a credit; `payment` is its API representation."""

    time: int
    kind: str
    entry: Entry | None = None
    payment: PaymentSummary | None = None
    reversed_by: str | None = None
    order: OrderRow | None = None

    @property
    def id(self) -> str:
        """The entry's `cbtxn_`, or the payment's identity."""
        if self.order:
            return self.order.order.id
        return self.entry.id if self.entry else self.payment.payment if self.payment else ""

    @property
    def place(self) -> PaymentPlace | None:
        """Where its payment is on the chain; None if it concerns none, or its metadata does not name one."""
        if self.order:
            return parse_identity(self.order.order.payment)
        if self.entry:
            return parse_identity(_payment_identity(self.entry)) if self.kind == "payment" else None
        return parse_identity(self.payment.payment) if self.payment else None

    @property
    def title(self) -> str:
        """The display name of its kind."""
        return KINDS[self.kind]


def kind_of(entry: Entry) -> str:
    """The kind of event that a ledger entry is."""
    if entry.kind in ("payment", "grant", "reversal"):
        return entry.kind
    return "credit" if entry.cents > 0 else "charge"


def build_timeline(entries: Sequence[Entry], payments: Sequence[PaymentSummary], *, complete: bool) -> list[Event]:
    """Insert each payment without an entry into the entries (newest first) by its time.

    If the listing is incomplete, credited payments older than its end belong to a later page. Uncredited payments are
    always included.
    """
    reversed_by = {
        entry.metadata["reverses"]: entry.id
        for entry in entries
        if entry.kind == "reversal" and "reverses" in entry.metadata
    }
    by_identity = {payment.payment: payment for payment in payments}
    events = []
    for entry in entries:
        payment = by_identity.get(_payment_identity(entry))
        events.append(Event(entry.created, kind_of(entry), entry, payment, reversed_by.get(entry.id)))
    listed = {_payment_identity(entry) for entry in entries}
    oldest = 0 if complete or not entries else entries[-1].created
    for identity, payment in by_identity.items():
        is_done = payment.state in ("credited", "reversed")
        if identity not in listed and (payment.time >= oldest or not is_done):
            position = next((index for index, event in enumerate(events) if event.time <= payment.time), len(events))
            events.insert(position, Event(payment.time, "waiting", None, payment))
    return events


def insert_orders(
    events: Sequence[Event], orders: Sequence[Order], customer: str, wallets: Collection[str], *, start: int, end: int
) -> list[Event]:
    """Insert the orders from `start` to `end` about a customer's payments and wallets, or that name it."""
    payments = {_payment_identity(event.entry) for event in events if event.entry} - {""}
    payments |= {event.payment.payment for event in events if event.payment}
    payments |= {f"{WALLET_PREFIX}{wallet}" for wallet in wallets}
    merged = list(events)
    for subject in dict.fromkeys(order.payment for order in orders):
        rows = [row for row in create_rows(subject, orders) if start <= row.order.created <= end]
        for row in rows:
            if subject in payments or row.order.target == customer:
                time = row.order.created
                position = next((index for index, event in enumerate(merged) if event.time <= time), len(merged))
                merged.insert(position, Event(time, "order", order=row))
    return merged


def _payment_identity(entry: Entry) -> str:
    return entry.metadata.get("payment", "").strip().lower()
