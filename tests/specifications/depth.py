"""What `domain/finality.py` should answer, payment by payment."""

from collections import Counter
from collections.abc import Sequence

from chain.payment import Payment
from stateless_billing.domain.finality import Heads

Tier = tuple[int | None, int | None, str | None]
"""Up to so many cents, so many seconds below the head, or a tag."""
FINALIZED: Tier = (None, None, "finalized")


def tier(payment: Payment, unfinalized: Sequence[Payment], tiers: Sequence[Tier], most: int) -> Tier:
    """Walk through the payments in the order of the chain and add up what could be lost in a reorganisation."""
    if payment.cents == 0:
        return FINALIZED
    own_customer, early = 0, Counter[str | None]()
    limits = [most if name[0] is None else min(name[0], most) for name in tiers if name != FINALIZED]
    most_early = max(limits, default=0)  # a payment, or a customer, has no more credited before it is final
    for other in sorted([*unfinalized, payment], key=lambda one: (one.block, one.log_index)):
        if (other.block, other.log_index) >= (payment.block, payment.log_index):
            break
        if other.identity == payment.identity:
            continue  # the same payment before a reorganisation
        if other.cents <= most_early:
            early[other.customer_id] += other.cents
        own_customer += other.cents if other.customer_id == payment.customer_id else 0
    if sum(min(cents, most_early) for cents in early.values()) + payment.cents > most:
        return FINALIZED
    for candidate in tiers:
        if candidate[0] is None or own_customer + payment.cents <= candidate[0]:
            return candidate
    raise AssertionError("the last tier has no limit")


def is_reached(payment: Payment, needed: Tier, heads: Heads, now: int) -> bool:
    """Whether a payment is deep enough."""
    if payment.time - now > 120:
        return False  # no clock is that far behind
    if payment.block <= heads.finalized.number:
        return True
    _, seconds, tag = needed
    if seconds is not None:
        return max(0, heads.latest.time - payment.time) >= seconds
    return tag == "safe" and payment.block <= heads.safe.number
