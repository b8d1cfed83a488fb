"""Exponential backoff per key, in memory."""

import random
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from cachetools import LRUCache

from stateless_billing.runtime.clock import Clock

_FIRST_DELAY_SECONDS = 60
_MAX_DELAY_SECONDS = 3600
_CACHE_SIZE = 100_000


@dataclass(frozen=True, slots=True)
class _Wait:
    """`since` and `until` in seconds of the boot clock, `delay` without its jitter."""

    since: float
    until: float
    delay: int


class Backoff:
    """Retry schedule per key: one minute after the first failure, doubling to an hour.

    `recovered_at` tells when the party that may have caused the failures last answered again (seconds of the boot
    clock): what failed before that is due at once.
    """

    def __init__(self, clock: Clock, recovered_at: Callable[[], float]) -> None:
        self._clock = clock
        self._recovered_at = recovered_at
        self._waits: LRUCache[Hashable, _Wait] = LRUCache(_CACHE_SIZE)

    def is_due(self, key: Hashable) -> bool:
        """Whether `key` may be tried now."""
        wait = self._current(key)
        return wait is None or self._clock.boot() >= wait.until

    def record_failure(self, key: Hashable) -> None:
        """Double the delay of `key` and start it now."""
        previous, now = self._current(key), self._clock.boot()
        delay = min(previous.delay * 2, _MAX_DELAY_SECONDS) if previous else _FIRST_DELAY_SECONDS
        self._waits[key] = _Wait(now, now + with_jitter(delay), delay)

    def record_success(self, key: Hashable) -> None:
        """Reset the delay of `key`."""
        self._waits.pop(key, None)

    def _current(self, key: Hashable) -> _Wait | None:
        wait = self._waits.get(key)
        return wait if wait and wait.since >= self._recovered_at() else None


def with_jitter(seconds: int) -> int:
    """Add up to 25 %, so that processes that failed together do not retry together."""
    return seconds + random.randint(0, seconds // 4)  # noqa: S311 - not security-relevant
