"""Sweeps the payments of one customer, a slice at a time, so that nobody waits for another's backlog."""

import asyncio
import logging
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence

from chain.errors import ChainError
from chain.gateway import Gateway
from chain.payment import Payment
from chain.payment_index import WINDOW
from stateless_billing.crediting.processor import CreditProcessor
from stateless_billing.crediting.status_cache import StatusCache
from stateless_billing.domain.finality import Heads, is_final
from stateless_billing.runtime import logs
from stateless_billing.runtime.backoff import Backoff
from stateless_billing.runtime.clock import Clock
from stateless_billing.sweep.checkpoint import GatewayCheckpoint, is_seal_due
from stateless_billing.sweep.cursors import SLICE, CursorUpdater

log = logging.getLogger(__name__)

MAX_CONCURRENT_SLICES = 16  # also limits unfinalized payments, processed one at a time
MAX_SEALED = 512  # payments of one customer whose credits one listing shows and one cursor covers
Indexed = tuple[int | None, Payment]
"""A payment with its index; None if it was read as part of what its customer has open."""


class CustomerSweep:
    """Credits one customer's payments in order. Each slice takes its turn behind the slices of other customers."""

    def __init__(
        self,
        *,
        crediting: CreditProcessor,
        cursors: CursorUpdater,
        status_cache: StatusCache,
        may_open: Callable[[GatewayCheckpoint, Payment], bool],
        clock: Clock,
        chain_recovered_at: Callable[[], float],
    ) -> None:
        self._crediting = crediting
        self._cursors = cursors
        self._status_cache = status_cache
        self._may_open = may_open
        # What a customer has open may be unreadable; new payments go on.
        self._reading_backoff = Backoff(clock, chain_recovered_at)
        self._slots = asyncio.Semaphore(MAX_CONCURRENT_SLICES)
        self._queued_credits = 0
        self.defers_cursors = False
        """Whether cursors may wait for a later round while others' credits are queued."""

    async def run(
        self,
        checkpoint: GatewayCheckpoint,
        customer_id: str,
        indexed: Sequence[tuple[int, Payment]],
        heads: Heads,
        *,
        seal: bool = False,
    ) -> bool:
        """Process a customer's payments once: open ones that are due, new final ones, and unfinalized ones.

        Final ones are sealed where `seal` says so, where any of them is old enough, and where any was left open.
        A failure is logged and stops this customer only, until the next round. Return whether there was none.
        """
        logs.add_to_context(work="sweep")
        try:
            await self._process(checkpoint, customer_id, indexed, heads, seal=seal)
        except ChainError as error:
            log.warning("gateway %s, customer %s: %s", checkpoint.gateway.address, customer_id, error)
        except Exception:
            log.exception(
                "gateway %s, customer %s: failed, retrying on the next sweep", checkpoint.gateway.address, customer_id
            )
        else:
            return True
        return False

    async def _process(
        self,
        checkpoint: GatewayCheckpoint,
        customer_id: str,
        indexed: Sequence[tuple[int, Payment]],
        heads: Heads,
        *,
        seal: bool,
    ) -> None:
        opened = [] if indexed else self.due(checkpoint, customer_id)  # begun for themselves, once a round
        final: list[Indexed] = [(None, payment) for payment in opened]
        seal = seal or bool(final) or not customer_id
        final += [(index, payment) for index, payment in indexed if is_final(payment, heads)]
        seal = seal or is_seal_due((payment for _, payment in final), heads)
        if customer_id:
            final.sort(key=lambda entry: entry[1].sequence)
        failure: ChainError | None = None
        for entries in self._slices(final):
            try:
                await self._take_slice(checkpoint, customer_id, entries, heads, seal=seal)
            except ChainError as error:
                failure = failure or error
        for _, payment in indexed:
            if not is_final(payment, heads):
                try:
                    async with self._slots:
                        await self._crediting.process(checkpoint.gateway, payment, heads)
                except ChainError as error:
                    failure = failure or error
        if failure:
            raise failure  # it kept nothing else of this customer waiting
        if seal and final and customer_id and not self._is_crowded:
            await self._catch_up(checkpoint.gateway, customer_id, final[-1][1].sequence + 1, heads)
        if self._is_reading_due(checkpoint, customer_id):
            await self._read_open(checkpoint, customer_id, heads)

    def _slices(self, entries: Sequence[Indexed]) -> Iterator[Sequence[Indexed]]:
        """Cut payments into slices: each has a few to be credited, and any number that only have to be sealed."""
        start, to_credit = 0, 0
        for position, (_, payment) in enumerate(entries):
            is_credited = self._status_cache.credited_status(payment) is not None
            if to_credit + (not is_credited) > SLICE or position - start == MAX_SEALED:
                yield entries[start:position]
                start, to_credit = position, 0
            to_credit += not is_credited
        if start < len(entries):
            yield entries[start:]

    @property
    def _is_crowded(self) -> bool:
        """Whether credits are queued that a cursor's reading and writing would delay."""
        return self.defers_cursors and self._queued_credits > MAX_CONCURRENT_SLICES

    def has_open_work(self, checkpoint: GatewayCheckpoint, customer_id: str) -> bool:
        """Whether open payments of the customer are due, or must be read first."""
        return bool(self.due(checkpoint, customer_id)) or self._is_reading_due(checkpoint, customer_id)

    def _is_reading_due(self, checkpoint: GatewayCheckpoint, customer_id: str) -> bool:
        is_read = customer_id not in checkpoint.open.customers or checkpoint.unread.get(customer_id) == (0, 0)
        return not is_read and self._reading_backoff.is_due((checkpoint.gateway.address, customer_id))

    def due(self, checkpoint: GatewayCheckpoint, customer_id: str) -> list[Payment]:
        """Return the customer's open payments whose next attempt is due."""
        payments = checkpoint.open_payments.get(customer_id, {}).values()
        return [payment for payment in payments if not self._status_cache.pending_status(payment)]

    async def _catch_up(self, gateway: Gateway, customer_id: str, stop: int, heads: Heads) -> None:
        is_behind = True
        while is_behind:
            async with self._slots:
                is_behind = await self._cursors.catch_up(gateway, customer_id, stop, heads)

    async def _take_slice(
        self, checkpoint: GatewayCheckpoint, customer_id: str, entries: Sequence[Indexed], heads: Heads, *, seal: bool
    ) -> None:
        payments = [payment for _, payment in entries]
        has_credits = any(self._status_cache.credited_status(payment) is None for payment in payments)
        self._queued_credits += has_credits
        try:
            await self._slots.acquire()
        finally:
            self._queued_credits -= has_credits
        verified, failure = set[Payment](), None
        try:
            verified = await self._credit(checkpoint.gateway, customer_id, payments, heads, seal=seal)
        except ChainError as error:
            failure = error
        finally:
            self._slots.release()
        for index, payment in entries:
            if payment in verified:
                checkpoint.close(index, payment)
            elif (status := self._status_cache.pending_status(payment)) and self._may_open(checkpoint, payment):
                checkpoint.leave_open(index, payment, status.cause or status.state)
            elif index is not None and self._status_cache.credited_status(payment):
                checkpoint.unsealed[index] = payment
            elif index is not None:
                checkpoint.unsealed.pop(index, None)  # no listing shows it: the next round looks again
        checkpoint.advance()
        if failure:
            raise failure

    async def _credit(
        self, gateway: Gateway, customer_id: str, payments: Sequence[Payment], heads: Heads, *, seal: bool
    ) -> set[Payment]:
        if seal and customer_id and not self._is_crowded:
            return await self._cursors.credit_and_advance(gateway, customer_id, payments, heads)
        await self._crediting.process_each(gateway, payments, heads)
        if seal or not customer_id or self._is_crowded or not self._cursors.is_listing_at_hand(customer_id, payments):
            return self._cursors.find_redirected(payments) if seal else set()
        return await self._cursors.credit_and_advance(gateway, customer_id, payments, heads)

    async def _read_open(self, checkpoint: GatewayCheckpoint, customer_id: str, heads: Heads) -> None:
        """After a start, read what the customer has open from the chain, slice by slice."""
        key = checkpoint.gateway.address, customer_id
        try:
            if customer_id not in checkpoint.unread:
                await self._find_unread(checkpoint, customer_id, heads)
            while checkpoint.unread.get(customer_id, (0, 0)) != (0, 0):
                await self._read_open_slice(checkpoint, customer_id, heads)
        except ChainError:
            self._reading_backoff.record_failure(key)
            raise
        if customer_id in checkpoint.open.customers and customer_id not in checkpoint.unread:
            self._reading_backoff.record_failure(key)
        else:
            self._reading_backoff.record_success(key)

    async def _read_open_slice(self, checkpoint: GatewayCheckpoint, customer_id: str, heads: Heads) -> None:
        start, stop = checkpoint.unread[customer_id]
        end = min(start + SLICE, stop)
        payments = await checkpoint.gateway.payments_of(customer_id, start, end, verify_receipts=True)
        if checkpoint.unread.get(customer_id) != (start, stop):
            return  # an earlier one was adopted meanwhile: all are read again
        opened = checkpoint.open_payments[customer_id]
        entries: list[Indexed] = [(None, payment) for payment in payments if payment.sequence not in opened]
        opened.update({payment.sequence: payment for payment in payments})
        checkpoint.unread[customer_id] = (end, stop) if end < stop else (0, 0)
        await self._take_slice(checkpoint, customer_id, entries, heads, seal=True)

    async def _find_unread(self, checkpoint: GatewayCheckpoint, customer_id: str, heads: Heads) -> None:
        """Find which of the customer's payments are behind `swept`."""
        gateway, start = checkpoint.gateway, checkpoint.open.customers[customer_id].sequence
        stop, swept = await gateway.payment_count(customer_id), checkpoint.persisted[0]
        if start >= stop or swept == 0:
            return  # the node is behind, or the record is wrong: nothing is closed on its word
        [newest] = await gateway.payment_blocks(swept - 1, swept)
        if newest > heads.finalized.number:
            return  # the record passes final payments only: the node is behind, or it lies
        end, is_behind = start, True
        while end < stop and is_behind:
            blocks = await gateway.payment_blocks_of(customer_id, end, min(end + WINDOW, stop))
            count = bisect_right(blocks, newest)
            is_behind = count == len(blocks)
            end += count
        checkpoint.passed_blocks[swept - 1] = newest
        checkpoint.begin_reading(customer_id, start, end, newest)
