"""Clients of server-sent events, against the application in the same process."""

import asyncio
import json
from contextlib import suppress
from typing import Any

from starlette.types import ASGIApp, Message

HEADER = "x-ip"


class EventClient:
    """One client: what it was sent, and when it leaves or stops reading."""

    def __init__(
        self, app: ASGIApp, wallet: str, origin: str = "192.0.2.1", *, method: str = "GET", **headers: str
    ) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.text = ""
        self.messages = 0
        self.reading = asyncio.Event()
        self.reading.set()
        self._left = asyncio.Event()
        self._was_asked = False
        fields = {HEADER: origin, **{name.replace("_", "-"): value for name, value in headers.items()}}
        path = f"/api/accounts/{wallet}/events"
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [(name.encode(), value.encode()) for name, value in fields.items()],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
        }
        self.task = asyncio.ensure_future(app(scope, self._receive, self._send))

    async def _receive(self) -> Message:
        if not self._was_asked:
            self._was_asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        await self.reading.wait()
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        else:
            self.text += message.get("body", b"").decode()
            self.messages += 1

    @property
    def accounts(self) -> list[dict[str, Any]]:
        """The accounts it was sent, oldest first."""
        blocks = (block for block in self.text.split("\n\n") if block.startswith("event: account\ndata: "))
        return [json.loads(block.partition("data: ")[2]) for block in blocks]

    @property
    def is_open(self) -> bool:
        """Whether the stream goes on."""
        return not self.task.done()

    async def leave(self) -> None:
        """Close the connection, as a browser does."""
        self._left.set()
        with suppress(asyncio.CancelledError):
            await self.task
