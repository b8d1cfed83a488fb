"""ASGI middleware: request IDs, security headers, and problems for unexpected errors."""

import logging
import secrets
from collections.abc import Iterable

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stateless_billing.runtime import logs, metrics
from stateless_billing.web.http.problems import internal_error_response
from stateless_billing.web.server.rate_limits import GROUPS, route_group

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
_RAW_HEADERS = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
_OWN_NAMES = {b"x-request-id", *(name for name, _ in _RAW_HEADERS)}
_NOT_STORED = (b"cache-control", b"no-store")

for _group in GROUPS:
    metrics.export_failures(_group)


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
                message["headers"] = _add_headers(message.get("headers", ()), request_id.encode())
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        except Exception:
            log.exception("request %s failed", request_id)
            if "status" in response:
                raise
            await internal_error_response(Request(scope))(scope, receive, send_with_headers)


def _add_headers(headers: Iterable[tuple[bytes, bytes]], request_id: bytes) -> list[tuple[bytes, bytes]]:
    """Return a response's headers with ours in place of any of the same names."""
    own = [header for header in headers if header[0] not in _OWN_NAMES]
    if all(name != b"cache-control" for name, _ in own):
        own.append(_NOT_STORED)
    return [*own, (b"x-request-id", request_id), *_RAW_HEADERS]
