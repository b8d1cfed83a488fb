"""What a listing of balance transactions proves. Pure; shared by credits, grants, reversals and the audit.

Every entry carries the balance after it, so the entries of one currency form a chain. A listing is a claim: it may lag,
end early or leave rows out. A chain that fits the balance read before it, and reaches an entry older than anything that
is looked for, leaves no room for an entry that is not shown.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from stateless_billing.domain.ledger import CURRENCY, Entry

BALANCE_SLACK = 60  # seconds by which an entry that the balance does not contain yet may seem older than its reading
_INITIAL = "initial"


@dataclass(frozen=True, slots=True)
class LedgerReading:
    """One ledger read back: the balance first, then the entries, newest first, without a filter by time.

    `balance_cents` counts credit as positive and was read at `read_at` (Stripe's clock, unix seconds). The reading
    stopped at its anchor, an entry older than what is looked for (`anchored`), or where the list ended; `ended` says
    that one more request behind the last entry was answered with nothing. `timeless`: `created` of its entries is
    another clock's, so it proves nothing. `broken_off` says why the reading stopped without either.
    """

    entries: Sequence[Entry]
    balance_cents: int
    read_at: int
    anchored: bool
    ended: bool
    timeless: bool = False
    broken_off: str = ""
    anchor_id: str = ""

    @property
    def oldest_id(self) -> str:
        """The anchor, else the last entry that was read; empty where there was none.

        What lies behind the anchor on its page moves with every new entry.
        """
        return self.anchor_id or (self.entries[-1].id if self.entries else "")


def find_flaw(reading: LedgerReading) -> str:
    """Why this reading does not prove that it shows every entry since its anchor; empty where it does."""
    if reading.broken_off:
        return reading.broken_off
    chain = order_by_balance(reading.entries)
    if chain is None:
        return "its entries do not follow from one another: one is missing"
    if not _fits_balance(chain, reading):
        return "its balance is not that of the newest entry listed"
    return "" if _starts_consistently(chain, reading) else "its list ends where the ledger does not begin"


def order_by_balance(entries: Sequence[Entry]) -> list[Entry] | None:
    """The dollar entries of a listing (newest first) as one chain, oldest first; None where one is missing."""
    dollars = [one for one in entries if one.currency == CURRENCY]
    return is_gapless(dollars) or _order_unordered(dollars)


def _order_unordered(entries: Sequence[Entry]) -> list[Entry] | None:
    """A chain over entries whose `created` is not the order in which Stripe wrote them."""
    oldest_first = list(reversed(entries))
    if not oldest_first:
        return []
    left_more_often = Counter(opening_balance(one) for one in oldest_first) - Counter(
        one.ending_cents for one in oldest_first
    )
    return _walk_group(oldest_first, next(iter(left_more_often), opening_balance(oldest_first[0])))


def opening_balance(entry: Entry) -> int:
    """The balance before an entry, in cents."""
    return entry.ending_cents - entry.cents


def _fits_balance(chain: Sequence[Entry], reading: LedgerReading) -> bool:
    """Whether the balance is the ending of an entry than which all newer ones were written after it was read."""
    if not chain:
        return reading.balance_cents == 0
    for entry in reversed(chain):
        if entry.ending_cents == reading.balance_cents:
            return True
        if reading.timeless or entry.created < reading.read_at - BALANCE_SLACK:
            return False
    return opening_balance(chain[0]) == reading.balance_cents


def _starts_consistently(chain: Sequence[Entry], reading: LedgerReading) -> bool:
    """Whether the reading reached an entry older than what is looked for, or the ledger's beginning."""
    if reading.anchored:
        return True
    return reading.ended and (not chain or opening_balance(chain[0]) == 0 or chain[0].type == _INITIAL)


def is_gapless(entries: Sequence[Entry]) -> list[Entry] | None:
    """A listing (newest first) as a chain, oldest first, each balance following from the one before it.

    Stripe's order counts; within one second, which the listing may show in any order, the balances do. None where a
    row is missing.
    """
    oldest_first = list(reversed(entries))
    chain: list[Entry] = []
    for _, group in groupby(oldest_first, key=lambda one: one.created):
        before = chain[-1].ending_cents if chain else None
        linked = _link(list(group), before)
        if linked is None:
            return None
        chain += linked
    return chain


def _link(group: list[Entry], before: int | None) -> list[Entry] | None:
    """The rows of one second in an order in which each follows from the one before it."""
    if _follow(group, before):
        return group
    starts = [before] if before is not None else sorted({opening_balance(one) for one in group})
    for start in starts:
        if (found := _walk_group(group, start)) is not None:
            return found
    return None


def _follow(group: Sequence[Entry], before: int | None) -> bool:
    for one in group:
        if before is not None and opening_balance(one) != before:
            return False
        before = one.ending_cents
    return True


def _walk_group(group: list[Entry], start: int) -> list[Entry] | None:
    """A walk over all rows, as edges from one balance to the next (Hierholzer), rows listed first going first."""
    leaving: dict[int, list[Entry]] = {}
    for one in reversed(group):
        leaving.setdefault(opening_balance(one), []).append(one)
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
    return walk if len(walk) == len(group) and _follow(walk, start) else None
