"""The entries of a grant: what is written, and how it is found again."""

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
    """What an operator asks for with one form. `grant` was minted with the form, for this operator and customer."""

    grant: str
    operator: str
    customer: str
    cents: int
    reason: str
    note: str


def find_reservation(grant: str, entries: Sequence[Entry]) -> Reservation | None:
    """The reservation of a form in a listing of the grants record."""
    found = [one for one in map(caps.parse_reservation, entries) if one and one.grant == grant]
    return min(found, key=lambda one: (one.entry.created, one.entry.id), default=None)


def reservation_draft(request: GrantRequest, minted: int, limits: Caps, grants_id: str) -> EntryDraft:
    """The reservation of a form: under one key, for as long as the form lives."""
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
        },
        origin=minted,
        idempotency_key=lambda epoch: f"reserve:{request.grant}",
        still_valid=lambda now: now < minted + FORM_SECONDS,
    )


def find_grant(grant: str, entries: Sequence[Entry]) -> Entry | None:
    """The credit of a grant in a customer's listing."""
    found = [one for one in entries if one.kind == "grant" and one.metadata.get("grant") == grant]
    return min(found, key=lambda one: (one.created, one.id), default=None)


def grant_draft(reserved: Reservation) -> EntryDraft:
    """The grant: a function of its reservation alone, and only in epoch 0 of it."""
    created = reserved.entry.created
    told = {"kind": "grant", "grant": reserved.grant, "operator": reserved.operator, "reason": reserved.reason}
    return EntryDraft(
        customer_id=reserved.customer,
        cents=reserved.entry.cents,
        description=f"Grant by {reserved.operator}: {reserved.reason}"[:350],
        metadata=told | ({"note": reserved.note} if reserved.note else {}),
        origin=created,
        idempotency_key=lambda epoch: f"grant:{reserved.grant}",
        still_valid=lambda now: epoch_position(now, created).epoch == 0,
    )
