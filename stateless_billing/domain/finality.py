"""Decides how deep a payment must be before it is credited. Pure.

`CONFIRMATIONS` is a list of tiers, each with a limit in cents (the last has none) and a depth. A depth is a number of
seconds between the payment's block and the head, or a block tag of the chain.
"""

import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from chain.payment import Block, Payment

Tag = Literal["safe", "finalized"]
ConfirmingCause = Literal["node_unavailable", "node_disagreement", "finality_stalled"]
MAX_HEAD_AGE_SECONDS = 60  # seconds; a node whose newest block is older is behind, or the chain has halted
STALLED_SECONDS: dict[Tag, int] = {"safe": 1800, "finalized": 3600}
"""A tag whose block is older has stalled: three times what is usual on Base."""
CLOCK_TOLERANCE_SECONDS = 120  # seconds; a block further ahead of the clock than this is not accepted yet

_TIER = re.compile(r"(?:([0-9]{1,15}):)?(?:([0-9]{1,5})s|(safe|finalized))")


@dataclass(frozen=True, slots=True)
class ConfirmationTier:
    """The depth for payments up to `cents` (None: any): `seconds` below the head, or `tag`."""

    cents: int | None
    seconds: int | None
    tag: Tag | None


@dataclass(frozen=True, slots=True)
class Heads:
    """The latest, safe and finalized blocks at one time."""

    latest: Block
    safe: Block
    finalized: Block


@dataclass(frozen=True, slots=True)
class Depth:
    """Whether a payment is deep enough; for tiers in seconds, `confirmed` of `needed` seconds.

    `cause` says what holds it up, if it is more than the usual time.
    """

    reached: bool
    confirmed: int | None = None
    needed: int | None = None
    cause: ConfirmingCause | None = None


FINALIZED = ConfirmationTier(None, None, "finalized")


def parse_tiers(text: str) -> tuple[ConfirmationTier, ...]:
    """Parse `10000:15s,100000:safe,finalized`.

    Raises: ValueError, which says what is wrong.
    """
    tiers = tuple(_parse_tier(part.strip()) for part in text.split(","))
    limits = [tier.cents for tier in tiers[:-1]]
    if tiers[-1].cents is not None or None in limits:
        raise ValueError("every tier but the last has a limit in cents, the last has none")
    if sorted(set(limits), key=lambda cents: cents or 0) != limits:
        raise ValueError("the tiers' limits must rise")
    return tiers


def _parse_tier(text: str) -> ConfirmationTier:
    match = _TIER.fullmatch(text)
    if not match:
        raise ValueError("a tier is like 10000:15s, 100000:safe or finalized")
    limit = int(match[1]) if match[1] else None
    if match[2]:
        return ConfirmationTier(limit, int(match[2]), None)
    return ConfirmationTier(limit, None, "safe" if match[3] == "safe" else "finalized")


def is_final(payment: Payment, heads: Heads) -> bool:
    """Whether the payment's block is at or below `finalized`."""
    return payment.block <= heads.finalized.number


def most_early_cents(tiers: tuple[ConfirmationTier, ...], max_unfinalized_cents: int) -> int:
    """Return the most that one payment may be worth to be credited before it is final."""
    if tiers[-1] != FINALIZED:
        return max_unfinalized_cents
    return min(max_unfinalized_cents, max((tier.cents or 0 for tier in tiers), default=0))


class UnfinalizedSums:
    """Payments above `finalized` in the chain's order, with the sums of the quoted ones before each place.

    What waits for finality whatever else is paid takes nothing from the sum of all customers: payments above
    `most_early_cents`, and what goes beyond that sum of one customer's others. Blocks become final in order, so that a
    customer never has more than that credited before it is final, and one customer alone does not delay the others.
    """

    def __init__(self, payments: Iterable[Payment], most_early_cents: int) -> None:
        self._most_early_cents = most_early_cents
        self._by_customer: dict[str | None, list[Payment]] = defaultdict(list)
        self._by_hash: dict[str, list[Payment]] = defaultdict(list)
        self._all = _Sums()
        self._own: dict[str | None, _Sums] = defaultdict(_Sums)
        self._payments = sorted(payments, key=_chain_order)
        early: dict[str | None, int] = defaultdict(int)
        for payment in self._payments:
            self._by_customer[payment.customer_id].append(payment)
            self._by_hash[payment.tx_hash].append(payment)
            if payment.quoted:
                self._own[payment.customer_id].add(payment, payment.cents)
                if payment.cents <= most_early_cents:
                    charged = min(payment.cents, most_early_cents - early[payment.customer_id])
                    early[payment.customer_id] += charged
                    self._all.add(payment, charged)

    def __contains__(self, payment: Payment) -> bool:
        return payment in self._by_hash.get(payment.tx_hash, ())

    def of_customer(self, customer_id: str) -> Sequence[Payment]:
        """The payments of one customer, in the chain's order."""
        return self._by_customer.get(customer_id, ())

    def cents_before(self, payment: Payment) -> tuple[int, int]:
        """The cents of the quoted payments before this one: those charged to all customers, and all of its own."""
        position, own = _chain_order(payment), self._own.get(payment.customer_id)
        for other in self._by_hash.get(payment.tx_hash, ()):  # the same one in another place is not before itself
            if other.identity == payment.identity and _chain_order(other) < position:
                others = [each for each in self._payments if each.identity != payment.identity]
                return UnfinalizedSums(others, self._most_early_cents).cents_before(payment)
        return self._all.before(position), own.before(position) if own else 0


class _Sums:
    """Running sums of cents by place in the chain."""

    def __init__(self) -> None:
        self._positions: list[tuple[int, int]] = []
        self._running = [0]

    def add(self, payment: Payment, cents: int) -> None:
        """Add the next payment in the chain's order."""
        self._positions.append(_chain_order(payment))
        self._running.append(self._running[-1] + cents)

    def before(self, position: tuple[int, int]) -> int:
        """The sum over all payments before a place."""
        return self._running[bisect_left(self._positions, position)]


def tier_for(
    payment: Payment, unfinalized: UnfinalizedSums, tiers: tuple[ConfirmationTier, ...], max_unfinalized_cents: int
) -> ConfirmationTier:
    """Return the tier that a payment must reach.

    A plain payment waits for finality. A quoted payment is judged by the sum of the customer's unfinalized payments up
    to this one. A payment that takes the sum over all customers past `max_unfinalized_cents` waits for finality.
    """
    if not payment.quoted:
        return FINALIZED
    everybody, own = unfinalized.cents_before(payment)
    if payment.cents + everybody > max_unfinalized_cents:
        return FINALIZED
    return next(tier for tier in tiers if tier.cents is None or payment.cents + own <= tier.cents)


def _chain_order(payment: Payment) -> tuple[int, int]:
    return payment.block, payment.log_index


def measure_depth(payment: Payment, tier: ConfirmationTier, heads: Heads, now: int) -> Depth:
    """Measure whether the payment's block is as deep as its tier requires; `now` is Unix time."""
    if payment.time > now + CLOCK_TOLERANCE_SECONDS:
        return Depth(reached=False)
    if is_final(payment, heads):
        return Depth(reached=True)
    if tier.seconds is not None:
        confirmed = max(0, heads.latest.time - payment.time)
        return Depth(confirmed >= tier.seconds, min(confirmed, tier.seconds), tier.seconds)
    tag: Tag = tier.tag or "finalized"
    head = heads.safe if tag == "safe" else heads.finalized
    if payment.block <= head.number:
        return Depth(reached=True)
    return Depth(reached=False, cause="finality_stalled" if now - head.time > STALLED_SECONDS[tag] else None)
