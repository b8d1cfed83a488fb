"""What only costs time here, half of all: httpx on the way to the nodes, cookies, parsing the same URLs again.

Stripe is still asked through the real SDK and httpx.
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
    """Ask nodes directly; keep httpx from looking for cookies, and let it remember the URLs it has parsed."""
    cookies, parse, sent = httpx.Cookies.extract_cookies, vars(_urls)["urlparse"], httpx.AsyncClient.post
    urls: Any = _urls
    client: Any = httpx.AsyncClient

    async def post(self: Any, url: str, **given: Any) -> Any:
        if isinstance(self._transport, NodesTransport):
            return await self._transport.ask(url.removeprefix("http://"), given["content"])
        return await sent(self, url, **given)

    httpx.Cookies.extract_cookies = lambda self, response: None  # type: ignore[method-assign]
    urls.urlparse, client.post = functools.lru_cache(4096)(parse), post
    try:
        yield
    finally:
        httpx.Cookies.extract_cookies = cookies  # type: ignore[method-assign]
        urls.urlparse, client.post = parse, sent
