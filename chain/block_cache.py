"""Blocks that one node showed lately, so that what is still on the chain need not be read again."""

import asyncio
from collections.abc import Mapping

from cachetools import TTLCache

from chain.payment import Payment

_MOST = 2_000
_SECONDS = 120  # after which a block is read anew though it is still on the chain: the node may have lied about it


class BlockCache:
    """One gateway's payments by the numbers of their blocks, all of which were on one chain.

    Readings go on side by side. One that others changed this under keeps nothing: theirs may be of another chain.
    """

    def __init__(self) -> None:
        self._blocks: TTLCache[int, list[Payment]] = TTLCache(_MOST, _SECONDS, _now)
        self.changes = 0
        """How often this was changed."""

    def among(self, counted: Mapping[int, int]) -> dict[int, list[Payment]]:
        """Those of the blocks that hold as many payments as `counted` says."""
        found = ((number, self._blocks.get(number, [])) for number in counted)
        return {number: payments for number, payments in found if len(payments) == counted[number]}

    def last(self) -> Payment | None:
        """A payment of the newest block, which vouches for all: its hash names what came before it."""
        found = self._blocks.get(max(self._blocks, default=0))
        return found[0] if found else None

    def put(self, blocks: Mapping[int, list[Payment]], changes: int) -> None:
        """Keep these too, unless there were more than so many changes."""
        if blocks and self.changes == changes:
            self._blocks.update(blocks)
            self.changes += 1

    def clear(self) -> None:
        """Forget all: the chain is another one."""
        self._blocks.clear()
        self.changes += 1


def _now() -> float:
    return asyncio.get_running_loop().time()
