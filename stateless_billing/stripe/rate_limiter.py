"""Keeps our share of Stripe's rate limits, so that we never earn a 429 and leave room for the account's other systems.

Stripe allows 25 requests a second per endpoint and 100 in all (docs.stripe.com/rate-limits); the endpoint is the URL's
template, all ids together. Requests are spaced evenly when they are granted, those that belong together as one, and
counted once more when they go out: in any second no more than our share.
"""

import asyncio
from collections import deque
from enum import StrEnum

_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 30.0
_RATE_WINDOW_SECONDS = 1.04  # of ours, for one of Stripe's: requests do not all take equally long to get there
_MIN_SPACING_SECONDS = 3 / 4  # of an interval, between requests that make up for a delay
_TOTAL = 4  # the account's limit in all, in units of one endpoint's


class Endpoint(StrEnum):
    """The endpoints we use."""

    READ_CUSTOMER = "GET /v1/customers/:id"
    WRITE_CUSTOMER = "POST /v1/customers/:id"
    LIST_CUSTOMERS = "GET /v1/customers"
    SEARCH_CUSTOMERS = "GET /v1/customers/search"
    LIST_ENTRIES = "GET /v1/customers/:id/balance_transactions"
    READ_ENTRY = "GET /v1/customers/:id/balance_transactions/:id"
    CREATE_CUSTOMER = "POST /v1/customers"
    CREATE_ENTRY = "POST /v1/customers/:id/balance_transactions"


_SLOWER = {Endpoint.SEARCH_CUSTOMERS: 25 / 20}  # search has a limit of its own, 20 a second


class _EndpointLimit:
    """The requests to one endpoint: no more than `most` of them in `span` seconds."""

    def __init__(self, max_requests: int, span: float) -> None:
        self.interval = span / max_requests
        self.free = 0.0  # when the next one may be granted
        self.pause, self.paused_until = _FIRST_PAUSE, 0.0  # how long the next one is, when the last one ends
        self._max_requests, self._span = max_requests, span
        self._sent: deque[float] = deque(maxlen=max_requests)
        self._lock = asyncio.Lock()

    async def wait(self) -> None:
        """Wait until a granted request may go out, and count it."""
        loop = asyncio.get_running_loop()
        async with self._lock:
            wait = self._earliest() - loop.time()
            if wait > 0:
                await asyncio.sleep(wait)
            self._sent.append(loop.time())

    def _earliest(self) -> float:
        if not self._sent:
            return 0.0
        closest = self._sent[-1] + self.interval * _MIN_SPACING_SECONDS
        return max(closest, self._sent[0] + self._span) if len(self._sent) == self._max_requests else closest


class RateLimiter:
    """Grants `rate` requests a second and endpoint, shared by `processes` equal processes."""

    def __init__(self, rate: int, processes: int) -> None:
        share, span = max(1, rate // processes), _RATE_WINDOW_SECONDS * max(1.0, processes / rate)
        self._limits = {one: _EndpointLimit(max(1, int(share / _SLOWER.get(one, 1))), span) for one in Endpoint}
        self._interval = span / share / _TOTAL
        self._free = 0.0

    async def acquire_together(self, *endpoints: Endpoint) -> None:
        """Wait until it is the turn of one request to each of `endpoints`. Each asks for its own `turn` to go out."""
        now, lines = asyncio.get_running_loop().time(), [self._limits[endpoint] for endpoint in endpoints]
        start = max(now, self._free, *(line.free for line in lines))
        for line in lines:
            line.free = start + line.interval
        # An endpoint that is paused does not hold up the others: what it uses of the whole is used from now on.
        self._free = max(now, self._free) + self._interval * len(lines)
        if start > now:
            await asyncio.sleep(start - now)

    async def wait_to_send(self, endpoint: Endpoint) -> None:
        """Wait until a granted request may go out.

        A process that stood still, or answers that came together, would else send what was granted one by one at once.
        What was delayed is made up for as far as any second has room.
        """
        await self._limits[endpoint].wait()

    def on_rate_limited(self, endpoint: Endpoint, reason: str) -> None:
        """A rate limiter answered 429, with Stripe's reason: nothing more goes to this endpoint for a while, or, where
        the whole account is limited, to any; twice as long each time in a row. What was under way when a pause began
        and is refused too belongs to the same time.
        """
        now, line = asyncio.get_running_loop().time(), self._limits[endpoint]
        if now < line.paused_until:
            return
        line.paused_until = now + line.pause
        line.pause = min(_LONGEST_PAUSE, line.pause * 2)
        for one in self._limits.values() if reason.startswith("global") else (line,):
            one.free = max(one.free, line.paused_until)

    def on_success(self, endpoint: Endpoint) -> None:
        """Stripe answered properly."""
        self._limits[endpoint].pause = _FIRST_PAUSE
