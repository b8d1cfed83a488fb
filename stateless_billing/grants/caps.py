"""Judges reservations against caps, from the grants ledger up to their row. Pure.

The grants record has a reservation for every grant. Stripe serializes its entries, and `created` and `ending_balance`
fix the position of each. Every process that reads the ledger, at any time, reaches the same verdict on a row.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from stateless_billing.domain.balance_chain import gapless_chain, opening_balance
from stateless_billing.domain.ledger import Entry, net_cents, reversal_of

DAY = 24 * 3600
_CAPS = re.compile(r"([0-9]{1,12}):([0-9]{1,12}):([0-9]{1,12})")


@dataclass(frozen=True, slots=True)
class Caps:
    """Limits in cents: per grant, per operator in 24 hours, and of all operators in 24 hours."""

    per_grant: int
    operator: int
    everyone: int

    def __str__(self) -> str:
        return f"{self.per_grant}:{self.operator}:{self.everyone}"


@dataclass(frozen=True, slots=True)
class Reservation:
    """A reservation in the grants ledger, with the caps that applied when it was written.

    `again`: the reservation that its operator knowingly repeated, see `look_alikes.py`.
    """

    entry: Entry
    grant: str
    operator: str
    reason: str
    note: str
    customer: str
    caps: Caps
    again: str = ""


@dataclass(frozen=True, slots=True)
class Listing:
    """Rows of the grants record, newest first.

    `complete`: they reach the start of the record. `read_at` is by Stripe's clock.
    """

    entries: Sequence[Entry]
    complete: bool
    read_at: int


@dataclass(frozen=True, slots=True)
class Usage:
    """The cents used in a window, and the Unix time at which the first of them leave it."""

    cents: int
    frees_at: int | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a reservation fits; if not, `broken` is the cap: per_grant, operator or everyone."""

    fits: bool
    broken: str | None = None


def parse_caps(text: str) -> Caps | None:
    """Parse caps from metadata; None if malformed."""
    match = _CAPS.fullmatch(text)
    return Caps(int(match[1]), int(match[2]), int(match[3])) if match else None


def parse_reservation(entry: Entry) -> Reservation | None:
    """Parse a row of the grants ledger; None if it is not a complete reservation."""
    metadata = entry.metadata
    caps = parse_caps(metadata.get("caps", ""))
    names = ("grant", "operator", "reason", "customer")
    if entry.kind != "reservation" or entry.cents <= 0 or caps is None or not all(map(metadata.get, names)):
        return None
    return Reservation(
        entry=entry,
        grant=metadata["grant"],
        operator=metadata["operator"],
        reason=metadata["reason"],
        note=metadata.get("note", ""),
        customer=metadata["customer"],
        caps=caps,
        again=metadata.get("again", ""),
    )


def with_entry(listing: Listing, entry: Entry) -> Listing:
    """Add an entry known to be on the record to a listing that may lag."""
    if any(row.id == entry.id for row in listing.entries):
        return listing
    return Listing([entry, *listing.entries], listing.complete, listing.read_at)


def ledger_up_to(entries: Sequence[Entry], mine: Entry, *, complete: bool) -> list[Entry] | None:
    """Return the ledger up to row `mine`, oldest first; None if the listing may omit a row.

    It must reach at least 24 hours back, or to the start of the ledger (`complete`). Row `mine` must be listed: a
    lagging list omits its newest rows, and rows that cancel out before `mine` would not show in the balances.
    """
    chain = gapless_chain(entries)
    position = next((index for index, row in enumerate(chain or ()) if row.id == mine.id), None)
    if chain is None or position is None:
        return None
    oldest = chain[0]
    starts_at_zero = complete and opening_balance(oldest) == 0
    if oldest.created >= mine.created - DAY and not starts_at_zero:
        return None
    return chain[: position + 1]


def usage_since(chain: Sequence[Entry], since: int, operator: str | None = None) -> Usage:
    """Sum what was reserved since `since` and not reversed, by one operator or by all.

    A reversal counts only with the row it reverses, and no row lowers the sum. A row without an operator counts for
    every operator.
    """
    counted = [
        (row, max(0, net_cents(row, chain)))
        for row in chain
        if row.created >= since and row.cents > 0 and _counts_toward(row, operator)
    ]
    unreversed = [(row, cents) for row, cents in counted if cents]
    frees_at = unreversed[0][0].created + DAY + 1 if unreversed else None
    return Usage(sum(cents for _, cents in unreversed), frees_at)


def _counts_toward(entry: Entry, operator: str | None) -> bool:
    if entry.kind == "reversal":
        return False  # it reverses a reversal; the net of the original row already includes it
    return operator is None or entry.metadata.get("operator", operator) == operator


def judge_caps(mine: Reservation, entries: Sequence[Entry], *, complete: bool) -> Verdict | None:
    """Judge whether a reservation fits its caps; None if the listing may omit a row before it."""
    chain = ledger_up_to(entries, mine.entry, complete=complete)
    if chain is None:
        return None
    since = mine.entry.created - DAY
    if mine.entry.cents > mine.caps.per_grant:
        return Verdict(False, "per_grant")
    if usage_since(chain, since, mine.operator).cents > mine.caps.operator:
        return Verdict(False, "operator")
    if usage_since(chain, since).cents > mine.caps.everyone:
        return Verdict(False, "everyone")
    return Verdict(True)


def last_changed_at(reserved: Reservation, entries: Sequence[Entry]) -> int:
    """Return the Unix time of a reservation's last change on the record."""
    reversal = reversal_of(reserved.entry, entries)
    return (reversal or reserved.entry).created
