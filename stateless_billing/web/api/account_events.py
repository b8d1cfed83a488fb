"""`GET /api/accounts/{wallet}/events`: server-sent events with an account whenever it changes.

A stream that made room for another ends with the event ID `displaced`. Browsers repeat it when they connect again, and
are told to stop: so streams never displace one another in turn. Whatever was not read yet is replaced by what is newer.
"""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from stateless_billing.payers.account_watch import AccountWatch, WatchedAccount
from stateless_billing.web.api.stream_slots import Slot, StreamSlots
from stateless_billing.web.http.client_origin import request_origin
from stateless_billing.web.server.body_limits import release_capacity

MEDIA_TYPE = "text/event-stream"
COMMENT_SECONDS = 15
_RECONNECT_MS = 3000
_MOVED_MS = 500
_SHUTDOWN_MS = range(1000, 5000)  # spreads the browsers over the start of the next process
_DISPLACED = "displaced"
_ALIVE = b": still here\n\nevent: alive\ndata\n\n"  # browsers hide comments from scripts, which must notice silence
_HEADERS = {"cache-control": "no-store, no-transform", "x-accel-buffering": "no"}


def empty_stream(request: Request) -> Response | None:
    """Answer a request that opens no stream: HEAD, or a browser whose stream made room for another."""
    if request.method == "HEAD":
        return Response(headers=_HEADERS, media_type=MEDIA_TYPE)
    if request.headers.get("last-event-id") == _DISPLACED:
        return Response(status_code=204)
    return None


class AccountStream(Response):
    """One open stream."""

    def __init__(
        self, watched: WatchedAccount, wake: asyncio.Event, slots: StreamSlots, resources: AsyncExitStack
    ) -> None:
        super().__init__(headers=_HEADERS, media_type=MEDIA_TYPE)
        del self.headers["content-length"]
        self._watched = watched
        self._wake = wake
        self._slots = slots
        self._resources = resources

    @classmethod
    async def open(cls, request: Request, wallet: str, watch: AccountWatch, slots: StreamSlots) -> "AccountStream":
        """Read the account and prepare its stream. Raises: ChainError, StripeFailure, ProblemError."""
        wake = asyncio.Event()
        async with AsyncExitStack() as opening:
            watched = await opening.enter_async_context(watch.open(wallet, request_origin(request), wake))
            return cls(watched, wake, slots, opening.pop_all())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send events until the client leaves or the stream must end."""
        async with self._resources:
            release_capacity(scope)
            slot = self._slots.take(request_origin(Request(scope)), self._wake)
            try:
                async with _disconnects(receive, slot):
                    await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
                    await self._send_events(slot, send)
                    await send({"type": "http.response.body", "body": _farewell(slot.end)})
            finally:
                self._slots.release(slot)

    async def _send_events(self, slot: Slot, send: Send) -> None:
        loop = asyncio.get_running_loop()
        comment_at = loop.time() + COMMENT_SECONDS
        parts = b"retry: %d\n\n" % _RECONNECT_MS
        body = b""
        while True:
            self._wake.clear()  # before the state is read: what happens later wakes again
            if self._watched.moved:
                slot.finish("moved")
            if slot.end:
                return
            if body is not self._watched.body:
                body = self._watched.body
                parts += b"event: account\ndata: %s\n\n" % body
            if loop.time() >= comment_at:
                comment_at += COMMENT_SECONDS
                parts += _ALIVE
            if parts:
                await send({"type": "http.response.body", "body": parts, "more_body": True})
                parts = b""
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(comment_at):
                    await self._wake.wait()


@asynccontextmanager
async def _disconnects(receive: Receive, slot: Slot) -> AsyncIterator[None]:
    """End the stream when the client leaves."""

    async def wait() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        slot.finish("closed")

    waiting = asyncio.create_task(wait())
    try:
        yield
    finally:
        waiting.cancel()


def _farewell(cause: str) -> bytes:
    """The last lines of a stream: when, and whether, to connect again."""
    if cause == _DISPLACED:
        return b"id: displaced\nretry: %d\n\n" % _RECONNECT_MS
    if cause == "shutdown":
        return b"retry: %d\n\n" % random.choice(_SHUTDOWN_MS)  # noqa: S311 - no secret
    return b"retry: %d\n\n" % _MOVED_MS
