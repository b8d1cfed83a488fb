"""How often something may be done: so many times at once, and so many a second after that."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RateLimit:
    """`burst` times at once, then `rate` times a second."""

    rate: float
    burst: int

    def spend(self, spent_until: float, now: float) -> tuple[float, float]:
        """The new mark, and the seconds to wait: 0 where it may be done now, and then only is the mark moved.

        `spent_until` is the mark after the last time, anything in the past where there was none.
        """
        earliest = max(spent_until, now)
        wait = earliest + 1 / self.rate - self.burst / self.rate - now
        return (earliest + 1 / self.rate, 0.0) if wait <= 0 else (spent_until, wait)


class TokenBucket:
    """One allowance, shared by everybody."""

    def __init__(self, allowance: RateLimit) -> None:
        self._allowance, self._spent_until = allowance, 0.0

    def spend(self, now: float) -> float:
        """Take one; the seconds to wait where there is none left."""
        self._spent_until, wait = self._allowance.spend(self._spent_until, now)
        return wait
