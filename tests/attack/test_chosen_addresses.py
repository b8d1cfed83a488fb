"""A client cannot choose its address, its scheme or its host: no forwarding header counts unless a setting names it."""

import asyncio
import json
import socket

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from stateless_billing.web.server import serving
from stateless_billing.web.server.rate_limits import client_origin

pytestmark = pytest.mark.anyio

FORWARDED = {
    "x-forwarded-for": "198.51.100.7",
    "x-forwarded-proto": "https",
    "x-forwarded-host": "evil.example",
    "x-real-ip": "198.51.100.7",
    "x-client-ip": "198.51.100.7",
    "fly-client-ip": "198.51.100.7",
    "forwarded": "for=198.51.100.7;proto=https;host=evil.example",
}


async def describe_client(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with what the service knows of its client."""
    request = Request(scope)
    known = {"client": scope["client"][0], "scheme": scope["scheme"], "origin": client_origin(request.scope, None)}
    await JSONResponse(known | {"host": request.url.hostname})(scope, receive, send)


@pytest.mark.parametrize("trusted", [None, "*", "127.0.0.1"])
async def test_no_forwarding_header_is_believed(monkeypatch: pytest.MonkeyPatch, trusted: str | None) -> None:
    if trusted:
        monkeypatch.setenv("FORWARDED_ALLOW_IPS", trusted)  # uvicorn's own setting
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = asyncio.create_task(serving.serve_secondary(describe_client, "127.0.0.1", port))
    transport = httpx.AsyncHTTPTransport(retries=5)  # until it listens
    async with httpx.AsyncClient(transport=transport) as client:
        response = await client.get(f"http://127.0.0.1:{port}/", headers=FORWARDED)
    server.cancel()
    await asyncio.gather(server, return_exceptions=True)
    expected = {"client": "127.0.0.1", "scheme": "http", "origin": "127.0.0.1", "host": "127.0.0.1"}
    assert json.loads(response.content) == expected
