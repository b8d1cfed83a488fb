"""How deep a payment must lie before it is credited. Pure.

`CONFIRMATIONS` is a list of tiers: up to so many cents at that depth, the last without a limit. A depth is a number of
seconds between the payment's block and the head, or one of the chain's own tags.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from chain.payment import Block, Payment

Tag = Literal["safe", "finalized"]
HEAD_AGE = 60  # seconds; a node whose newest block is older is behind, or the chain stands still
CLOCK_TOLERANCE = 120  # a block further ahead of the clock than this is not believed yet

_TIER = re.compile(r"(?:([0-9]{1,15}):)?(?:([0-9]{1,5})s|(safe|finalized))")


@dataclass(frozen=True, slots=True)
class ConfirmationTier:
    """Up to `cents` (None: without limit) at `seconds` below the head, or at `tag`."""

    cents: int | None
    seconds: int | None
    tag: Tag | None


@dataclass(frozen=True, slots=True)
class Heads:
    """The chain's heads at one moment."""

    latest: Block
    safe: Block
    finalized: Block


@dataclass(frozen=True, slots=True)
class Depth:
    """Whether a payment is deep enough; `confirmed` of `needed` seconds where seconds are counted."""

    reached: bool
    confirmed: int | None = None
    needed: int | None = None


FINALIZED = ConfirmationTier(None, None, "finalized")


def parse_tiers(text: str) -> tuple[ConfirmationTier, ...]:
    """`10000:15s,100000:safe,finalized` as tiers. Raises ValueError with what is wrong."""
    tiers = tuple(_tier(part.strip()) for part in text.split(","))
    limits = [tier.cents for tier in tiers[:-1]]
    if tiers[-1].cents is not None or None in limits:
        raise ValueError("every tier but the last has a limit in cents, the last has none")
    if sorted(set(limits), key=lambda cents: cents or 0) != limits:
        raise ValueError("the tiers' limits must rise")
    return tiers


def _tier(text: str) -> ConfirmationTier:
    found = _TIER.fullmatch(text)
    if not found:
        raise ValueError("a tier is like 10000:15s, 100000:safe or finalized")
    cents, seconds, tag = found.groups()
    named: Tag | None = "safe" if tag == "safe" else "finalized" if tag else None
    return ConfirmationTier(int(cents) if cents else None, int(seconds) if seconds else None, named)


def is_final(payment: Payment, heads: Heads) -> bool:
    """Whether the payment's block is at or below `finalized`."""
    return payment.block <= heads.finalized.number


def tier_for(
    payment: Payment, unfinalized: Iterable[Payment], tiers: tuple[ConfirmationTier, ...], max_unfinalized_cents: int
) -> ConfirmationTier:
    """The tier a payment must reach.

    Plain ones wait for finality. Of quoted ones all of the customer's unfinalised payments up to this one count
    together, and those of all customers never pass `max_unfinalized_cents`: what would pass it waits for finality.
    """
    if not payment.quoted:
        return FINALIZED
    place = _chain_order(payment)
    before = [
        other
        for other in unfinalized
        if other.quoted and _chain_order(other) < place and not _is_same_payment(other, payment)
    ]
    if payment.cents + sum(other.cents for other in before) > max_unfinalized_cents:
        return FINALIZED
    own = payment.cents + sum(other.cents for other in before if other.customer_id == payment.customer_id)
    return next(tier for tier in tiers if tier.cents is None or own <= tier.cents)


def _is_same_payment(one: Payment, other: Payment) -> bool:
    # Hashes first: identities are put together each time they are asked for, and there may be thousands.
    return one.tx_hash == other.tx_hash and one.identity == other.identity


def _chain_order(payment: Payment) -> tuple[int, int]:
    return payment.block, payment.log_index


def measure_depth(payment: Payment, tier: ConfirmationTier, heads: Heads, now: int) -> Depth:
    """Whether the payment's block lies as deep as its tier asks, `now` being the clock in unix seconds."""
    if payment.time > now + CLOCK_TOLERANCE:
        return Depth(reached=False)
    if is_final(payment, heads):
        return Depth(reached=True)
    if tier.seconds is not None:
        confirmed = max(0, heads.latest.time - payment.time)
        return Depth(confirmed >= tier.seconds, min(confirmed, tier.seconds), tier.seconds)
    head = heads.safe if tier.tag == "safe" else heads.finalized
    return Depth(payment.block <= head.number)
