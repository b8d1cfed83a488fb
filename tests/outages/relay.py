"""A TCP relay in front of a server; it refuses, resets, delays and swallows as networks do."""

import asyncio
import socket
import struct
import threading
import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import TypeVar
from urllib.parse import urlsplit

T = TypeVar("T")

HIT_SECONDS = 60.0
_CHUNK_BYTES = 65_536
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER: close with a reset


class _Link:
    """A client's connection, and the relay's own to the server."""

    def __init__(self, *writers: asyncio.StreamWriter) -> None:
        self.writers = writers
        self.swallows = False

    def reset(self) -> None:
        """Close both connections without notice; the client gets a reset."""
        for writer in self.writers:
            opened: socket.socket = writer.get_extra_info("socket")
            with suppress(OSError):
                opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            writer.transport.abort()


class Relay:
    """Passes bytes between clients and one server."""

    def __init__(self, target: str) -> None:
        parts = urlsplit(target)
        self._target = (parts.hostname or "", parts.port or 0)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._reserved = socket.socket()  # never listens: while the relay does not, its port refuses connections
        self._reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._reserved.bind(("127.0.0.1", 0))
        self._port = int(self._reserved.getsockname()[1])
        self._server: asyncio.Server | None = None
        self._links: set[_Link] = set()
        self._resets = 0
        self._swallows_new = False
        self._answer_delay = 0.0
        self._hit_at: float | None = None
        self.url = f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> "Relay":
        self._thread.start()
        self.restore()
        return self

    def __exit__(self, *_: object) -> None:
        self.refuse()
        self._run(self._settle())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._reserved.close()

    def refuse(self) -> None:
        """Refuse new connections and reset the open ones."""
        self._run(self._close())

    def swallow_open(self) -> None:
        """Swallow what is sent over the connections that are open now; new ones work."""
        self._hit_at = None
        for link in self._links:
            link.swallows = True

    def swallow(self) -> None:
        """Swallow everything: connections open and stay silent."""
        self.swallow_open()
        self._swallows_new = True

    def delay(self, seconds: float) -> None:
        """Delay every part of an answer."""
        self._answer_delay = seconds

    def reset_next(self, count: int = 1) -> None:
        """Reset the connection at each of the next requests."""
        self._hit_at = None
        self._resets = count

    def wait_for_hit(self) -> float:
        """Wait until a fault hits a client's request; when it did, by the monotonic clock."""
        end = time.monotonic() + HIT_SECONDS
        while self._hit_at is None:
            assert time.monotonic() < end, "the fault hit no request"
            time.sleep(0.02)
        return self._hit_at

    def restore(self) -> None:
        """End every fault. Connections that swallow are reset."""
        self._resets, self._answer_delay, self._swallows_new = 0, 0.0, False
        self._run(self._listen())

    def _run(self, steps: Coroutine[object, object, T]) -> T:
        return asyncio.run_coroutine_threadsafe(steps, self._loop).result(10)

    async def _listen(self) -> None:
        for link in [link for link in self._links if link.swallows]:
            link.reset()
        if self._server is None:
            self._server = await asyncio.start_server(self._accept, "127.0.0.1", self._port, reuse_address=True)

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for link in list(self._links):
            link.reset()

    async def _settle(self) -> None:
        for _ in range(500):
            if not self._links:
                break
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)  # until the transports, and the server's, have closed

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            server_reader, server_writer = await asyncio.open_connection(*self._target)
        except OSError:
            writer.transport.abort()
            return
        link = _Link(writer, server_writer)
        link.swallows = self._swallows_new
        self._links.add(link)
        try:
            await asyncio.gather(
                self._pass_requests(reader, server_writer, link), self._pass_answers(server_reader, writer, link)
            )
        finally:
            link.reset()
            self._links.discard(link)

    async def _pass_requests(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, link: _Link) -> None:
        with suppress(OSError):
            while data := await reader.read(_CHUNK_BYTES):
                if link.swallows:
                    self._hit_at = self._hit_at or time.monotonic()
                elif self._resets:
                    self._resets -= 1
                    self._hit_at = self._hit_at or time.monotonic()
                    link.reset()
                else:
                    writer.write(data)
                    await writer.drain()
        writer.close()

    async def _pass_answers(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, link: _Link) -> None:
        with suppress(OSError):
            while data := await reader.read(_CHUNK_BYTES):
                if self._answer_delay:
                    await asyncio.sleep(self._answer_delay)
                writer.write(data)
                await writer.drain()
        if not link.swallows:
            writer.close()


@contextmanager
def relayed(target: str) -> Iterator[Relay]:
    """Run a relay to a server for the duration of the block."""
    with Relay(target) as relay:
        yield relay
