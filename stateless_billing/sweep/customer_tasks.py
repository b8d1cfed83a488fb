"""The work on customers that is in progress: at most one task for each, beside the sweep's rounds."""

import asyncio
from collections.abc import Sequence

from chain.payment import Payment
from stateless_billing.crediting.status_cache import StatusCache
from stateless_billing.domain.finality import Heads
from stateless_billing.sweep.checkpoint import GatewayCheckpoint
from stateless_billing.sweep.customer_sweep import MAX_SEALED, CustomerSweep

_MAX_QUEUED = 64  # payments of one customer in one round; the next round finds the others again
_MAX_BUSY_CUSTOMERS = 2_000  # customers being swept before more payments are read


class CustomerTasks:
    """Runs the work on customers. `failed` and `is_capped` are about the round since `begin_round`."""

    def __init__(self, customers: CustomerSweep, status_cache: StatusCache) -> None:
        self._customers = customers
        self._status_cache = status_cache
        self._tasks: dict[tuple[str, str], asyncio.Task[None]] = {}
        self.failed = False
        self.is_capped = False
        """Whether work was left to a later round."""

    def __bool__(self) -> bool:
        return bool(self._tasks)

    def begin_round(self) -> None:
        """Forget what was noted in the round before."""
        self.failed = self.is_capped = False

    def begin(
        self,
        checkpoint: GatewayCheckpoint,
        customer_id: str,
        indexed: Sequence[tuple[int, Payment]],
        heads: Heads,
        *,
        seal: bool = False,
    ) -> None:
        """Start working on a customer's payments, unless earlier work goes on: a later round finds them again."""
        key = checkpoint.gateway.address, customer_id
        queued = self._limit(indexed)
        self.is_capped |= key in self._tasks or len(queued) < len(indexed)
        if key not in self._tasks:
            self._tasks[key] = asyncio.create_task(self._run(checkpoint, customer_id, queued, heads, seal=seal))
            self._tasks[key].add_done_callback(lambda _: self._tasks.pop(key))

    def _limit(self, indexed: Sequence[tuple[int, Payment]]) -> Sequence[tuple[int, Payment]]:
        """Leave out what comes after so many payments that are to be credited, or to be sealed."""
        uncredited = 0
        for position, (_, payment) in enumerate(indexed):
            uncredited += self._status_cache.credited_status(payment) is None
            if uncredited > _MAX_QUEUED or position == MAX_SEALED:
                return indexed[:position]
        return indexed

    async def _run(
        self,
        checkpoint: GatewayCheckpoint,
        customer_id: str,
        indexed: Sequence[tuple[int, Payment]],
        heads: Heads,
        *,
        seal: bool,
    ) -> None:
        if not await self._customers.run(checkpoint, customer_id, indexed, heads, seal=seal):
            self.failed = True

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
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
