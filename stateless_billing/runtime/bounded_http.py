"""Bounds the responses of other parties: their decoded size, and the time until their last byte."""

import asyncio
import ssl
import zlib
from collections.abc import AsyncGenerator, Callable
from typing import TypeVar

import httpx

T = TypeVar("T")

MEBIBYTE = 1024 * 1024
MAX_RESPONSE_BYTES = 4 * MEBIBYTE
MAX_BULK_RESPONSE_BYTES = 32 * MEBIBYTE  # for the audit, which reads a hundred calls in one response
RESPONSE_SECONDS = 45.0  # for the whole exchange; httpx starts its own timeouts again with every byte
MAX_BYTES_ON_LOOP = 256 * 1024  # a larger response is parsed in a thread
_MAX_BYTES = "max_response_bytes"
_SECONDS = "max_response_seconds"
_PIECE_BYTES = 256 * 1024  # decompressed in one step
_GZIP = 16 + zlib.MAX_WBITS
_IDENTITIES = ("", "identity")


class ResponseTooLarge(httpx.RemoteProtocolError):
    """A response was cut off because it is larger than its limit."""


def response_limits(max_bytes: int, seconds: float) -> dict[str, float]:
    """Create the request extensions that set the limits of one response."""
    return {_MAX_BYTES: max_bytes, _SECONDS: seconds}


async def parse_response(parse: Callable[[bytes], T], content: bytes) -> T:
    """Parse a response, in a thread if it is large."""
    return parse(content) if len(content) <= MAX_BYTES_ON_LOOP else await asyncio.to_thread(parse, content)


class BoundedTransport(httpx.AsyncBaseTransport):
    """Sends through another transport and limits each response. A response above a limit is a transport error."""

    def __init__(
        self,
        transport: httpx.AsyncBaseTransport,
        max_bytes: int = MAX_RESPONSE_BYTES,
        seconds: float = RESPONSE_SECONDS,
    ) -> None:
        self._transport = transport
        self._max_bytes = max_bytes
        self._seconds = seconds

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request. Its response's stream yields decoded bytes, and ends in an error at a limit."""
        deadline = asyncio.get_running_loop().time() + request.extensions.get(_SECONDS, self._seconds)
        if "accept-encoding" in request.headers:
            request.headers["accept-encoding"] = "gzip"
        try:
            async with asyncio.timeout_at(deadline):
                response = await self._transport.handle_async_request(request)
        except TimeoutError as error:
            raise httpx.ReadTimeout("the response did not begin in time") from error
        assert isinstance(response.stream, httpx.AsyncByteStream)
        headers = response.headers.copy()
        encoding = headers.pop("content-encoding", "").strip().lower()
        stream = _BoundedStream(
            response.stream, encoding, request.extensions.get(_MAX_BYTES, self._max_bytes), deadline
        )
        if encoding not in _IDENTITIES:
            headers.pop("content-length", None)
        return httpx.Response(response.status_code, headers=headers, stream=stream, extensions=response.extensions)

    async def aclose(self) -> None:
        """Close the other transport."""
        await self._transport.aclose()


class _BoundedStream(httpx.AsyncByteStream):
    """Decodes a body while counting its bytes."""

    def __init__(self, stream: httpx.AsyncByteStream, encoding: str, max_bytes: int, deadline: float) -> None:
        self._stream = stream
        self._encoding = encoding
        self._max_bytes = max_bytes
        self._deadline = deadline

    async def __aiter__(self) -> AsyncGenerator[bytes, None]:
        decoded = self._received() if self._encoding in _IDENTITIES else self._decompressed()
        count = 0
        try:
            async for piece in decoded:
                count += len(piece)
                if count > self._max_bytes:
                    raise ResponseTooLarge(f"the response has more than {self._max_bytes} bytes")
                yield piece
        finally:
            await decoded.aclose()

    async def _decompressed(self) -> AsyncGenerator[bytes, None]:
        """Decompress in small steps, so that a few bytes never expand to more than the limit at once."""
        if self._encoding not in ("gzip", "x-gzip"):
            raise httpx.DecodingError("the response has an encoding that was not requested")
        decompressor = zlib.decompressobj(_GZIP)
        received = self._received()
        try:
            async for chunk in received:
                while chunk and not decompressor.eof:
                    yield decompressor.decompress(chunk, _PIECE_BYTES)
                    chunk = decompressor.unconsumed_tail
                    await asyncio.sleep(0)
        except zlib.error as error:
            raise httpx.DecodingError("the response is not valid gzip") from error
        finally:
            await received.aclose()
        if not decompressor.eof:
            raise httpx.DecodingError("the response is cut within its gzip stream")

    async def _received(self) -> AsyncGenerator[bytes, None]:
        """Yield the body as it arrives, until the deadline."""
        chunks = aiter(self._stream)
        while True:
            try:
                async with asyncio.timeout_at(self._deadline):
                    chunk = await anext(chunks)
            except StopAsyncIteration:
                return
            except TimeoutError as error:
                raise httpx.ReadTimeout("the response did not end in time") from error
            yield chunk

    async def aclose(self) -> None:
        """Close the other stream, and its connection where the body was not read to its end."""
        await self._stream.aclose()


def create_ssl_context() -> ssl.SSLContext:
    """Return the context that all connections share, as loading certificates is slow."""
    global _ssl_context
    if _ssl_context is None:
        _ssl_context = httpx.create_ssl_context(trust_env=False)
    return _ssl_context


_ssl_context: ssl.SSLContext | None = None


def create_http_client(
    transport: httpx.AsyncBaseTransport | None,
    *,
    limits: httpx.Limits,
    max_bytes: int = MAX_RESPONSE_BYTES,
) -> httpx.AsyncClient:
    """Create a client whose responses are bounded. `transport` replaces the sockets."""
    inner = transport or httpx.AsyncHTTPTransport(verify=create_ssl_context(), limits=limits, trust_env=False)
    return httpx.AsyncClient(transport=BoundedTransport(inner, max_bytes), trust_env=False)
