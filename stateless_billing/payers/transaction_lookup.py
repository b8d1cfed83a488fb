"""Looks transaction hashes up for visitors. Anyone may ask for any hash, so payers' hashes have precedence."""

import asyncio
import logging
from collections.abc import Sequence

from cachetools import LRUCache, TTLCache

from chain.errors import ChainError
from chain.failover import FailoverProvider
from chain.gateway import Gateway, TxPayments, find_payments_in_tx
from stateless_billing.crediting.confirmations import Confirmations
from stateless_billing.domain.errors import ProblemError
from stateless_billing.domain.finality import Heads, is_final
from stateless_billing.runtime.clock import Clock
from stateless_billing.runtime.concurrency_limiter import ConcurrencyLimiter, QueueFull

_MAX_CONCURRENT_LOOKUPS = 6
_MAX_QUEUED_LOOKUPS = 60
_QUEUE_TIMEOUT_SECONDS = 5.0
_CACHE_TTL_SECONDS = 1
_CACHE_SIZE = 10_000

log = logging.getLogger(__name__)


class TransactionLookup:
    """Limits concurrent lookups.

    Under load, hashes of unfinalized payments use a separate queue, so that a flood cannot block payers.
    """

    def __init__(
        self, *, nodes: FailoverProvider, gateways: Sequence[Gateway], confirmations: Confirmations, clock: Clock
    ) -> None:
        self._nodes = nodes
        self._gateways = gateways
        self._confirmations = confirmations
        self._public_limiter = _create_limiter()
        self._payer_limiter = _create_limiter()
        self._reading = asyncio.Lock()
        self._final: LRUCache[str, tuple[Heads, TxPayments]] = LRUCache(_CACHE_SIZE)
        self._recent: TTLCache[None, frozenset[str]] = TTLCache(1, _CACHE_TTL_SECONDS, clock.boot)

    async def find(self, tx_hash: str) -> tuple[Heads, TxPayments | None]:
        """Return the heads, and what was paid as read after them.

        A cached hash comes with the heads of its lookup. Raises: ChainError; ProblemError under load.
        """
        if cached := self._final.get(tx_hash):
            return cached
        is_payers_hash = self._public_limiter.is_saturated and tx_hash in await self._unfinalized_hashes()
        try:
            async with (self._payer_limiter if is_payers_hash else self._public_limiter).slot():
                heads = await self._confirmations.heads()
                return heads, await find_payments_in_tx(self._nodes, self._gateways, tx_hash)
        except QueueFull as error:
            raise ProblemError(
                "busy",
                "Too many lookups right now. Your payment is safe and will be credited automatically."
                " Try again in a few seconds.",
            ) from error

    def cache_final(self, tx_hash: str, heads: Heads, paid: TxPayments) -> None:
        """Cache a credited hash if all its payments are final. Before that, a node may have lied: ask again."""
        if all(is_final(payment, heads) for payment in paid.payments):
            self._final[tx_hash] = heads, paid

    async def _unfinalized_hashes(self) -> frozenset[str]:
        """Return the hashes of all unfinalized payments, read at most once a second."""
        async with self._reading:
            hashes = self._recent.get(None)
            if hashes is None:
                hashes = self._recent[None] = await self._read_unfinalized()
            return hashes

    async def _read_unfinalized(self) -> frozenset[str]:
        try:
            number = (await self._confirmations.heads()).finalized.number
            by_gateway = await asyncio.gather(*(gateway.payments_above(number) for gateway in self._gateways))
        except ChainError as error:
            log.warning("unfinalized payments could not be read: %s", error)
            return frozenset()
        return frozenset(payment.tx_hash for window in by_gateway for _, payment in window.payments)


def _create_limiter() -> ConcurrencyLimiter:
    return ConcurrencyLimiter(_MAX_CONCURRENT_LOOKUPS, _MAX_QUEUED_LOOKUPS, _QUEUE_TIMEOUT_SECONDS)
