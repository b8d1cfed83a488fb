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
from stateless_billing.sweep.checkpoint import GatewayCheckpoint, by_customer, is_seal_due, read_checkpoint
from stateless_billing.sweep.cursors import CursorUpdater
from stateless_billing.sweep.customer_sweep import CustomerSweep
from stateless_billing.sweep.customer_tasks import CustomerTasks
from stateless_billing.sweep.held_watch import HeldWatch
from stateless_billing.sweep.index_agreement import IndexAgreement
from stateless_billing.sweep.order_watch import OrderWatch
from stateless_billing.sweep.position_record import PositionRecord
from stateless_billing.sweep.reading import Reading, RoundHeads

log = logging.getLogger(__name__)

_HEADS_REFRESH_SECONDS = 30


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
        agreement: IndexAgreement,
        crediting: CreditProcessor,
        cursors: CursorUpdater,
        order_watch: OrderWatch,
        held_watch: HeldWatch,
        status_cache: StatusCache,
        records: ServiceRecords,
        clock: Clock,
    ) -> None:
        self._gateways, self._confirmations, self._status_cache = gateways, confirmations, status_cache
        self.order_watch, self.held_watch = order_watch, held_watch
        self._record = PositionRecord(records, agreement, clock, self._roll_back)
        self._clock = clock
        self._checkpoints: list[GatewayCheckpoint] = []
        self._heads_read_at = 0.0
        self._heads = RoundHeads(confirmations, clock)
        self._seals_all = False
        self.completed_at: float | None = None  # Unix seconds; the end of the last round that read every gateway
        self._customers = CustomerSweep(
            crediting=crediting,
            cursors=cursors,
            status_cache=status_cache,
            may_open=self._may_open,
            clock=clock,
            chain_recovered_at=lambda: confirmations.recovered_at,
        )
        self._tasks = CustomerTasks(self._customers, status_cache)

    def start(self, service: Customer) -> None:
        """Resume from the service record."""
        self._checkpoints = []
        stored: dict[str, str] = {}
        for gateway in self._gateways:
            checkpoint = read_checkpoint(service, gateway)
            self._checkpoints.append(checkpoint)
            stored |= {records.swept_key(gateway): str(checkpoint.swept)} | records.stored_values(service, gateway)
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
            await asyncio.gather(self._tasks.stop(), self.held_watch.stop())

    async def run_once(self, *, force: bool = False) -> SweepResult:
        """Sweep all gateways until every payment was attempted.

        `force` seals every customer's final payments, and writes the record, even if that is not due.
        """
        try:
            while True:
                before = self._progress()
                result = await self._round(None, force=force)
                if not self._tasks.is_capped or self._progress() == before:
                    return result
        finally:
            await asyncio.gather(self._tasks.stop(), self.held_watch.stop())

    def _progress(self) -> list[tuple[int, int, int]]:
        return [(each.swept, len(each.done_above), len(each.unsealed)) for each in self._checkpoints]

    async def _roll_back(self, checkpoint: GatewayCheckpoint) -> None:
        """Return to the record's position. Work in progress relies on what a lying node showed, so it ends."""
        await self._tasks.stop()
        checkpoint.gateway.forget_blocks()
        checkpoint.rollback()

    async def _round(self, patience_seconds: int | None, *, force: bool) -> SweepResult:
        """Find what is to be done, start working on it, and wait for the work at most so long."""
        self._tasks.begin_round()
        self._seals_all = force
        self._heads.begin_round()
        known = [payment for each in self._checkpoints for payment in each.known_uncredited]
        await self.order_watch.retry_ordered(known)
        self.held_watch.look_again(known)
        readings = [reading for each in self._checkpoints if (reading := await self._read_gateway(each))]
        self._heads.share(readings, len(self._checkpoints))
        for reading in readings:
            self._begin_reading(reading)
        await self._tasks.wait(patience_seconds)
        agreed = await self._record.write(self._checkpoints, force=force)
        is_read = all(checkpoint.total is not None for checkpoint in self._checkpoints)
        self.completed_at = self._clock.wall() if is_read else self.completed_at
        return SweepResult(
            idle=agreed and not self._tasks and all(checkpoint.is_idle for checkpoint in self._checkpoints),
            complete=agreed and not self._tasks and is_read and not self.unreadable() and not self._tasks.failed,
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

    async def _read_gateway(self, checkpoint: GatewayCheckpoint) -> Reading | None:
        """Read what is new, and all above `finalized`; None if there is nothing, or it cannot be read."""
        was_idle, checkpoint.total = checkpoint.is_idle, None
        reading: Reading | None = None
        try:
            await self._refresh_heads()
            if not was_idle:
                await self._heads.read()
            heads = self._heads.current
            total = await checkpoint.gateway.total_payments()
            if not await self._is_checkpoint_valid(checkpoint, total):
                return None
            seals_all = self._seals_all or not all(map(self._is_credited, checkpoint.unsealed.values()))
            if checkpoint.has_work(total, self._confirmations.latest, seals_all=seals_all):
                if heads is None:  # the payments are counted after the heads, so that none before these is missing
                    heads, total = await self._heads.read(), await checkpoint.gateway.total_payments()
                reading = Reading(checkpoint, heads)
                reading.uncredited = await self._begin_open(checkpoint, heads)
                is_passed = reading.is_passed(self._is_credited)
                async for window in checkpoint.gateway.payments(checkpoint.swept, total, is_passed):
                    self._begin_reading(reading)
                    await self._tasks.wait_for_room()
                    reading.add(window)
                self._begin_reading(reading)
                for block in checkpoint.note_unreadable(reading.unreadable):
                    log.error("%s; these wait until a node shows them, all others go on", block)
            checkpoint.total = total
            if heads:
                self._heads.counted.add(checkpoint.gateway.address)
        except ChainError as error:
            log.warning("gateway %s: %s", checkpoint.gateway.address, error)
        if reading:
            reading.is_over = True
        return reading

    def _is_credited(self, payment: Payment) -> bool:
        return self._status_cache.credited_status(payment) is not None

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
        for customer_id in list(checkpoint.open.customers):
            if self._customers.has_open_work(checkpoint, customer_id):
                self._tasks.begin(checkpoint, customer_id, [], heads)
        indexed = checkpoint.indexed.items()
        due = {index: payment for index, payment in indexed if not self._status_cache.pending_status(payment)}
        for customer_id, own in by_customer(due).items():
            self._tasks.begin(checkpoint, customer_id, own, heads)
        return {payment.identity: payment for payment in checkpoint.opened}

    async def _adopt_indexed(self, checkpoint: GatewayCheckpoint) -> None:
        """Read the open payments that the record names by their index, as an earlier version wrote all of them."""
        for index in sorted(checkpoint.open.causes.keys() - checkpoint.indexed.keys()):
            try:
                checkpoint.adopt(index, await checkpoint.gateway.payment_at(index))
            except ChainError as error:
                self._tasks.failed = True
                log.warning("gateway %s, open payment %d: %s", checkpoint.gateway.address, index, error)

    def _begin_reading(self, reading: Reading) -> None:
        """Start working on what was read, by customer and in order; at its end also on what is to be sealed."""
        checkpoint, heads = reading.checkpoint, reading.heads
        customers: dict[str, list[tuple[int, Payment]]] = defaultdict(list)
        for index, payment in reading.take():
            checkpoint.done_above.discard(index)  # in another block, if at all
            if self._is_credited(payment):
                if is_final(payment, heads):  # else the next rounds look at it again
                    checkpoint.unsealed[index] = payment
                continue
            checkpoint.unsealed.pop(index, None)
            reading.uncredited[payment.identity] = payment
            if not self._is_passed_as_open(checkpoint, index, payment, heads):
                customers[payment.customer_id or ""].append((index, payment))
        if checkpoint.total is not None:
            checkpoint.uncredited = reading.uncredited
        if reading.is_over:
            for customer_id, indexed in by_customer(checkpoint.unsealed).items():
                if self._seals_all or is_seal_due((payment for _, payment in indexed), heads):
                    customers[customer_id] += indexed
        checkpoint.advance()
        for customer_id, indexed in customers.items():
            self._tasks.begin(checkpoint, customer_id, indexed, heads, seal=self._seals_all)

    def _is_passed_as_open(self, checkpoint: GatewayCheckpoint, index: int, payment: Payment, heads: Heads) -> bool:
        """Whether a payment needs no work now: its next attempt is not due, or it is plain and not final."""
        pending = self._status_cache.pending_status(payment)
        if not is_final(payment, heads):
            return pending is not None or not payment.quoted
        if pending and self._may_open(checkpoint, payment):
            checkpoint.leave_open(index, payment, pending.cause or pending.state)
        return pending is not None

    def _may_open(self, checkpoint: GatewayCheckpoint, payment: Payment) -> bool:
        """Whether `swept` may pass a final payment that is not credited: not if too many keys are in use already."""
        if not checkpoint.needs_key(payment):
            return checkpoint.has_key(payment)
        return sum(len(other.open) for other in self._checkpoints) < MAX_OPEN
