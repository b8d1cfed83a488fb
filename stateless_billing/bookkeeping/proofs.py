"""Proves that an entry is absent from a ledger, by two readings half an hour apart.

A list may lag by minutes. Two readings half an hour apart, in one epoch and with the same oldest entry, cannot both
miss an entry written before the epoch. Evidence is kept in memory, so a restart begins again.
"""

from collections.abc import Hashable
from dataclasses import dataclass

from cachetools import LRUCache

from stateless_billing.domain.balance_chain import LedgerReading, find_flaw
from stateless_billing.domain.epochs import QUIET_SECONDS

MAX_FAILURES = 2  # flawed readings after which an admin must examine the ledger
_CACHE_SIZE = 10_000


@dataclass(frozen=True, slots=True)
class Proof:
    """Whether an absence is proven.

    If not: the wait until a second reading, or the `flaw` of this one. `failures` is the number of flawed readings so
    far.
    """

    proven: bool
    wait_seconds: int = 0
    flaw: str = ""
    failures: int = 0


@dataclass(frozen=True, slots=True)
class _Evidence:
    read_at: int
    oldest_id: str


class Proofs:
    """First readings, by the entry sought, the customer and the epoch."""

    def __init__(self) -> None:
        self._evidence: LRUCache[Hashable, _Evidence] = LRUCache(_CACHE_SIZE)
        self._failures: LRUCache[Hashable, int] = LRUCache(_CACHE_SIZE)

    def judge(self, sought: str, customer: str, epoch: int, reading: LedgerReading, *, unused: bool = False) -> Proof:
        """Judge a reading that started in `epoch`, after the quiet zone at the epoch's start, and shows no such entry.

        `unused`: the customer has no currency, so it never had an entry, and an empty ledger needs no second reading.
        """
        key = sought, customer, epoch
        if flaw := find_flaw(reading):
            return self.record_failure(sought, customer, epoch, flaw)
        if unused and not reading.entries:
            return Proof(proven=True)
        first = self._evidence.get(key)
        if first is None or first.oldest_id != reading.oldest_id or first.read_at > reading.read_at:
            first = self._evidence[key] = _Evidence(reading.read_at, reading.oldest_id)
        self._failures.pop(key, None)
        wait = QUIET_SECONDS - (reading.read_at - first.read_at)
        return Proof(proven=wait <= 0, wait_seconds=max(0, wait))

    def discard(self, sought: str, customer: str, epoch: int) -> None:
        """Drop the first reading: a later one shows the entry, or what may be it."""
        self._evidence.pop((sought, customer, epoch), None)

    def record_failure(self, sought: str, customer: str, epoch: int, flaw: str) -> Proof:
        """Count a flawed reading."""
        key = sought, customer, epoch
        self._failures[key] = failures = self._failures.get(key, 0) + 1
        return Proof(proven=False, flaw=flaw, failures=failures)
