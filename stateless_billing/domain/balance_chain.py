"""Decides whether a listing of balance transactions is complete. Pure.

Every entry carries the balance after it, so the entries of one currency form a chain. A listing may lag, end early or
omit rows. It is complete if its chain has no gap, ends at the balance that was read before it, and reaches back to an
entry older than anything that is searched for.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from stateless_billing.domain.ledger import CURRENCY, Entry

BALANCE_SLACK_SECONDS = 60  # an entry newer than the balance reading may have a `created` this much before it
_INITIAL = "initial"


@dataclass(frozen=True, slots=True)
class LedgerReading:
    """One reading of a ledger: the balance first, then the entries, newest first.

    The entries are not filtered by time. `balance_cents` counts credit as positive and was read at `read_at` (Stripe's
    clock, Unix seconds). The reading stops at its anchor, an entry older than anything searched for (`anchored`), or at
    the end of the list; `ended` means that one more request past the last entry returned nothing. `timeless`: the
    customer has a test clock, so `created` proves nothing. `broken_off` is the reason why the reading stopped before
    either.
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
        """The ID of the anchor, else of the last entry read; empty if there is none.

        Entries past the anchor do not count: how many its page shows changes with every new entry.
        """
        return self.anchor_id or (self.entries[-1].id if self.entries else "")


def find_flaw(reading: LedgerReading) -> str:
    """Return why this reading may omit an entry newer than its anchor; empty if it is complete."""
    if reading.broken_off:
        return reading.broken_off
    chain = order_by_balance(reading.entries)
    if chain is None:
        return "its list has a gap: an entry is missing"
    if not _fits_balance(chain, reading):
        return "its balance does not match the newest entry listed"
    return "" if _starts_consistently(chain, reading) else "its list does not reach the first entry of the ledger"


def order_by_balance(entries: Sequence[Entry]) -> list[Entry] | None:
    """Chain a listing's dollar entries (newest first), oldest first; None if one is missing."""
    return chain_entries([entry for entry in entries if entry.currency == CURRENCY])


def chain_entries(entries: Sequence[Entry]) -> list[Entry] | None:
    """Chain a listing of one currency (newest first), oldest first; None if an entry is missing.

    Concurrent entries may be applied in another order than that of `created`.
    """
    return gapless_chain(entries) or _chain_by_balance(entries)


def _chain_by_balance(entries: Sequence[Entry]) -> list[Entry] | None:
    """Chain entries by balance alone, where `created` is not the order of writing."""
    oldest_first = list(reversed(entries))
    if not oldest_first:
        return []
    openings = Counter(opening_balance(entry) for entry in oldest_first)
    unmatched_openings = openings - Counter(entry.ending_cents for entry in oldest_first)
    return _walk_group(oldest_first, next(iter(unmatched_openings), opening_balance(oldest_first[0])))


def opening_balance(entry: Entry) -> int:
    """Return the balance before an entry, in cents."""
    return entry.ending_cents - entry.cents


def _fits_balance(chain: Sequence[Entry], reading: LedgerReading) -> bool:
    """Whether the chain reaches the balance and later entries are newer than its reading."""
    if not chain:
        return reading.balance_cents == 0
    for entry in reversed(chain):
        if entry.ending_cents == reading.balance_cents:
            return True
        if reading.timeless or entry.created < reading.read_at - BALANCE_SLACK_SECONDS:
            return False
    return opening_balance(chain[0]) == reading.balance_cents


def _starts_consistently(chain: Sequence[Entry], reading: LedgerReading) -> bool:
    """Whether the reading reached its anchor or the start of the ledger."""
    if reading.anchored:
        return True
    return reading.ended and (not chain or opening_balance(chain[0]) == 0 or chain[0].type == _INITIAL)


def gapless_chain(entries: Sequence[Entry]) -> list[Entry] | None:
    """Chain a listing (newest first) by `created`, oldest first; None if a row is missing.

    A listing may show the entries of one second in any order; their balances put them in order.
    """
    oldest_first = list(reversed(entries))
    if _is_linked(oldest_first, None):  # nearly every list: it needs no groups
        return oldest_first
    chain: list[Entry] = []
    for _, group in groupby(oldest_first, key=lambda entry: entry.created):
        balance = chain[-1].ending_cents if chain else None
        linked = _link_group(list(group), balance)
        if linked is None:
            return None
        chain += linked
    return chain


def _link_group(group: list[Entry], balance: int | None) -> list[Entry] | None:
    """Order the entries of one second so that each opens at the previous ending balance."""
    if _is_linked(group, balance):
        return group
    starts = [balance] if balance is not None else sorted({opening_balance(entry) for entry in group})
    for start in starts:
        if (walk := _walk_group(group, start)) is not None:
            return walk
    return None


def _is_linked(group: Sequence[Entry], balance: int | None) -> bool:
    for entry in group:
        if balance is not None and opening_balance(entry) != balance:
            return False
        balance = entry.ending_cents
    return True


def _walk_group(group: list[Entry], start: int) -> list[Entry] | None:
    """Find an Eulerian path over entries as edges between balances (Hierholzer).

    It keeps the listed order where it can.
    """
    unused: dict[int, list[Entry]] = {}
    for entry in reversed(group):
        unused.setdefault(opening_balance(entry), []).append(entry)
    stack: list[tuple[int, Entry | None]] = [(start, None)]
    walk: list[Entry] = []
    while stack:
        balance, arrived_by = stack[-1]
        if unused.get(balance):
            edge = unused[balance].pop()
            stack.append((edge.ending_cents, edge))
            continue
        stack.pop()
        if arrived_by is not None:
            walk.append(arrived_by)
    walk.reverse()
    return walk if len(walk) == len(group) and _is_linked(walk, start) else None
