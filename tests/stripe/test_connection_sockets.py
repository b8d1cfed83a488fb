"""The guard over real sockets: what httpcore really writes, as a server on 127.0.0.1 sees it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from email.utils import formatdate

import pytest

from stateless_billing.stripe.connection import Connection, create_transport
from stateless_billing.stripe.errors import NotSent
from tests.fakes.factories import START, FakeClock

pytestmark = pytest.mark.anyio
BODY = "amount=-5000&currency=usd"


class RawServer:
    """Answers `{}` by `clock` and keeps every byte of every connection; closes after an answer where told to."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.received: list[bytearray] = []
        self.closed = asyncio.Event()
        self.close_after_answer = False
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take one connection."""
        mine = bytearray()
        self.received.append(mine)
        try:
            while not mine or not self.close_after_answer:
                head = await reader.readuntil(b"\r\n\r\n")
                mine += head
                if b"content-length" in head.lower():
                    mine += await reader.readexactly(len(BODY))
                writer.write(self.answer())
        except asyncio.IncompleteReadError as error:
            mine += error.partial
        writer.close()
        self.closed.set()

    def answer(self) -> bytes:
        """A whole answer."""
        date = formatdate(self.clock.wall_time, usegmt=True)
        return f"HTTP/1.1 200 OK\r\ndate: {date}\r\ncontent-length: 2\r\n\r\n{{}}".encode()


@asynccontextmanager
async def served() -> AsyncIterator[tuple[RawServer, Connection, FakeClock]]:
    """A server, and a connection that has read from it once."""
    clock = FakeClock()
    raw = RawServer(clock)
    server = await asyncio.start_server(raw.serve, "127.0.0.1", 0)
    raw.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/x"
    connection = Connection(create_transport(), clock)
    try:
        yield raw, connection, clock
    finally:
        await connection.aclose()
        server.close()
        await server.wait_closed()


async def write(raw: RawServer, connection: Connection, judge: Callable[[int], bool]) -> None:
    """Send money over a guarded connection."""
    connection.require_still_valid(judge)
    await connection.request("POST", raw.url, {}, BODY)


async def test_a_guarded_write_arrives_whole_over_the_same_connection() -> None:
    async with served() as (raw, connection, _):
        judged: list[int] = []

        def judge(now: int) -> bool:
            judged.append(now)
            return True

        await connection.request("GET", raw.url, {}, None)
        await write(raw, connection, judge)
        assert len(raw.received) == 1
        assert raw.received[0].startswith(b"GET /v1/x HTTP/1.1\r\n")
        assert raw.received[0].endswith(b"\r\n\r\n" + BODY.encode())
        assert judged == [START, START]


async def test_a_connection_that_the_server_closed_is_not_replaced() -> None:
    async with served() as (raw, connection, _):
        raw.close_after_answer = True
        await connection.request("GET", raw.url, {}, None)
        await raw.closed.wait()
        await asyncio.sleep(0.05)  # until the end of the stream is here
        with pytest.raises(NotSent, match="gone"):
            await write(raw, connection, lambda _: True)
        assert len(raw.received) == 1
        assert b"POST" not in raw.received[0]


async def test_a_first_request_may_not_be_a_write() -> None:
    async with served() as (raw, connection, _):
        with pytest.raises(NotSent, match="gone"):
            await write(raw, connection, lambda _: True)
        assert raw.received == []


@pytest.mark.parametrize(("wall", "boot"), [(61, 61), (61, 0), (0, 61), (-61, 0)])
async def test_after_a_jump_of_the_clocks_no_byte_is_written(wall: int, boot: int) -> None:
    async with served() as (raw, connection, clock):
        await connection.request("GET", raw.url, {}, None)
        clock.wall_time += wall
        clock.boot_time += boot
        with pytest.raises(NotSent, match="more than a minute old"):
            await write(raw, connection, lambda _: True)
        await asyncio.wait_for(raw.closed.wait(), 5)  # the connection is closed with it
        assert len(raw.received) == 1
        assert b"POST" not in raw.received[0]


async def test_a_decision_that_falls_between_headers_and_body_keeps_the_body_back() -> None:
    async with served() as (raw, connection, _):
        await connection.request("GET", raw.url, {}, None)
        verdicts = iter([True, False])
        with pytest.raises(NotSent, match="no longer holds"):
            await write(raw, connection, lambda _: next(verdicts))
        await asyncio.wait_for(raw.closed.wait(), 5)
        assert len(raw.received) == 1
        assert raw.received[0].count(b"POST /v1/x") == 1
        assert raw.received[0].endswith(b"\r\n\r\n")
        assert b"amount" not in raw.received[0]


async def test_after_a_refused_write_reading_goes_on_over_a_new_connection() -> None:
    async with served() as (raw, connection, _):
        await connection.request("GET", raw.url, {}, None)
        with pytest.raises(NotSent):
            await write(raw, connection, lambda _: False)
        with pytest.raises(NotSent, match="gone"):
            await connection.request("GET", raw.url, {}, None)  # of the same session: it was bound to what is gone
        assert len(raw.received) == 1
        connection.start_session()
        await connection.request("GET", raw.url, {}, None)
        await write(raw, connection, lambda _: True)
        assert len(raw.received) == 2
        assert raw.received[1].endswith(BODY.encode())
