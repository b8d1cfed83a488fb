"""Limits per address of origin, on every route: how often, and how many at once. Counted in this process alone."""

import ipaddress
from collections import Counter
from math import ceil

from cachetools import LRUCache
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from stateless_billing.runtime.clock import Clock
from stateless_billing.runtime.token_bucket import RateLimit
from stateless_billing.web.http.problems import problem_response

_FILES = RateLimit(rate=50, burst=600)
_OTHERS = RateLimit(rate=20, burst=300)
_MAX_CONCURRENT = 100  # requests of one origin under way
_CACHE_SIZE = 100_000
_NETWORK_BITS = 64  # what one visitor has of IPv6
_PARTS = ("/static/", "/pay", "/receipt/", "/api/accounts/", "/api/quotes", "/api/payments", "/api/", "/admin")
UNLIMITED = "/healthz"  # costs nothing, and whoever watches the process must be answered


class RateLimitMiddleware:
    """Wraps the application. Each part of the site has an allowance of its own, so polling never blocks a quote."""

    def __init__(self, app: ASGIApp, header: str | None, clock: Clock) -> None:
        self._app, self._header, self._clock = app, header, clock
        self._next_free_at: LRUCache[tuple[str, str], float] = LRUCache(_CACHE_SIZE)
        self._in_flight: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or refuse it."""
        if scope["type"] != "http" or scope["path"] == UNLIMITED:
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        key = client_origin(request, self._header)
        if wait := self._seconds_to_wait(part_of(scope["path"]), key):
            detail = f"Nothing was done. Payments you already made are safe. Try again in {wait} s."
            await problem_response(request, "rate_limited", detail, {"retry-after": str(wait)})(scope, receive, send)
            return
        self._in_flight[key] += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._in_flight[key] -= 1
            if not self._in_flight[key]:
                del self._in_flight[key]

    def _seconds_to_wait(self, part: str, key: str) -> int:
        if self._in_flight[key] >= _MAX_CONCURRENT:
            return 1
        allowance = _FILES if part == "/static/" else _OTHERS
        next_free_at, wait = allowance.take(self._next_free_at.get((part, key), 0.0), self._clock.boot())
        self._next_free_at[part, key] = next_free_at
        return ceil(wait)


def part_of(path: str) -> str:
    """The part of the site that shares an allowance; what we do not know shares one too."""
    return next((part for part in _PARTS if path.startswith(part)), "")


def client_origin(request: Request, header: str | None) -> str:
    """The visitor's address, or its network for IPv6. Of several in the header the last is the proxy's own word."""
    peer = request.client.host if request.client else ""
    named = request.headers.get(header, "").split(",")[-1].strip() if header else ""
    for text in (named, peer):
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            continue
        mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
        if isinstance(address, ipaddress.IPv6Address) and mapped is None:
            return str(ipaddress.ip_network((address, _NETWORK_BITS), strict=False))
        return str(mapped or address)
    return peer
