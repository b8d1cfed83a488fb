"""Streams pages part by part."""

import zlib
from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.responses import StreamingResponse

_GZIP = 16 + zlib.MAX_WBITS


def stream_response(request: Request, parts: AsyncIterator[bytes]) -> StreamingResponse:
    """Stream a page, compressed if the client accepts gzip."""
    compressed = "gzip" in request.headers.get("accept-encoding", "")
    headers = {"vary": "accept-encoding"} | ({"content-encoding": "gzip"} if compressed else {})
    return StreamingResponse(_compress(parts) if compressed else parts, headers=headers, media_type="text/html")


async def _compress(parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Compress each part and flush it, so that none waits for the next."""
    compressor = zlib.compressobj(level=6, wbits=_GZIP)
    async for part in parts:
        yield compressor.compress(part) + compressor.flush(zlib.Z_SYNC_FLUSH)
    yield compressor.flush()
