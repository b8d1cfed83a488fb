"""Cross-origin requests from browsers to the public API, for the origins of CORS_ORIGINS.

No answer allows credentials. Operators' addresses and pages never get a header: what another origin may read is what
anybody may.
"""

from collections.abc import Collection

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stateless_billing.web.api.openapi import LEFT_OUT

ANY_ORIGIN = "*"
_PUBLIC_PREFIXES = ("/api/", "/receipt/", "/openapi.json", "/abi.json")
_PREFLIGHT_HEADERS = {
    "access-control-allow-methods": "GET, HEAD, POST",
    "access-control-allow-headers": "content-type, last-event-id",
    "access-control-max-age": "600",
}
_EXPOSED = "x-request-id, retry-after"


class CorsMiddleware:
    """Lets pages of allowed origins read the answers, refusals included. Belongs outside of everything that answers."""

    def __init__(self, app: ASGIApp, origins: Collection[str]) -> None:
        self._app = app
        self._origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if not self._origins or not _is_public(scope):
            await self._app(scope, receive, send)
            return
        allowed = _allowed_origin(scope, self._origins)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if ANY_ORIGIN not in self._origins:
                    headers.add_vary_header("origin")  # also where it is missing: caches must not share the answer
                if allowed and not headers.get("content-type", "").startswith("text/html"):
                    headers["access-control-allow-origin"] = allowed
                    headers["access-control-expose-headers"] = _EXPOSED
            await send(message)

        await self._app(scope, receive, send_with_headers)


class PreflightMiddleware:
    """Answers a browser's question whether it may send a request. Any other OPTIONS goes on, and is refused."""

    def __init__(self, app: ASGIApp, origins: Collection[str]) -> None:
        self._app = app
        self._origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if _is_public(scope) and _is_preflight(scope) and _allowed_origin(scope, self._origins):
            await Response(status_code=204, headers=_PREFLIGHT_HEADERS)(scope, receive, send)
            return
        await self._app(scope, receive, send)


def _is_public(scope: Scope) -> bool:
    return (
        scope["type"] == "http"
        and scope["path"].startswith(_PUBLIC_PREFIXES)
        and not scope["path"].startswith(LEFT_OUT)
    )


def _is_preflight(scope: Scope) -> bool:
    return scope["method"] == "OPTIONS" and "access-control-request-method" in Headers(scope=scope)


def _allowed_origin(scope: Scope, origins: Collection[str]) -> str | None:
    """Return what to allow: the origin itself, or all; None for any other origin."""
    origin = Headers(scope=scope).get("origin", "")
    if not origin:
        return None
    if ANY_ORIGIN in origins:
        return ANY_ORIGIN
    return origin if origin in origins else None
