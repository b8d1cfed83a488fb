"""A customer's ledger and its payments on the chain, on one line of time, newest first. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stateless_billing.domain.ledger import Entry

KINDS = {
    "payment": "Payment",
    "grant": "Grant",
    "reversal": "Taken back",
    "charge": "Charge",
    "credit": "Credit by another system",
    "waiting": "Payment on the chain",
}


@dataclass(frozen=True, slots=True)
class Event:
    """One line. `entry` is None for a payment that has no credit yet; `payment` is what the API tells of it."""

    time: int
    kind: str
    entry: Entry | None = None
    payment: Mapping[str, Any] | None = None
    reversed_by: str | None = None

    @property
    def title(self) -> str:
        """What it is, in words."""
        return KINDS[self.kind]


def kind_of(entry: Entry) -> str:
    """What an entry on a customer's ledger is."""
    if entry.kind in ("payment", "grant", "reversal"):
        return entry.kind
    return "credit" if entry.cents > 0 else "charge"


def build_timeline(entries: Sequence[Entry], payments: Sequence[Mapping[str, Any]], *, complete: bool) -> list[Event]:
    """Entries (newest first, as listed) with the payments that have none among them, each at its time.

    Where the listing is not complete, credited payments older than its end belong to a later page; one that is not
    credited yet is never left out.
    """
    reversed_by = {
        one.metadata["reverses"]: one.id for one in entries if one.kind == "reversal" and "reverses" in one.metadata
    }
    by_identity = {str(one["payment"]): one for one in payments}
    events = [
        Event(
            one.created,
            kind_of(one),
            one,
            by_identity.get(one.metadata.get("payment", "").lower()),
            reversed_by.get(one.id),
        )
        for one in entries
    ]
    shown = {one.metadata.get("payment", "").lower() for one in entries}
    oldest = 0 if complete or not entries else entries[-1].created
    for identity, payment in by_identity.items():
        settled = payment["state"] in ("credited", "reversed")
        if identity not in shown and (payment["time"] >= oldest or not settled):
            place = next((index for index, one in enumerate(events) if one.time <= payment["time"]), len(events))
            events.insert(place, Event(payment["time"], "waiting", None, payment))
    return events
