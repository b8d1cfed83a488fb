"""Sweeps all gateways: finds every payment on the chain and credits it.

One call per gateway shows whether there is anything new. An idle sweep makes no requests to Stripe.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from chain.errors import ChainError
from chain.gateway import Gateway, UnreadableBlock
from chain.payment import Payment
from stateless_billing.bookkeeping import records
from stateless_billing.bookkeeping.records import MAX_OPEN, ServiceRecords
from stateless_billing.crediting.confirmations import Confirmations
from stateless_billing.crediting.processor import CreditProcessor
from stateless_billing.crediting.status_cache import StatusCache
from stateless_billing.domain.finality import MAX_HEAD_AGE_SECONDS, Heads, is_final
from stateless_billing.runtime.clock import Clock
from stateless_billing.stripe.objects import Customer
from stateless_billing.sweep.checkpoint import GatewayCheckpoint
from stateless_billing.sweep.cursors import CursorUpdater
from stateless_billing.sweep.customer_sweep import CustomerSweep
from stateless_billing.sweep.order_watch import OrderWatch
from stateless_billing.sweep.position_record import PositionRecord

log = logging.getLogger(__name__)

_HEADS_REFRESH_SECONDS = 30
_MAX_QUEUED = 64  # payments of one customer in one round; the next round finds the others again
_MAX_BUSY_CUSTOMERS = 2_000  # customers being swept before more payments are read


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
        order_watch: OrderWatch,
        status_cache: StatusCache,
        records: ServiceRecords,
        clock: Clock,
    ) -> None:
        self._gateways = gateways
        self._confirmations = confirmations
        self._status_cache = status_cache
        self.order_watch = order_watch
        self._record = PositionRecord(records, confirmations, clock, self._roll_back)
        self._clock = clock
        self._checkpoints: list[GatewayCheckpoint] = []
        self._heads_read_at = 0.0
        self._failed = False
        self._is_capped = False
        self._tasks: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._customers = CustomerSweep(
            crediting=crediting,
            cursors=cursors,
            status_cache=status_cache,
            may_open=self._may_open,
            clock=clock,
            chain_recovered_at=lambda: confirmations.recovered_at,
        )

    def start(self, service: Customer) -> None:
        """Resume from the service record."""
        self._checkpoints = []
        stored: dict[str, str] = {}
        for gateway in self._gateways:
            swept = records.parse_swept(service, gateway)
            if str(swept) != (service.value(records.swept_key(gateway)) or "0"):
                log.warning("gateway %s: its record cannot be read, looking at all payments again", gateway.address)
            opened = records.parse_open_payments(service, gateway) if swept else records.OpenPayments()
            self._checkpoints.append(GatewayCheckpoint(gateway, swept, opened, (swept, opened.copy())))
            stored |= {records.swept_key(gateway): str(swept)} | records.stored_values(service, gateway)
        self._record.resume(stored)

    async def run(self, busy_seconds: int, idle_seconds: int) -> None:
        """Sweep until cancelled. A failed round is logged; the next one retries.

        Work that takes longer than `busy_seconds` goes on beside the next rounds. Cursors wait while credits queue.
        """
        self._customers.defers_cursors = True
        try:
            while True:
                try:
                    idle = (await self._round(busy_seconds, force=False)).idle
                except Exception:
                    log.exception("sweep: failed, retrying with the next one")
                    await asyncio.sleep(busy_seconds)
                    continue
                if not self._tasks:
                    await asyncio.sleep(idle_seconds if idle else busy_seconds)
        finally:
            await self._stop_work()

    async def run_once(self, *, force: bool = False) -> SweepResult:
        """Sweep all gateways until every payment was attempted. `force` writes the record even if it is not due."""
        try:
            while True:
                before = self._progress()
                result = await self._round(None, force=force)
                if not self._is_capped or self._progress() == before:
                    return result
        finally:
            await self._stop_work()

    def _progress(self) -> int:
        return sum(checkpoint.swept + len(checkpoint.done_above) for checkpoint in self._checkpoints)

    async def _roll_back(self, checkpoint: GatewayCheckpoint) -> None:
        """Return to the record's position. Work in progress relies on what a lying node showed, so it ends."""
        await self._stop_work()
        checkpoint.rollback()

    async def _stop_work(self) -> None:
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _round(self, patience_seconds: int | None, *, force: bool) -> SweepResult:
        """Find what is to be done, start working on it, and wait for the work at most so long."""
        self._failed = self._is_capped = False
        for checkpoint in self._checkpoints:
            await self._begin_gateway(checkpoint)
        if self._tasks:
            await asyncio.wait(self._tasks.values(), timeout=patience_seconds)
        agreed = await self._record.write(self._checkpoints, force=force)
        is_read = all(checkpoint.total is not None for checkpoint in self._checkpoints) and not self.unreadable()
        return SweepResult(
            idle=agreed and not self._tasks and all(checkpoint.is_idle for checkpoint in self._checkpoints),
            complete=agreed and not self._tasks and is_read and not self._failed,
        )

    def uncredited(self) -> list[tuple[Payment, str]]:
        """The uncredited payments of the last sweep, each with its cause, or its state if it has none."""
        uncredited = []
        for checkpoint in self._checkpoints:
            for payment in checkpoint.uncredited.values():
                if self._status_cache.credited_status(payment):
                    continue
                status = self._status_cache.last_status(payment)
                recorded = checkpoint.open_cause(payment) or self._confirmations.stall(payment) or "confirming"
                uncredited.append((payment, (status.cause or status.state) if status else recorded))
        return uncredited

    def swept(self) -> dict[str, int]:
        """The index below which each gateway's payments are done, except open ones; by gateway address."""
        return {checkpoint.gateway.address: checkpoint.swept for checkpoint in self._checkpoints}

    def unreadable(self) -> list[UnreadableBlock]:
        """The blocks that no node showed properly in the last sweep."""
        return [block for checkpoint in self._checkpoints for block in checkpoint.unreadable]

    async def _begin_gateway(self, checkpoint: GatewayCheckpoint) -> None:
        checkpoint.total = None
        try:
            await self._refresh_heads()
            total = await checkpoint.gateway.total_payments()
            if not await self._is_checkpoint_valid(checkpoint, total):
                return
            if checkpoint.swept < total or len(checkpoint.open):
                heads = await self._confirmations.heads()
                uncredited = await self._begin_open(checkpoint, heads)
                unreadable: list[UnreadableBlock] = []
                async for window in checkpoint.gateway.payments(checkpoint.swept, total, checkpoint.is_done):
                    uncredited |= await self._begin_window(checkpoint, window.payments, heads)
                    unreadable += window.unreadable
                checkpoint.uncredited = uncredited
                for block in checkpoint.note_unreadable(unreadable):
                    log.error("%s; these wait until a node shows them, all others go on", block)
            checkpoint.total = total
        except ChainError as error:
            log.warning("gateway %s: %s", checkpoint.gateway.address, error)

    async def _is_checkpoint_valid(self, checkpoint: GatewayCheckpoint, total: int) -> bool:
        """Whether the checkpoint fits the contract's payment count.

        At the start, a smaller count from a current node means that the record belongs to another contract: restart.
        """
        if checkpoint.swept > total:
            heads = await self._confirmations.heads()
            behind = self._clock.wall() - heads.latest.time > MAX_HEAD_AGE_SECONDS
            if behind or checkpoint.in_progress:
                if not behind:
                    await self._roll_back(checkpoint)  # a node may have reported payments that do not exist
                return False
            position = checkpoint.gateway.address, checkpoint.swept, total
            log.warning("gateway %s: checkpoint %d is past the payment count %d, restarting from 0", *position)
            checkpoint.restart()
        if not checkpoint.in_progress:
            causes = checkpoint.open.causes
            checkpoint.open.causes = {index: cause for index, cause in causes.items() if index < total}
            checkpoint.in_progress = True
        return True

    async def _refresh_heads(self) -> None:
        """Read the heads periodically even if idle, so that failover moves past a stalled node."""
        await self._confirmations.refresh_nodes()
        if self._clock.boot() - self._heads_read_at >= _HEADS_REFRESH_SECONDS:
            self._heads_read_at = self._clock.boot()
            await self._confirmations.heads()

    async def _begin_open(self, checkpoint: GatewayCheckpoint, heads: Heads) -> dict[str, Payment]:
        """Start working on open payments that are due; return all that are known."""
        await self._adopt_indexed(checkpoint)
        opened = [payment for own in checkpoint.open_payments.values() for payment in own.values()]
        opened += checkpoint.indexed.values()
        await self.order_watch.retry_ordered(opened)
        for customer_id in list(checkpoint.open.customers):
            if self._customers.has_open_work(checkpoint, customer_id):
                self._begin_customer(checkpoint, customer_id, [], heads)
        due: dict[str, list[tuple[int, Payment]]] = defaultdict(list)
        for index, payment in sorted(checkpoint.indexed.items()):
            if not self._status_cache.pending_status(payment):
                due[payment.customer_id or ""].append((index, payment))
        for customer_id, indexed in due.items():
            self._begin_customer(checkpoint, customer_id, indexed, heads)
        return {payment.identity: payment for payment in opened}

    async def _adopt_indexed(self, checkpoint: GatewayCheckpoint) -> None:
        """Read the open payments that the record names by their index, as an earlier version wrote all of them."""
        for index in sorted(checkpoint.open.causes.keys() - checkpoint.indexed.keys()):
            try:
                checkpoint.adopt(index, await checkpoint.gateway.payment_at(index))
            except ChainError as error:
                self._failed = True
                log.warning("gateway %s, open payment %d: %s", checkpoint.gateway.address, index, error)

    async def _begin_window(
        self, checkpoint: GatewayCheckpoint, window: Sequence[tuple[int, Payment]], heads: Heads
    ) -> dict[str, Payment]:
        """Start working on new payments, by customer and in order; return those without a credit."""
        customers: dict[str, list[tuple[int, Payment]]] = defaultdict(list)
        waiting: dict[str, Payment] = {}
        for index, payment in window:
            if checkpoint.is_done(index):
                continue
            credited = self._status_cache.credited_status(payment)
            if not credited:
                waiting[payment.identity] = payment
            elif not is_final(payment, heads):
                continue  # credited; the cursor advances at finality
            if not self._is_passed_as_open(checkpoint, index, payment, heads):
                customers[payment.customer_id or ""].append((index, payment))
        checkpoint.advance()
        for customer_id, indexed in customers.items():
            self._begin_customer(checkpoint, customer_id, indexed, heads)
        if len(self._tasks) > _MAX_BUSY_CUSTOMERS:
            await asyncio.wait(self._tasks.values(), return_when=asyncio.FIRST_COMPLETED)
        return waiting

    def _is_passed_as_open(self, checkpoint: GatewayCheckpoint, index: int, payment: Payment, heads: Heads) -> bool:
        """Whether a payment needs no work now: its next attempt is not due, or it is plain and not final."""
        pending = self._status_cache.pending_status(payment)
        if not is_final(payment, heads):
            return pending is not None or not payment.quoted
        if pending and self._may_open(checkpoint, payment):
            checkpoint.leave_open(index, payment, pending.cause or pending.state)
        return pending is not None

    def _begin_customer(
        self, checkpoint: GatewayCheckpoint, customer_id: str, indexed: Sequence[tuple[int, Payment]], heads: Heads
    ) -> None:
        """Start working on a customer's payments, unless earlier work goes on: a later round finds them again."""
        key = checkpoint.gateway.address, customer_id
        self._is_capped |= key in self._tasks or len(indexed) > _MAX_QUEUED
        if key not in self._tasks:
            work = self._sweep_customer(checkpoint, customer_id, indexed[:_MAX_QUEUED], heads)
            self._tasks[key] = asyncio.create_task(work)
            self._tasks[key].add_done_callback(lambda _: self._tasks.pop(key))

    async def _sweep_customer(
        self, checkpoint: GatewayCheckpoint, customer_id: str, indexed: Sequence[tuple[int, Payment]], heads: Heads
    ) -> None:
        if not await self._customers.run(checkpoint, customer_id, indexed, heads):
            self._failed = True

    def _may_open(self, checkpoint: GatewayCheckpoint, payment: Payment) -> bool:
        """Whether `swept` may pass a final payment that is not credited: not if too many keys are in use already."""
        if not checkpoint.needs_key(payment):
            return checkpoint.has_key(payment)
        return sum(len(other.open) for other in self._checkpoints) < MAX_OPEN
