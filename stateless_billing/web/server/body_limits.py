"""Limits the size and duration of request bodies and the number of concurrent requests.

Bodies are buffered before a request counts as concurrent, so slow senders take no capacity.
"""

import asyncio
from collections.abc import Callable
from contextlib import ExitStack

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stateless_billing.domain.errors import ProblemError
from stateless_billing.web.http.inputs import MAX_BODY_BYTES
from stateless_billing.web.http.problems import problem_response
from stateless_billing.web.server.rate_limits import UNLIMITED_PATH

BODY_SECONDS = 10.0
_MAX_OPERATOR_BODY_BYTES = 256 * 1024  # larger than any valid note, so that handlers can report an overlong one
MAX_CONCURRENT_BODIES = 400
_BODY_HEADERS = (b"content-length", b"transfer-encoding")
_RELEASE = "release_capacity"  # the key of the ASGI scope


def release_capacity(scope: Scope) -> None:
    """Count a request no longer as concurrent: what it goes on to do has a limit of its own."""
    scope[_RELEASE]()


class ClientDisconnected(Exception):
    """The client disconnected before its request was complete."""


class BodyLimitMiddleware:
    """Buffers each body and rejects requests above the limits.

    `is_signed_in` tells whether an operator sent a request: nobody else may make this process hold a large body.
    """

    def __init__(
        self,
        app: ASGIApp,
        is_signed_in: Callable[[Request], bool],
        seconds: float = BODY_SECONDS,
        max_concurrent: int = MAX_CONCURRENT_BODIES,
    ) -> None:
        self._app = app
        self._is_signed_in = is_signed_in
        self._seconds = seconds
        self._max_concurrent = max_concurrent
        self._in_flight = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or reject it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        try:
            if _may_have_body(scope):
                receive = _replay(await self._read_body(request, receive), receive)
            if self._in_flight >= self._max_concurrent and scope["path"] != UNLIMITED_PATH:
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
        self._in_flight += 1
        with ExitStack() as counted:
            counted.callback(self._leave)
            scope[_RELEASE] = counted.close
            await self._app(scope, receive, send)

    def _leave(self) -> None:
        self._in_flight -= 1

    async def _read_body(self, request: Request, receive: Receive) -> bytes:
        """Read the whole body. Raises: ProblemError, ClientDisconnected."""
        is_operator = request.scope["path"].startswith("/api/admin/") and self._is_signed_in(request)
        max_bytes = _MAX_OPERATOR_BODY_BYTES if is_operator else MAX_BODY_BYTES
        too_large = ProblemError("body_too_large", f"The body is larger than {max_bytes} bytes. Nothing was done.")
        if int(request.headers.get("content-length") or 0) > max_bytes:  # the server has validated the number
            raise too_large
        body = b""
        more = True
        try:
            async with asyncio.timeout(self._seconds):
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise ClientDisconnected
                    body += message.get("body", b"")
                    more = message.get("more_body", False)
                    if len(body) > max_bytes:
                        raise too_large
        except TimeoutError:
            detail = f"The body did not arrive within {self._seconds:.0f} s. Nothing was done. Send it again."
            raise ProblemError("request_timeout", detail) from None
        return body


def _may_have_body(scope: Scope) -> bool:
    """Return whether the request announces a body (RFC 9112, 6.3)."""
    return any(name in _BODY_HEADERS for name, _ in scope["headers"])


def _replay(body: bytes, receive: Receive) -> Receive:
    """Create a `receive` that returns the buffered body first, then later messages."""
    replayed = False

    async def replay() -> Message:
        nonlocal replayed
        if replayed:
            return await receive()
        replayed = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay
