"""Compresses responses that do not fit into one packet."""

from starlette.datastructures import Headers
from starlette.middleware.gzip import GZipResponder, IdentityResponder
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MIN_BYTES = 1400


class CompressionMiddleware:
    """Starlette's compression, which costs a short response as much as the rest of its way: these pass by it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        forward = send

        async def send_compressed(message: Message) -> None:
            nonlocal forward
            if message["type"] == "http.response.start" and not _is_short(message):
                forward = self._create_responder(scope, send).send_with_compression
            await forward(message)

        await self._app(scope, receive, send_compressed)

    def _create_responder(self, scope: Scope, send: Send) -> IdentityResponder:
        accepts = "gzip" in Headers(scope=scope).get("accept-encoding", "")
        responder = (GZipResponder if accepts else IdentityResponder)(self._app, MIN_BYTES)
        responder.send = send
        return responder


def _is_short(message: Message) -> bool:
    return any(name == b"content-length" and int(value) < MIN_BYTES for name, value in message.get("headers", ()))
