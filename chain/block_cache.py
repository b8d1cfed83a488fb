"""Caches blocks that one node showed recently, so that blocks still on the chain are not read again."""

import asyncio
from collections.abc import Iterable, Mapping

from cachetools import TTLCache

from chain.payment import Payment

_CACHE_SIZE = 2_000
_CACHE_TTL_SECONDS = 120  # even a block still on the chain is then read again: the node may have lied about it


class BlockCache:
    """One gateway's payments by block number. All blocks were on one chain.

    Readings run concurrently. One that overlapped a change stores nothing: its blocks may be of another chain.
    """

    def __init__(self) -> None:
        self._blocks: TTLCache[int, list[Payment]] = TTLCache(_CACHE_SIZE, _CACHE_TTL_SECONDS, _loop_time)
        self.generation = 0
        """The number of changes so far."""

    def matching(self, counts: Mapping[int, int]) -> dict[int, list[Payment]]:
        """Return the cached blocks that hold as many payments as `counts` says."""
        cached = ((number, self._blocks.get(number, [])) for number in counts)
        return {number: payments for number, payments in cached if len(payments) == counts[number]}

    def recent(self, numbers: Iterable[int]) -> dict[int, list[Payment]]:
        """Return those of these blocks that are cached."""
        return {number: payments for number in numbers if (payments := self._blocks.get(number))}

    def anchor(self) -> Payment | None:
        """Return a payment of the newest block. Its hash covers all blocks before it."""
        newest = self._blocks.get(max(self._blocks, default=0))
        return newest[0] if newest else None

    def store(self, blocks: Mapping[int, list[Payment]], generation: int) -> None:
        """Add blocks, unless the cache changed since `generation`."""
        if blocks and self.generation == generation:
            self._blocks.update(blocks)
            self.generation += 1

    def clear(self) -> None:
        """Clear the cache after a reorg."""
        self._blocks.clear()
        self.generation += 1


def _loop_time() -> float:
    return asyncio.get_running_loop().time()
