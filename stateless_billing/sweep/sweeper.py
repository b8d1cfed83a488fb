"""Finds every payment without help from any browser, and takes it to its credit.

One question to each gateway tells whether there is anything new; an idle sweep asks Stripe nothing.
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
from stateless_billing.domain.finality import HEAD_AGE, Heads, is_final
from stateless_billing.runtime import logs
from stateless_billing.runtime.clock import Clock
from stateless_billing.stripe.errors import StripeFailure
from stateless_billing.stripe.objects import Customer
from stateless_billing.sweep.checkpoint import GatewayCheckpoint
from stateless_billing.sweep.cursors import CursorUpdater

log = logging.getLogger(__name__)

_RECORD_SECONDS = 60  # the record saves work after a restart; writing it more often costs more than it saves
_HEADS_SECONDS = 30
_MAX_CONCURRENT_CUSTOMERS = 16  # payments, or customers whose payments are final, side by side


@dataclass(frozen=True, slots=True)
class SweepResult:
    """How a sweep went: `idle` where nothing is to be done, `complete` where all that was to be read was read."""

    idle: bool
    complete: bool


class Sweeper:
    """Sweeps all gateways again and again. Several at once do no harm."""

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
        """Go on from what the service record says."""
        self._checkpoints = []
        for gateway in self._gateways:
            swept, still_open = records.parse_swept(service, gateway), records.parse_open_payments(service, gateway)
            self._checkpoints.append(GatewayCheckpoint(gateway, swept, still_open, (swept, dict(still_open))))
        self._persisted = self._persist_when_due()

    async def run(self, busy_seconds: int, idle_seconds: int) -> None:
        """Sweep until cancelled; a failure of one sweep is logged and the next one tries again."""
        while True:
            try:
                idle = (await self.run_once()).idle
            except Exception:
                log.exception("a sweep failed; the next one begins again")
                idle = False
            await asyncio.sleep(idle_seconds if idle else busy_seconds)

    async def run_once(self, *, force: bool = False) -> SweepResult:
        """One sweep over all gateways. `flush` writes the record at once."""
        done = [await self._sweep_gateway(place) for place in self._checkpoints]
        agreed = await self._persist(force=force)
        complete = agreed and all(one.complete for one in done)
        return SweepResult(idle=agreed and all(one.idle for one in done), complete=complete)

    def uncredited(self) -> list[tuple[Payment, str]]:
        """All payments that the last sweep saw uncredited, with what each waits for: a cause, or a state."""
        found = []
        for place in self._checkpoints:
            for index, payment in place.uncredited.items():
                standing = self._status_cache.last_status(payment)
                waits = (standing.cause or standing.state) if standing else place.open.get(index, "confirming")
                found.append((payment, waits))
        return found

    def swept(self) -> dict[str, int]:
        """Up to which place in its index each gateway is done, but for those that are uncredited."""
        return {place.gateway.address: place.swept for place in self._checkpoints}

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
        """Whether the contract's count can be that of what was swept. It is less where the node is behind.

        At the start, and told by a node that is not behind, it says that the record is of another contract.
        """
        if checkpoint.swept > total:
            heads = await self._confirmations.heads()
            behind = self._clock.wall() - heads.latest.time > HEAD_AGE
            if behind or checkpoint.in_progress:
                if not behind:
                    checkpoint.rollback()  # a node may have told of payments that never were
                return False
            log.warning(
                "gateway %s: the record says %d of %d payments", checkpoint.gateway.address, checkpoint.swept, total
            )
            checkpoint.swept, checkpoint.open = 0, {}
        if not checkpoint.in_progress:
            checkpoint.open = {index: cause for index, cause in checkpoint.open.items() if index < total}
            checkpoint.in_progress = True
        return True

    async def _refresh_heads(self) -> None:
        """Now and then ask for the heads though nothing is new, so that a node that stands still is asked last."""
        if self._clock.boot() - self._heads_read_at >= _HEADS_SECONDS:
            self._heads_read_at = self._clock.boot()
            await self._confirmations.heads()

    async def _sweep_batch(
        self, checkpoint: GatewayCheckpoint, window: Sequence[tuple[int, Payment]], heads: Heads
    ) -> None:
        """Take each customer's payments a step further, in their order, the customers side by side."""
        customers: dict[str, list[tuple[int, Payment]]] = defaultdict(list)
        for index, payment in window:
            if self._status_cache.credited_status(payment) and not is_final(payment, heads):
                continue  # credited; the cursor moves when it is final
            if index >= checkpoint.swept and index not in checkpoint.done_above:
                customers[payment.customer_id or ""].append((index, payment))
        await asyncio.gather(*(self._sweep_customer(checkpoint, one, heads) for one in customers.values()))
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
        """One customer's failure is that customer's alone: it is logged, and the next sweep tries again."""
        logs.add_to_context(work="sweep")
        try:
            await self._process_in_order(checkpoint, indexed, heads)
        except Exception:
            self._failed = True
            log.exception("gateway %s, customer %s", checkpoint.gateway.address, indexed[0][1].customer_id)

    async def _process_in_order(
        self, checkpoint: GatewayCheckpoint, indexed: Sequence[tuple[int, Payment]], heads: Heads
    ) -> None:
        final = [payment for _, payment in indexed if is_final(payment, heads)]
        async with self._customer_slots:
            sealed = await self._advance_cursors(checkpoint.gateway, final, heads)
        for index, payment in indexed:
            if payment in sealed:
                checkpoint.close(index, payment)
            elif is_final(payment, heads):
                self._leave_open(checkpoint, index, payment)
            else:
                # For one payment at a time: all customers end together, and none waits for long.
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
        """Let `swept` pass a final payment that cannot be credited now, as long as there are few of them."""
        waiting = self._status_cache.pending_status(payment)
        if waiting is None:
            return
        if index in checkpoint.open or sum(len(one.open) for one in self._checkpoints) < MAX_OPEN:
            checkpoint.leave_open(index, payment, waiting.cause or waiting.state)

    async def _retry_open(self, checkpoint: GatewayCheckpoint, heads: Heads) -> None:
        """Try the open payments again; each keeps its own time table."""
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

    def _persist_when_due(self) -> dict[str, str]:
        values = {}
        for place in self._checkpoints:
            values[records.swept_key(place.gateway)] = str(place.swept)
            values |= {records.open_key(place.gateway, index): cause for index, cause in place.open.items()}
        return values

    async def _persist(self, *, force: bool) -> bool:
        """Write what is done, now and then; False where the nodes do not agree about it."""
        record = self._persist_when_due()
        due = force or self._clock.boot() - self._persisted_at >= _RECORD_SECONDS
        if record == self._persisted or not due:
            return True
        self._persisted_at = self._clock.boot()
        if not await self._nodes_agree():
            return False
        gone = {name: "" for name in self._persisted if name not in record}
        try:
            await self._records.update(record | gone)
        except StripeFailure as error:
            log.warning("the sweep's record was not written, which costs work after a restart: %s", error)
            return True
        self._persisted = record
        for place in self._checkpoints:
            place.mark_persisted()
        return True

    async def _nodes_agree(self) -> bool:
        """Whether two nodes tell where all lies that the record would pass. What one alone tells is not passed for
        good: with a payment that never was, it moves all behind it by one, and another one is never looked at again.
        """
        for place in self._checkpoints:
            agreed = await self._confirmations.nodes_agree(place.gateway, place.passed_blocks)
            if agreed is False:
                log.error("gateway %s: the nodes do not agree where its payments lie", place.gateway.address)
                place.rollback()
            if agreed is None:
                log.warning("gateway %s: too few nodes tell where its payments lie", place.gateway.address)
            if not agreed:
                return False
        return True
