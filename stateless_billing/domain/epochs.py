"""When a Stripe write may be sent, and under which key. Pure.

Stripe keeps an idempotency key for at least 24 hours and then forgets it (docs.stripe.com/api/idempotent_requests). So
time is cut into epochs of 23 hours, counted from the fact that is written about; each has its own key, which never has
to live longer than its epoch. Around an epoch's border nothing is sent, so that a request that is slow, or a listing
that lags, cannot reach over it.
"""

from dataclasses import dataclass

HOUR = 3600
EPOCH = 23 * HOUR
QUIET = HOUR // 2  # on either side of a border
FRESH = 600  # a quoted payment younger than this cannot have been written under another key
LISTING_LEAD_SECONDS = HOUR  # clocks differ: a look begins this long before the fact


@dataclass(frozen=True, slots=True)
class EpochPosition:
    """Where a time lies: the `epoch`, and whether it is `quiet` there."""

    epoch: int
    in_quiet_zone: bool


def epoch_position(now: int, origin: int) -> EpochPosition:
    """Where `now` lies in the epochs counted from `origin`, both in unix seconds. The start of epoch 0 is no border."""
    epoch, into = divmod(max(0, now - origin), EPOCH)
    return EpochPosition(epoch, in_quiet_zone=into >= EPOCH - QUIET or (epoch > 0 and into < QUIET))


def seconds_until_writable(now: int, origin: int) -> int:
    """Seconds until the quiet zone that `now` lies in is over, 0 outside of one."""
    into = max(0, now - origin) % EPOCH
    if not epoch_position(now, origin).in_quiet_zone:
        return 0
    return QUIET - into if into < QUIET else EPOCH - into + QUIET


def can_skip_check(now: int, origin: int) -> bool:
    """Whether a quoted payment is so young that it may be sent without a look."""
    return now - origin < FRESH
