"""Sees in the ledgers that a process reads anyway whether what is assumed of Stripe holds."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from cachetools import LRUCache

from stateless_billing.assumptions.breaches import Breaches, Watch, harmless
from stateless_billing.domain.balance_chain import order_by_balance
from stateless_billing.domain.epochs import EPOCH_SECONDS, LISTING_LEAD_SECONDS, QUIET_SECONDS
from stateless_billing.domain.ledger import BLOCK_LEAD_SECONDS, Entry, net_cents

LAG_SECONDS = QUIET_SECONDS  # by which a list may lag
_MAX_ENTRIES = 50_000  # of all customers together, about 15 MB
_REMEMBERED = 100  # of one customer
_MAX_UNIQUE = 20_000  # about 8 MB
_IDENTITIES = {"payment": "payment", "grant": "grant", "reservation": "grant", "reversal": "reverses"}
"""For each kind of entry that exists once, the metadata that says of what."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """An entry as it was seen last, and whether a list ever showed it."""

    created: int
    cents: int
    ending_cents: int
    listed: bool


class LedgerWatch(Watch):
    """Compares each newest page of a ledger with itself and with what this process saw before."""

    def __init__(self, breaches: Breaches) -> None:
        super().__init__(breaches)
        self._seen: LRUCache[str, dict[str, _Seen]] = LRUCache(_MAX_ENTRIES, lambda entries: 1 + len(entries))
        self._unique: LRUCache[tuple[str, str], tuple[str, str]] = LRUCache(_MAX_UNIQUE)

    @harmless
    def listed(self, customer_id: str, entries: Sequence[Entry], since: int | None, now: int, *, ended: bool) -> None:
        """Look at the newest entries of a ledger, newest first; `now` is Stripe's clock.

        With `ended` they are all since `since`.
        """
        if any(older.created > newer.created for newer, older in pairwise(entries)):
            self._report("list_out_of_order", customer_id, f"the list of {customer_id} is not newest first")
            return
        # The page may end within a second, whose entries a list shows in any order.
        span = range((since or 0) if ended else entries[-1].created + 1, now - LAG_SECONDS)
        settled = [entry for entry in entries if entry.created in span]
        if order_by_balance(settled) is None:
            oldest, newest = settled[-1].id, settled[0].id
            self._report("ending_balance_gap", customer_id, f"between {oldest} and {newest} of {customer_id}")
        self._compare(customer_id, {entry.id: entry for entry in entries}, span)
        reversed_ids = {entry.metadata.get("reverses") for entry in entries if entry.kind == "reversal"}
        for entry in entries:
            self._note_unique(entry, undone=entry.id in reversed_ids and net_cents(entry, entries) == 0)
        self._remember(customer_id, entries, listed=True)

    @harmless
    def written(self, entry: Entry, origin: int, epoch: int, now: int) -> None:
        """Look at the answer to a write under the key of an epoch; `now` is Stripe's clock at the answer."""
        lead = 0 if epoch else LISTING_LEAD_SECONDS
        start = origin + epoch * EPOCH_SECONDS
        if not start - lead <= entry.created < min(start + EPOCH_SECONDS, now + BLOCK_LEAD_SECONDS):
            if entry.kind == "reversal":
                return  # its customer may be on a test clock by now, whose time the entry then has
            text = f"{entry.id} of {entry.customer} was created at {entry.created}, its key was used from {start}"
            self._report("saved_answer_out_of_time", entry.id, f"{text} on, and it was answered at {now}")
        self._note_unique(entry, undone=False)
        self._remember(entry.customer, [entry], listed=False)

    @harmless
    def answered_otherwise(self, entry: Entry, key: str) -> None:
        """Count an answer that was not the entry asked for."""
        text = f"under the key {key} Stripe answered {entry.id}, {entry.cents} cents for {entry.customer}"
        self._report("saved_answer_differs", (entry.id, key), text)

    def _report(self, name: str, fact: object, text: str) -> None:
        self.breaches.report(name, str(fact), text)

    def _compare(self, customer_id: str, shown: dict[str, Entry], span: range) -> None:
        """Compare a list with what was seen of its ledger; `span` is when an entry that must be in it was created."""
        missing: dict[bool, str] = {}
        for entry_id, seen in self._seen.get(customer_id, {}).items():
            entry = shown.get(entry_id)
            if entry is None:
                if seen.created in span:
                    missing[seen.listed] = entry_id
            elif (entry.created, entry.cents, entry.ending_cents) != (seen.created, seen.cents, seen.ending_cents):
                text = f"{entry_id} of {customer_id}: {seen}, now {entry.created}, {entry.cents}, {entry.ending_cents}"
                self._report("entry_changed", entry_id, text)
        for listed, entry_id in missing.items():
            name = "list_went_back" if listed else "list_lagged"
            self._report(name, entry_id, f"the list of {customer_id} omits {entry_id}")

    def _note_unique(self, entry: Entry, *, undone: bool) -> None:
        """Compare an entry that must be the only one of its kind with the one seen before, here or elsewhere."""
        kind = entry.kind or ""
        identity = entry.metadata.get(_IDENTITIES.get(kind, ""), "")
        if not identity:
            return
        other = self._unique.get((kind, identity))
        if undone:
            if other and other[0] == entry.id:
                self._unique.pop((kind, identity))
        elif other and other[0] != entry.id:
            places = f"{other[0]} of {other[1]} and {entry.id} of {entry.customer}"
            self._report("key_accepted_twice", (kind, identity), f"{places} are both the {kind} {identity}")
        else:
            self._unique[kind, identity] = entry.id, entry.customer

    def _remember(self, customer_id: str, entries: Sequence[Entry], *, listed: bool) -> None:
        seen = dict(self._seen.pop(customer_id, {}))
        for entry in entries:
            before = seen.get(entry.id)
            was_listed = listed or (before is not None and before.listed)
            seen[entry.id] = _Seen(entry.created, entry.cents, entry.ending_cents, was_listed)
        newest = sorted(seen.items(), key=lambda item: item[1].created, reverse=True)
        self._seen[customer_id] = dict(newest[:_REMEMBERED])
