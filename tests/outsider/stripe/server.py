"""Serves HTTP/1.1 on this machine, so that answers can be cut off or never sent."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

import h11

from tests.outsider.stripe.desk import Answer, Request

_CHUNK = 65536
Result = TypeVar("Result")


async def _receive(connection: h11.Connection, reader: asyncio.StreamReader) -> Request | None:
    head: h11.Request | None = None
    body = b""
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(_CHUNK))
        elif isinstance(event, h11.Request):
            head = event
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage) and head:
            headers = {name.decode().lower(): value.decode() for name, value in head.headers}
            return Request(head.method.decode(), head.target.decode(), headers, body)
        else:
            return None


def _render(connection: h11.Connection, answer: Answer) -> bytes:
    headers = [(name, value) for name, value in {**answer.headers, "Content-Length": str(len(answer.body))}.items()]
    head = connection.send(h11.Response(status_code=answer.status, headers=headers, reason="")) or b""
    if answer.sent == "half":
        return head + answer.body[: len(answer.body) // 2]
    return head + (connection.send(h11.Data(data=answer.body)) or b"") + (connection.send(h11.EndOfMessage()) or b"")


class Server:
    """A server in a thread of its own."""

    def __init__(self, answer: Callable[[Request], Awaitable[Answer]]) -> None:
        self._answer = answer
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = self.run(self._listen())
        self.port: int = self._server.sockets[0].getsockname()[1]

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Run a coroutine in the server's thread, where everything of the account happens."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def close(self) -> None:
        """Stop serving."""
        self.run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    async def _end(self) -> None:
        self._server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._serve, "127.0.0.1", 0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = h11.Connection(h11.SERVER)
        try:
            while True:
                request = await _receive(connection, reader)
                if request is None:
                    return
                answer = await self._answer(request)
                if answer.sent == "nothing":
                    writer.transport.abort()
                    return
                writer.write(_render(connection, answer))
                await writer.drain()
                if answer.sent == "half" or connection.our_state is not h11.DONE:
                    return
                connection.start_next_cycle()
        except (ConnectionError, h11.ProtocolError, asyncio.CancelledError):
            return  # asyncio would print a cancellation by `close`
        finally:
            writer.close()
