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
from stateless_billing.bookkeeping.records import OPEN_MOST, ServiceRecords
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
_LOOK_OUT_SECONDS = 30
_AT_ONCE = 16  # payments, or customers whose payments are final, side by side


@dataclass(frozen=True, slots=True)
class SweepResult:
    """How a sweep went: `idle` where nothing is to be done, `complete` where all that was to be read was read."""

    idle: bool
    complete: bool


class Sweeper:
    """Sweeps all gateways again and again. Several at once do no harm."""

    def __init__(
        self,
        gateways: Sequence[Gateway],
        confirmations: Confirmations,
        crediting: CreditProcessor,
        sealing: CursorUpdater,
        memory: StatusCache,
        books: ServiceRecords,
        clock: Clock,
    ) -> None:
        self._gateways, self._confirmations, self._crediting = gateways, confirmations, crediting
        self._sealing, self._memory, self._books, self._clock = sealing, memory, books, clock
        self._places: list[GatewayCheckpoint] = []
        self._recorded: dict[str, str] = {}
        self._recorded_at = 0.0
        self._looked_out = 0.0
        self._failed = False
        self._at_once = asyncio.Semaphore(_AT_ONCE)

    def start(self, service: Customer) -> None:
        """Go on from what the service record says."""
        self._places = []
        for gateway in self._gateways:
            swept, still_open = records.swept(service, gateway), records.open_payments(service, gateway)
            self._places.append(GatewayCheckpoint(gateway, swept, still_open, (swept, dict(still_open))))
        self._recorded = self._record()

    async def forever(self, busy_seconds: int, idle_seconds: int) -> None:
        """Sweep until cancelled; a failure of one sweep is logged and the next one tries again."""
        while True:
            try:
                idle = (await self.once()).idle
            except Exception:
                log.exception("a sweep failed; the next one begins again")
                idle = False
            await asyncio.sleep(idle_seconds if idle else busy_seconds)

    async def once(self, *, flush: bool = False) -> SweepResult:
        """One sweep over all gateways. `flush` writes the record at once."""
        done = [await self._gateway(place) for place in self._places]
        agreed = await self._write_record(flush=flush)
        complete = agreed and all(one.complete for one in done)
        return SweepResult(idle=agreed and all(one.idle for one in done), complete=complete)

    def uncredited(self) -> list[tuple[Payment, str]]:
        """All payments that the last sweep saw uncredited, with what each waits for: a cause, or a state."""
        found = []
        for place in self._places:
            for index, payment in place.uncredited.items():
                standing = self._memory.standing(payment)
                waits = (standing.cause or standing.state) if standing else place.open.get(index, "confirming")
                found.append((payment, waits))
        return found

    def swept(self) -> dict[str, int]:
        """Up to which place in its index each gateway is done, but for those that are uncredited."""
        return {place.gateway.address: place.swept for place in self._places}

    async def _gateway(self, place: GatewayCheckpoint) -> SweepResult:
        self._failed = False
        try:
            await self._look_out()
            total = await place.gateway.total_payments()
            if not await self._fits(place, total):
                return SweepResult(idle=False, complete=False)
            if place.swept == total and not place.open:
                return SweepResult(idle=True, complete=True)
            heads = await self._confirmations.heads()
            await self._open(place, heads)
            async for window in place.gateway.payments(place.swept, total):
                await self._window(place, window, heads)
        except ChainError as error:
            log.warning("gateway %s: %s", place.gateway.address, error)
            return SweepResult(idle=False, complete=False)
        return SweepResult(idle=place.swept == total and not place.open, complete=not self._failed)

    async def _fits(self, place: GatewayCheckpoint, total: int) -> bool:
        """Whether the contract's count can be that of what was swept. It is less where the node is behind.

        At the start, and told by a node that is not behind, it says that the record is of another contract.
        """
        if place.swept > total:
            heads = await self._confirmations.heads()
            behind = self._clock.wall() - heads.latest.time > HEAD_AGE
            if behind or place.begun:
                if not behind:
                    place.rollback()  # a node may have told of payments that never were
                return False
            log.warning("gateway %s: the record says %d of %d payments", place.gateway.address, place.swept, total)
            place.swept, place.open = 0, {}
        if not place.begun:
            place.open = {index: cause for index, cause in place.open.items() if index < total}
            place.begun = True
        return True

    async def _look_out(self) -> None:
        """Now and then ask for the heads though nothing is new, so that a node that stands still is asked last."""
        if self._clock.boot() - self._looked_out >= _LOOK_OUT_SECONDS:
            self._looked_out = self._clock.boot()
            await self._confirmations.heads()

    async def _window(self, place: GatewayCheckpoint, window: Sequence[tuple[int, Payment]], heads: Heads) -> None:
        """Take each customer's payments a step further, in their order, the customers side by side."""
        customers: dict[str, list[tuple[int, Payment]]] = defaultdict(list)
        for index, payment in window:
            if self._memory.done(payment) and not is_final(payment, heads):
                continue  # credited; the cursor moves when it is final
            if index >= place.swept and index not in place.closed:
                customers[payment.customer_id or ""].append((index, payment))
        await asyncio.gather(*(self._customer(place, one, heads) for one in customers.values()))
        place.advance()
        self._note(place, window)

    def _note(self, place: GatewayCheckpoint, indexed: Sequence[tuple[int, Payment]]) -> None:
        for index, payment in indexed:
            if place.is_waiting(index) and not self._memory.done(payment):
                place.uncredited[index] = payment
            else:
                place.uncredited.pop(index, None)

    async def _customer(self, place: GatewayCheckpoint, indexed: Sequence[tuple[int, Payment]], heads: Heads) -> None:
        """One customer's failure is that customer's alone: it is logged, and the next sweep tries again."""
        logs.note(work="sweep")
        try:
            await self._steps(place, indexed, heads)
        except Exception:
            self._failed = True
            log.exception("gateway %s, customer %s", place.gateway.address, indexed[0][1].customer_id)

    async def _steps(self, place: GatewayCheckpoint, indexed: Sequence[tuple[int, Payment]], heads: Heads) -> None:
        final = [payment for _, payment in indexed if is_final(payment, heads)]
        async with self._at_once:
            sealed = await self._seal(place.gateway, final, heads)
        for index, payment in indexed:
            if payment in sealed:
                place.close(index, payment)
            elif is_final(payment, heads):
                self._leave_open(place, index, payment)
            else:
                # For one payment at a time: all customers end together, and none waits for long.
                async with self._at_once:
                    await self._crediting.advance(place.gateway, payment, heads)

    async def _seal(self, gateway: Gateway, final: Sequence[Payment], heads: Heads) -> set[Payment]:
        if not final:
            return set()
        customer_id = final[0].customer_id
        if customer_id is None:
            for payment in final:
                await self._crediting.advance(gateway, payment, heads)
            return self._sealing.redirected(final)
        return await self._sealing.seal(gateway, customer_id, final, heads)

    def _leave_open(self, place: GatewayCheckpoint, index: int, payment: Payment) -> None:
        """Let `swept` pass a final payment that cannot be credited now, as long as there are few of them."""
        waiting = self._memory.waiting(payment)
        if waiting is None:
            return
        if index in place.open or sum(len(one.open) for one in self._places) < OPEN_MOST:
            place.leave_open(index, payment, waiting.cause or waiting.state)

    async def _open(self, place: GatewayCheckpoint, heads: Heads) -> None:
        """Try the open payments again; each keeps its own time table."""
        await self._crediting.retry_ordered(place.opened.values())
        for index in sorted(place.open):
            try:
                if index not in place.opened:
                    place.opened[index] = await place.gateway.payment_at(index)
            except ChainError as error:
                self._failed = True
                log.warning("gateway %s, open payment %d: %s", place.gateway.address, index, error)
                continue
            payment = place.opened[index]
            if not self._memory.waiting(payment):
                await self._customer(place, [(index, payment)], heads)
            self._note(place, [(index, payment)])

    def _record(self) -> dict[str, str]:
        values = {}
        for place in self._places:
            values[records.swept_key(place.gateway)] = str(place.swept)
            values |= {records.open_key(place.gateway, index): cause for index, cause in place.open.items()}
        return values

    async def _write_record(self, *, flush: bool) -> bool:
        """Write what is done, now and then; False where the nodes do not agree about it."""
        record = self._record()
        due = flush or self._clock.boot() - self._recorded_at >= _RECORD_SECONDS
        if record == self._recorded or not due:
            return True
        self._recorded_at = self._clock.boot()
        if not await self._agreed():
            return False
        gone = {name: "" for name in self._recorded if name not in record}
        try:
            await self._books.write(record | gone)
        except StripeFailure as error:
            log.warning("the sweep's record was not written, which costs work after a restart: %s", error)
            return True
        self._recorded = record
        for place in self._places:
            place.remember()
        return True

    async def _agreed(self) -> bool:
        """Whether two nodes tell where all lies that the record would pass. What one alone tells is not passed for
        good: with a payment that never was, it moves all behind it by one, and another one is never looked at again.
        """
        for place in self._places:
            agreed = await self._confirmations.agreed(place.gateway, place.seen)
            if agreed is False:
                log.error("gateway %s: the nodes do not agree where its payments lie", place.gateway.address)
                place.rollback()
            if agreed is None:
                log.warning("gateway %s: too few nodes tell where its payments lie", place.gateway.address)
            if not agreed:
                return False
        return True
