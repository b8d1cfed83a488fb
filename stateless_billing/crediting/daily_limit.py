"""Limits what a customer's payments of 24 hours may be credited without an order. Derived from the chain alone."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import reduce
from typing import NamedTuple, Protocol

from cachetools import LRUCache

from chain.errors import InconsistentChainData
from chain.gateway import Gateway
from chain.payment import Payment
from chain.payment_index import WINDOW
from stateless_billing.domain.finality import CLOCK_TOLERANCE_SECONDS, Heads, is_final
from stateless_billing.domain.money import BASE_UNITS, Rate, cents_down
from stateless_billing.domain.payment_history import PaymentHistory, Totals, totals_of
from stateless_billing.pricing.rates import NoRate
from stateless_billing.runtime.keyed_locks import KeyedLocks
from stateless_billing.stripe.errors import StripeFailure

DAY = 24 * 3600
_PAGE = 16  # payments read at a time
_MAX_CATCH_UP = 256  # payments read forward to join a history; behind a larger gap, a new one begins
_MAX_KEPT = 200_000  # payments of all customers whose sums are kept, about 60 MB
_MAX_VISITOR_READS = 64  # of one gateway for one visitor's question, and a page more: uncached blocks, or cached pages


Histories = LRUCache[tuple[str, str, int], PaymentHistory]
"""Histories by gateway, customer and day.

By day, so that a retry of an old payment displaces no totals of new ones, and what a node once said is read again.
"""


class Market(Protocol):
    """A source of the current market rate."""

    async def current_rate(self) -> Rate:
        """The current market rate. Raises: NoRate."""
        ...


class Finality(Protocol):
    """Which payments are final."""

    async def recent_heads(self) -> Heads:
        """Heads at most a minute old. Raises: ChainError."""
        ...

    async def unfinalized_of(self, customer_id: str, heads: Heads, up_to: Payment | None = None) -> Sequence[Payment]:
        """The customer's payments above `finalized`, in order; later than `up_to`, some may be missing.

        Raises: ChainError.
        """
        ...


class Remaining(NamedTuple):
    """The cents that a customer may still pay now, and when it may pay more, in Unix seconds."""

    cents: int
    resets_at: int | None
    """None while nothing is used up."""


class _StillReading(Exception):
    """A history is longer than one question may read; the next question goes on from where this one ended."""


class DailyLimit:
    """Allows a customer `maximum_cents` of payments in the 24 hours up to and including a block.

    Final payments are read once: their running totals are kept, so that a payment costs the same however many its
    customer made before. The totals only save calls; a restart reads the 24 hours before the next payment again.
    `histories` may be shared with a limit that reads through other connections.
    """

    def __init__(
        self,
        *,
        gateways: Sequence[Gateway],
        finality: Finality,
        maximum_cents: int,
        rates: Market,
        discount_bps: int,
        histories: Histories | None = None,
    ) -> None:
        self._gateways = gateways
        self._finality = finality
        self._rates = rates
        self._discount_bps = discount_bps
        self._locks = KeyedLocks()
        self.histories = Histories(_MAX_KEPT, lambda history: len(history) + 1) if histories is None else histories
        self.maximum_cents = maximum_cents

    async def is_exceeded(self, payment: Payment, customer_id: str, cents: int) -> bool:
        """Whether this payment, worth `cents`, takes its customer above the limit. Raises: ChainError."""
        if cents > self.maximum_cents:
            return True
        rate = Fraction(cents, payment.amount or 1)
        earlier = Totals()
        async with self._locks.lock(customer_id):
            heads = await self._finality.recent_heads()
            for gateway in self._gateways:
                window = _Window(self._finality, self.histories, gateway, customer_id, heads, payment.time - DAY)
                if gateway.address == payment.gateway:
                    stop = payment.sequence
                else:
                    stop = await _count_up_to(gateway, customer_id, payment.block)
                earlier = earlier.plus(await window.totals(stop, payment))
        return cents + earlier.cents(rate) > self.maximum_cents

    async def remaining(self, customer_id: str, now: int, smallest_cents: int) -> Remaining | None:
        """What the customer may still pay now. Plain payments count at the current rate, or 0 without one.

        None while more payments than one question may read are still to be counted; each question moves on.

        Raises: ChainError.
        """
        after = now - DAY
        sums: list[Callable[[int], Totals]] = []
        try:
            async with self._locks.lock(customer_id):
                heads = await self._finality.recent_heads()
                for gateway in self._gateways:
                    window = _Window(
                        self._finality, self.histories, gateway, customer_id, heads, after, _MAX_VISITOR_READS
                    )
                    sums.append(await window.sums(await gateway.payment_count(customer_id)))
        except _StillReading:
            return None

        def paid_after(time: int) -> Totals:
            return reduce(Totals.plus, (total(time) for total in sums), Totals())

        rate = await self._plain_rate() if paid_after(after).plain_amount else Fraction(0)

        def left_after(time: int) -> int:
            return max(0, self.maximum_cents - paid_after(time).cents(rate))

        left = left_after(after)
        times = range(after, now + CLOCK_TOLERANCE_SECONDS)
        # A payment counts for a day. What is left only grows as the window's beginning moves past one after the other.
        index = bisect_left(times, max(left + 1, smallest_cents), key=left_after)
        return Remaining(left, times[index] + DAY if left < self.maximum_cents and index < len(times) else None)

    async def _plain_rate(self) -> Fraction:
        """Cents per base unit at the current rate, 0 without one."""
        try:
            market = (await self._rates.current_rate()).market
        except (NoRate, StripeFailure):
            market = 0
        return Fraction(cents_down(BASE_UNITS**2, market, self._discount_bps), BASE_UNITS**2)


class _Window:
    """One reading of a customer's payments at one gateway that are later than `after`."""

    def __init__(
        self,
        finality: Finality,
        histories: Histories,
        gateway: Gateway,
        customer_id: str,
        heads: Heads,
        after: int,
        max_reads: int | None = None,
    ) -> None:
        self._finality = finality
        self._histories = histories
        self._gateway = gateway
        self._customer_id = customer_id
        self._heads = heads
        self._after = after
        self._reads_left = max_reads

    async def totals(self, stop: int, before: Payment) -> Totals:
        """Sum the payments below the sequence `stop` and before another one."""
        return (await self.sums(stop, before))(self._after)

    async def sums(self, stop: int, before: Payment | None = None) -> Callable[[int], Totals]:
        """Read those payments; return what sums the ones of them that are later than a time within the window."""
        unfinalized: list[Payment] = []
        if before is None or not is_final(before, self._heads):
            unfinalized = await self._unfinalized(stop, before)
        position = (before.block, before.log_index) if before else None
        final_stop = stop - len(unfinalized)
        history = await self._history(final_stop)
        recent = [
            payment for payment in unfinalized if position is None or (payment.block, payment.log_index) < position
        ]

        def sum_after(time: int) -> Totals:
            final = history.totals(time, final_stop, position)
            return final.plus(totals_of([payment for payment in recent if payment.time > time]))

        return sum_after

    async def _unfinalized(self, stop: int, before: Payment | None) -> list[Payment]:
        """The customer's unfinalized payments below `stop`, from the reading that all customers share."""
        recent = [
            payment
            for payment in await self._finality.unfinalized_of(self._customer_id, self._heads, before)
            if payment.gateway == self._gateway.address and payment.sequence < stop
        ]
        if recent:
            start = recent[-1].sequence + 1
        else:
            first = max(0, stop - _PAGE)
            blocks = await self._gateway.payment_blocks_of(self._customer_id, first, stop) if stop else []
            start = first + bisect_right(blocks, self._heads.finalized.number)
        recent += await self._read(start, stop)  # made since that reading
        if recent and [payment.sequence for payment in recent] != list(range(recent[0].sequence, stop)):
            raise InconsistentChainData(f"the unfinalized payments of {self._customer_id} have a hole")
        return recent

    async def _history(self, stop: int) -> PaymentHistory:
        """The kept history, moved on to `stop` and back to the window's beginning."""
        key = self._gateway.address, self._customer_id, (self._after + DAY) // DAY
        history = self._histories.get(key)
        if history is None or stop < history.first or stop - history.end > _MAX_CATCH_UP:
            history = PaymentHistory(stop)
        try:
            while history.end < stop:
                start = history.end
                payments = await self._read_final(start, min(start + _PAGE, stop))
                if history.end == start:  # else a concurrent reading was faster
                    history.append(payments)
            while not history.reaches_back_to(self._after):
                start = history.first
                payments = await self._read_final(max(0, start - _PAGE), start)
                if history.first == start:
                    history.prepend(payments)
        finally:
            if len(history) < _MAX_KEPT:
                self._histories[key] = history
        return history

    async def _read_final(self, start: int, stop: int) -> list[Payment]:
        payments = await self._read(start, stop)
        if payments[-1].block > self._heads.finalized.number:
            raise InconsistentChainData(f"payment {stop - 1} of {self._customer_id} is not final")
        return payments

    async def _read(self, start: int, stop: int) -> list[Payment]:
        if start >= stop:
            return []
        if self._reads_left is not None and self._reads_left <= 0:
            raise _StillReading
        asked: list[int] = []
        payments = await self._gateway.payments_of(self._customer_id, start, stop, on_read=asked.append)
        if self._reads_left is not None:
            self._reads_left -= max(1, sum(asked))
        return payments


async def _count_up_to(gateway: Gateway, customer_id: str, block: int) -> int:
    """Count the customer's payments up to and including a block, by the contract's index alone."""
    stop = await gateway.payment_count(customer_id)
    while stop > 0:
        start = max(0, stop - WINDOW)
        blocks = await gateway.payment_blocks_of(customer_id, start, stop)
        if blocks[0] <= block:
            return start + bisect_right(blocks, block)
        stop = start
    return 0
