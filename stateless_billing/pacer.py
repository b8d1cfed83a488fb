"""Keeps our share of Stripe's rate limits, so that we never earn a 429 and leave room for the account's other systems.

Stripe allows 25 requests a second per endpoint and 100 in all (docs.stripe.com/rate-limits); the endpoint is the URL's
template, all ids together. Requests are spaced evenly, when they are granted and once more when they go out; those that
belong together are granted together.
"""

import asyncio
from collections import defaultdict
from enum import StrEnum

_LONGEST_PAUSE = 30.0
_USUALLY_LATE = 1 / 4  # of an interval
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


class Pacer:
    """Grants requests at `rate` a second and endpoint, shared by `processes` equal processes."""

    def __init__(self, rate: int, processes: int) -> None:
        self._interval = processes / rate
        self._free: dict[str, float] = defaultdict(lambda: 0.0)  # when the next request of each may start
        self._all_free = 0.0
        self._sent: dict[str, float] = defaultdict(lambda: -self._interval)  # when the last request of each went out
        self._turns: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._pauses: dict[str, float] = {}
        self._paused_until: dict[str, float] = {}

    async def grant(self, *endpoints: Endpoint) -> None:
        """Wait until it is the turn of one request to each of `endpoints`. Each asks for its own `turn` to go out."""
        now = asyncio.get_running_loop().time()
        start = max(now, self._all_free, *(self._free[endpoint] for endpoint in endpoints))
        for endpoint in endpoints:
            self._free[endpoint] = start + self._interval * _SLOWER.get(endpoint, 1)
        # An endpoint that is paused does not hold up the others: what it uses of the whole is used from now on.
        self._all_free = max(now, self._all_free) + self._interval / _TOTAL * len(endpoints)
        if start > now:
            await asyncio.sleep(start - now)

    async def turn(self, endpoint: Endpoint) -> None:
        """Wait until a granted request may go out: an interval after the last one that did.

        A process that stood still, or answers that came together, would else send what was granted one by one at once.
        """
        loop, interval = asyncio.get_running_loop(), self._interval * _SLOWER.get(endpoint, 1)
        async with self._turns[endpoint]:
            planned = max(loop.time(), self._sent[endpoint] + interval)
            await asyncio.sleep(planned - loop.time())
            late = loop.time() - planned
            # A timer's usual lateness is not added up, or the rate would be missed by it.
            self._sent[endpoint] = planned if late < interval * _USUALLY_LATE else planned + late

    def limited(self, endpoint: Endpoint, reason: str) -> None:
        """A rate limiter answered 429, with Stripe's reason: nothing more goes to this endpoint for a while, or, where
        the whole account is limited, to any; twice as long each time in a row. What was under way when a pause began
        and is refused too belongs to the same time.
        """
        now = asyncio.get_running_loop().time()
        if now < self._paused_until.get(endpoint, 0.0):
            return
        pause = min(_LONGEST_PAUSE, self._pauses.get(endpoint, 0.5) * 2)
        self._pauses[endpoint], self._paused_until[endpoint] = pause, now + pause
        for one in Endpoint if reason.startswith("global") else (endpoint,):
            self._free[one] = max(self._free[one], now + pause)

    def answered(self, endpoint: Endpoint) -> None:
        """Stripe answered properly."""
        self._pauses.pop(endpoint, None)
