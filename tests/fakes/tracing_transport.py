"""A transport that reports its steps as httpcore does and records what it would write."""

from collections.abc import Callable
from email.utils import formatdate

import httpx

from tests.fakes.factories import FakeClock

HEADERS, BODY = "http11.send_request_headers.started", "http11.send_request_body.started"


class TracingTransport(httpx.AsyncBaseTransport):
    """One connection to a server that responds 200 with a Date by `clock`.

    `before_step[step]` is called right before that step.
    """

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.is_open = False
        self.body = b"{}"
        self.written: list[str] = []
        self.before_step: dict[str, Callable[[], None]] = {}
        self.date: Callable[[], str | None] = lambda: formatdate(clock.wall_time, usegmt=True)

    async def _step(self, request: httpx.Request, name: str) -> None:
        self.before_step.pop(name, lambda: None)()
        if trace := request.extensions.get("trace"):
            await trace(name, {})

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Connect if needed, write and respond. An exception of a hook closes the connection."""
        if not self.is_open:
            await self._step(request, "connection.connect_tcp.started")
            await self._step(request, "connection.connect_tcp.complete")
            self.is_open = True
            self.written.append("connect")
        try:
            await self._step(request, HEADERS)
            self.written.append(request.method)
            await self._step(request, "http11.send_request_headers.complete")
            await self._step(request, BODY)
            if body := await request.aread():
                self.written.append(body.decode())
            await self._step(request, "http11.receive_response_headers.started")
        except BaseException:
            self.is_open = False
            raise
        date = self.date()
        return httpx.Response(200, headers={"date": date} if date else {}, content=self.body)
