"""Answers health checks while the application is loaded, which takes longer than to listen."""

import asyncio
from collections.abc import Callable

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from stateless_billing.web.http import health
from stateless_billing.web.server.middleware import RequestContextMiddleware


class LoadingApp:
    """Passes requests to the application; those that arrive before it is loaded wait for it."""

    def __init__(self) -> None:
        self._application = asyncio.get_running_loop().create_future()
        self._health_check = RequestContextMiddleware(_answer_health_check)
        self._on_drain: Callable[[], object] = lambda: None
        self._is_draining = False

    def admit(self, app: ASGIApp, on_drain: Callable[[], object]) -> None:
        """Let the requests pass."""
        self._on_drain = on_drain
        if not self._application.done():
            self._application.set_result(app)
        if self._is_draining:
            on_drain()

    def give_up(self) -> None:
        """Refuse those that wait, if there will be no application."""
        if not self._application.done():
            self._application.set_result(RequestContextMiddleware(_fail))

    def drain(self) -> None:
        """Let the application's streams end, also those that still wait for it."""
        self._is_draining = True
        self._on_drain()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if not self._application.done() and _is_health_check(scope):
            await self._health_check(scope, receive, send)
            return
        app = await asyncio.shield(self._application)
        await app(scope, receive, send)


def _is_health_check(scope: Scope) -> bool:
    return scope["type"] == "http" and scope["path"] == health.PATH and scope["method"] in ("GET", "HEAD")


async def _answer_health_check(scope: Scope, receive: Receive, send: Send) -> None:
    response = await health.healthz(Request(scope))
    await response(scope, receive, send)


async def _fail(scope: Scope, receive: Receive, send: Send) -> None:
    raise RuntimeError("the application was not loaded")
