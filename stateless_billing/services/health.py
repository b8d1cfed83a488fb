"""When a process is fit, told alike by `doctor` and `/readyz`: one sentence where it is not, else None."""

from chain.payment import Block
from stateless_billing.domain import finality
from stateless_billing.domain.finality import HEAD_AGE
from stateless_billing.stripe.connection import CLOCK_TOLERANCE_SECONDS

FINALITY_AGE = 3600  # seconds; three times Base's usual


def head_fault(latest: Block, now: int) -> str | None:
    """What is wrong with the newest block a node knows."""
    age = now - latest.time
    if age > HEAD_AGE:
        return f"its newest block is {age} s old, so it is behind, or the chain stands still"
    if age < -finality.CLOCK_TOLERANCE:
        return f"its newest block is {-age} s ahead of this machine's clock: set the clock"
    return None


def finality_fault(finalized: Block, now: int) -> str | None:
    """What is wrong with the newest final block a node knows."""
    age = now - finalized.time
    return f"nothing was final for {age} s: plain payments wait" if age > FINALITY_AGE else None


def clock_fault(skew: float) -> str | None:
    """What is wrong with the machine's clock, given by how many seconds it is ahead of Stripe's."""
    if abs(skew) > CLOCK_TOLERANCE_SECONDS:
        return f"this machine's clock is {skew:+.0f} s from Stripe's: set it, nothing is credited until then"
    return None


def signer_fault(ours: str, accepted: str, gateway: str) -> str | None:
    """What is wrong with the key that signs quotes; addresses in lower case."""
    return None if ours == accepted else f"SIGNER_KEY signs as {ours}, but {gateway} accepts {accepted} only"
