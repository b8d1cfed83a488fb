"""ASGI middleware: request IDs, security headers, and problems for unexpected errors."""

import logging
import secrets

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stateless_billing.runtime import logs, metrics
from stateless_billing.web.http.problems import internal_error_response
from stateless_billing.web.server.rate_limits import route_group

log = logging.getLogger(__name__)

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self';"
    " font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none';"
    " require-trusted-types-for 'script'"
)
HEADERS = {
    "content-security-policy": CSP,
    "cross-origin-opener-policy": "same-origin-allow-popups",  # smart wallets open popups
    "cross-origin-resource-policy": "same-origin",  # CORS requests are not affected
    "permissions-policy": "clipboard-write=(self)",
    "referrer-policy": "no-referrer",  # the query holds the wallet
    "strict-transport-security": "max-age=31536000; includeSubDomains",
    "x-content-type-options": "nosniff",
}


class RequestContextMiddleware:
    """Adds a request ID and security headers and turns unexpected errors into problems."""

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
            metrics.record_request(route_group(scope["path"]), scope["method"]) as response,
        ):
            await self._handle(scope, receive, send, response)

    async def _handle(self, scope: Scope, receive: Receive, send: Send, response: dict[str, int]) -> None:
        request_id = scope["request_id"]

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                response["status"] = message["status"]
                headers = MutableHeaders(scope=message)
                headers["x-request-id"] = request_id
                headers.setdefault("cache-control", "no-store")
                for name, value in HEADERS.items():
                    headers[name] = value
            await send(message)

        started = False

        async def send_and_record(message: Message) -> None:
            nonlocal started
            started = True
            await send_with_headers(message)

        try:
            await self._app(scope, receive, send_and_record)
        except Exception:
            log.exception("request %s failed", request_id)
            if started:
                raise
            await internal_error_response(Request(scope))(scope, receive, send_with_headers)
