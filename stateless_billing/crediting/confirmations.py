"""Checks with the nodes whether a payment is confirmed deeply enough to be credited."""

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto

from cachetools import TTLCache

from chain import provider
from chain.errors import ChainError, InvalidResponse
from chain.failover import FailoverProvider
from chain.gateway import Gateway, Window
from chain.payment import Block, Payment
from chain.provider import ChainClient, NodeProvider
from stateless_billing.assumptions.breaches import Breaches
from stateless_billing.assumptions.chain_watch import ChainWatch
from stateless_billing.domain import finality
from stateless_billing.domain.finality import (
    FINALIZED,
    MAX_HEAD_AGE_SECONDS,
    ConfirmationTier,
    ConfirmingCause,
    Depth,
    Heads,
    UnfinalizedSums,
)
from stateless_billing.runtime.clock import Clock

_SHARED_SECONDS = 6
"""So long `safe` and `finalized` of a node, and one reading of the unfinalized payments, serve everybody.

Both tags follow Ethereum, whose blocks are 12 seconds apart: in half of that they rarely change. An older `finalized`
stays true, it only lets a payment wait. A `safe` block goes back only if Ethereum itself reorganises: what that tier is
trusted with, `MAX_UNFINALIZED_CENTS` bounds. A reading that holds a payment, by its block's hash, holds all before it.
"""
_FRESH_SECONDS = 1  # so old a reading may be for those who ask for all payments, not for one of them
_MAX_NODES = 32
REQUIRED_NODES = 2
_ONE_WORD_SECONDS = 3600
_HANGING_SECONDS = 2  # a node that fails after so long is not asked for a word for a while
_HANGING_PAUSE_SECONDS = 30
_NODE_STATUS_SECONDS = 5  # so long what is known of the nodes' heads counts


class _Word(Enum):
    """What one node says of a payment: it has it so deep, not so deep yet, not at all; or nothing that counts."""

    CONFIRMS = auto()
    SHALLOW = auto()
    DENIES = auto()
    SILENT = auto()


@dataclass(frozen=True, slots=True)
class _Shared:
    """A reading of the payments above the block `finalized`, with those of all gateways up to the block `latest`."""

    sums: UnfinalizedSums
    complete: bool
    finalized: int
    latest: int
    read_at: float


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
        watch: ChainWatch | None = None,
    ) -> None:
        self._nodes = nodes
        self._gateways = gateways
        self._clock = clock
        self.watch = watch or ChainWatch(Breaches())
        self._tiers = tiers
        self._max_unfinalized_cents = max_unfinalized_cents
        self._most_early_cents = finality.most_early_cents(tiers, max_unfinalized_cents)
        self._reading = asyncio.Lock()
        self.latest: Heads | None = None
        """The heads read last."""
        self.recovered_at = 0.0
        """When a node answered after none did, in seconds of the boot clock."""
        self._failed = False
        self._early_words = _HourlySum(max_unfinalized_cents, clock)
        self._final_words = _HourlySum(max_unfinalized_cents, clock)
        self._hanging: TTLCache[NodeProvider, bool] = TTLCache(_MAX_NODES, _HANGING_PAUSE_SECONDS, clock.boot)
        self._tags: TTLCache[ChainClient, tuple[Block, Block]] = TTLCache(_MAX_NODES, _SHARED_SECONDS, clock.boot)
        self._shared: _Shared | None = None

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
            return await self._nodes.with_failover(self._read_heads)
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
        heads = await self._read_heads(reader)
        if self._is_old(heads):
            raise InvalidResponse(f"its newest block is {int(self._clock.wall()) - heads.latest.time} s old")
        return heads

    async def _read_heads(self, reader: ChainClient) -> Heads:
        """Read one node's own heads; its `safe` and `finalized` at most every few seconds."""
        if tags := self._tags.get(reader):
            latest = await provider.block(reader, "latest")
            if latest.number >= tags[0].number:
                return Heads(latest, *tags)
        # Deepest first: a shallower head read later can only be further along.
        finalized = await provider.block(reader, "finalized")
        self.watch.finalized(reader.providers[0].name, finalized)
        safe, latest = await asyncio.gather(provider.block(reader, "safe"), provider.block(reader, "latest"))
        self._tags[reader] = safe, finalized
        return Heads(latest, safe, finalized)

    async def unfinalized_of(self, customer_id: str, heads: Heads, up_to: Payment | None = None) -> Sequence[Payment]:
        """A customer's readable payments above `finalized`, at all gateways, in order.

        With `up_to`, an unfinalized payment, later ones may be missing. Raises: ChainError.
        """
        return (await self._read_unfinalized(heads, up_to)).sums.of_customer(customer_id)

    async def _read_unfinalized(self, heads: Heads, payment: Payment | None) -> _Shared:
        """Read them once for everybody; anew where the last reading does not hold `payment`."""
        async with self._reading:
            if self._shared is None or not self._serves(self._shared, heads, payment):
                number, read_at = heads.finalized.number, self._clock.boot()
                windows = await asyncio.gather(*(gateway.payments_above(number) for gateway in self._gateways))
                self.share_unfinalized(heads, windows, read_at)
            assert self._shared
            return self._shared

    def share_unfinalized(self, heads: Heads, windows: Iterable[Window], read_at: float) -> None:
        """Let everybody use all payments above `finalized`, counted after `heads` and read since `read_at`."""
        complete, payments = True, []
        for window in windows:
            payments += [payment for _, payment in window.payments]
            complete = complete and not window.unreadable
        sums, finalized = UnfinalizedSums(payments, self._most_early_cents), heads.finalized.number
        self._shared = _Shared(sums, complete, finalized, heads.latest.number, read_at)

    def _serves(self, shared: _Shared, heads: Heads, payment: Payment | None) -> bool:
        age = self._clock.boot() - shared.read_at
        if payment is None:
            return age < _FRESH_SECONDS and shared.finalized == heads.finalized.number
        # One gateway may have been read before another: up to the head that was read before both, nothing is missing.
        is_covered = payment.block <= shared.latest and shared.finalized <= heads.finalized.number
        # Where the payment is missing, a node hides it or its block is unreadable: asking more often helps nobody.
        return is_covered and age < (_SHARED_SECONDS if payment in shared.sums else _FRESH_SECONDS)

    async def depth_of(self, payment: Payment, heads: Heads) -> Depth:
        """Measure the depth of a payment by `heads` that were read before it. Raises: ChainError."""
        now = int(self._clock.wall())
        risky = payment.quoted and not finality.is_final(payment, heads)
        shared = await self._read_unfinalized(heads, payment) if risky else None
        others = shared.sums if shared else UnfinalizedSums((), self._most_early_cents)
        tier = finality.tier_for(payment, others, self._tiers, self._max_unfinalized_cents)
        depth = finality.measure_depth(payment, tier, heads, now)
        if not depth.reached:
            return replace(depth, cause="node_unavailable") if self._is_old(heads) else depth
        if risky and payment not in others:
            # The node that listed the unfinalized payments does not have this one; retry later.
            return replace(depth, reached=False)
        # A node that hides payments must not lower their sum by itself.
        is_first_tier = (
            payment.quoted and tier == self._tiers[0] and tier != FINALIZED and (shared is None or shared.complete)
        )
        # One node's word counts for an hour's sum of small payments: it could show ever new ones and drop the others.
        if is_first_tier and risky and self._early_words.take(payment):
            return depth
        confirmed, cause = await self._second_word(payment, tier, now)
        if not confirmed and cause == "node_unavailable" and is_first_tier:
            # While the others are away the unfinalized sums bound it, but not what it shows as final.
            confirmed = risky or self._final_words.take(payment)
        return depth if confirmed else Depth(reached=False, cause=cause)

    def stall(self, payment: Payment) -> ConfirmingCause | None:
        """Why a payment that nobody attempts before it is final waits longer than usual, by the heads read last."""
        if self.latest is None:
            return None
        return finality.measure_depth(payment, FINALIZED, self.latest, int(self._clock.wall())).cause

    async def _second_word(
        self, payment: Payment, tier: ConfirmationTier, now: int
    ) -> tuple[bool, ConfirmingCause | None]:
        """Whether two nodes confirm this payment at this depth, and if not, why. A single configured node is trusted.

        Nodes that did not answer seconds ago are not waited for, nor are those that kept a payment waiting.
        """
        if len(self._nodes.providers) < REQUIRED_NODES:
            return True, None
        answering = [node for node in self._nodes.answering if node not in self._hanging]
        asked = {asyncio.create_task(self._word_of(node, payment, tier, now)) for node in answering}
        words: list[_Word] = []
        try:
            while asked and words.count(_Word.CONFIRMS) < REQUIRED_NODES:  # a node that hangs keeps nobody waiting
                spoken, asked = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
                words += [task.result() for task in spoken]
        finally:
            for task in asked:
                task.cancel()
        if words.count(_Word.CONFIRMS) >= REQUIRED_NODES:
            return True, None
        if _Word.DENIES in words:
            self._gateway_of(payment).forget_blocks(payment.block)  # of two answers one is wrong: ask again
            return False, "node_disagreement"
        usual = words.count(_Word.CONFIRMS) + words.count(_Word.SHALLOW) >= REQUIRED_NODES
        return False, None if usual else "node_unavailable"

    def _gateway_of(self, payment: Payment) -> Gateway:
        return next(gateway for gateway in self._gateways if gateway.address == payment.gateway)

    async def _word_of(self, node: NodeProvider, payment: Payment, tier: ConfirmationTier, now: int) -> _Word:
        gateway, begun = self._gateway_of(payment), self._clock.boot()
        try:
            heads = await self._read_heads(node)
            depth = finality.measure_depth(payment, tier, heads, now)
            if not depth.reached or heads.latest.number < payment.block:
                return _Word.SILENT if depth.cause or self._nodes.is_behind(node) else _Word.SHALLOW
            has_payment = payment in await gateway.bound_to(node).payments_in(payment.block)
        except ChainError:
            if self._clock.boot() - begun >= _HANGING_SECONDS:
                self._hanging[node] = True
            return _Word.SILENT
        return _Word.CONFIRMS if has_payment else _Word.DENIES


class _HourlySum:
    """The payments of the last hour that were credited on one node's word, up to a sum in cents."""

    def __init__(self, limit: int, clock: Clock) -> None:
        self._limit, self._clock = limit, clock
        self._taken: OrderedDict[tuple[object, ...], tuple[float, int]] = OrderedDict()
        self._sum = 0

    def take(self, payment: Payment) -> bool:
        """Add a payment unless it exceeds the limit; True also if it was added before, with the same facts."""
        now = self._clock.boot()
        facts = payment.identity, payment.customer_id, payment.sequence, payment.wallet, payment.amount, payment.cents
        while self._taken and next(iter(self._taken.values()))[0] <= now - _ONE_WORD_SECONDS:
            self._sum -= self._taken.popitem(last=False)[1][1]
        if facts in self._taken:
            return True
        if self._sum + payment.cents > self._limit:
            return False
        self._taken[facts] = now, payment.cents
        self._sum += payment.cents
        return True
