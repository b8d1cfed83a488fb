"""Finds grants that repeat an earlier one, from the grants ledger up to their row. Pure.

Every process that reads the ledger reaches the same verdict, so two moderators who help the same customer at the same
time cannot both give without one of them being told.
"""

from collections.abc import Sequence

from stateless_billing.domain.ledger import Entry, reversal_of
from stateless_billing.grants import caps
from stateless_billing.grants.caps import Listing, Reservation
from stateless_billing.grants.entries import GrantRequest

LOOK_ALIKE_SECONDS = 600
ANY = "any"
"""Confirms a grant whatever it repeats; otherwise a confirmation names the reservation that the operator was shown."""


def find_look_alike(request: GrantRequest, entries: Sequence[Entry], now: int) -> Reservation | None:
    """Find the newest grant of the same cents to the same customer, of the last ten minutes and not taken back.

    `entries` are newest first.
    """
    for entry in entries:
        earlier = caps.parse_reservation(entry) if now - entry.created <= LOOK_ALIKE_SECONDS else None
        if earlier is None or earlier.grant == request.grant or reversal_of(entry, entries):
            continue
        if (earlier.customer, earlier.entry.cents) == (request.customer, request.cents):
            return earlier
    return None


def is_confirmed(earlier: Reservation | None, again: str) -> bool:
    """Whether an operator who confirmed `again` may repeat a grant."""
    return earlier is None or again in (ANY, earlier.entry.id)


def is_unconfirmed_repeat(mine: Reservation, listing: Listing) -> bool:
    """Whether a reservation repeats an earlier row that its operator was not shown.

    A listing that may omit a row before it says yes.
    """
    chain = caps.ledger_up_to(listing.entries, mine.entry, complete=listing.complete)
    if chain is None:
        return True
    request = GrantRequest(
        mine.grant, mine.operator, mine.customer, mine.entry.cents, mine.reason, mine.note, mine.again
    )
    return not is_confirmed(find_look_alike(request, chain[-2::-1], mine.entry.created), mine.again)
