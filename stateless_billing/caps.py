"""How much moderators may give: the verdict on one reservation as a function of the grants ledger up to its row. Pure.

The grants record holds a reservation for every grant, and Stripe serialises them: `created` and `ending_balance` fix
each one's place. So whoever reads the ledger, whenever, comes to the same verdict on a row.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from stateless_billing.ledger import Entry, net_cents

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
    whole: bool
    at: int


@dataclass(frozen=True, slots=True)
class Spent:
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


def reservation(entry: Entry) -> Reservation | None:
    """A ledger row as a reservation; None where it is none, or was edited until it says no more what it is."""
    told = entry.metadata
    caps = parse_caps(told.get("caps", ""))
    names = ("grant", "operator", "reason", "customer")
    if entry.kind != "reservation" or entry.cents <= 0 or caps is None or not all(told.get(name) for name in names):
        return None
    return Reservation(
        entry, told["grant"], told["operator"], told["reason"], told.get("note", ""), told["customer"], caps
    )


def reversal_of(entry: Entry, entries: Iterable[Entry]) -> Entry | None:
    """The entry that takes `entry` back, the oldest where there are several."""
    found = [one for one in entries if one.kind == "reversal" and one.metadata.get("reverses") == entry.id]
    return min(found, key=lambda one: (one.created, one.id), default=None)


def including(listing: Listing, entry: Entry) -> Listing:
    """A listing that may lag, and what we know to be on the record beside it."""
    if any(one.id == entry.id for one in listing.entries):
        return listing
    return Listing([entry, *listing.entries], listing.whole, listing.at)


def gapless(entries: Sequence[Entry]) -> list[Entry] | None:
    """A listing (newest first) as a chain, oldest first, each balance following from the one before it.

    Stripe's order counts; within one second, which the listing may show in any order, the balances do. None where a
    row is missing.
    """
    oldest_first = list(reversed(entries))
    chain: list[Entry] = []
    for _, group in groupby(oldest_first, key=lambda one: one.created):
        before = chain[-1].ending_cents if chain else None
        linked = _linked(list(group), before)
        if linked is None:
            return None
        chain += linked
    return chain


def _linked(group: list[Entry], before: int | None) -> list[Entry] | None:
    """The rows of one second in an order in which each follows from the one before it."""
    if _follows(group, before):
        return group
    starts = [before] if before is not None else sorted({one.ending_cents - one.cents for one in group})
    for start in starts:
        if (found := _walk(group, start)) is not None:
            return found
    return None


def _follows(group: Sequence[Entry], before: int | None) -> bool:
    for one in group:
        if before is not None and one.ending_cents - one.cents != before:
            return False
        before = one.ending_cents
    return True


def _walk(group: list[Entry], start: int) -> list[Entry] | None:
    """A walk over all rows, as edges from one balance to the next (Hierholzer), rows listed first going first."""
    leaving: dict[int, list[Entry]] = {}
    for one in reversed(group):
        leaving.setdefault(one.ending_cents - one.cents, []).append(one)
    stack: list[tuple[int, Entry | None]] = [(start, None)]
    walk: list[Entry] = []
    while stack:
        place, arrived = stack[-1]
        if leaving.get(place):
            onward = leaving[place].pop()
            stack.append((onward.ending_cents, onward))
            continue
        stack.pop()
        if arrived is not None:
            walk.append(arrived)
    walk.reverse()
    return walk if len(walk) == len(group) and _follows(walk, start) else None


def up_to(entries: Sequence[Entry], mine: Entry, *, whole: bool) -> list[Entry] | None:
    """The ledger up to my row, oldest first, reaching at least 24 hours back; None where it does not show all of that.

    `whole` says that the listing reached the ledger's beginning. My own row must be listed: a list that lags hides its
    newest rows, and what it hides before mine need not show in the balances (a grant and an undoing of as many cents).
    """
    chain = gapless(entries)
    place = next((index for index, one in enumerate(chain or ()) if one.id == mine.id), None)
    if chain is None or place is None:
        return None
    first = chain[0]
    begins_at_nothing = whole and first.ending_cents == first.cents
    if first.created >= mine.created - DAY and not begins_at_nothing:
        return None
    return chain[: place + 1]


def spent(chain: Sequence[Entry], since: int, operator: str | None = None) -> Spent:
    """What was reserved from `since` on and not reversed, by one operator or by all.

    A reversal counts only with what it reverses, and no row makes the sum less than nothing. A row that says no more
    what it is counts as given by everybody.
    """
    counted = [
        (one, max(0, net_cents(one, chain)))
        for one in chain
        if one.created >= since and one.cents > 0 and _counts_for(one, operator)
    ]
    left = [(one, cents) for one, cents in counted if cents]
    return Spent(sum(cents for _, cents in left), left[0][0].created + DAY + 1 if left else None)


def _counts_for(entry: Entry, operator: str | None) -> bool:
    if entry.kind == "reversal":
        return False  # it takes back a reversal: what that one reversed counts again, by its net
    return operator is None or entry.metadata.get("operator", operator) == operator


def verdict(mine: Reservation, entries: Sequence[Entry], *, whole: bool) -> Verdict | None:
    """Whether my reservation fits its caps; None while the listing does not show the ledger up to my row."""
    chain = up_to(entries, mine.entry, whole=whole)
    if chain is None:
        return None
    since = mine.entry.created - DAY
    if mine.entry.cents > mine.caps.per_grant:
        return Verdict(False, "per_grant")
    if spent(chain, since, mine.operator).cents > mine.caps.operator:
        return Verdict(False, "operator")
    if spent(chain, since).cents > mine.caps.everyone:
        return Verdict(False, "everyone")
    return Verdict(True)


def touched(reserved: Reservation, entries: Sequence[Entry]) -> int:
    """When the last thing happened to a reservation on the record, in unix seconds."""
    reversal = reversal_of(reserved.entry, entries)
    return (reversal or reserved.entry).created
