"""Exponential backoff per key, in memory."""

import random
from collections.abc import Hashable

from cachetools import LRUCache

from stateless_billing.runtime.clock import Clock

_FIRST_DELAY_SECONDS = 60
_MAX_DELAY_SECONDS = 3600
_CACHE_SIZE = 100_000


class Backoff:
    """Retry schedule per key: one minute after the first failure, doubling to an hour."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until: LRUCache[Hashable, tuple[float, int]] = LRUCache(_CACHE_SIZE)

    def is_due(self, key: Hashable) -> bool:
        """Whether `key` may be tried now."""
        until, _ = self._until.get(key, (0.0, 0))
        return self._clock.boot() >= until

    def record_failure(self, key: Hashable) -> None:
        """Double the delay of `key` and start it now."""
        _, previous = self._until.get(key, (0.0, 0))
        delay = min(previous * 2, _MAX_DELAY_SECONDS) or _FIRST_DELAY_SECONDS
        self._until[key] = (self._clock.boot() + with_jitter(delay), delay)

    def record_success(self, key: Hashable) -> None:
        """Reset the delay of `key`."""
        self._until.pop(key, None)


def with_jitter(seconds: int) -> int:
    """Add up to 25 %, so that processes that failed together do not retry together."""
    return seconds + random.randint(0, seconds // 4)  # noqa: S311 - not security-relevant
