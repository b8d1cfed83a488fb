"""What a transaction hash leads to, for visitors: anybody may ask for any hash, so those of real payers go first."""

import asyncio
import logging
from collections.abc import Sequence

from cachetools import LRUCache, TTLCache

from chain.errors import ChainError
from chain.gateway import Gateway, TxPayments, find_payments_in_tx
from chain.provider import FailoverProvider
from stateless_billing.crediting.confirmations import Confirmations
from stateless_billing.domain.errors import ProblemError
from stateless_billing.domain.finality import Heads, is_final
from stateless_billing.runtime.clock import Clock
from stateless_billing.runtime.concurrency_limiter import ConcurrencyLimiter, QueueFull

_AT_ONCE, _WAITING, _SECONDS = 6, 60, 5.0
_CACHE_TTL_SECONDS = 1
_CACHE_SIZE = 10_000

log = logging.getLogger(__name__)


class TransactionLookup:
    """Looks hashes up, a few at a time; while others wait, those of unfinalised payments have a line of their own."""

    def __init__(
        self, *, nodes: FailoverProvider, gateways: Sequence[Gateway], confirmations: Confirmations, clock: Clock
    ) -> None:
        self._nodes = nodes
        self._gateways = gateways
        self._confirmations = confirmations
        self._public_limiter, self._payer_limiter = (ConcurrencyLimiter(_AT_ONCE, _WAITING, _SECONDS) for _ in range(2))
        self._reading = asyncio.Lock()
        self._final: LRUCache[str, tuple[Heads, TxPayments]] = LRUCache(_CACHE_SIZE)
        self._recent: TTLCache[None, frozenset[str]] = TTLCache(1, _CACHE_TTL_SECONDS, clock.boot)

    async def find(self, tx_hash: str) -> tuple[Heads, TxPayments | None]:
        """The heads, and what was paid as it was told after them. Raises ChainError, and ProblemError where many ask.

        What was kept is told from memory, with the heads of then.
        """
        if told := self._final.get(tx_hash):
            return told
        known = self._public_limiter.is_saturated and tx_hash in await self._unfinalized_hashes()
        try:
            async with (self._payer_limiter if known else self._public_limiter).slot():
                heads = await self._confirmations.heads()
                return heads, await find_payments_in_tx(self._nodes, self._gateways, tx_hash)
        except QueueFull as error:
            raise ProblemError(
                "busy",
                "Too many lookups right now. Your payment is safe and will be credited automatically."
                " Try again in a few seconds.",
            ) from error

    def cache_final(self, tx_hash: str, heads: Heads, found: TxPayments) -> None:
        """Tell a hash from memory from now on, if all it paid is final. For what is credited: until then a node that
        lied is asked again.
        """
        if all(is_final(payment, heads) for payment in found.payments):
            self._final[tx_hash] = heads, found

    async def _unfinalized_hashes(self) -> frozenset[str]:
        """The hashes of all unfinalised payments: one reading for all who ask within a second."""
        async with self._reading:
            found = self._recent.get(None)
            if found is None:
                found = self._recent[None] = await self._read_unfinalized()
            return found

    async def _read_unfinalized(self) -> frozenset[str]:
        try:
            number = (await self._confirmations.heads()).finalized.number
            read = await asyncio.gather(*(gateway.payments_above(number) for gateway in self._gateways))
        except ChainError as error:
            log.warning("who paid lately could not be read: %s", error)
            return frozenset()
        return frozenset(payment.tx_hash for payments in read for payment in payments)
