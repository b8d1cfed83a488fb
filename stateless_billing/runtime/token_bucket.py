"""How often something may be done: so many times at once, and so many a second after that."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RateLimit:
    """`burst` times at once, then `rate` times a second."""

    rate: float
    burst: int

    def take(self, next_free_at: float, now: float) -> tuple[float, float]:
        """The new mark, and the seconds to wait: 0 where it may be done now, and then only is the mark moved.

        `next_free_at` is the mark after the last time, anything in the past where there was none.
        """
        earliest = max(next_free_at, now)
        wait = earliest + 1 / self.rate - self.burst / self.rate - now
        return (earliest + 1 / self.rate, 0.0) if wait <= 0 else (next_free_at, wait)


class TokenBucket:
    """One allowance, shared by everybody."""

    def __init__(self, limit: RateLimit) -> None:
        self._limit, self._next_free_at = limit, 0.0

    def take(self, now: float) -> float:
        """Take one; the seconds to wait where there is none left."""
        self._next_free_at, wait = self._limit.take(self._next_free_at, now)
        return wait
