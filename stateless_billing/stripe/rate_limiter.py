"""Client-side rate limiter for Stripe.

Keeps this service within its share of the account's limits, leaving capacity for other integrations. Stripe allows 25
requests a second per endpoint and 100 in total (docs.stripe.com/rate-limits); an endpoint is a URL template. Requests
are spaced evenly when admitted, and counted again when sent, so that no second exceeds the share.
"""

import asyncio
from collections import deque
from enum import StrEnum

_FIRST_PAUSE_SECONDS, _MAX_PAUSE_SECONDS = 1.0, 30.0
_RATE_WINDOW_SECONDS = 1.04  # per second of Stripe's limit: requests arrive with varying latency
_MIN_SPACING = 3 / 4  # as a fraction of the interval, for requests that catch up after a delay
_TOTAL_LIMIT = 4  # the account's total limit as a multiple of one endpoint's


class Endpoint(StrEnum):
    """The endpoints that this service uses."""

    READ_CUSTOMER = "GET /v1/customers/:id"
    WRITE_CUSTOMER = "POST /v1/customers/:id"
    LIST_CUSTOMERS = "GET /v1/customers"
    SEARCH_CUSTOMERS = "GET /v1/customers/search"
    LIST_ENTRIES = "GET /v1/customers/:id/balance_transactions"
    READ_ENTRY = "GET /v1/customers/:id/balance_transactions/:id"
    CREATE_CUSTOMER = "POST /v1/customers"
    CREATE_ENTRY = "POST /v1/customers/:id/balance_transactions"


_SLOWDOWN = {Endpoint.SEARCH_CUSTOMERS: 25 / 20}  # search is limited to 20 requests a second


class _EndpointLimit:
    """Limits one endpoint to `max_requests` in `window` seconds."""

    def __init__(self, max_requests: int, window: float) -> None:
        self.interval = window / max_requests
        self.next_free_at = 0.0
        self.next_pause = _FIRST_PAUSE_SECONDS
        self.paused_until = 0.0
        self._max_requests = max_requests
        self._window = window
        self._sent: deque[float] = deque(maxlen=max_requests)
        self._lock = asyncio.Lock()

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
        closest = self._sent[-1] + self.interval * _MIN_SPACING
        return max(closest, self._sent[0] + self._window) if len(self._sent) == self._max_requests else closest


class RateLimiter:
    """Admits `rate` requests a second per endpoint, shared equally by `processes` processes."""

    def __init__(self, rate: int, processes: int) -> None:
        share = max(1, rate // processes)
        window = _RATE_WINDOW_SECONDS * max(1.0, processes / rate)
        self._limits = {
            endpoint: _EndpointLimit(max(1, int(share / _SLOWDOWN.get(endpoint, 1))), window) for endpoint in Endpoint
        }
        self._interval = window / share / _TOTAL_LIMIT
        self._next_free_at = 0.0

    async def acquire_together(self, *endpoints: Endpoint) -> None:
        """Wait until one request to each of `endpoints` is admitted.

        Each of them must still call `wait_to_send`.
        """
        now, limits = asyncio.get_running_loop().time(), [self._limits[endpoint] for endpoint in endpoints]
        start = max(now, self._next_free_at, *(limit.next_free_at for limit in limits))
        for limit in limits:
            limit.next_free_at = start + limit.interval
        # Count the requests from now on, not from `start`: a paused endpoint must not delay the others.
        self._next_free_at = max(now, self._next_free_at) + self._interval * len(limits)
        if start > now:
            await asyncio.sleep(start - now)

    async def wait_to_send(self, endpoint: Endpoint) -> None:
        """Wait until an admitted request may be sent.

        Re-checks the spacing at send time: a stalled process would otherwise release its admitted requests as a burst.
        Delayed requests catch up as far as the limit allows.
        """
        await self._limits[endpoint].wait()

    def on_rate_limited(self, endpoint: Endpoint, reason: str) -> None:
        """Pause after a 429 of a rate limiter: this endpoint, or all if `reason` is global.

        Each consecutive pause is twice as long. A 429 during a pause belongs to a request sent before it and does not
        extend it.
        """
        now, limit = asyncio.get_running_loop().time(), self._limits[endpoint]
        if now < limit.paused_until:
            return
        limit.paused_until = now + limit.next_pause
        limit.next_pause = min(_MAX_PAUSE_SECONDS, limit.next_pause * 2)
        for paused in self._limits.values() if reason.startswith("global") else (limit,):
            paused.next_free_at = max(paused.next_free_at, limit.paused_until)

    def on_success(self, endpoint: Endpoint) -> None:
        """Reset the length of the endpoint's next pause."""
        self._limits[endpoint].next_pause = _FIRST_PAUSE_SECONDS
