"""Epochs and quiet zones, by walking along the borders."""

from typing import NamedTuple


class Position(NamedTuple):
    """An epoch, and whether the time is within half an hour of its border."""

    epoch: int
    quiet: bool


EPOCH, HALF_AN_HOUR, TEN_MINUTES = 23 * 60 * 60, 30 * 60, 10 * 60


def position(now: int, origin: int) -> Position:
    """Count borders up to now, one every 23 hours after the origin; the origin itself is none."""
    epoch, border = 0, origin + EPOCH
    while now >= border:
        epoch += 1
        border += EPOCH
    before = border - EPOCH
    near_the_next = border - now <= HALF_AN_HOUR
    near_the_last = epoch > 0 and now - before < HALF_AN_HOUR
    return Position(epoch, near_the_next or near_the_last)


def until_sending(now: int, origin: int) -> int:
    """Wait second by second until the quiet zone is over."""
    seconds = 0
    while position(now + seconds, origin).quiet:
        seconds += 1
    return seconds


def is_young(now: int, origin: int) -> bool:
    """Whether less than ten minutes have passed since the origin."""
    return now < origin + TEN_MINUTES
