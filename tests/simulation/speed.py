"""Skips httpx for nodes, cookies and repeated URL parsing, which take half of the simulation's time.

Requests to Stripe still use the real SDK and httpx.
"""

import contextlib
import functools
from collections.abc import Iterator
from typing import Any

import httpx
from httpx import _urls

from tests.simulation.nodes import NodesTransport


@contextlib.contextmanager
def faster() -> Iterator[None]:
    """Send node requests directly, ignore cookies, and cache parsed URLs."""
    cookies, parse, original_post = httpx.Cookies.extract_cookies, vars(_urls)["urlparse"], httpx.AsyncClient.post
    urls: Any = _urls
    client: Any = httpx.AsyncClient

    async def post(self: Any, url: str, **arguments: Any) -> Any:
        nodes = getattr(self._transport, "_transport", None)  # within the bounded transport
        if isinstance(nodes, NodesTransport):
            return await nodes.ask(url.removeprefix("http://"), arguments["content"])
        return await original_post(self, url, **arguments)

    httpx.Cookies.extract_cookies = lambda self, response: None  # type: ignore[method-assign]
    urls.urlparse, client.post = functools.lru_cache(4096)(parse), post
    try:
        yield
    finally:
        httpx.Cookies.extract_cookies = cookies  # type: ignore[method-assign]
        urls.urlparse, client.post = parse, original_post
