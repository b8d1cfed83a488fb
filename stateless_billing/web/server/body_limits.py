"""A request's body, taken in whole within limits of size and time, and how many requests are worked on at once.

Whoever sends slowly waits here and takes no place from those whose request has arrived.
"""

import asyncio

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stateless_billing.domain.errors import ProblemError
from stateless_billing.web.http.inputs import MAX_BODY_BYTES
from stateless_billing.web.http.problems import problem_response
from stateless_billing.web.server.rate_limits import UNLIMITED

BODY_SECONDS = 10.0
_MAX_OPERATOR_BODY_BYTES = 256 * 1024  # a note that is far too long still gets a sentence of its own
MAX_CONCURRENT_BODIES = 400


class ClientDisconnected(Exception):
    """The client went away before its request was complete."""


class BodyLimitMiddleware:
    """Wraps the application."""

    def __init__(
        self, app: ASGIApp, seconds: float = BODY_SECONDS, max_concurrent: int = MAX_CONCURRENT_BODIES
    ) -> None:
        self._app, self._seconds, self._at_once = app, seconds, max_concurrent
        self._working = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        try:
            body = await self._read_body(request, receive)
            if self._working >= self._at_once and scope["path"] != UNLIMITED:
                raise ProblemError(
                    "busy",
                    "Too many requests right now. Nothing was done. Payments you already made are safe. Try again.",
                )
        except ClientDisconnected:
            return
        except ProblemError as refusal:
            headers = {"connection": "close"} if refusal.code == "request_timeout" else None
            await problem_response(request, refusal.code, refusal.detail, headers)(scope, receive, send)
            return
        self._working += 1
        try:
            await self._app(scope, _replay(body, receive), send)
        finally:
            self._working -= 1

    async def _read_body(self, request: Request, receive: Receive) -> bytes:
        """The whole body. Raises ProblemError, ClientDisconnected."""
        largest = _MAX_OPERATOR_BODY_BYTES if request.scope["path"].startswith("/api/admin/") else MAX_BODY_BYTES
        too_large = ProblemError("body_too_large", f"The body is larger than {largest} bytes. Nothing was done.")
        if int(request.headers.get("content-length") or 0) > largest:  # the server has checked that it is a number
            raise too_large
        body, more = b"", True
        try:
            async with asyncio.timeout(self._seconds):
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise ClientDisconnected
                    body += message.get("body", b"")
                    more = message.get("more_body", False)
                    if len(body) > largest:
                        raise too_large
        except TimeoutError:
            detail = f"The body did not arrive within {self._seconds:.0f} s. Nothing was done. Send it again."
            raise ProblemError("request_timeout", detail) from None
        return body


def _replay(body: bytes, receive: Receive) -> Receive:
    """What the application receives: the body at once, then whatever comes after it."""
    told = False

    async def replay() -> Message:
        nonlocal told
        if told:
            return await receive()
        told = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay
