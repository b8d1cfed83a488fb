"""One HTTP/1.1 connection for reading in bulk: an asyncio protocol over a parser in C.

It keeps the bounds of `runtime/bounded_http.py`, follows no redirect and repeats nothing. Its failures are httpx's
exceptions. After anything unexpected, as an answer that comes while none is awaited, the connection is closed.
"""

import asyncio

import httptools
import httpx

from stateless_billing.runtime.bounded_http import RESPONSE_SECONDS, ResponseTooLarge

MAX_HEAD_BYTES = 100 * 1024  # as httpcore has it
_VERSIONS = ("1.0", "1.1")


class Response:
    """A response as it arrives."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.pieces: list[bytes] = []
        self.size = 0


class BulkConnection(asyncio.Protocol):
    """One connection with at most one request under way; the parser calls its `on_` methods."""

    def __init__(self, max_bytes: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._max_bytes = max_bytes
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._response = Response()
        self._answer: asyncio.Future[Response] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._deadline = self._read_seconds = 0.0
        self._has_head = self._ends_with_connection = self._keeps_open = False
        self._is_kept = True
        self._head_bytes = self._wire_bytes = 0
        self._heard_at = self._loop.time()

    @property
    def is_reusable(self) -> bool:
        """Whether another request may be sent."""
        return self._is_kept and self._transport is not None and not self._transport.is_closing()

    @property
    def idle_seconds(self) -> float:
        """How long ago the last byte came."""
        return self._loop.time() - self._heard_at

    async def request(self, message: bytes, read_seconds: float) -> Response:
        """Send a request and return its response. Raises: httpx.HTTPError."""
        assert self._transport
        self._response, self._answer = Response(), self._loop.create_future()
        self._has_head = self._ends_with_connection = self._is_kept = False
        self._head_bytes = self._wire_bytes = 0
        self._heard_at, self._read_seconds = self._loop.time(), read_seconds
        self._deadline = self._heard_at + RESPONSE_SECONDS
        self._transport.write(message)
        self._check_time()
        try:
            return await self._answer
        finally:
            self._answer = None
            if self._timer:
                self._timer.cancel()

    def abort(self) -> None:
        """Close the connection at once."""
        self._is_kept = False
        if self._transport:
            self._transport.abort()

    def _check_time(self) -> None:
        due = min(self._deadline, self._heard_at + self._read_seconds)
        if self._loop.time() >= due:
            self._fail(httpx.ReadTimeout("the response did not end in time"))
        else:
            self._timer = self._loop.call_at(due, self._check_time)

    def _fail(self, error: httpx.HTTPError) -> None:
        self.abort()
        if self._answer and not self._answer.done():
            self._answer.set_exception(error)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if self._answer is None or self._answer.done():
            self.abort()  # an answer to no request
            return
        self._heard_at = self._loop.time()
        self._wire_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail(httpx.RemoteProtocolError(f"not HTTP: {type(error).__name__}"))
            return
        if not self._answer.done():
            self._require_bounds()

    def _require_bounds(self) -> None:
        head_bytes = self._head_bytes if self._has_head else max(self._head_bytes, self._wire_bytes)
        if head_bytes > MAX_HEAD_BYTES:
            self._fail(httpx.RemoteProtocolError("the head of the response is too large"))
        elif self._response.size > self._max_bytes or self._wire_bytes > 2 * self._max_bytes + MAX_HEAD_BYTES:
            self._fail(ResponseTooLarge(f"the response has more than {self._max_bytes} bytes"))

    def connection_lost(self, error: Exception | None) -> None:
        self._is_kept = False
        if self._answer is None or self._answer.done():
            return
        if error is not None:
            self._answer.set_exception(httpx.ReadError(f"the connection broke: {type(error).__name__}"))
        elif self._has_head and self._ends_with_connection:
            self._answer.set_result(self._response)
        else:
            self._answer.set_exception(httpx.RemoteProtocolError("the connection ended before the response"))

    def on_message_begin(self) -> None:
        if self._answer is None or self._answer.done():
            self._is_kept = False  # an answer to no request
        self._response = Response()

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head_bytes += len(name) + len(value)
        if not self._has_head and self._head_bytes <= MAX_HEAD_BYTES:
            headers, key = self._response.headers, name.decode("latin-1").lower()
            text = value.decode("latin-1")
            headers[key] = f"{headers[key]}, {text}" if key in headers else text

    def on_headers_complete(self) -> None:
        response = self._response
        response.status = self._parser.get_status_code()
        if response.status < 200:
            return  # another head follows
        encoding = response.headers.get("transfer-encoding")
        if self._parser.get_http_version() not in _VERSIONS or (encoding or "chunked").lower() != "chunked":
            raise ValueError("a version or transfer encoding of HTTP that was not asked for")
        self._has_head = True
        self._keeps_open = self._parser.should_keep_alive()
        self._ends_with_connection = encoding is None and "content-length" not in response.headers

    def on_body(self, body: bytes) -> None:
        self._response.pieces.append(body)
        self._response.size += len(body)

    def on_message_complete(self) -> None:
        if self._has_head and self._answer and not self._answer.done():
            self._require_bounds()
            if not self._answer.done():
                self._is_kept = self._keeps_open
                self._answer.set_result(self._response)
