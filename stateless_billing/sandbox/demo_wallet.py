"""Proxies the service on another address and adds a test wallet to its pages.

The service itself is unchanged, including its content security policy.
"""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from stateless_billing.sandbox.server import listening_socket

SCRIPT = Path(__file__).with_suffix(".js")
ADDRESS = "/demo-wallet/script.js"
_TAG = f'<script src="{ADDRESS}"></script>\n</head>'.encode()
_HOP_HEADERS = ("host", "content-length", "accept-encoding", "connection")
_FORWARDED_HEADERS = (
    "content-type",
    "content-security-policy",
    "location",
    "cache-control",
    "date",
    "retry-after",
    "x-request-id",
)
_POLL_SECONDS = 0.02
_DRAIN_SECONDS = 1  # for open streams
_METHODS = ["GET", "POST", "PUT", "DELETE"]


def create_app(service: str, chain: str, account: str) -> Starlette:
    """Return the application. The wallet holds one account, for which the chain's node signs."""
    http = httpx.AsyncClient(trust_env=False, timeout=60)

    async def script(request: Request) -> Response:
        return Response(SCRIPT.read_bytes(), media_type="text/javascript")

    async def rpc(request: Request) -> Response:
        call = await request.json()
        if call.get("method") == "eth_accounts":
            return JSONResponse({"jsonrpc": "2.0", "id": call.get("id"), "result": [account]})
        answer = await http.post(chain, json=call)
        return Response(answer.content, answer.status_code, media_type="application/json")

    async def pass_on(request: Request) -> Response:
        headers = {name: value for name, value in request.headers.items() if name not in _HOP_HEADERS}
        target = f"{service}{request.url.path}{f'?{request.url.query}' if request.url.query else ''}"
        call = http.build_request(request.method, target, headers=headers, content=await request.body())
        answer = await http.send(call, stream=True)
        passed = {name: value for name, value in answer.headers.items() if name in _FORWARDED_HEADERS}
        kind = answer.headers.get("content-type", "")
        if kind.startswith("text/event-stream"):
            return StreamingResponse(_parts(answer), answer.status_code, passed)
        body = await answer.aread()
        if kind.startswith("text/html"):
            body = body.replace(b"</head>", _TAG, 1)
        return Response(body, answer.status_code, passed)

    routes = [
        Route(ADDRESS, script),
        Route("/demo-wallet/rpc", rpc, methods=["POST"]),
        Route("/{path:path}", pass_on, methods=_METHODS),
    ]

    @asynccontextmanager
    async def closing(_: Starlette) -> AsyncIterator[None]:
        async with http:
            yield

    return Starlette(routes=routes, lifespan=closing)


async def _parts(answer: httpx.Response) -> AsyncIterator[bytes]:
    """Pass a stream on as it arrives."""
    try:
        async for part in answer.aiter_bytes():
            yield part
    finally:
        await answer.aclose()


@contextmanager
def pages(service: str, chain: str, account: str) -> Iterator[str]:
    """Serve the pages from a thread; yields the base address."""
    bound, base = listening_socket()
    app = create_app(service, chain, account)
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, server_header=False, timeout_graceful_shutdown=_DRAIN_SECONDS
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([bound])), daemon=True)
    thread.start()
    try:
        while not server.started:
            time.sleep(_POLL_SECONDS)
        yield base
    finally:
        server.should_exit = True
        thread.join()
        bound.close()
