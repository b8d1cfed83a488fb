"""Connection limits, tested byte by byte in virtual time without a socket."""

import asyncio
import json
import logging
from collections.abc import Coroutine
from typing import Any

import pytest
from prometheus_client import REGISTRY
from starlette.types import Message, Receive, Scope, Send
from uvicorn.config import Config
from uvicorn.server import ServerState

from stateless_billing.web.server import protocol
from stateless_billing.web.server.middleware import HEADERS
from stateless_billing.web.server.protocol import BoundedHttpProtocol
from tests.fakes.virtual_time import run_virtually

GET = b"GET /quick HTTP/1.1\r\nhost: x\r\n\r\n"
SLOW = b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n"
POST = b"POST /read HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n"
UNREAD = b"POST /quick HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n"


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """`/slow` takes five seconds; `/read` reads its body, `/echo` responds with it."""
    message: Message = {"more_body": scope["path"] in ("/read", "/echo")}
    body = b""
    while message.get("more_body"):
        message = await receive()
        body += message.get("body", b"")
    answer = body if scope["path"] == "/echo" else b"ok"
    if scope["path"] == "/slow":
        await asyncio.sleep(5)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(answer))]})
    await send({"type": "http.response.body", "body": answer})


class ClientEnd(asyncio.Transport):
    """The client's end of a connection: the received bytes and whether it is closed."""

    def __init__(self, protocol: BoundedHttpProtocol) -> None:
        super().__init__()
        self.protocol, self.received, self.ended, self.disconnected = protocol, b"", False, asyncio.Event()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return no information about the peer."""
        return default

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Receive data from the service."""
        if not self.closed:
            self.received += bytes(data)

    def can_write_eof(self) -> bool:
        """Support half-closing like TCP."""
        return True

    def write_eof(self) -> None:
        """Note that the service sends nothing more."""
        self.ended = True

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Ignore the limits: nothing is buffered."""

    def pause_reading(self) -> None:
        """Do nothing: tests decide when to send."""

    def resume_reading(self) -> None:
        """Do nothing, as above."""

    def is_closing(self) -> bool:
        """Return whether the connection is closing."""
        return self.closed

    def close(self) -> None:
        """Close the connection."""
        if not self.closed:
            self.disconnected.set()
            asyncio.get_running_loop().call_soon(self.protocol.connection_lost, None)

    abort = close

    @property
    def closed(self) -> bool:
        """Whether the service has closed the connection."""
        return self.disconnected.is_set()

    @property
    def statuses(self) -> list[int]:
        """Return the statuses of all responses."""
        return [int(part[:3]) for part in self.received.split(b"HTTP/1.1 ")[1:]]


class Server:
    """Accepts connections to one application."""

    def __init__(self) -> None:
        self.config = Config(app, lifespan="off", ws="none", log_config=None)
        self.state = ServerState()

    def connect(self) -> tuple[BoundedHttpProtocol, ClientEnd]:
        """Open a connection."""
        protocol = BoundedHttpProtocol(self.config, self.state, {})
        line = ClientEnd(protocol)
        protocol.connection_made(line)
        return protocol, line


def run(scenario: Coroutine[Any, Any, None]) -> None:
    """Run a scenario in virtual time."""
    run_virtually(scenario)


def now() -> float:
    """Return the virtual time in seconds."""
    return asyncio.get_running_loop().time()


async def wait_until_closed(line: ClientEnd) -> float:
    """Wait until the connection is closed and return the time."""
    async with asyncio.timeout(200):
        await line.disconnected.wait()
        await asyncio.sleep(0)
    return now()


def require_problem(line: ClientEnd, code: str) -> None:
    """Require that the last response is this problem, with every security header."""
    head, _, body = line.received.rpartition(b"HTTP/1.1 ")[2].partition(b"\r\n\r\n")
    headers = dict(row.split(": ", 1) for row in head.decode().split("\r\n")[1:])
    problem = json.loads(body)
    assert problem["type"] == f"/problems/{code}"
    assert headers["content-type"] == "application/problem+json"
    assert headers["x-request-id"] == problem["request_id"]
    assert headers["connection"] == "close"
    assert HEADERS.items() <= headers.items()


def test_an_ordinary_client_is_served() -> None:
    async def scenario() -> None:
        server = Server()
        wired, line = server.connect()
        for request in (GET, UNREAD + b"0123456789", b"\r\n" + GET, POST[:20], POST[20:] + b"01234", b"56789"):
            wired.data_received(request)
            await asyncio.sleep(1)
        assert line.statuses == [200] * 4
        idle_since = now()
        wired.data_received(GET + SLOW)
        await asyncio.sleep(6)
        assert line.statuses == [200] * 6
        assert await wait_until_closed(line) <= idle_since + 5 + wired.timeout_keep_alive + 1
        assert not server.state.connections

    run(scenario())


@pytest.mark.parametrize(
    ("parts", "seconds", "status"),
    [
        ([], 10, None),
        ([b"GET / HT"], 10, 408),
        ([b"GET / HTTP/1.1\r\n"] + [b"a: b\r\n"] * 30, 10, 408),
        ([b"\r\n"], 10, 408),
    ],
)
def test_a_late_head_is_rejected(parts: list[bytes], seconds: float, status: int | None) -> None:
    async def scenario() -> None:
        wired, line = Server().connect()
        for part in parts:
            wired.data_received(part)
            await asyncio.sleep(1)
        closed = await wait_until_closed(line)
        assert closed <= max(len(parts), seconds + protocol.LINGER_SECONDS) + 1
        assert line.statuses == ([status] if status else [])
        if status:
            require_problem(line, "request_timeout")
            assert line.ended

    run(scenario())


def test_a_late_second_head_closes_the_connection() -> None:
    async def scenario() -> None:
        wired, line = Server().connect()
        wired.data_received(GET)
        await asyncio.sleep(3)
        wired.data_received(b"GET")
        await wait_until_closed(line)
        assert line.statuses == [200, 408]
        assert now() <= 3 + protocol.HEAD_SECONDS + protocol.LINGER_SECONDS + 1

    run(scenario())


@pytest.mark.parametrize(
    "data",
    [
        b"GET /" + b"a" * 2 * protocol.MAX_HEAD_BYTES,
        b"GET / HTTP/1.1\r\na: " + b"a" * protocol.MAX_HEAD_BYTES + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * protocol.MAX_HEAD_BYTES,
        b"\r\n" * protocol.MAX_HEAD_BYTES,
    ],
)
@pytest.mark.parametrize("step", [1_000, 10**9])
def test_a_large_head_is_rejected(data: bytes, step: int) -> None:
    async def scenario() -> None:
        wired, line = Server().connect()
        for start in range(0, len(data), step):
            wired.data_received(data[start : start + step])
        await wait_until_closed(line)
        require_problem(line, "headers_too_large")
        assert line.statuses == [431]

    run(scenario())


def test_a_head_just_below_the_limit_is_served() -> None:
    async def scenario() -> None:
        wired, line = Server().connect()
        wired.data_received(
            b"GET /quick HTTP/1.1\r\nhost: x\r\na: " + b"a" * (protocol.MAX_HEAD_BYTES - 100) + b"\r\n\r\n"
        )
        await asyncio.sleep(1)
        assert line.statuses == [200]

    run(scenario())


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nhost: x\r\n\r\n",
        b"CONNECT x:1 HTTP/1.1\r\nhost: x\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: 1x\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET / HTTP/1.1\r\na b: c\r\n\r\n",
        b"POST /read HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_malformed_http_is_rejected(data: bytes) -> None:
    async def scenario() -> None:
        wired, line = Server().connect()
        for part in (data[:-5], data[-5:]):
            wired.data_received(part)
            await asyncio.sleep(0)
        await wait_until_closed(line)
        require_problem(line, "bad_request")
        assert line.statuses == [400]

    run(scenario())


@pytest.mark.parametrize(
    "behind", [b"\x00garbage\r\n\r\n", b"GET /" + b"a" * 2 * protocol.MAX_HEAD_BYTES, SLOW * 5_000]
)
def test_garbage_after_a_request_does_not_affect_its_response(behind: bytes) -> None:
    async def scenario() -> None:
        wired, line = Server().connect()
        wired.data_received(SLOW + behind)
        await wait_until_closed(line)
        assert set(line.statuses) == {200}
        assert len(line.statuses) <= protocol.MAX_PIPELINED + 1

    run(scenario())


def test_an_unread_body_has_a_short_deadline() -> None:
    async def scenario() -> None:
        wired, line = Server().connect()
        wired.data_received(UNREAD + b"0")
        assert await wait_until_closed(line) <= protocol.LINGER_SECONDS + 1
        wired, line = Server().connect()
        wired.data_received(POST.replace(b"10", b"99999999"))
        for _ in range(40):
            wired.data_received(b"0" * 60_000)
            await asyncio.sleep(0)
        assert wired.transport.is_closing() or wired._ignores_input

    run(scenario())


def test_an_upgrade_is_answered_as_an_ordinary_request() -> None:
    async def scenario() -> None:
        wired, line = Server().connect()
        upgrade = b"connection: upgrade\r\nupgrade: websocket\r\n\r\n"
        wired.data_received(GET.replace(b"\r\n\r\n", b"\r\n") + upgrade + b"\x00\x01")
        await wait_until_closed(line)
        assert line.statuses == [200]
        assert b"connection: close" in line.received

    run(scenario())


UPGRADES = [
    b"connection: upgrade\r\nupgrade: h2c\r\n",
    b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQBAAAAAAIAAAAA\r\n",
    b"upgrade: websocket\r\nconnection: keep-alive, Upgrade\r\n",
    b"connection: close, upgrade\r\nupgrade: h2c\r\n",
]
BODIES = [
    b"content-length: 10\r\n\r\n0123456789",
    b"transfer-encoding: chunked\r\n\r\n5\r\n01234\r\n5\r\n56789\r\n0\r\n\r\n",
]


@pytest.mark.parametrize("step", [1, 7, 10_000])
@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("upgrade", UPGRADES)
def test_an_ignored_upgrade_leaves_the_body_as_it_is(upgrade: bytes, body: bytes, step: int) -> None:
    """Java's client sends `Upgrade: h2c` with each first request, a POST too."""

    async def scenario() -> None:
        wired, line = Server().connect()
        data = b"POST /echo?a=%20b HTTP/1.1\r\nhost: x\r\n" + upgrade + body
        closes = b"close" in upgrade
        for place in range(0, len(data), step):
            wired.data_received(data[place : place + step])
            await asyncio.sleep(0)
        await asyncio.sleep(1)
        assert (line.statuses, line.received.rpartition(b"\r\n")[2]) == ([200], b"0123456789")
        assert line.closed == closes
        if not closes:
            wired.data_received(POST + b"0123456789" + POST[:5])
            await asyncio.sleep(1)
            assert line.statuses == [200, 200], "the connection goes on"

    run(scenario())


def test_an_upgrade_with_a_body_has_the_limits_of_every_request() -> None:
    async def scenario() -> None:
        wired, line = Server().connect()
        wired.data_received(UNREAD.replace(b"\r\n\r\n", b"\r\n" + UPGRADES[0] + b"\r\n") + b"0")
        assert await wait_until_closed(line) <= protocol.LINGER_SECONDS + 1
        assert line.statuses == [200]
        wired, line = Server().connect()
        wired.data_received(b"CONNECT x:1 HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n01")
        await wait_until_closed(line)
        assert line.statuses == [400]
        wired, line = Server().connect()
        wired.data_received(SLOW + POST.replace(b"\r\n\r\n", b"\r\n" + UPGRADES[0] + b"\r\n") + b"0123456789" + GET)
        await asyncio.sleep(10)
        assert line.statuses == [200, 200, 200], "behind another, and before one"

    run(scenario())


def test_an_unread_response_aborts_the_connection() -> None:
    async def scenario() -> None:
        wired, line = Server().connect()
        wired.data_received(GET)
        await asyncio.sleep(0.1)
        wired.pause_writing()
        wired.resume_writing()
        wired._unset_keepalive_if_required()
        await asyncio.sleep(2 * protocol.WRITE_SECONDS)
        assert not line.closed, "what was taken is forgotten"
        begun = now()
        wired.pause_writing()
        assert await wait_until_closed(line) - begun <= protocol.WRITE_SECONDS + 1

    run(scenario())


def test_the_longest_idle_connection_is_closed_at_the_limit() -> None:
    async def scenario() -> None:
        server = Server()
        at_work, line = server.connect()
        at_work.data_received(SLOW)
        idle = []
        for _ in range(protocol.MAX_CONNECTIONS - 1):
            idle.append(server.connect()[1])
            await asyncio.sleep(0.001)
        _, newest = server.connect()
        await asyncio.sleep(0)
        assert [each.closed for each in (line, idle[0], idle[1], newest)] == [False, True, False, False]
        assert len(server.state.connections) == protocol.MAX_CONNECTIONS

    run(scenario())


def test_the_newest_connection_is_rejected_if_all_are_busy() -> None:
    async def scenario() -> None:
        server = Server()
        for _ in range(protocol.MAX_CONNECTIONS):
            server.connect()[0].data_received(SLOW)
        _, newest = server.connect()
        require_problem(newest, "busy")
        assert b"retry-after: 5\r\n" in newest.received
        assert newest.statuses == [503]

    run(scenario())


@pytest.mark.parametrize(
    ("hosts", "version", "status"),
    [
        (b"", b"1.1", 400),
        (b"host: x\r\nhost: y\r\n", b"1.1", 400),
        (b"host: x\r\nHost: x\r\n", b"1.1", 400),
        (b"host: x\r\nhost: y\r\n", b"1.0", 400),
        (b"", b"1.0", 200),
        (b"host: x\r\n", b"1.1", 200),
    ],
)
def test_a_request_has_one_host(hosts: bytes, version: bytes, status: int) -> None:
    async def scenario() -> None:
        wired, line = Server().connect()
        wired.data_received(b"GET /quick HTTP/" + version + b"\r\n" + hosts + b"\r\n")
        await asyncio.sleep(1)
        assert line.statuses == [status]
        if status == 400:
            require_problem(line, "bad_request")
        await asyncio.sleep(30)

    run(scenario())


def test_rejected_connections_are_counted_and_do_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    name, labels = "billing_security_events_total", {"event": "connection_rejected"}
    before = REGISTRY.get_sample_value(name, labels) or 0.0

    async def scenario() -> None:
        server = Server()
        for _ in range(50):
            wired, line = server.connect()
            wired.data_received(b"\x00\xff\r\n\r\n")
            await wait_until_closed(line)

    run(scenario())
    assert (REGISTRY.get_sample_value(name, labels) or 0.0) - before == 50
    assert len(caplog.records) <= 10
