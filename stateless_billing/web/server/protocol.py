"""Limits connections: size and duration of requests, and how slowly clients may read.

uvicorn has no such limits, so a few slow clients could hold every connection. This protocol adds deadlines and sizes to
uvicorn's, and closes the connection that has been idle longest when there are too many.
"""

import asyncio
import secrets
from http import HTTPStatus
from typing import Any

import httptools
import msgspec
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from stateless_billing.runtime.clock import SystemClock
from stateless_billing.runtime.security_log import SecurityLog
from stateless_billing.web.http.problems import MEDIA_TYPE, RETRY_SECONDS, problem_document
from stateless_billing.web.server.middleware import HEADERS

_security_log = SecurityLog(SystemClock())  # of all connections; no request and no service is known here

MAX_HEAD_BYTES = 32 * 1024  # request line and headers
MAX_BODY_BYTES = 1024 * 1024  # for bodies that no handler reads; handlers accept less
HEAD_SECONDS = 10.0
REST_SECONDS = 15.0  # longer than body_limits.BODY_SECONDS, so that its problem is the one sent
WRITE_SECONDS = 30.0  # for a client to read what was written
LINGER_SECONDS = 2.0  # closing while a rejected client still sends would lose the response
MAX_CONNECTIONS = 600  # below the usual limit of 1,024 open files per process
MAX_PIPELINED = 8
_NOTHING_DONE = "Nothing was done."
_HEAD, _REST = "head", "rest"
_BODY_HEADERS = (b"content-length", b"transfer-encoding")


class BoundedHttpProtocol(HttpToolsProtocol):
    """One connection, from a client or the proxy."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._bytes_left = MAX_HEAD_BYTES  # allowed before the next step
        self._step: str | None = _HEAD  # the part being read; None between requests
        self._deadline: asyncio.TimerHandle | None = None
        self._write_deadline: asyncio.TimerHandle | None = None
        self._ignores_input = False  # in-flight requests are still answered
        self._drops_upgrade = False  # of the request being read, which has a body
        self.idle_since = self.loop.time()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the deadline and enforce the connection limit."""
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=0)  # so that pause_writing reports any unread byte
        self._deadline = self.loop.call_later(HEAD_SECONDS, self._on_timeout)
        if len(self.connections) > MAX_CONNECTIONS:
            self._close_idle_connection()

    def _close_idle_connection(self) -> None:
        """Close the connection idle longest, or reject this one if all others are busy."""
        others = [each for each in self.connections if isinstance(each, BoundedHttpProtocol) and each is not self]
        idle = [connection for connection in others if not connection.is_working()]
        if idle:
            min(idle, key=lambda connection: connection.idle_since).transport.abort()
        else:
            self._reject("busy", f"Too many connections at the moment. {_NOTHING_DONE} Try again in a few seconds.")

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the timers."""
        super().connection_lost(exc)
        self._unset_keepalive_if_required()
        for timer in (self._deadline, self._write_deadline):
            if timer:
                timer.cancel()

    def _is_answering(self) -> bool:
        newest: RequestResponseCycle | None = self.cycle
        return newest is not None and not newest.response_complete

    def is_working(self) -> bool:
        """Return whether a request has arrived whose response is not yet written."""
        return self._is_answering() and not self.cycle.more_body and self._write_deadline is None

    # Reading

    def data_received(self, data: bytes) -> None:
        """Parse at most as many bytes as the step allows."""
        self._unset_keepalive_if_required()
        while data and not self._ignores_input and not self.transport.is_closing():
            part = data[: self._bytes_left]
            data = data[self._bytes_left :]
            self._bytes_left -= len(part)
            self._parse(part)
            if self._bytes_left <= 0:
                self._reject_too_large()
        self._set_deadline()

    def _parse(self, part: bytes) -> None:
        try:
            self.parser.feed_data(part)
        except httptools.HttpParserUpgrade as upgrade:  # unsupported: answer as plain HTTP
            if self._drops_upgrade:
                self._drops_upgrade = False
                self._parse(self._head_without_upgrade() + part[upgrade.args[0] :])
            else:  # what follows is of the other protocol
                self._ignores_input = True
                self.cycle.keep_alive = False
        except httptools.HttpParserError:
            self._reject("bad_request", f"This is not HTTP as we know it. {_NOTHING_DONE}")

    def _head_without_upgrade(self) -> bytes:
        """Return the head as if no upgrade had been asked for, for a parser that reads the body (RFC 9110, 7.8)."""
        lines = [b"%s %s HTTP/%s" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())]
        for name, value in self.headers:
            if name == b"connection":
                value = b", ".join(token for token in value.split(b",") if token.strip().lower() != b"upgrade")
            if name != b"upgrade":
                lines.append(b"%s: %s" % (name, value))
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn's parsers
        return b"\r\n".join([*lines, b"", b""])

    def _reject_too_large(self) -> None:
        if self._step == _REST:
            self._close_connection()
        else:
            detail = f"Request line and headers may have at most {MAX_HEAD_BYTES} bytes. {_NOTHING_DONE}"
            self._reject("headers_too_large", detail)

    def _set_deadline(self) -> None:
        """Set the deadline of the current step. Between requests, set uvicorn's keep-alive timeout."""
        if self._ignores_input or self.transport.is_closing():
            return
        if self._step is None and self._bytes_left < MAX_HEAD_BYTES:
            self._step = _HEAD
        if self._step and not self._deadline:
            seconds = HEAD_SECONDS if self._step == _HEAD else REST_SECONDS
            self._deadline = self.loop.call_later(seconds, self._on_timeout)
        if self._step is None and not self._is_answering() and self.timeout_keep_alive_task is None:
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def _on_timeout(self) -> None:
        """Handle a step that did not complete in time."""
        self._deadline = None
        if self._step == _HEAD and self._bytes_left < MAX_HEAD_BYTES:
            self._reject("request_timeout", f"The headers did not arrive within {HEAD_SECONDS:.0f} s. {_NOTHING_DONE}")
        else:
            self._close_connection()

    def on_message_begin(self) -> None:
        """Start reading the head of a request."""
        self._step = _HEAD
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Start reading the body, with its own limit."""
        if len(self.pipeline) >= MAX_PIPELINED:
            raise ValueError("too many requests before the first was answered")  # makes the parser fail in `_parse`
        hosts = sum(name == b"host" for name, _ in self.headers)
        if hosts > 1 or (hosts == 0 and self.parser.get_http_version() == "1.1"):
            raise ValueError("HTTP/1.1 needs one Host (RFC 9112, 3.2)")
        self._enter_step(_REST, MAX_BODY_BYTES)
        self._drops_upgrade = self.parser.should_upgrade() and self._has_body()
        if not self._drops_upgrade:
            super().on_headers_complete()

    def _has_body(self) -> bool:
        return self.parser.get_method() != b"CONNECT" and any(name in _BODY_HEADERS for name, _ in self.headers)

    def on_message_complete(self) -> None:
        """Finish reading a request; another may follow."""
        if self._drops_upgrade:
            return  # the parser skips the body, and reads it once the upgrade is dropped
        self._enter_step(None, MAX_HEAD_BYTES)
        super().on_message_complete()

    def _enter_step(self, step: str | None, max_bytes: int) -> None:
        self._step = step
        self._bytes_left = max_bytes
        if self._deadline:
            self._deadline.cancel()
            self._deadline = None

    # Answering

    def on_response_complete(self) -> None:
        """Close the connection if it must not continue. An unread body gets a short deadline."""
        super().on_response_complete()
        self.idle_since = self.loop.time()
        if self._is_answering() or self.transport.is_closing():
            return
        if self._ignores_input:
            self.transport.close()
        elif self._step == _REST:
            self._enter_step(_REST, self._bytes_left)
            self._deadline = self.loop.call_later(LINGER_SECONDS, self._close_connection)

    def _close_connection(self) -> None:
        """Stop reading, and close once no request is in flight."""
        self._ignores_input = True
        if not self._is_answering():
            self.transport.close()

    def _reject(self, code: str, detail: str) -> None:
        """Send a problem and close.

        While an earlier request is being answered, send only that response.
        """
        if self._ignores_input or self.transport.is_closing():
            return
        peer = self.client[0] if self.client else ""
        _security_log.record("connection_rejected", peer, cause=code)
        self._ignores_input = True
        if self._is_answering() and not self._interrupt():
            return
        self._unset_keepalive_if_required()
        self.transport.write(self._create_problem(code, detail))
        if self.transport.can_write_eof():
            self.transport.write_eof()
        if self._deadline:
            self._deadline.cancel()
        self._deadline = self.loop.call_later(LINGER_SECONDS, self.transport.abort)

    def _interrupt(self) -> bool:
        """Abort the request whose body will never be complete.

        Return False if a response has precedence.
        """
        if self.pipeline or self.cycle.response_started or not self.cycle.more_body:
            return False
        self.cycle.disconnected = True
        self.cycle.message_event.set()
        return True

    def _create_problem(self, code: str, detail: str) -> bytes:
        request_id = secrets.token_hex(8)
        document = problem_document(code, detail, request_id)
        body = msgspec.json.encode(document)
        headers = {
            **HEADERS,
            "content-type": MEDIA_TYPE,
            "content-length": str(len(body)),
            "cache-control": "no-store",
            "x-request-id": request_id,
            "connection": "close",
        }
        if document.status == HTTPStatus.SERVICE_UNAVAILABLE:
            headers["retry-after"] = RETRY_SECONDS
        lines = [
            *self.server_state.default_headers,
            *((name.encode(), value.encode()) for name, value in headers.items()),
        ]
        return STATUS_LINE[document.status] + b"".join(b"%s: %s\r\n" % line for line in lines) + b"\r\n" + body

    def pause_writing(self) -> None:
        """Start the write deadline: the client has not read what was written."""
        super().pause_writing()
        self.idle_since = self.loop.time()
        if self._write_deadline is None:
            self._write_deadline = self.loop.call_later(WRITE_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """Cancel the write deadline: the client has read everything."""
        super().resume_writing()
        if self._write_deadline:
            self._write_deadline.cancel()
            self._write_deadline = None
