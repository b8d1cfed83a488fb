"""Remembers what ledgers told, so that an absence is believed only when it was told alike twice.

A list may lag by minutes. Two readings half an hour apart, within one epoch and with the same oldest entry, cannot both
miss what was written before the epoch began. The memory is a process's own: after a restart it begins anew.
"""

from collections.abc import Hashable
from dataclasses import dataclass

from cachetools import LRUCache

from stateless_billing.domain.balance_chain import Reading, flaw
from stateless_billing.domain.epochs import QUIET

FAILURES_MOST = 2  # so many flawed readings make a ledger one that an admin has to look at
_KEPT = 10_000


@dataclass(frozen=True, slots=True)
class Proof:
    """Whether a reading proves an absence: yes; not before `wait` seconds; or `flaw`, seen `failures` times by now."""

    proven: bool
    wait: int = 0
    flaw: str = ""
    failures: int = 0


@dataclass(frozen=True, slots=True)
class _Telling:
    read_at: int
    oldest_id: str


class Proofs:
    """First tellings, by what is looked for, the customer and the epoch."""

    def __init__(self) -> None:
        self._tellings: LRUCache[Hashable, _Telling] = LRUCache(_KEPT)
        self._failures: LRUCache[Hashable, int] = LRUCache(_KEPT)

    def judge(self, sought: str, customer: str, epoch: int, reading: Reading, *, unused: bool = False) -> Proof:
        """Judge a reading that was begun in `epoch`, outside of the quiet zone after its border.

        `unused`: the customer has no currency, so it never had an entry: an empty ledger needs no second telling.
        """
        key = sought, customer, epoch
        if fault := flaw(reading):
            return self.failed(sought, customer, epoch, fault)
        if unused and not reading.entries:
            return Proof(proven=True)
        before = self._tellings.get(key)
        if before is None or before.oldest_id != reading.oldest_id or before.read_at > reading.read_at:
            before = self._tellings[key] = _Telling(reading.read_at, reading.oldest_id)
        self._failures.pop(key, None)
        wait = QUIET - (reading.read_at - before.read_at)
        return Proof(proven=wait <= 0, wait=max(0, wait))

    def failed(self, sought: str, customer: str, epoch: int, fault: str) -> Proof:
        """Count a reading that proves nothing."""
        key = sought, customer, epoch
        self._failures[key] = failures = self._failures.get(key, 0) + 1
        return Proof(proven=False, flaw=fault, failures=failures)
