"""Serves the stand-ins over HTTP/1.1 with keep-alive and applies faults to the socket.

A lost answer closes the connection without a byte, a cut one closes it in the middle of the announced body, and a
refused connection is closed as soon as it is accepted (a listening process cannot refuse it any earlier).
"""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from stateless_billing.sandbox.answers import Answer, Delivery
from stateless_billing.sandbox.control import control
from stateless_billing.sandbox.sandbox import Sandbox

METHODS = ["GET", "POST", "DELETE", "PUT", "PATCH", "HEAD"]
CONNECTION = "connection"


class SandboxProtocol(HttpToolsProtocol):
    """A connection; passes its transport to the application, which may need to close it."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Accept the connection, or drop it if connections are refused."""
        self.app_state = {**self.app_state, CONNECTION: transport}
        super().connection_made(transport)
        sandbox = _sandbox_of(self.config.app)
        if sandbox.refused_connections > 0:
            sandbox.refused_connections -= 1
            transport.abort()


class Delivered:
    """An answer as an ASGI response, with its delivery applied."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer, and close the connection if the delivery requires it."""
        answer = self._answer
        if answer.delivery is not Delivery.LOST:
            headers = [(name.lower().encode(), value.encode()) for name, value in answer.headers.items()]
            headers.append((b"content-length", str(answer.length).encode()))
            await send({"type": "http.response.start", "status": answer.status, "headers": headers})
            cut = answer.delivery is Delivery.CUT
            await send({"type": "http.response.body", "body": answer.body, "more_body": cut})
        if answer.delivery is not Delivery.WHOLE:
            scope["state"][CONNECTION].close()
            while (await receive())["type"] != "http.disconnect":
                pass


def _unheard(request: Request, error: Exception) -> Response:
    """Return a placeholder for a caller that disconnected in the middle of its request."""
    return Response(status_code=400)


def create_app(sandbox: Sandbox) -> Starlette:
    """Return the application; the stand-ins' paths are distinct, so one address serves all three."""

    async def stripe(request: Request) -> Delivered:
        steps = sandbox.stripe.exchange(request.method, _target(request), request.headers, await request.body())
        answers: list[Answer] = []
        for seconds in _into(answers, steps):
            await asyncio.sleep(seconds)
        return Delivered(answers[0])

    async def prices(request: Request) -> Delivered:
        return Delivered(sandbox.prices.handle(request.method, _target(request), request.headers))

    async def mails(request: Request) -> Delivered:
        body = await request.body()
        return Delivered(sandbox.mailbox.handle(request.method, _target(request), request.headers, body))

    async def controls(request: Request) -> Delivered:
        return Delivered(control(sandbox, request.method, _target(request), await request.body()))

    routes = [
        Route("/v1/{rest:path}", stripe, methods=METHODS),
        Route("/api/v3/{rest:path}", prices, methods=METHODS),
        Route("/emails", mails, methods=METHODS),
        Route("/domains", mails, methods=METHODS),
        Route("/_sandbox/{rest:path}", controls, methods=METHODS),
    ]
    app = Starlette(routes=routes, exception_handlers={ClientDisconnect: _unheard})
    app.state.sandbox = sandbox
    return app


def create_config(sandbox: Sandbox) -> uvicorn.Config:
    """Return the server's configuration: no headers of its own, and persistent connections."""
    return uvicorn.Config(
        create_app(sandbox),
        http=SandboxProtocol,
        ws="none",
        lifespan="off",
        log_level="warning",
        access_log=False,
        date_header=False,
        server_header=False,
        timeout_keep_alive=600,
        timeout_graceful_shutdown=1,
    )


class SandboxServer(uvicorn.Server):
    """A server that signals when it is ready."""

    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__(create_config(sandbox))
        self.ready = asyncio.Event()

    async def main_loop(self) -> None:
        """Serve until a signal."""
        self.ready.set()
        await super().main_loop()


class QuietServer(SandboxServer):
    """A server that does not touch the process's signal handlers and ends at once on `stop`."""

    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__(sandbox)
        self._stopped = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def stop(self) -> None:
        """Stop serving; thread-safe."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._stopped.set)

    async def main_loop(self) -> None:
        """Serve until `stop`."""
        self._loop = asyncio.get_running_loop()
        self.ready.set()
        await self._stopped.wait()

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Capture nothing."""
        yield


def listening_socket(port: int = 0, host: str = "127.0.0.1") -> tuple[socket.socket, str]:
    """Return a bound socket and its base address; port 0 selects a free one.

    The protocol is explicit because asyncio disables Nagle's algorithm only for such sockets (40 ms per answer).
    """
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind((host, port))
    return bound, f"http://{host}:{bound.getsockname()[1]}"


@asynccontextmanager
async def serving(sandbox: Sandbox, port: int = 0) -> AsyncIterator[str]:
    """Serve inside the running event loop; yields the base address."""
    bound, base = listening_socket(port)
    server = QuietServer(sandbox)
    task = asyncio.create_task(server.serve([bound]))
    try:
        await server.ready.wait()
        yield base
    finally:
        server.stop()
        await task
        bound.close()


@contextmanager
def serving_in_thread(sandbox: Sandbox, port: int = 0) -> Iterator[str]:
    """Serve from a thread with its own event loop, for synchronous callers and other processes."""
    bound, base = listening_socket(port)
    server = QuietServer(sandbox)
    ready = threading.Event()
    thread = threading.Thread(target=_serve, args=(server, bound, ready), daemon=True)
    thread.start()
    try:
        ready.wait(10)
        yield base
    finally:
        server.stop()
        thread.join(10)
        bound.close()


def _serve(server: SandboxServer, bound: socket.socket, ready: threading.Event) -> None:
    async def run() -> None:
        task = asyncio.create_task(server.serve([bound]))
        await server.ready.wait()
        ready.set()
        await task

    asyncio.run(run())


def _into(answers: list[Answer], steps: Generator[float, None, Answer]) -> Generator[float, None, None]:
    answers.append((yield from steps))


def _sandbox_of(app: Any) -> Sandbox:
    sandbox: Sandbox = app.state.sandbox
    return sandbox


def _target(request: Request) -> str:
    path: bytes = request.scope["raw_path"]
    query: bytes = request.scope["query_string"]
    return path.decode("ascii") + ("?" + query.decode("ascii") if query else "")
