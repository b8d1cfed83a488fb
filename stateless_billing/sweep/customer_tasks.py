"""The work on customers that is in progress: at most one task for each, beside the sweep's rounds."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from chain.payment import Payment
from stateless_billing.crediting.status_cache import StatusCache
from stateless_billing.domain.finality import Heads
from stateless_billing.sweep.checkpoint import GatewayCheckpoint
from stateless_billing.sweep.customer_sweep import MAX_SEALED, CustomerSweep

_MAX_QUEUED = 64  # payments of one customer in one round; the next round finds the others again
_MAX_BUSY_CUSTOMERS = 2_000  # customers being swept before more payments are read


@dataclass(frozen=True, slots=True)
class _Work:
    """Payments of one customer that a round found."""

    indexed: Sequence[tuple[int, Payment]]
    heads: Heads
    seal: bool


class CustomerTasks:
    """Runs the work on customers. `failed` and `is_capped` are about the round since `begin_round`."""

    def __init__(self, customers: CustomerSweep, status_cache: StatusCache) -> None:
        self._customers = customers
        self._status_cache = status_cache
        self._tasks: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._queued: dict[tuple[str, str], list[_Work]] = defaultdict(list)
        self.failed = False
        self.is_capped = False
        """Whether work was left to a later round."""

    def __bool__(self) -> bool:
        return bool(self._tasks)

    def begin_round(self) -> None:
        """Forget what was noted in the round before, and what it queued: the next reading finds that again."""
        self.failed = self.is_capped = False
        self._queued.clear()

    def begin(
        self,
        checkpoint: GatewayCheckpoint,
        customer_id: str,
        indexed: Sequence[tuple[int, Payment]],
        heads: Heads,
        *,
        seal: bool = False,
    ) -> None:
        """Start working on a customer's payments; if earlier work goes on, after that, within this round.

        A round may find the final payments of a customer first: those that wait must not hide the later ones.
        """
        key = checkpoint.gateway.address, customer_id
        limited = self._limit(indexed)
        self.is_capped |= len(limited) < len(indexed)
        self._queued[key].append(_Work(limited, heads, seal))
        if key not in self._tasks:
            self._tasks[key] = asyncio.create_task(self._run(checkpoint, customer_id))

    def _limit(self, indexed: Sequence[tuple[int, Payment]]) -> Sequence[tuple[int, Payment]]:
        """Leave out what comes after so many payments that are to be credited, or to be sealed."""
        uncredited = 0
        for position, (_, payment) in enumerate(indexed):
            uncredited += self._status_cache.credited_status(payment) is None
            if uncredited > _MAX_QUEUED or position == MAX_SEALED:
                return indexed[:position]
        return indexed

    async def _run(self, checkpoint: GatewayCheckpoint, customer_id: str) -> None:
        key = checkpoint.gateway.address, customer_id
        try:
            while queued := self._queued[key]:
                work = queued.pop(0)
                if not await self._customers.run(checkpoint, customer_id, work.indexed, work.heads, seal=work.seal):
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
