"""Token bucket: allows a burst, then a steady rate."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RateLimit:
    """`burst` requests at once, then `rate` per second."""

    rate: float
    burst: int

    def take(self, next_free_at: float, now: float) -> tuple[float, float]:
        """Take a token; return the new `next_free_at` and the seconds to wait, 0 if taken.

        The argument `next_free_at` is what the previous call returned, or any time in the past for the first call. A
        call that has to wait does not change it.
        """
        earliest = max(next_free_at, now)
        wait = earliest + 1 / self.rate - self.burst / self.rate - now
        return (earliest + 1 / self.rate, 0.0) if wait <= 0 else (next_free_at, wait)


class TokenBucket:
    """One rate limit shared by all callers."""

    def __init__(self, limit: RateLimit) -> None:
        self._limit = limit
        self._next_free_at = 0.0

    def take(self, now: float) -> float:
        """Take one token; return the seconds to wait, 0 if the token was taken."""
        self._next_free_at, wait = self._limit.take(self._next_free_at, now)
        return wait
