"""Decides when a Stripe write may be sent, and under which idempotency key. Pure.

Stripe keeps an idempotency key for at least 24 hours and then forgets it (docs.stripe.com/api/idempotent_requests).
Time is therefore divided into epochs of 23 hours, counted from the event that the write records. Each epoch has its own
key, so no key is needed for longer than Stripe keeps it. Nothing is sent in the quiet zone around a border, so a slow
request or a lagging listing cannot cross it.
"""

from dataclasses import dataclass

HOUR = 3600
EPOCH_SECONDS = 23 * HOUR
QUIET_SECONDS = HOUR // 2  # on either side of a border
FRESH_SECONDS = 600  # a quoted payment younger than this cannot have been written under another key
LISTING_LEAD_SECONDS = HOUR  # a listing starts this long before the event, because clocks differ


@dataclass(frozen=True, slots=True)
class EpochPosition:
    """The epoch of a time, and whether the time is in a quiet zone."""

    epoch: int
    in_quiet_zone: bool


def epoch_position(now: int, origin: int) -> EpochPosition:
    """Locate `now` in the epochs counted from `origin`, both Unix seconds.

    The start of epoch 0 is not a border, so it has no quiet zone.
    """
    epoch, into = divmod(max(0, now - origin), EPOCH_SECONDS)
    return EpochPosition(
        epoch, in_quiet_zone=into >= EPOCH_SECONDS - QUIET_SECONDS or (epoch > 0 and into < QUIET_SECONDS)
    )


def seconds_until_writable(now: int, origin: int) -> int:
    """Return the seconds until the current quiet zone ends; 0 outside of one."""
    into = max(0, now - origin) % EPOCH_SECONDS
    if not epoch_position(now, origin).in_quiet_zone:
        return 0
    return QUIET_SECONDS - into if into < QUIET_SECONDS else EPOCH_SECONDS - into + QUIET_SECONDS


def can_skip_check(now: int, origin: int) -> bool:
    """Whether a quoted payment is so recent that its ledger need not be checked."""
    return now - origin < FRESH_SECONDS
