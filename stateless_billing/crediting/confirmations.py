"""Whether a payment lies deep enough to be credited, as the nodes tell it now."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace

from cachetools import TTLCache

from chain import provider
from chain.errors import ChainError, InvalidResponse
from chain.gateway import Gateway
from chain.payment import Payment
from chain.payment_index import WINDOW
from chain.provider import ChainClient, FailoverProvider
from stateless_billing.domain import finality
from stateless_billing.domain.finality import HEAD_AGE, ConfirmationTier, Depth, Heads
from stateless_billing.runtime.clock import Clock

_CACHE_TTL_SECONDS = 1  # for how long one reading of what is not final serves several payers
_REQUIRED_NODES = 2


class Confirmations:
    """Reads heads and unfinalised payments. Read `heads` before the payments that are judged by them: a block read by
    its number afterwards, and at or below their `finalized`, is on the canonical chain for good.
    """

    def __init__(
        self,
        *,
        nodes: FailoverProvider,
        gateways: Sequence[Gateway],
        tiers: tuple[ConfirmationTier, ...],
        max_unfinalized_cents: int,
        clock: Clock,
    ) -> None:
        self._nodes = nodes
        self._gateways = gateways
        self._clock = clock
        self._tiers = tiers
        self._max_unfinalized_cents = max_unfinalized_cents
        self._reading = asyncio.Lock()
        self.latest: Heads | None = None
        """The heads that were read last."""
        self._cached: TTLCache[int, list[Payment]] = TTLCache(1, _CACHE_TTL_SECONDS, clock.boot)

    async def heads(self) -> Heads:
        """The chain's heads now, of a node that is not behind if there is one. Raises ChainError."""
        try:
            heads = await self._nodes.with_failover(self._fresh_heads)
        except ChainError:
            heads = await self._nodes.with_failover(_read_heads)
        self.latest = heads
        return heads

    async def _fresh_heads(self, reader: ChainClient) -> Heads:
        heads = await _read_heads(reader)
        age = int(self._clock.wall()) - heads.latest.time
        if age > HEAD_AGE:
            raise InvalidResponse(f"its newest block is {age} s old")
        return heads

    async def _unfinalized(self, heads: Heads) -> list[Payment]:
        """All payments above `finalized`, of all gateways."""
        number = heads.finalized.number
        async with self._reading:
            found = self._cached.get(number)
            if found is None:
                read = await asyncio.gather(*(gateway.payments_above(number) for gateway in self._gateways))
                found = self._cached[number] = [payment for payments in read for payment in payments]
            return found

    async def depth_of(self, payment: Payment, heads: Heads) -> Depth:
        """How deep the payment lies, by `heads` that were read before it. Raises ChainError."""
        now = int(self._clock.wall())
        final = finality.is_final(payment, heads)
        risky = payment.quoted and not final
        others = await self._unfinalized(heads) if risky else []
        tier = finality.tier_for(payment, others, self._tiers, self._max_unfinalized_cents)
        found = finality.measure_depth(payment, tier, heads, now)
        if found.reached and risky and payment not in others:
            return replace(found, reached=False)  # whoever told of the others does not know this one: ask again
        first_tier = risky and tier == self._tiers[0]
        if found.reached and not first_tier and not await self._is_confirmed_by_two_nodes(payment, tier, now):
            return Depth(reached=False)
        return found

    async def _is_confirmed_by_two_nodes(self, payment: Payment, tier: ConfirmationTier, now: int) -> bool:
        """Whether two nodes tell the same of this payment. One node alone is trusted."""
        if len(self._nodes.each) < _REQUIRED_NODES:
            return True
        told = await asyncio.gather(*(self._node_confirms(one, payment, tier, now) for one in self._nodes.each))
        return sum(told) >= _REQUIRED_NODES

    async def nodes_agree(self, gateway: Gateway, blocks: Mapping[int, int]) -> bool | None:
        """Whether two nodes have these places of the gateway's index in these blocks; None where too few could tell.

        One node alone is trusted.
        """
        if not blocks or len(self._nodes.each) < _REQUIRED_NODES:
            return True
        told = await asyncio.gather(*(_has_blocks(gateway.through(one), blocks) for one in self._nodes.each))
        if told.count(True) >= _REQUIRED_NODES:
            return True
        return False if False in told else None

    async def _node_confirms(self, reader: ChainClient, payment: Payment, tier: ConfirmationTier, now: int) -> bool:
        gateway = next(one for one in self._gateways if one.address == payment.gateway)
        try:
            deep = finality.measure_depth(payment, tier, await _read_heads(reader), now).reached
            return deep and payment in await gateway.through(reader).payments_in(payment.block)
        except ChainError:
            return False


async def _has_blocks(gateway: Gateway, blocks: Mapping[int, int]) -> bool | None:
    """Whether the gateway's index, as one node tells it, has these places in these blocks; None where it does not."""
    wanted = sorted(blocks)
    try:
        while wanted:
            start = wanted[0]
            run = [index for index in wanted[:WINDOW] if index < start + WINDOW]
            told = await gateway.payment_blocks(start, run[-1] + 1)
            if any(told[index - start] != blocks[index] for index in run):
                return False
            wanted = wanted[len(run) :]
    except ChainError:
        return None
    return True


async def _read_heads(reader: ChainClient) -> Heads:
    # The deepest first: a later answer for a shallower head can then only be further on.
    finalized = await provider.block(reader, "finalized")
    safe, latest = await asyncio.gather(provider.block(reader, "safe"), provider.block(reader, "latest"))
    return Heads(latest, safe, finalized)
