"""Health checks shared by `doctor` and `/readyz`. Each returns a description of the fault, or None."""

from chain.payment import Block
from stateless_billing.domain import finality
from stateless_billing.domain.finality import MAX_HEAD_AGE_SECONDS, STALLED_SECONDS
from stateless_billing.runtime.clock import ReferenceClock
from stateless_billing.stripe import connection

CLOCK_WARNING_SECONDS = 60


def head_fault(latest: Block, time: ReferenceClock) -> str | None:
    """The fault of a node's newest block, if any. `time` is Stripe's clock, or the machine's where that is not known.

    While the two clocks are so far apart that nothing is sent, no node is blamed.
    """
    if time.skew is not None and clock_fault(time.skew):
        return None
    age = int(time.wall()) - latest.time
    if age > MAX_HEAD_AGE_SECONDS:
        return f"its newest block is {age} s old, so the node is behind or the chain is stalled"
    if age < -finality.CLOCK_TOLERANCE_SECONDS:
        if time.skew is None:
            return f"its newest block is {-age} s ahead of this machine's clock: set the clock"
        return f"its newest block is {-age} s ahead of Stripe's clock: its payments wait"
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
    """The fault of this machine's clock that stops all sending, if any. `skew` is its lead over Stripe's in seconds."""
    return connection.clock_fault(skew)


def clock_warning(skew: float) -> str | None:
    """What is wrong with this machine's clock while it does not stop the sending yet, if anything."""
    if CLOCK_WARNING_SECONDS < abs(skew) <= connection.CLOCK_TOLERANCE_SECONDS:
        return (
            f"this machine's clock is {skew:+.0f} s from Stripe's: set the clock, from"
            f" {connection.CLOCK_TOLERANCE_SECONDS} s on nothing is credited"
        )
    return None


def signer_fault(ours: str, accepted: str, gateway: str) -> str | None:
    """The fault of the key that signs quotes, if any. Addresses are lower case."""
    return None if ours == accepted else f"SIGNER_KEY signs as {ours}, but {gateway} accepts {accepted} only"
