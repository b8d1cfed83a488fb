"""Limits the Stripe reads that visitors cause by asking for wallets. Counted per process.

One origin (an IPv4 address or an IPv6 /64) gets a part of each limit: the rest is a reserve that it cannot touch.
"""

import logging
from collections import Counter

from cachetools import LRUCache

from stateless_billing.domain.errors import ProblemError
from stateless_billing.runtime.clock import Clock
from stateless_billing.runtime.metrics import VISITOR_LOOKUPS
from stateless_billing.runtime.security_log import SecurityLog
from stateless_billing.runtime.token_bucket import RateLimit, TokenBucket

_DAY_SECONDS = 24 * 3600
_READS = RateLimit(rate=10, burst=100)  # of registered wallets' customers, by all origins together
_READS_OF_ORIGIN = RateLimit(rate=1, burst=30)
_SEARCHES = RateLimit(rate=5, burst=60)  # for wallets that the gateway does not know, by all origins together
_SEARCHES_OF_ORIGIN = RateLimit(rate=0.5, burst=15)
_DAILY_PARTS = 10  # one origin gets a tenth of a day's searches
_MAX_ORIGINS = 100_000
_SHARED_ORIGINS = ("127.0.0.1", "::/64")  # loopback: our own machine, or a proxy on it that names no clients

_NOTHING = "No money moved."
_BUSY = f"Too many lookups right now. {_NOTHING} Try again in a minute."
_SPENT = (
    "Today's lookups of wallets that have not paid here before are used up{by}. {nothing} Wallets that are registered"
    " work as usual. Try again after midnight UTC, or ask support to register this wallet."
)
_REFUSALS = {
    "origin": _BUSY,
    "all": _BUSY,
    "day_of_origin": _SPENT.format(by=" for your network", nothing=_NOTHING),
    "day": _SPENT.format(by="", nothing=_NOTHING),
}

log = logging.getLogger(__name__)


class OriginRateLimiter:
    """A rate for all origins together, of which each origin gets a part."""

    def __init__(self, total: RateLimit, of_origin: RateLimit) -> None:
        self._total = TokenBucket(total)
        self._of_origin = of_origin
        self._next_free_at: LRUCache[str, float] = LRUCache(_MAX_ORIGINS)

    def take(self, origin: str, now: float) -> str:
        """Take a token; return the limit that forbids it, or an empty text. A refusal takes nothing."""
        if origin in _SHARED_ORIGINS:
            return "all" if self._total.take(now) else ""
        next_free_at, wait = self._of_origin.take(self._next_free_at.get(origin, 0.0), now)
        if wait:
            return "origin"
        if self._total.take(now):
            return "all"
        self._next_free_at[origin] = next_free_at
        return ""


class DailyLimit:
    """At most `limit` a UTC day, of which each origin gets a part."""

    def __init__(self, limit: int, clock: Clock) -> None:
        self.limit = limit
        self._limit_of_origin = max(1, limit // _DAILY_PARTS)
        self._clock = clock
        self._day = 0
        self._used: Counter[str] = Counter()

    def used(self) -> int:
        """Return how many were used today."""
        self._begin_day()
        return self._used.total()

    def refusal(self, origin: str) -> str:
        """Return the limit that forbids one more, or an empty text."""
        if self.used() >= self.limit:
            return "day"
        if origin not in _SHARED_ORIGINS and self._used[origin] >= self._limit_of_origin:
            return "day_of_origin"
        return ""

    def count(self, origin: str) -> None:
        """Count one, and warn once when four fifths are used."""
        self._used[origin] += 1
        if self.used() == -(-self.limit * 4 // 5):
            log.warning("four fifths of this process's %d lookups of unknown wallets a day are used", self.limit)

    def _begin_day(self) -> None:
        day = int(self._clock.wall()) // _DAY_SECONDS
        if day != self._day:
            self._day = day
            self._used.clear()


class LookupBudget:
    """What visitors may have read from Stripe. Registered wallets never depend on the daily limit."""

    def __init__(self, *, searches_per_day: int, clock: Clock, security_log: SecurityLog) -> None:
        self._clock = clock
        self._security_log = security_log
        self._reads = OriginRateLimiter(_READS, _READS_OF_ORIGIN)
        self._searches = OriginRateLimiter(_SEARCHES, _SEARCHES_OF_ORIGIN)
        self.daily = DailyLimit(searches_per_day, clock)

    def take_read(self, origin: str) -> None:
        """Take one read of a registered wallet's customer. Raises: ProblemError."""
        self._answer("registered", origin, self._reads.take(origin, self._clock.boot()))

    def take_search(self, origin: str) -> None:
        """Take one search for a wallet that the gateway does not know. Raises: ProblemError."""
        refusal = self.daily.refusal(origin) or self._searches.take(origin, self._clock.boot())
        self._answer("unknown", origin, refusal)
        self.daily.count(origin)

    def _answer(self, wallet: str, origin: str, refusal: str) -> None:
        VISITOR_LOOKUPS.labels(wallet, refusal or "ok").inc()
        if refusal:
            self._security_log.record("limit_reached", origin, limit=f"lookups of {wallet} wallets: {refusal}")
            raise ProblemError("busy", _REFUSALS[refusal])
