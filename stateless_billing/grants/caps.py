"""How much moderators may give: the verdict on one reservation as a function of the grants ledger up to its row. Pure.

The grants record holds a reservation for every grant, and Stripe serialises them: `created` and `ending_balance` fix
each one's place. So whoever reads the ledger, whenever, comes to the same verdict on a row.
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
    """The most cents: of one grant, of one operator's in 24 hours, of all operators' in 24 hours."""

    per_grant: int
    operator: int
    everyone: int

    def __str__(self) -> str:
        return f"{self.per_grant}:{self.operator}:{self.everyone}"


@dataclass(frozen=True, slots=True)
class Reservation:
    """What a row of the grants ledger reserves: an amount for a customer, by an operator, under the caps of then."""

    entry: Entry
    grant: str
    operator: str
    reason: str
    note: str
    customer: str
    caps: Caps


@dataclass(frozen=True, slots=True)
class Listing:
    """Rows of the grants record, newest first; `whole` where they reach its beginning; read at `at`, Stripe's clock."""

    entries: Sequence[Entry]
    complete: bool
    read_at: int


@dataclass(frozen=True, slots=True)
class Usage:
    """The cents that count in a window, and when (unix seconds) the first of them will not count any more."""

    cents: int
    frees_at: int | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a reservation fits; `broken` names the cap that it does not fit: per_grant, operator or everyone."""

    fits: bool
    broken: str | None = None


def parse_caps(text: str) -> Caps | None:
    """Caps as metadata holds them."""
    found = _CAPS.fullmatch(text)
    return Caps(int(found[1]), int(found[2]), int(found[3])) if found else None


def parse_reservation(entry: Entry) -> Reservation | None:
    """A ledger row as a reservation; None where it is none, or was edited until it says no more what it is."""
    told = entry.metadata
    caps = parse_caps(told.get("caps", ""))
    names = ("grant", "operator", "reason", "customer")
    if entry.kind != "reservation" or entry.cents <= 0 or caps is None or not all(told.get(name) for name in names):
        return None
    return Reservation(
        entry, told["grant"], told["operator"], told["reason"], told.get("note", ""), told["customer"], caps
    )


def with_entry(listing: Listing, entry: Entry) -> Listing:
    """A listing that may lag, and what we know to be on the record beside it."""
    if any(one.id == entry.id for one in listing.entries):
        return listing
    return Listing([entry, *listing.entries], listing.complete, listing.read_at)


def ledger_up_to(entries: Sequence[Entry], mine: Entry, *, complete: bool) -> list[Entry] | None:
    """The ledger up to my row, oldest first, reaching at least 24 hours back; None where it does not show all of that.

    `whole` says that the listing reached the ledger's beginning. My own row must be listed: a list that lags hides its
    newest rows, and what it hides before mine need not show in the balances (a grant and an undoing of as many cents).
    """
    chain = gapless_chain(entries)
    place = next((index for index, one in enumerate(chain or ()) if one.id == mine.id), None)
    if chain is None or place is None:
        return None
    first = chain[0]
    begins_at_nothing = complete and opening_balance(first) == 0
    if first.created >= mine.created - DAY and not begins_at_nothing:
        return None
    return chain[: place + 1]


def usage_since(chain: Sequence[Entry], since: int, operator: str | None = None) -> Usage:
    """What was reserved from `since` on and not reversed, by one operator or by all.

    A reversal counts only with what it reverses, and no row makes the sum less than nothing. A row that says no more
    what it is counts as given by everybody.
    """
    counted = [
        (one, max(0, net_cents(one, chain)))
        for one in chain
        if one.created >= since and one.cents > 0 and _counts_toward(one, operator)
    ]
    left = [(one, cents) for one, cents in counted if cents]
    return Usage(sum(cents for _, cents in left), left[0][0].created + DAY + 1 if left else None)


def _counts_toward(entry: Entry, operator: str | None) -> bool:
    if entry.kind == "reversal":
        return False  # it takes back a reversal: what that one reversed counts again, by its net
    return operator is None or entry.metadata.get("operator", operator) == operator


def judge_caps(mine: Reservation, entries: Sequence[Entry], *, complete: bool) -> Verdict | None:
    """Whether my reservation fits its caps; None while the listing does not show the ledger up to my row."""
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
    """When the last thing happened to a reservation on the record, in unix seconds."""
    reversal = reversal_of(reserved.entry, entries)
    return (reversal or reserved.entry).created
