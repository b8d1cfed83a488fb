"""Client-side rate limiter for Stripe.

Keeps this service within its share of the account's limits, leaving capacity for other integrations. Stripe allows 25
requests a second per endpoint, and in total 100, or 25 in a sandbox (docs.stripe.com/rate-limits); an endpoint is a URL
template. Requests are spaced evenly when admitted, and counted again when sent, so that no second exceeds the share.
A 429 of a limiter lowers the pace, which recovers by itself.
"""

import asyncio
import math
from collections import deque
from enum import StrEnum

_FIRST_PAUSE_SECONDS, _MAX_PAUSE_SECONDS = 1.0, 30.0
_RATE_WINDOW_SECONDS = 1.08  # per second of Stripe's limit: requests arrive with varying latency
_MIN_SPACING = 3 / 4  # as a fraction of the interval, for requests that catch up after a delay
_MAX_SPACED_REQUESTS = 100  # Stripe's usual limits; above them a timer is coarser than the spacing
_SLOWDOWN_STEP, _MAX_SLOWDOWN = 1.5, 6.0  # of the intervals after a 429
_SLOWDOWN_HALF_LIFE_SECONDS = 30.0


class Endpoint(StrEnum):
    """The endpoints that this service uses."""

    READ_CUSTOMER = "GET /v1/customers/:id"
    WRITE_CUSTOMER = "POST /v1/customers/:id"
    LIST_CUSTOMERS = "GET /v1/customers"
    SEARCH_CUSTOMERS = "GET /v1/customers/search"
    LIST_ENTRIES = "GET /v1/customers/:id/balance_transactions"
    READ_ENTRY = "GET /v1/customers/:id/balance_transactions/:id"
    LIST_EVENTS = "GET /v1/events"
    CREATE_CUSTOMER = "POST /v1/customers"
    CREATE_ENTRY = "POST /v1/customers/:id/balance_transactions"


_SLOWDOWN = {Endpoint.SEARCH_CUSTOMERS: 25 / 20}  # search is limited to 20 requests a second


class _Limit:
    """Limits one endpoint, or all together, to `max_requests` in `window` seconds, or to fewer after a 429."""

    def __init__(self, max_requests: int, window: float) -> None:
        self.next_free_at = 0.0
        self.next_pause = _FIRST_PAUSE_SECONDS
        self.paused_until = 0.0
        self._max_requests = max_requests
        self._window = window
        self._sent: deque[float] = deque(maxlen=max_requests)
        self._lock = asyncio.Lock()
        self._slowdown = 1.0
        self._slowed_at = 0.0

    @property
    def interval(self) -> float:
        """The seconds between two requests, at the present pace."""
        return self._window / self._max_requests * self._current_slowdown()

    def slow_down(self) -> None:
        """Lower the pace; half of that is recovered every half minute."""
        self._slowdown = min(_MAX_SLOWDOWN, self._current_slowdown() * _SLOWDOWN_STEP)
        self._slowed_at = asyncio.get_running_loop().time()

    def _current_slowdown(self) -> float:
        if self._slowdown == 1.0:
            return 1.0
        half_lives = (asyncio.get_running_loop().time() - self._slowed_at) / _SLOWDOWN_HALF_LIFE_SECONDS
        slowdown = 1 + (self._slowdown - 1) * math.exp2(-half_lives)
        if slowdown < 1.01:
            self._slowdown = 1.0
        return slowdown

    async def wait(self) -> None:
        """Wait until an admitted request may be sent, and count it."""
        loop = asyncio.get_running_loop()
        async with self._lock:
            wait = self._earliest() - loop.time()
            if wait > 0:
                await asyncio.sleep(wait)
            self._sent.append(loop.time())

    def _earliest(self) -> float:
        if not self._sent:
            return 0.0
        closest = self._sent[-1] + (self.interval * _MIN_SPACING if self._max_requests <= _MAX_SPACED_REQUESTS else 0.0)
        if len(self._sent) < self._max_requests:
            return closest
        return max(closest, self._sent[0] + self._window * self._current_slowdown())


class RateLimiter:
    """Admits `rate` requests a second per endpoint and `total_rate` in all, shared equally by `processes` processes."""

    def __init__(self, *, rate: int, total_rate: int, processes: int) -> None:
        self._limits = {endpoint: _create_limit(rate, processes, _SLOWDOWN.get(endpoint, 1)) for endpoint in Endpoint}
        self._total = _create_limit(total_rate, processes)

    async def acquire_together(self, *endpoints: Endpoint) -> None:
        """Wait until one request to each of `endpoints` is admitted.

        Each of them must still call `wait_to_send`.
        """
        now, limits = asyncio.get_running_loop().time(), [self._limits[endpoint] for endpoint in endpoints]
        start = max(now, self._total.next_free_at, *(limit.next_free_at for limit in limits))
        for limit in limits:
            limit.next_free_at = start + limit.interval
        # Count the requests from now on, not from `start`: a paused endpoint must not delay the others.
        self._total.next_free_at = max(now, self._total.next_free_at) + self._total.interval * len(limits)
        if start > now:
            await asyncio.sleep(start - now)

    async def wait_to_send(self, endpoint: Endpoint) -> None:
        """Wait until an admitted request may be sent.

        Re-checks the spacing at send time: a stalled process would otherwise release its admitted requests as a burst.
        Delayed requests catch up as far as the limit allows.
        """
        await self._limits[endpoint].wait()
        await self._total.wait()

    def on_rate_limited(self, endpoint: Endpoint, reason: str) -> None:
        """Pause after a 429 of a rate limiter, then go on at a lower pace: this endpoint, or all if `reason` is global.

        Each consecutive pause is twice as long. A 429 during a pause belongs to a request sent before it and does not
        extend it.
        """
        now, limit = asyncio.get_running_loop().time(), self._limits[endpoint]
        if now < limit.paused_until:
            return
        limit.paused_until = now + limit.next_pause
        limit.next_pause = min(_MAX_PAUSE_SECONDS, limit.next_pause * 2)
        is_global = reason.startswith("global")
        for paused in self._limits.values() if is_global else (limit,):
            paused.next_free_at = max(paused.next_free_at, limit.paused_until)
        (self._total if is_global else limit).slow_down()

    def on_success(self, endpoint: Endpoint) -> None:
        """Reset the length of the endpoint's next pause."""
        self._limits[endpoint].next_pause = _FIRST_PAUSE_SECONDS


def _create_limit(rate: int, processes: int, divisor: float = 1) -> _Limit:
    share = max(1, int(max(1, rate // processes) / divisor))
    return _Limit(share, _RATE_WINDOW_SECONDS * max(1.0, processes / rate))
