"""The two entries of a grant, its reservation and its credit."""

from collections.abc import Sequence
from dataclasses import dataclass

from stateless_billing.bookkeeping.entry_writer import EntryDraft
from stateless_billing.domain.epochs import epoch_position
from stateless_billing.domain.form_ids import FORM_SECONDS
from stateless_billing.domain.ledger import Entry
from stateless_billing.grants import caps
from stateless_billing.grants.caps import Caps, Reservation


@dataclass(frozen=True, slots=True)
class GrantRequest:
    """An operator's request, by one form.

    `grant` is the form's ID, for this operator and customer. `again` confirms that it repeats an earlier grant: that
    one's reservation, or `any`.
    """

    grant: str
    operator: str
    customer: str
    cents: int
    reason: str
    note: str
    again: str = ""


def find_reservation(grant: str, entries: Sequence[Entry]) -> Reservation | None:
    """Find a form's reservation in a listing of the grants record; of several the oldest."""
    reservations = [row for row in map(caps.parse_reservation, entries) if row and row.grant == grant]
    return min(reservations, key=lambda row: (row.entry.created, row.entry.id), default=None)


def reservation_draft(request: GrantRequest, minted: int, limits: Caps, grants_id: str) -> EntryDraft:
    """Create a form's reservation, under one key while the form is valid."""
    return EntryDraft(
        customer_id=grants_id,
        cents=request.cents,
        description=f"Reserved by {request.operator} for {request.customer}"[:350],
        metadata={
            "kind": "reservation",
            "grant": request.grant,
            "operator": request.operator,
            "reason": request.reason,
            "note": request.note,
            "customer": request.customer,
            "caps": str(limits),
            **({"again": request.again} if request.again else {}),
        },
        origin=minted,
        idempotency_key=lambda epoch: f"reserve:{request.grant}",
        still_valid=lambda now: now < minted + FORM_SECONDS,
    )


def find_grant(grant: str, entries: Sequence[Entry]) -> Entry | None:
    """Find a grant's credit in a customer's listing; the oldest if there are several."""
    matches = [entry for entry in entries if entry.kind == "grant" and entry.metadata.get("grant") == grant]
    return min(matches, key=lambda entry: (entry.created, entry.id), default=None)


def grant_draft(reserved: Reservation) -> EntryDraft:
    """Create a grant's credit from its reservation alone; it is valid only in epoch 0."""
    created = reserved.entry.created
    metadata = {"kind": "grant", "grant": reserved.grant, "operator": reserved.operator, "reason": reserved.reason}
    return EntryDraft(
        customer_id=reserved.customer,
        cents=reserved.entry.cents,
        description=f"Grant by {reserved.operator}: {reserved.reason}"[:350],
        metadata=metadata | ({"note": reserved.note} if reserved.note else {}),
        origin=created,
        idempotency_key=lambda epoch: f"grant:{reserved.grant}",
        still_valid=lambda now: epoch_position(now, created).epoch == 0,
    )
