"""The work on customers that is in progress: at most one task for each, beside the sweep's rounds."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import TypeAlias

from chain.payment import Payment
from stateless_billing.crediting.status_cache import StatusCache
from stateless_billing.domain.finality import Heads, is_final
from stateless_billing.sweep.checkpoint import GatewayCheckpoint
from stateless_billing.sweep.customer_sweep import MAX_SEALED, CustomerSweep

Key: TypeAlias = tuple[str, str]
"""A gateway and a customer."""
Indexed: TypeAlias = tuple[int, Payment]
_MAX_QUEUED = 64  # payments of one customer in one round, final or not; the next round finds the others again
_MAX_BUSY_CUSTOMERS = 2_000  # customers being swept before more payments are read


@dataclass(frozen=True, slots=True)
class _Work:
    """Payments of one customer that a round found."""

    indexed: Sequence[Indexed]
    heads: Heads
    seal: bool


class CustomerTasks:
    """Runs the work on customers. `failed` and `is_capped` are about the round since `begin_round`."""

    def __init__(self, customers: CustomerSweep, status_cache: StatusCache) -> None:
        self._customers = customers
        self._status_cache = status_cache
        self._tasks: dict[Key, asyncio.Task[None]] = {}
        self._queued: dict[Key, list[_Work]] = defaultdict(list)
        self._taken: Counter[tuple[Key, bool]] = Counter()
        self.failed = False
        self.is_capped = False
        """Whether work was left to a later round."""

    def __bool__(self) -> bool:
        return bool(self._tasks)

    def begin_round(self) -> None:
        """Forget what was noted in the round before, and what it queued: the next reading finds that again."""
        self.failed = self.is_capped = False
        self._queued.clear()
        self._taken.clear()

    def begin(
        self,
        checkpoint: GatewayCheckpoint,
        customer_id: str,
        indexed: Sequence[Indexed],
        heads: Heads,
        *,
        seal: bool = False,
    ) -> None:
        """Start working on a customer's payments; if earlier work goes on, after that.

        What waits must not hide what does not: a round finds final payments first, and many may wait for a node.
        """
        key = checkpoint.gateway.address, customer_id
        chosen = self._choose(key, indexed, heads)
        self.is_capped |= len(chosen) < len(indexed)
        if indexed and not chosen:
            return
        self._queued[key].append(_Work(chosen, heads, seal))
        if key not in self._tasks:
            self._tasks[key] = asyncio.create_task(self._run(checkpoint, customer_id))

    def _choose(self, key: Key, indexed: Sequence[Indexed], heads: Heads) -> list[Indexed]:
        """Choose what a round takes of a customer, in order: so many to credit, final or not, and so many to seal."""
        chosen: list[Indexed] = []
        uncredited: dict[bool, list[Indexed]] = {True: [], False: []}
        for entry in indexed:
            if self._is_credited(entry[1]):
                chosen.append(entry)
            else:
                uncredited[is_final(entry[1], heads)].append(entry)
        chosen = chosen[:MAX_SEALED]
        for final, entries in uncredited.items():
            entries.sort(key=lambda entry: self._is_waiting(entry[1]))  # those that wait come last, else in order
            room = max(0, _MAX_QUEUED - self._taken[key, final])
            self._taken[key, final] += len(entries[:room])
            chosen += entries[:room]
        return sorted(chosen, key=itemgetter(0))

    def _is_credited(self, payment: Payment) -> bool:
        return self._status_cache.credited_status(payment) is not None

    def _is_waiting(self, payment: Payment) -> bool:
        last = self._status_cache.last_status(payment)
        return last is not None and last.state == "confirming"

    async def _run(self, checkpoint: GatewayCheckpoint, customer_id: str) -> None:
        """Do what is queued: each payment once, however many rounds find it while it waits; open ones once too."""
        key = checkpoint.gateway.address, customer_id
        attempted: set[str] = set()
        has_begun_open = False
        try:
            while queued := self._queued[key]:
                work = queued.pop(0)
                indexed = [
                    (index, payment)
                    for index, payment in work.indexed
                    if (index in checkpoint.indexed or not checkpoint.is_done_in(index, payment.block))
                    and (payment.identity not in attempted or self._is_credited(payment))
                ]
                if not indexed and (work.indexed or has_begun_open):
                    continue
                has_begun_open |= not indexed
                attempted.update(payment.identity for _, payment in indexed)
                if not await self._customers.run(checkpoint, customer_id, indexed, work.heads, seal=work.seal):
                    self.failed = True
        finally:
            self._tasks.pop(key, None)  # with no pause after the last look at the queue

    async def wait(self, timeout_seconds: int | None) -> None:
        """Wait for the work at most so long."""
        if self._tasks:
            await asyncio.wait(self._tasks.values(), timeout=timeout_seconds)

    async def wait_for_room(self) -> None:
        """Wait while too many customers are being swept."""
        if len(self._tasks) > _MAX_BUSY_CUSTOMERS:
            await asyncio.wait(self._tasks.values(), return_when=asyncio.FIRST_COMPLETED)

    async def stop(self) -> None:
        """End all work."""
        self._queued.clear()
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._tasks.clear()  # one that was cancelled before it began did not leave by itself
