"""Pages that go out part by part, each as soon as it is known."""

import zlib
from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.responses import StreamingResponse

_GZIP = 16 + zlib.MAX_WBITS


def stream_response(request: Request, parts: AsyncIterator[bytes]) -> StreamingResponse:
    """A page in parts, compressed for those who take it."""
    packed = "gzip" in request.headers.get("accept-encoding", "")
    headers = {"vary": "accept-encoding"} | ({"content-encoding": "gzip"} if packed else {})
    return StreamingResponse(_gzip(parts) if packed else parts, headers=headers, media_type="text/html")


async def _gzip(parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Each part compressed and sent out whole, none held back for the next."""
    packer = zlib.compressobj(level=6, wbits=_GZIP)
    async for part in parts:
        yield packer.compress(part) + packer.flush(zlib.Z_SYNC_FLUSH)
    yield packer.flush()
