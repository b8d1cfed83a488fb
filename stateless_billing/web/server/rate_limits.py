"""Limits the rate and concurrency of requests per client network, counted per process."""

import ipaddress
from collections import Counter
from functools import lru_cache
from math import ceil

from cachetools import LRUCache
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from stateless_billing.runtime.clock import Clock
from stateless_billing.runtime.security_log import SecurityLog
from stateless_billing.runtime.token_bucket import RateLimit
from stateless_billing.web.http import health
from stateless_billing.web.http.client_origin import ORIGIN
from stateless_billing.web.http.problems import problem_response

_STATIC_FILE_LIMIT = RateLimit(rate=50, burst=600)
_DEFAULT_LIMIT = RateLimit(rate=20, burst=300)
_MAX_CONCURRENT = 100  # in-flight requests per client network
_CACHE_SIZE = 100_000
_PARSED_ADDRESSES = 10_000
_LONGEST_ADDRESS = 64  # characters; longer texts are not remembered
_NETWORK_BITS = 64  # the IPv6 prefix of one client
_ACCOUNTS = "/api/accounts/"
_ROUTE_GROUPS = ("/static/", "/pay", "/receipt/", _ACCOUNTS, "/api/quotes", "/api/payments", "/api/", "/admin")
STREAMS = "/api/accounts/events"
GROUPS = (*_ROUTE_GROUPS, STREAMS, "")
"""Every route group."""
UNLIMITED_PATH = health.PATH  # health checks must always be answered, and cost nothing


class RateLimitMiddleware:
    """Rejects clients above their limits.

    Each route group has its own limit, so polling never blocks a quote.
    """

    def __init__(self, app: ASGIApp, header: str | None, clock: Clock, security_log: SecurityLog) -> None:
        self._app = app
        self._header = header
        self._clock = clock
        self._security_log = security_log
        self._next_free_at: LRUCache[tuple[str, str], float] = LRUCache(_CACHE_SIZE)
        self._in_flight: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or reject it."""
        if scope["type"] != "http" or scope["path"] == UNLIMITED_PATH:
            await self._app(scope, receive, send)
            return
        network = scope[ORIGIN] = client_origin(scope, self._header)
        group = route_group(scope["path"])
        if wait := self._seconds_to_wait(group, network):
            self._security_log.record("limit_reached", network, limit=f"requests to {group}")
            detail = f"Nothing was done. Payments you already made are safe. Try again in {wait} s."
            refusal = problem_response(Request(scope), "rate_limited", detail, {"retry-after": str(wait)})
            await refusal(scope, receive, send)
            return
        self._in_flight[network] += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._in_flight[network] -= 1
            if not self._in_flight[network]:
                del self._in_flight[network]

    def _seconds_to_wait(self, group: str, network: str) -> int:
        if self._in_flight[network] >= _MAX_CONCURRENT:
            return 1
        limit = _STATIC_FILE_LIMIT if group == "/static/" else _DEFAULT_LIMIT
        next_free_at, wait = limit.take(self._next_free_at.get((group, network), 0.0), self._clock.boot())
        self._next_free_at[group, network] = next_free_at
        return ceil(wait)


def route_group(path: str) -> str:
    """Return the route group of a path. Unknown paths share one group."""
    group = next((prefix for prefix in _ROUTE_GROUPS if path.startswith(prefix)), "")
    # Streams last: apart from the others, whose durations are measured.
    return STREAMS if group == _ACCOUNTS and path.endswith("/events") else group


def client_origin(scope: Scope, header: str | None) -> str:
    """Return the client's address, or its network for IPv6.

    Of several header lines and of several addresses in a line, the last was set by our proxy.
    """
    if header:
        name = header.lower().encode("latin-1")
        lines = [value for each, value in scope["headers"] if each == name]
        forwarded = b",".join(lines).decode("latin-1").rpartition(",")[2].strip()
        if len(forwarded) <= _LONGEST_ADDRESS and (network := _network(forwarded)):
            return network
    peer: str = scope["client"][0] if scope.get("client") else ""
    return _network(peer) or peer


@lru_cache(_PARSED_ADDRESSES)
def _network(text: str) -> str | None:
    """Return an IPv4 address or the network of an IPv6 one in canonical form; None if it is neither."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    if isinstance(address, ipaddress.IPv6Address) and mapped is None:
        return str(ipaddress.ip_network((address, _NETWORK_BITS), strict=False))
    return str(mapped or address)
