"""Decides how deep a payment must be before it is credited. Pure.

`CONFIRMATIONS` is a list of tiers, each with a limit in cents (the last has none) and a depth. A depth is a number of
seconds between the payment's block and the head, or a block tag of the chain.
"""

import re
from collections.abc import Iterable
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


def tier_for(
    payment: Payment, unfinalized: Iterable[Payment], tiers: tuple[ConfirmationTier, ...], max_unfinalized_cents: int
) -> ConfirmationTier:
    """Return the tier that a payment must reach.

    A plain payment waits for finality. A quoted payment is judged by the sum of the customer's unfinalized payments up
    to this one. A payment that takes the sum over all customers past `max_unfinalized_cents` waits for finality.
    """
    if not payment.quoted:
        return FINALIZED
    position = _chain_order(payment)
    before = [
        other
        for other in unfinalized
        if other.quoted and _chain_order(other) < position and not _is_same_payment(other, payment)
    ]
    if payment.cents + sum(other.cents for other in before) > max_unfinalized_cents:
        return FINALIZED
    own = payment.cents + sum(other.cents for other in before if other.customer_id == payment.customer_id)
    return next(tier for tier in tiers if tier.cents is None or own <= tier.cents)


def _is_same_payment(payment: Payment, other: Payment) -> bool:
    # Hashes first: an identity is formatted on each access, and there may be thousands of payments.
    return payment.tx_hash == other.tx_hash and payment.identity == other.identity


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
