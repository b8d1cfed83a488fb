"""Asks the nodes whether they agree where a gateway's payments lie, before the sweep's record passes these."""

import asyncio
from bisect import bisect_right
from collections.abc import Awaitable, Callable, Mapping
from functools import partial

from chain.errors import ChainError, InconsistentChainData
from chain.failover import FailoverProvider
from chain.gateway import Gateway
from chain.payment_index import WINDOW
from stateless_billing.crediting.confirmations import REQUIRED_NODES


class IndexAgreement:
    """What two nodes say alike about a gateway's index."""

    def __init__(self, nodes: FailoverProvider) -> None:
        self._nodes = nodes

    async def nodes_agree(
        self,
        gateway: Gateway,
        blocks: Mapping[int, int],
        sequences: Mapping[str, Mapping[int, int]],
        ends: Mapping[str, tuple[int, int, int]],
    ) -> bool | None:
        """Whether two nodes have these payments in these blocks; None if too few nodes answered.

        `blocks` are by index, `sequences` by customer and sequence. `ends` are by customer: of the payments from the
        first sequence on, those before the second are in blocks up to that block, and no others. A single configured
        node is trusted.
        """
        if not (blocks or sequences or ends) or len(self._nodes.providers) < REQUIRED_NODES:
            return True
        answers = await asyncio.gather(
            *(_has_payments(gateway.bound_to(node), blocks, sequences, ends) for node in self._nodes.providers)
        )
        if answers.count(True) >= REQUIRED_NODES:
            return True
        return False if False in answers else None


async def _has_payments(
    gateway: Gateway,
    blocks: Mapping[int, int],
    sequences: Mapping[str, Mapping[int, int]],
    ends: Mapping[str, tuple[int, int, int]],
) -> bool | None:
    """Whether one node has these payments in these blocks; None if it does not answer."""
    try:
        if not await _has_blocks(gateway.payment_blocks, blocks):
            return False
        for customer_id, own in sequences.items():
            if not await _has_blocks(partial(gateway.payment_blocks_of, customer_id), own):
                return False
        for customer_id, (start, end, block) in ends.items():
            if not await _has_end(gateway, customer_id, start, end, block):
                return False
    except ChainError:
        return None
    return True


async def _has_end(gateway: Gateway, customer_id: str, start: int, end: int, block: int) -> bool:
    """Whether of a customer's payments from `start` on those before `end` are in blocks up to `block`, and no others.

    Raises: ChainError, also if the node has fewer in all.
    """
    count, first = await gateway.payment_count(customer_id), max(start, end - 1)
    if count < end:
        raise InconsistentChainData(f"the node counts {count} payments of {customer_id}, not {end}")
    blocks = await gateway.payment_blocks_of(customer_id, first, min(end + 1, count))
    return bisect_right(blocks, block) == end - first


async def _has_blocks(read: Callable[[int, int], Awaitable[list[int]]], blocks: Mapping[int, int]) -> bool:
    indexes = sorted(blocks)
    while indexes:
        start = indexes[0]
        batch = [index for index in indexes[:WINDOW] if index < start + WINDOW]
        numbers = await read(start, batch[-1] + 1)
        if any(numbers[index - start] != blocks[index] for index in batch):
            return False
        indexes = indexes[len(batch) :]
    return True
