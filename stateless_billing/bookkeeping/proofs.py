"""Remembers what ledgers told, so that an absence is believed only when it was told alike twice.

A list may lag by minutes. Two readings half an hour apart, within one epoch and with the same oldest entry, cannot both
miss what was written before the epoch began. The memory is a process's own: after a restart it begins anew.
"""

from collections.abc import Hashable
from dataclasses import dataclass

from cachetools import LRUCache

from stateless_billing.domain.balance_chain import LedgerReading, find_flaw
from stateless_billing.domain.epochs import QUIET_SECONDS

MAX_FAILURES = 2  # so many flawed readings make a ledger one that an admin has to look at
_CACHE_SIZE = 10_000


@dataclass(frozen=True, slots=True)
class Proof:
    """Whether a reading proves an absence: yes; not before `wait` seconds; or `flaw`, seen `failures` times by now."""

    proven: bool
    wait_seconds: int = 0
    flaw: str = ""
    failures: int = 0


@dataclass(frozen=True, slots=True)
class _Evidence:
    read_at: int
    oldest_id: str


class Proofs:
    """First tellings, by what is looked for, the customer and the epoch."""

    def __init__(self) -> None:
        self._evidence: LRUCache[Hashable, _Evidence] = LRUCache(_CACHE_SIZE)
        self._failures: LRUCache[Hashable, int] = LRUCache(_CACHE_SIZE)

    def judge(self, sought: str, customer: str, epoch: int, reading: LedgerReading, *, unused: bool = False) -> Proof:
        """Judge a reading that was begun in `epoch`, outside of the quiet zone after its border.

        `unused`: the customer has no currency, so it never had an entry: an empty ledger needs no second telling.
        """
        key = sought, customer, epoch
        if fault := find_flaw(reading):
            return self.record_failure(sought, customer, epoch, fault)
        if unused and not reading.entries:
            return Proof(proven=True)
        before = self._evidence.get(key)
        if before is None or before.oldest_id != reading.oldest_id or before.read_at > reading.read_at:
            before = self._evidence[key] = _Evidence(reading.read_at, reading.oldest_id)
        self._failures.pop(key, None)
        wait = QUIET_SECONDS - (reading.read_at - before.read_at)
        return Proof(proven=wait <= 0, wait_seconds=max(0, wait))

    def record_failure(self, sought: str, customer: str, epoch: int, fault: str) -> Proof:
        """Count a reading that proves nothing."""
        key = sought, customer, epoch
        self._failures[key] = failures = self._failures.get(key, 0) + 1
        return Proof(proven=False, flaw=fault, failures=failures)
