"""The guard over real sockets: what httpcore writes, as seen by a server on 127.0.0.1."""

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
    """Responds `{}` with a Date by `clock` and records the bytes of every connection."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.received: list[bytearray] = []
        self.closed = asyncio.Event()
        self.close_after_response = False
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Handle one connection."""
        data = bytearray()
        self.received.append(data)
        try:
            while not data or not self.close_after_response:
                head = await reader.readuntil(b"\r\n\r\n")
                data += head
                if b"content-length" in head.lower():
                    data += await reader.readexactly(len(BODY))
                writer.write(self._response())
        except asyncio.IncompleteReadError as error:
            data += error.partial
        writer.close()
        self.closed.set()

    def _response(self) -> bytes:
        date = formatdate(self.clock.wall_time, usegmt=True)
        return f"HTTP/1.1 200 OK\r\ndate: {date}\r\ncontent-length: 2\r\n\r\n{{}}".encode()


@asynccontextmanager
async def raw_server() -> AsyncIterator[tuple[RawServer, Connection, FakeClock]]:
    """Run a server, with a connection to it that has sent nothing."""
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


async def write(raw: RawServer, connection: Connection, still_valid: Callable[[int], bool]) -> None:
    """Send a guarded write."""
    connection.require_still_valid(still_valid)
    await connection.request("POST", raw.url, {}, BODY)


async def test_a_guarded_write_arrives_complete_over_the_same_connection() -> None:
    async with raw_server() as (raw, connection, _):
        checked_at: list[int] = []

        def still_valid(now: int) -> bool:
            checked_at.append(now)
            return True

        await connection.request("GET", raw.url, {}, None)
        await write(raw, connection, still_valid)
        assert len(raw.received) == 1
        assert raw.received[0].startswith(b"GET /v1/x HTTP/1.1\r\n")
        assert raw.received[0].endswith(b"\r\n\r\n" + BODY.encode())
        assert checked_at == [START, START]


async def test_a_closed_connection_is_not_replaced() -> None:
    async with raw_server() as (raw, connection, _):
        raw.close_after_response = True
        await connection.request("GET", raw.url, {}, None)
        await raw.closed.wait()
        await asyncio.sleep(0.05)  # until the end of the stream arrives
        with pytest.raises(NotSent, match="gone"):
            await write(raw, connection, lambda _: True)
        assert len(raw.received) == 1
        assert b"POST" not in raw.received[0]


async def test_a_renewed_connection_is_a_new_one_and_carries_a_write() -> None:
    async with raw_server() as (raw, connection, _):
        await connection.request("GET", raw.url, {}, None)
        connection.start_session()
        await connection.renew(has_read=False)
        await connection.request("GET", raw.url, {}, None)
        await write(raw, connection, lambda _: True)
        assert [received.count(b"GET") for received in raw.received] == [1, 1]
        assert raw.received[1].endswith(BODY.encode())


async def test_no_write_follows_reads_over_two_connections() -> None:
    async with raw_server() as (raw, connection, _):
        await connection.request("GET", raw.url, {}, None)
        await connection.renew(has_read=True)
        await connection.request("GET", raw.url, {}, None)
        with pytest.raises(NotSent, match="broke between the reads"):
            await write(raw, connection, lambda _: True)
        assert b"POST" not in b"".join(raw.received)


async def test_the_first_request_may_not_be_a_write() -> None:
    async with raw_server() as (raw, connection, _):
        with pytest.raises(NotSent, match="gone"):
            await write(raw, connection, lambda _: True)
        assert raw.received == []


@pytest.mark.parametrize(("wall", "boot"), [(61, 61), (61, 0), (0, 61), (-61, 0)])
async def test_no_byte_is_written_after_a_clock_jump(wall: int, boot: int) -> None:
    async with raw_server() as (raw, connection, clock):
        await connection.request("GET", raw.url, {}, None)
        clock.wall_time += wall
        clock.boot_time += boot
        with pytest.raises(NotSent, match="more than a minute old"):
            await write(raw, connection, lambda _: True)
        await asyncio.wait_for(raw.closed.wait(), 5)  # the connection is closed with it
        assert len(raw.received) == 1
        assert b"POST" not in raw.received[0]


async def test_a_decision_that_lapses_after_the_headers_stops_the_body() -> None:
    async with raw_server() as (raw, connection, _):
        await connection.request("GET", raw.url, {}, None)
        verdicts = iter([True, False])
        with pytest.raises(NotSent, match="no longer holds"):
            await write(raw, connection, lambda _: next(verdicts))
        await asyncio.wait_for(raw.closed.wait(), 5)
        assert len(raw.received) == 1
        assert raw.received[0].count(b"POST /v1/x") == 1
        assert raw.received[0].endswith(b"\r\n\r\n")
        assert b"amount" not in raw.received[0]


async def test_after_a_stopped_write_a_new_session_reconnects() -> None:
    async with raw_server() as (raw, connection, _):
        await connection.request("GET", raw.url, {}, None)
        with pytest.raises(NotSent):
            await write(raw, connection, lambda _: False)
        with pytest.raises(NotSent, match="gone"):
            await connection.request("GET", raw.url, {}, None)  # same session, bound to the closed connection
        assert len(raw.received) == 1
        connection.start_session()
        await connection.request("GET", raw.url, {}, None)
        await write(raw, connection, lambda _: True)
        assert len(raw.received) == 2
        assert raw.received[1].endswith(BODY.encode())
