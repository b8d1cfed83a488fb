"""A transport that announces its steps as httpcore does, and shows what would have reached the socket."""

from collections.abc import Callable
from email.utils import formatdate

import httpx

from tests.fakes.factories import FakeClock

HEADERS, BODY = "http11.send_request_headers.started", "http11.send_request_body.started"


class SteppingTransport(httpx.AsyncBaseTransport):
    """One connection to a server that answers 200 by `clock`; `before[step]` happens right before that step."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.open = False
        self.body = b"{}"
        self.wrote: list[str] = []
        self.before: dict[str, Callable[[], None]] = {}
        self.date: Callable[[], str | None] = lambda: formatdate(clock.wall_time, usegmt=True)

    async def _step(self, request: httpx.Request, name: str) -> None:
        self.before.pop(name, lambda: None)()
        if trace := request.extensions.get("trace"):
            await trace(name, {})

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Connect where needed, write, answer; whatever a hook raises closes the connection."""
        if not self.open:
            await self._step(request, "connection.connect_tcp.started")
            await self._step(request, "connection.connect_tcp.complete")
            self.open = True
            self.wrote.append("connect")
        try:
            await self._step(request, HEADERS)
            self.wrote.append(request.method)
            await self._step(request, "http11.send_request_headers.complete")
            await self._step(request, BODY)
            if sent := await request.aread():
                self.wrote.append(sent.decode())
            await self._step(request, "http11.receive_response_headers.started")
        except BaseException:
            self.open = False
            raise
        date = self.date()
        return httpx.Response(200, headers={"date": date} if date else {}, content=self.body)
