"""Sweeps all gateways: finds every payment on the chain and credits it.

One call per gateway shows whether there is anything new. An idle sweep makes no requests to Stripe.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from chain.errors import ChainError
from chain.gateway import Gateway
from chain.payment import Payment
from stateless_billing.bookkeeping import records
from stateless_billing.bookkeeping.records import MAX_OPEN, ServiceRecords
from stateless_billing.crediting.confirmations import Confirmations
from stateless_billing.crediting.processor import CreditProcessor
from stateless_billing.crediting.status_cache import StatusCache
from stateless_billing.domain.finality import MAX_HEAD_AGE_SECONDS, Heads, is_final
from stateless_billing.runtime import logs
from stateless_billing.runtime.clock import Clock
from stateless_billing.stripe.errors import StripeFailure
from stateless_billing.stripe.objects import Customer
from stateless_billing.sweep.checkpoint import GatewayCheckpoint
from stateless_billing.sweep.cursors import CursorUpdater

log = logging.getLogger(__name__)

_PERSIST_SECONDS = 60  # the record only saves work after a restart, so write it rarely
_HEADS_REFRESH_SECONDS = 30
_MAX_CONCURRENT_CUSTOMERS = 16  # also limits unfinalized payments, processed one at a time


@dataclass(frozen=True, slots=True)
class SweepResult:
    """The result of a sweep: `idle` if no work remains, `complete` if everything could be read."""

    idle: bool
    complete: bool


class Sweeper:
    """Sweeps all gateways periodically. Several processes may sweep at once."""

    def __init__(
        self,
        *,
        gateways: Sequence[Gateway],
        confirmations: Confirmations,
        crediting: CreditProcessor,
        cursors: CursorUpdater,
        status_cache: StatusCache,
        records: ServiceRecords,
        clock: Clock,
    ) -> None:
        self._gateways = gateways
        self._confirmations = confirmations
        self._crediting = crediting
        self._cursors = cursors
        self._status_cache = status_cache
        self._records = records
        self._clock = clock
        self._checkpoints: list[GatewayCheckpoint] = []
        self._persisted: dict[str, str] = {}
        self._persisted_at = 0.0
        self._heads_read_at = 0.0
        self._failed = False
        self._customer_slots = asyncio.Semaphore(_MAX_CONCURRENT_CUSTOMERS)

    def start(self, service: Customer) -> None:
        """Resume from the service record."""
        self._checkpoints = []
        for gateway in self._gateways:
            swept = records.parse_swept(service, gateway)
            open_causes = records.parse_open_payments(service, gateway)
            self._checkpoints.append(GatewayCheckpoint(gateway, swept, open_causes, (swept, dict(open_causes))))
        self._persisted = self._record_values()

    async def run(self, busy_seconds: int, idle_seconds: int) -> None:
        """Sweep until cancelled. A failed sweep is logged; the next one retries."""
        while True:
            try:
                idle = (await self.run_once()).idle
            except Exception:
                log.exception("sweep: failed, retrying with the next one")
                idle = False
            await asyncio.sleep(idle_seconds if idle else busy_seconds)

    async def run_once(self, *, force: bool = False) -> SweepResult:
        """Sweep all gateways once. `force` writes the service record even if it is not due."""
        results = [await self._sweep_gateway(checkpoint) for checkpoint in self._checkpoints]
        agreed = await self._persist(force=force)
        return SweepResult(
            idle=agreed and all(result.idle for result in results),
            complete=agreed and all(result.complete for result in results),
        )

    def uncredited(self) -> list[tuple[Payment, str]]:
        """The uncredited payments of the last sweep, each with its cause, or its state if it has none."""
        uncredited = []
        for checkpoint in self._checkpoints:
            for index, payment in checkpoint.uncredited.items():
                status = self._status_cache.last_status(payment)
                cause = (status.cause or status.state) if status else checkpoint.open.get(index, "confirming")
                uncredited.append((payment, cause))
        return uncredited

    def swept(self) -> dict[str, int]:
        """The index below which each gateway's payments are done, except open ones; by gateway address."""
        return {checkpoint.gateway.address: checkpoint.swept for checkpoint in self._checkpoints}

    async def _sweep_gateway(self, checkpoint: GatewayCheckpoint) -> SweepResult:
        self._failed = False
        try:
            await self._refresh_heads()
            total = await checkpoint.gateway.total_payments()
            if not await self._is_checkpoint_valid(checkpoint, total):
                return SweepResult(idle=False, complete=False)
            if checkpoint.swept == total and not checkpoint.open:
                return SweepResult(idle=True, complete=True)
            heads = await self._confirmations.heads()
            await self._retry_open(checkpoint, heads)
            async for window in checkpoint.gateway.payments(checkpoint.swept, total):
                await self._sweep_batch(checkpoint, window, heads)
        except ChainError as error:
            log.warning("gateway %s: %s", checkpoint.gateway.address, error)
            return SweepResult(idle=False, complete=False)
        return SweepResult(idle=checkpoint.swept == total and not checkpoint.open, complete=not self._failed)

    async def _is_checkpoint_valid(self, checkpoint: GatewayCheckpoint, total: int) -> bool:
        """Whether the checkpoint fits the contract's payment count. It may not if the node is behind.

        At the start, a smaller count from a current node means that the record belongs to another contract: restart.
        """
        if checkpoint.swept > total:
            heads = await self._confirmations.heads()
            behind = self._clock.wall() - heads.latest.time > MAX_HEAD_AGE_SECONDS
            if behind or checkpoint.in_progress:
                if not behind:
                    checkpoint.rollback()  # a node may have reported payments that do not exist
                return False
            log.warning(
                "gateway %s: checkpoint %d is past the payment count %d, restarting from 0",
                checkpoint.gateway.address,
                checkpoint.swept,
                total,
            )
            checkpoint.swept = 0
            checkpoint.open = {}
        if not checkpoint.in_progress:
            checkpoint.open = {index: cause for index, cause in checkpoint.open.items() if index < total}
            checkpoint.in_progress = True
        return True

    async def _refresh_heads(self) -> None:
        """Read the heads periodically even if idle, so that failover moves past a stalled node."""
        if self._clock.boot() - self._heads_read_at >= _HEADS_REFRESH_SECONDS:
            self._heads_read_at = self._clock.boot()
            await self._confirmations.heads()

    async def _sweep_batch(
        self, checkpoint: GatewayCheckpoint, window: Sequence[tuple[int, Payment]], heads: Heads
    ) -> None:
        """Process payments concurrently by customer, and in order within each customer."""
        customers: dict[str, list[tuple[int, Payment]]] = defaultdict(list)
        for index, payment in window:
            if self._status_cache.credited_status(payment) and not is_final(payment, heads):
                continue  # credited; the cursor advances at finality
            if index >= checkpoint.swept and index not in checkpoint.done_above:
                customers[payment.customer_id or ""].append((index, payment))
        await asyncio.gather(*(self._sweep_customer(checkpoint, indexed, heads) for indexed in customers.values()))
        checkpoint.advance()
        self._track_uncredited(checkpoint, window)

    def _track_uncredited(self, checkpoint: GatewayCheckpoint, indexed: Sequence[tuple[int, Payment]]) -> None:
        for index, payment in indexed:
            if checkpoint.is_waiting(index) and not self._status_cache.credited_status(payment):
                checkpoint.uncredited[index] = payment
            else:
                checkpoint.uncredited.pop(index, None)

    async def _sweep_customer(
        self, checkpoint: GatewayCheckpoint, indexed: Sequence[tuple[int, Payment]], heads: Heads
    ) -> None:
        """Isolate failures per customer: log the exception and retry on the next sweep."""
        logs.add_to_context(work="sweep")
        try:
            await self._process_in_order(checkpoint, indexed, heads)
        except Exception:
            self._failed = True
            log.exception(
                "gateway %s, customer %s: failed, retrying on the next sweep",
                checkpoint.gateway.address,
                indexed[0][1].customer_id,
            )

    async def _process_in_order(
        self, checkpoint: GatewayCheckpoint, indexed: Sequence[tuple[int, Payment]], heads: Heads
    ) -> None:
        final = [payment for _, payment in indexed if is_final(payment, heads)]
        async with self._customer_slots:
            verified = await self._advance_cursors(checkpoint.gateway, final, heads)
        for index, payment in indexed:
            if payment in verified:
                checkpoint.close(index, payment)
            elif is_final(payment, heads):
                self._leave_open(checkpoint, index, payment)
            else:
                # Take a slot per payment: no customer with many payments delays the others.
                async with self._customer_slots:
                    await self._crediting.process(checkpoint.gateway, payment, heads)

    async def _advance_cursors(self, gateway: Gateway, final: Sequence[Payment], heads: Heads) -> set[Payment]:
        if not final:
            return set()
        customer_id = final[0].customer_id
        if customer_id is None:
            for payment in final:
                await self._crediting.process(gateway, payment, heads)
            return self._cursors.find_redirected(final)
        return await self._cursors.credit_and_advance(gateway, customer_id, final, heads)

    def _leave_open(self, checkpoint: GatewayCheckpoint, index: int, payment: Payment) -> None:
        """Let `swept` pass a final payment that cannot be credited now, unless too many are open already."""
        status = self._status_cache.pending_status(payment)
        if status is None:
            return
        if index in checkpoint.open or sum(len(other.open) for other in self._checkpoints) < MAX_OPEN:
            checkpoint.leave_open(index, payment, status.cause or status.state)

    async def _retry_open(self, checkpoint: GatewayCheckpoint, heads: Heads) -> None:
        """Retry the open payments that are due."""
        await self._crediting.retry_ordered(checkpoint.open_payments.values())
        for index in sorted(checkpoint.open):
            try:
                if index not in checkpoint.open_payments:
                    checkpoint.open_payments[index] = await checkpoint.gateway.payment_at(index)
            except ChainError as error:
                self._failed = True
                log.warning("gateway %s, open payment %d: %s", checkpoint.gateway.address, index, error)
                continue
            payment = checkpoint.open_payments[index]
            if not self._status_cache.pending_status(payment):
                await self._sweep_customer(checkpoint, [(index, payment)], heads)
            self._track_uncredited(checkpoint, [(index, payment)])

    def _record_values(self) -> dict[str, str]:
        values = {}
        for checkpoint in self._checkpoints:
            values[records.swept_key(checkpoint.gateway)] = str(checkpoint.swept)
            for index, cause in checkpoint.open.items():
                values[records.open_key(checkpoint.gateway, index)] = cause
        return values

    async def _persist(self, *, force: bool) -> bool:
        """Write the checkpoints to the service record if due; False if the nodes do not agree on them."""
        record = self._record_values()
        due = force or self._clock.boot() - self._persisted_at >= _PERSIST_SECONDS
        if record == self._persisted or not due:
            return True
        self._persisted_at = self._clock.boot()
        if not await self._nodes_agree():
            return False
        removed_keys = {name: "" for name in self._persisted if name not in record}
        try:
            await self._records.update(record | removed_keys)
        except StripeFailure as error:
            log.warning("service record: not updated, a restart would repeat work: %s", error)
            return True
        self._persisted = record
        for checkpoint in self._checkpoints:
            checkpoint.mark_persisted()
        return True

    async def _nodes_agree(self) -> bool:
        """Whether two nodes agree on the blocks of all payments that the record would pass.

        A single lying node could insert a payment that does not exist. That shifts all later indexes by one, so that
        the record would pass a real payment, which would then never be credited.
        """
        for checkpoint in self._checkpoints:
            agreed = await self._confirmations.nodes_agree(checkpoint.gateway, checkpoint.passed_blocks)
            if agreed is False:
                log.error(
                    "gateway %s: the nodes do not agree where its payments lie, rolling back to the service record",
                    checkpoint.gateway.address,
                )
                checkpoint.rollback()
            if agreed is None:
                log.warning(
                    "gateway %s: too few nodes confirm where its payments lie, service record not updated",
                    checkpoint.gateway.address,
                )
            if not agreed:
                return False
        return True
