"""When something that failed may be tried again."""

import random
from collections.abc import Hashable

from cachetools import LRUCache

from stateless_billing.runtime.clock import Clock

_FIRST_WAIT, _LONGEST_WAIT = 60, 3600
_CACHE_SIZE = 100_000


class Backoff:
    """When something that failed may be tried again: after a minute, doubling to an hour."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until: LRUCache[Hashable, tuple[float, int]] = LRUCache(_CACHE_SIZE)

    def is_due(self, key: Hashable) -> bool:
        """Whether it may be tried now."""
        until, _ = self._until.get(key, (0.0, 0))
        return self._clock.boot() >= until

    def record_failure(self, key: Hashable) -> None:
        """It failed once more."""
        _, before = self._until.get(key, (0.0, 0))
        wait = min(before * 2, _LONGEST_WAIT) or _FIRST_WAIT
        self._until[key] = (self._clock.boot() + with_jitter(wait), wait)

    def record_success(self, key: Hashable) -> None:
        """It is well again."""
        self._until.pop(key, None)


def with_jitter(seconds: int) -> int:
    """A little more, so that processes that failed together do not come back together."""
    return seconds + random.randint(0, seconds // 4)  # noqa: S311 - nothing secret
