"""Health checks shared by `doctor` and `/readyz`. Each returns a description of the fault, or None."""

from chain.payment import Block
from stateless_billing.domain import finality
from stateless_billing.domain.finality import MAX_HEAD_AGE_SECONDS, STALLED_SECONDS
from stateless_billing.stripe.connection import CLOCK_TOLERANCE_SECONDS


def head_fault(latest: Block, now: int) -> str | None:
    """The fault of a node's newest block, if any."""
    age = now - latest.time
    if age > MAX_HEAD_AGE_SECONDS:
        return f"its newest block is {age} s old, so the node is behind or the chain is stalled"
    if age < -finality.CLOCK_TOLERANCE_SECONDS:
        return f"its newest block is {-age} s ahead of this machine's clock: set the clock"
    return None


def finality_fault(finalized: Block, now: int) -> str | None:
    """The fault of a node's newest finalized block, if any."""
    age = now - finalized.time
    return (
        f"its newest finalized block is {age} s old: plain payments wait"
        if age > STALLED_SECONDS["finalized"]
        else None
    )


def clock_fault(skew: float) -> str | None:
    """The fault of this machine's clock, if any. `skew` is its lead over Stripe's clock in seconds."""
    if abs(skew) > CLOCK_TOLERANCE_SECONDS:
        return f"this machine's clock is {skew:+.0f} s from Stripe's: set the clock, nothing is credited until then"
    return None


def signer_fault(ours: str, accepted: str, gateway: str) -> str | None:
    """The fault of the key that signs quotes, if any. Addresses are lower case."""
    return None if ours == accepted else f"SIGNER_KEY signs as {ours}, but {gateway} accepts {accepted} only"
