"""Client-side rate limiter for Stripe.

Keeps this service within its share of the account's limits, leaving capacity for other integrations. Stripe allows 25
requests a second per endpoint, and in total 100, or 25 in a sandbox (docs.stripe.com/rate-limits); an endpoint is a URL
template. Requests are spaced evenly when admitted, and counted again when sent, so that no second exceeds the share.

Processes know of each other by 429s alone. Their requests form a pattern, which repeats with the interval of a process.
A process that gets a 429 sends one interval of the deployment later from then on, or a third of its own if less,
until the pattern fits: small equal steps settle, random ones disturb what fits already. Many 429s lower its pace.
"""

import asyncio
import random
from collections import deque
from collections.abc import Sequence
from contextlib import AsyncExitStack
from enum import StrEnum

_RATE_WINDOW_SECONDS = 1.04  # per second of Stripe's limit: requests arrive with varying latency
_MIN_SPACING = 3 / 4  # as a fraction of the interval, for requests that catch up after a delay
_MAX_SPACED_REQUESTS = 100  # Stripe's usual limits; above them a timer is coarser than the spacing
_USUAL_RATE, _MAX_SEARCHES = 25, 20  # a second: search has a lower limit
_MAX_SHIFT = 1 / 3  # of a process's interval: a whole one would be no shift
_FIRST_PAUSE_SECONDS, _MAX_PAUSE_SECONDS = 0.5, 30.0  # after a second 429 in a row
_RESPONSES, _TOLERATED = 40, 6  # 429s among the last responses
_SLOWDOWN, _MIN_PACE = 0.8, 1 / 8  # of the pace, when there were more; of the share
_RECOVERY, _RECOVERY_REQUESTS = 1.1, 40  # of the pace, for every so many requests


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


class _Limit:
    """Paces requests to one endpoint, or to all together, at `share` a second or less."""

    def __init__(self, share: float) -> None:
        self.next_free_at = 0.0
        self.next_pause = 0.0
        self.paused_until = 0.0
        self.turn = asyncio.Lock()
        self._interval = _RATE_WINDOW_SECONDS / share
        self._pace = 1.0  # as a fraction of the share
        self._to_recovery = 0
        self._refusals: deque[bool] = deque(maxlen=_RESPONSES)
        self._burst = max(1, int(share + 1e-9))
        self._sent: deque[float] = deque(maxlen=self._burst)
        self._lock = asyncio.Lock()

    @property
    def interval(self) -> float:
        """The seconds between two requests, at the present pace."""
        return self._interval / self._pace

    def count(self, start: float, requests: int = 1) -> None:
        """Count requests admitted for `start`; recover the pace."""
        self.next_free_at = start + self.interval * requests
        if self._pace < 1.0:
            self._to_recovery -= requests
            if self._to_recovery <= 0:
                self._pace = min(1.0, self._pace * _RECOVERY)
                self._to_recovery = _RECOVERY_REQUESTS

    def record_refusal(self) -> None:
        """Lower the pace if more than a few of the last responses were 429s."""
        self._refusals.append(True)
        if sum(self._refusals) > _TOLERATED:
            self._refusals.clear()
            self._pace = max(_MIN_PACE, self._pace * _SLOWDOWN)
            self._to_recovery = _RECOVERY_REQUESTS

    def record_success(self) -> None:
        """Reset the length of the next pause."""
        self.next_pause = 0.0
        self._refusals.append(False)

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
        closest = self._sent[-1] + (self.interval * _MIN_SPACING if self._burst <= _MAX_SPACED_REQUESTS else 0.0)
        if len(self._sent) < self._burst:
            return closest
        return max(closest, self._sent[0] + self.interval * self._burst)


class RateLimiter:
    """Admits `rate` requests a second per endpoint and `total_rate` in all, shared equally by `processes` processes."""

    def __init__(self, *, rate: int, total_rate: int, processes: int) -> None:
        self._limits = {endpoint: _Limit(rate / processes) for endpoint in Endpoint}
        searches = min(_MAX_SEARCHES, rate * _MAX_SEARCHES / _USUAL_RATE)
        self._limits[Endpoint.SEARCH_CUSTOMERS] = _Limit(searches / processes)
        self._total = _Limit(total_rate / processes)
        self._rate = rate

    async def acquire_together(self, *endpoints: Endpoint) -> None:
        """Wait until one request to each of `endpoints` is admitted.

        Each of them must still call `wait_to_send`.
        """
        loop = asyncio.get_running_loop()
        asked_at = loop.time()
        # Turns are taken in one order, writes first, and each when the one before is free: a pause delays no others.
        limits = [self._limits[endpoint] for endpoint in sorted(set(endpoints), reverse=True)]
        async with AsyncExitStack() as turns:
            for limit in limits:
                await turns.enter_async_context(limit.turn)
                await _wait_until_free(limit)
            while True:
                await _wait_until_free(*limits)
                async with self._total.turn:  # not held while an endpoint pauses, which must not delay the others
                    await _wait_until_free(self._total)
                    if self._count(limits, asked_at, loop.time()):
                        return

    def _count(self, limits: Sequence[_Limit], asked_at: float, now: float) -> bool:
        """Count one request to each of `limits` if they are free, for when they became so."""
        start = max(asked_at, self._total.next_free_at, *(limit.next_free_at for limit in limits))
        if start > now:
            return False
        for limit in limits:
            limit.count(start)
        self._total.count(start, len(limits))
        return True

    async def wait_to_send(self, endpoint: Endpoint) -> None:
        """Wait until an admitted request may be sent.

        Re-checks the spacing at send time: a stalled process would otherwise release its admitted requests as a burst.
        Delayed requests catch up as far as the limit allows.
        """
        await self._limits[endpoint].wait()
        await self._total.wait()

    def on_rate_limited(self, endpoint: Endpoint, reason: str) -> None:
        """Send later after a 429 of a rate limiter: to this endpoint, or to all if `reason` is global.

        A first 429 for the rate only shifts what follows. Else the endpoint pauses, each time in a row twice as long.
        A 429 during a pause belongs to a request sent before it and does not extend it.
        """
        now, limit = asyncio.get_running_loop().time(), self._limits[endpoint]
        if now < limit.paused_until:
            return
        is_global, is_first = reason.startswith("global"), not limit.next_pause
        (self._total if is_global else limit).record_refusal()
        if not (is_first and reason.endswith("-rate")):
            pause = (limit.next_pause or _FIRST_PAUSE_SECONDS) * random.uniform(0.5, 1.5)  # noqa: S311
            limit.paused_until = now + min(_MAX_PAUSE_SECONDS, pause)
        limit.next_pause = min(_MAX_PAUSE_SECONDS, limit.next_pause * 2 or _FIRST_PAUSE_SECONDS)
        shift = min(_RATE_WINDOW_SECONDS / self._rate, limit.interval * _MAX_SHIFT)
        for delayed in self._limits.values() if is_global else (limit,):
            delayed.next_free_at = max(max(now, delayed.next_free_at) + shift, limit.paused_until)

    def on_success(self, endpoint: Endpoint) -> None:
        """Reset the length of the endpoint's next pause."""
        self._limits[endpoint].record_success()
        self._total.record_success()


async def _wait_until_free(*limits: _Limit) -> None:
    loop = asyncio.get_running_loop()
    while True:
        wait = max(limit.next_free_at for limit in limits) - loop.time()
        if wait <= 0:
            return
        await asyncio.sleep(wait)  # a 429 may delay it meanwhile
