"""Plain ASGI middleware: a request id for every request, the security headers for every answer, no bare failure."""

import logging
import secrets

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stateless_billing.runtime import logs, metrics
from stateless_billing.web.http.problems import on_internal_error
from stateless_billing.web.server.rate_limits import part_of

log = logging.getLogger(__name__)

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self';"
    " font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none';"
    " require-trusted-types-for 'script'"
)
HEADERS = {
    "content-security-policy": CSP,
    "cross-origin-opener-policy": "same-origin-allow-popups",  # smart wallets open windows of their own
    "permissions-policy": "clipboard-write=(self)",
    "referrer-policy": "no-referrer",  # the wallet is in the query
    "strict-transport-security": "max-age=31536000",
    "x-content-type-options": "nosniff",
}


class RequestContextMiddleware:
    """Wraps the application."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope["request_id"] = request_id = secrets.token_hex(8)
        with (
            logs.log_context(request_id=request_id),
            metrics.record_request(part_of(scope["path"]), scope["method"]) as answer,
        ):
            await self._handle(scope, receive, send, answer)

    async def _handle(self, scope: Scope, receive: Receive, send: Send, answer: dict[str, int]) -> None:
        request_id = scope["request_id"]

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer["status"] = message["status"]
                headers = MutableHeaders(scope=message)
                headers["x-request-id"] = request_id
                headers.setdefault("cache-control", "no-store")
                for name, value in HEADERS.items():
                    headers[name] = value
            await send(message)

        started = False

        async def send_noted(message: Message) -> None:
            nonlocal started
            started = True
            await send_guarded(message)

        try:
            await self._app(scope, receive, send_noted)
        except Exception:
            log.exception("request %s failed", request_id)
            if started:
                raise
            await on_internal_error(Request(scope))(scope, receive, send_guarded)
