"""Merges a customer's ledger with its payments on the chain, newest first. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from stateless_billing.domain.ledger import Entry

KINDS = {
    "payment": "Payment",
    "grant": "Grant",
    "reversal": "Taken back",
    "charge": "Charge",
    "credit": "Credit by another system",
    "waiting": "Payment on the chain",
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
    """One event. `entry` is None for a payment without a credit; `payment` is its API representation."""

    time: int
    kind: str
    entry: Entry | None = None
    payment: PaymentSummary | None = None
    reversed_by: str | None = None

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


def _payment_identity(entry: Entry) -> str:
    return entry.metadata.get("payment", "").lower()
