"""Limits where bytes come in: how long and how large a request may be, and how slowly an answer may be read.

uvicorn has none of these, so a few slow clients could hold every connection. It parses, answers and keeps alive; here
each connection gets deadlines and sizes, and when there are too many, one that waits for its client makes room.
"""

import asyncio
import json
import logging
import secrets
from http import HTTPStatus
from typing import Any

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from stateless_billing.web.http.problems import MEDIA_TYPE, RETRY_SECONDS, problem_document
from stateless_billing.web.server.middleware import HEADERS

log = logging.getLogger(__name__)

MAX_HEAD_BYTES = 32 * 1024  # bytes of request line and headers
MAX_BODY_BYTES = 1024 * 1024  # bytes after them; handlers take less, this is for what nobody reads
HEAD_SECONDS = 10.0
REST_SECONDS = 15.0  # longer than `intake` gives a body, so that its answer is the one that is told
UNREAD_SECONDS = 30.0  # for a client to take what was written
LINGER_SECONDS = 2.0  # a refused client may still be sending: closed at once, it would lose the answer
MAX_CONNECTIONS = 600  # below the 1,024 files that a process may commonly have open
MAX_PIPELINED = 8
_NOTHING_HAPPENED = "Nothing was done."
_HEAD, _REST = "head", "rest"


class BoundedHttpProtocol(HttpToolsProtocol):
    """One connection of a client, or of the proxy in front."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._bytes_left = MAX_HEAD_BYTES  # bytes that may still come before the next step
        self._step: str | None = _HEAD  # what is being read; None between requests
        self._deadline: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None
        self._ignores_input = False  # nothing more is read, only what is under way is answered
        self.quiet_since = self.loop.time()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to count; make room."""
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=0)  # so that we are told of every byte that is not taken
        self._deadline = self.loop.call_later(HEAD_SECONDS, self._on_timeout)
        if len(self.connections) > MAX_CONNECTIONS:
            self._close_idle_connection()

    def _close_idle_connection(self) -> None:
        """Close the connection that has waited for its client for longest; if all are at work, this one."""
        waiting = [
            one
            for one in self.connections
            if isinstance(one, BoundedHttpProtocol) and one is not self and not one.is_working()
        ]
        if waiting:
            min(waiting, key=lambda one: one.quiet_since).transport.abort()
        else:
            self._refuse("busy", f"Too many connections at the moment. {_NOTHING_HAPPENED} Try again in a few seconds.")

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timers."""
        super().connection_lost(exc)
        self._unset_keepalive_if_required()
        for timer in (self._deadline, self._unread):
            if timer:
                timer.cancel()

    def _is_answering(self) -> bool:
        newest: RequestResponseCycle | None = self.cycle
        return newest is not None and not newest.response_complete

    def is_working(self) -> bool:
        """Whether it is our turn: the request is here, and its answer not yet written."""
        return self._is_answering() and not self.cycle.more_body and self._unread is None

    # Reading

    def data_received(self, data: bytes) -> None:
        """Parse no more at a time than the step allows."""
        self._unset_keepalive_if_required()
        while data and not self._ignores_input and not self.transport.is_closing():
            part, data = data[: self._bytes_left], data[self._bytes_left :]
            self._bytes_left -= len(part)
            self._parse(part)
            if self._bytes_left <= 0:
                self._refuse_too_large()
        self._watch()

    def _parse(self, part: bytes) -> None:
        try:
            self.parser.feed_data(part)
        except httptools.HttpParserUpgrade:  # to something we do not speak: answered as it is, then closed
            self._ignores_input, self.cycle.keep_alive = True, False
        except httptools.HttpParserError:
            self._refuse("bad_request", f"This is not HTTP as we know it. {_NOTHING_HAPPENED}")

    def _refuse_too_large(self) -> None:
        if self._step == _REST:
            self._close_connection()
        else:
            detail = f"Request line and headers may have at most {MAX_HEAD_BYTES} bytes. {_NOTHING_HAPPENED}"
            self._refuse("headers_too_large", detail)

    def _watch(self) -> None:
        """Set the deadline of what is being read now; where nothing is, uvicorn's for the next request."""
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
        """What was being read did not come in time."""
        self._deadline = None
        if self._step == _HEAD and self._bytes_left < MAX_HEAD_BYTES:
            self._refuse(
                "request_timeout", f"The headers did not arrive within {HEAD_SECONDS:.0f} s. {_NOTHING_HAPPENED}"
            )
        else:
            self._close_connection()

    def on_message_begin(self) -> None:
        """A request begins."""
        self._step = _HEAD
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """The head is here; whatever follows is counted anew."""
        if len(self.pipeline) >= MAX_PIPELINED:
            raise ValueError("too many requests before the first was answered")  # the parser stops and tells `_parse`
        self._enter_step(_REST, MAX_BODY_BYTES)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The request is here; another may follow."""
        self._enter_step(None, MAX_HEAD_BYTES)
        super().on_message_complete()

    def _enter_step(self, step: str | None, left: int) -> None:
        self._step, self._bytes_left = step, left
        if self._deadline:
            self._deadline.cancel()
            self._deadline = None

    # Answering

    def on_response_complete(self) -> None:
        """Close what is not to go on; what is left of a body that nobody read has little time to come."""
        super().on_response_complete()
        self.quiet_since = self.loop.time()
        if self._is_answering() or self.transport.is_closing():
            return
        if self._ignores_input:
            self.transport.close()
        elif self._step == _REST:
            self._enter_step(_REST, self._bytes_left)
            self._deadline = self.loop.call_later(LINGER_SECONDS, self._close_connection)

    def _close_connection(self) -> None:
        """Read no more, and close as soon as nothing is under way."""
        self._ignores_input = True
        if not self._is_answering():
            self.transport.close()

    def _refuse(self, code: str, detail: str) -> None:
        """Say why and close; where an earlier request is still being answered, only that answer is given."""
        if self._ignores_input or self.transport.is_closing():
            return
        log.info("refused a connection: %s", code)
        self._ignores_input = True
        if self._is_answering() and not self._interrupt():
            return
        self._unset_keepalive_if_required()
        self.transport.write(self._problem(code, detail))
        if self.transport.can_write_eof():
            self.transport.write_eof()
        if self._deadline:
            self._deadline.cancel()
        self._deadline = self.loop.call_later(LINGER_SECONDS, self.transport.abort)

    def _interrupt(self) -> bool:
        """Tell a request whose body will never be whole that its client is gone, unless others are in front of it."""
        if self.pipeline or self.cycle.response_started or not self.cycle.more_body:
            return False
        self.cycle.disconnected = True
        self.cycle.message_event.set()
        return True

    def _problem(self, code: str, detail: str) -> bytes:
        request_id = secrets.token_hex(8)
        told = problem_document(code, detail, request_id)
        body = json.dumps(told).encode()
        headers = {
            **HEADERS,
            "content-type": MEDIA_TYPE,
            "content-length": str(len(body)),
            "cache-control": "no-store",
            "x-request-id": request_id,
            "connection": "close",
        }
        if told["status"] == HTTPStatus.SERVICE_UNAVAILABLE:
            headers["retry-after"] = RETRY_SECONDS
        lines = [
            *self.server_state.default_headers,
            *((name.encode(), value.encode()) for name, value in headers.items()),
        ]
        return STATUS_LINE[told["status"]] + b"".join(b"%s: %s\r\n" % line for line in lines) + b"\r\n" + body

    def pause_writing(self) -> None:
        """The client does not take what was written."""
        super().pause_writing()
        self.quiet_since = self.loop.time()
        if self._unread is None:
            self._unread = self.loop.call_later(UNREAD_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """It has taken all of it."""
        super().resume_writing()
        if self._unread:
            self._unread.cancel()
            self._unread = None
