"""Checks with the nodes whether a payment is confirmed deeply enough to be credited."""

import asyncio
from bisect import bisect_right
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto
from functools import partial

from cachetools import TTLCache

from chain import provider
from chain.errors import ChainError, InconsistentChainData, InvalidResponse
from chain.failover import FailoverProvider
from chain.gateway import Gateway
from chain.payment import Payment
from chain.payment_index import WINDOW
from chain.provider import ChainClient, NodeProvider
from stateless_billing.domain import finality
from stateless_billing.domain.finality import (
    FINALIZED,
    MAX_HEAD_AGE_SECONDS,
    ConfirmationTier,
    ConfirmingCause,
    Depth,
    Heads,
)
from stateless_billing.runtime.clock import Clock

_CACHE_TTL_SECONDS = 1  # lets concurrent payers share one reading of the unfinalized payments
REQUIRED_NODES = 2
_ONE_WORD_SECONDS = 3600
_MAX_ONE_WORD = 100_000
_NODE_STATUS_SECONDS = 5  # so long what is known of the nodes' heads counts


class _Word(Enum):
    """What one node says of a payment: it has it so deep, not so deep yet, not at all; or nothing that counts."""

    CONFIRMS = auto()
    SHALLOW = auto()
    DENIES = auto()
    SILENT = auto()


@dataclass(frozen=True, slots=True)
class _Unfinalized:
    """Payments above `finalized`; not `complete` if a block is unreadable."""

    payments: list[Payment]
    complete: bool


class Confirmations:
    """Reads chain heads and unfinalized payments, and measures the depth of payments.

    Read `heads` before the payments judged by them: a block read by number after that, at or below their `finalized`,
    is permanently on the canonical chain.
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
        """The heads read last."""
        self.recovered_at = 0.0
        """When a node answered after none did, in seconds of the boot clock."""
        self._failed = False
        self._one_word: TTLCache[str, int] = TTLCache(_MAX_ONE_WORD, _ONE_WORD_SECONDS, clock.boot)
        self._cached: TTLCache[int, _Unfinalized] = TTLCache(1, _CACHE_TTL_SECONDS, clock.boot)

    async def refresh_nodes(self, max_age_seconds: float = _NODE_STATUS_SECONDS) -> None:
        """Learn which nodes answer and are as far as the others, unless that is known since so many seconds.

        Nodes that are behind are asked last from then on, by everybody.
        """
        await self._nodes.refresh(max_age_seconds)

    async def heads(self) -> Heads:
        """Read the current heads, preferring a node that is not behind. Raises: ChainError."""
        await self.refresh_nodes()
        try:
            heads = await self._nodes.with_failover(self._fresh_heads)
        except ChainError:
            heads = await self._read_any_heads()
        if self._failed:
            self._failed, self.recovered_at = False, self._clock.boot()
        self.latest = heads
        return heads

    async def _read_any_heads(self) -> Heads:
        try:
            return await self._nodes.with_failover(_read_heads)
        except ChainError:
            self._failed = True
            raise

    async def recent_heads(self) -> Heads:
        """The heads read last if they are at most a minute old, else the current ones. Raises: ChainError."""
        if self.latest and not self._is_old(self.latest):
            return self.latest
        return await self.heads()

    async def require_current_head(self) -> None:
        """Raise ChainError if none of several nodes has a block of the last minute: what they say may be outdated.

        A single node is believed; while it stands still, the process is not ready.
        """
        if len(self._nodes.providers) < REQUIRED_NODES:
            return
        heads = await self.recent_heads()
        if self._is_old(heads):
            raise InvalidResponse(f"no node has a block newer than {heads.latest.number}, which is over a minute old")

    def _is_old(self, heads: Heads) -> bool:
        return self._clock.wall() - heads.latest.time > MAX_HEAD_AGE_SECONDS

    async def _fresh_heads(self, reader: ChainClient) -> Heads:
        heads = await _read_heads(reader)
        if self._is_old(heads):
            raise InvalidResponse(f"its newest block is {int(self._clock.wall()) - heads.latest.time} s old")
        return heads

    async def unfinalized(self, heads: Heads) -> list[Payment]:
        """The readable payments above `finalized`, of all gateways. Raises: ChainError."""
        return (await self._read_unfinalized(heads)).payments

    async def _read_unfinalized(self, heads: Heads) -> _Unfinalized:
        """Read them once a second for everybody."""
        number = heads.finalized.number
        async with self._reading:
            unfinalized = self._cached.get(number)
            if unfinalized is None:
                windows = await asyncio.gather(*(gateway.payments_above(number) for gateway in self._gateways))
                payments = [payment for window in windows for _, payment in window.payments]
                unfinalized = _Unfinalized(payments, complete=not any(window.unreadable for window in windows))
                self._cached[number] = unfinalized
            return unfinalized

    async def depth_of(self, payment: Payment, heads: Heads) -> Depth:
        """Measure the depth of a payment by `heads` that were read before it. Raises: ChainError."""
        now = int(self._clock.wall())
        risky = payment.quoted and not finality.is_final(payment, heads)
        unfinalized = await self._read_unfinalized(heads) if risky else _Unfinalized([], complete=True)
        others = unfinalized.payments
        tier = finality.tier_for(payment, others, self._tiers, self._max_unfinalized_cents)
        depth = finality.measure_depth(payment, tier, heads, now)
        if not depth.reached:
            return replace(depth, cause="node_unavailable") if self._is_old(heads) else depth
        if risky and payment not in others:
            # The node that listed the unfinalized payments does not have this one; retry later.
            return replace(depth, reached=False)
        # A node that hides payments must not lower their sum by itself.
        is_first_tier = payment.quoted and tier == self._tiers[0] and tier != FINALIZED and unfinalized.complete
        if is_first_tier and risky:
            return depth
        confirmed, cause = await self._second_word(payment, tier, now)
        if not confirmed and cause == "node_unavailable" and is_first_tier:
            confirmed = self._take_one_word(payment)
        return depth if confirmed else Depth(reached=False, cause=cause)

    def _take_one_word(self, payment: Payment) -> bool:
        """Whether a small final payment may be credited on one node's word, while the others are away.

        The unfinalized sums do not bound what that node could invent as final, so that an hour's sum does.
        """
        accepted = sum(cents for identity, cents in self._one_word.items() if identity != payment.identity)
        if accepted + payment.cents > self._max_unfinalized_cents:
            return False
        self._one_word[payment.identity] = payment.cents
        return True

    def stall(self, payment: Payment) -> ConfirmingCause | None:
        """Why a payment that nobody attempts before it is final waits longer than usual, by the heads read last."""
        if self.latest is None:
            return None
        return finality.measure_depth(payment, FINALIZED, self.latest, int(self._clock.wall())).cause

    async def _second_word(
        self, payment: Payment, tier: ConfirmationTier, now: int
    ) -> tuple[bool, ConfirmingCause | None]:
        """Whether two nodes confirm this payment at this depth, and if not, why. A single configured node is trusted.

        Nodes that did not answer seconds ago are not waited for.
        """
        if len(self._nodes.providers) < REQUIRED_NODES:
            return True, None
        answering = self._nodes.answering
        words = await asyncio.gather(*(self._word_of(node, payment, tier, now) for node in answering))
        if words.count(_Word.CONFIRMS) >= REQUIRED_NODES:
            return True, None
        if _Word.DENIES in words:
            return False, "node_disagreement"
        usual = words.count(_Word.CONFIRMS) + words.count(_Word.SHALLOW) >= REQUIRED_NODES
        return False, None if usual else "node_unavailable"

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

    async def _word_of(self, node: NodeProvider, payment: Payment, tier: ConfirmationTier, now: int) -> _Word:
        gateway = next(gateway for gateway in self._gateways if gateway.address == payment.gateway)
        try:
            depth = finality.measure_depth(payment, tier, await _read_heads(node), now)
            if not depth.reached:
                return _Word.SILENT if depth.cause or self._nodes.is_behind(node) else _Word.SHALLOW
            has_payment = payment in await gateway.bound_to(node).payments_in(payment.block)
        except ChainError:
            return _Word.SILENT
        return _Word.CONFIRMS if has_payment else _Word.DENIES


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


async def _read_heads(reader: ChainClient) -> Heads:
    # Deepest first: a shallower head read later can only be further along.
    finalized = await provider.block(reader, "finalized")
    safe, latest = await asyncio.gather(provider.block(reader, "safe"), provider.block(reader, "latest"))
    return Heads(latest, safe, finalized)
