"""The guard: a credit is sent over the connection used for reading, or not at all."""

import asyncio
from collections.abc import Callable
from email.utils import formatdate

import httpx
import pytest

from stateless_billing.runtime.bounded_http import create_ssl_context
from stateless_billing.stripe.connection import Connection, ConnectionFailed
from stateless_billing.stripe.errors import NotSent
from tests.fakes.factories import START, FakeClock
from tests.fakes.tracing_transport import BODY, HEADERS, TracingTransport

pytestmark = pytest.mark.anyio
URL = "http://stripe.example/v1/x"


class Setup:
    """A connection, its transport and its clock."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.transport = TracingTransport(self.clock)
        self.connection = Connection(self.transport, self.clock)
        self.checked_at: list[int] = []

    async def read(self) -> None:
        """Send a read."""
        await self.connection.request("GET", URL, {}, None)

    async def write(self, verdicts: tuple[bool, ...] = (True, True)) -> None:
        """Send a guarded write; the validity checks return `verdicts` in wait_to_send."""
        results = iter(verdicts)

        def still_valid(now: int) -> bool:
            self.checked_at.append(now)
            return next(results)

        self.connection.require_still_valid(still_valid)
        await self.connection.request("POST", URL, {}, "money")


@pytest.fixture
def setup() -> Setup:
    """Create a connection that has sent nothing."""
    return Setup()


async def test_a_write_over_the_reads_connection_is_checked_twice_and_sent(setup: Setup) -> None:
    await setup.read()
    setup.transport.before_step[BODY] = lambda: setup.clock.wait(5)
    await setup.write()
    assert setup.transport.written == ["connect", "GET", "POST", "money"]
    assert setup.checked_at == [START, START + 5]


async def test_the_guard_applies_to_one_request(setup: Setup) -> None:
    await setup.read()
    await setup.write()
    setup.transport.is_open = False
    setup.connection.start_session()
    await setup.read()  # opens a new connection without a check
    assert setup.transport.written[-2:] == ["connect", "GET"]
    assert len(setup.checked_at) == 2


async def test_before_send_runs_right_before_the_first_byte(setup: Setup) -> None:
    written_before: list[list[str]] = []

    async def wait_to_send() -> None:
        written_before.append(list(setup.transport.written))
        setup.clock.wait(5)

    setup.connection.before_send(wait_to_send)
    await setup.read()
    await setup.read()
    assert written_before == [["connect"]], "once, and after the connection was opened"
    setup.connection.before_send(wait_to_send)
    await setup.write()
    assert written_before[1:] == [["connect", "GET", "GET"]]
    assert setup.checked_at == [START + 10, START + 10], "checked after the wait"
    setup.connection.before_send(wait_to_send)
    with pytest.raises(NotSent, match="no longer holds"):
        await setup.write((False,))
    assert setup.transport.written[-1] == "money", "waiting does not replace the check"


async def test_a_write_needs_a_read_first(setup: Setup) -> None:
    with pytest.raises(NotSent, match="gone"):
        await setup.write()
    setup.transport.is_open = True
    with pytest.raises(NotSent, match="nothing was read"):
        await setup.write()
    assert setup.transport.written == []


async def test_a_write_never_opens_a_connection(setup: Setup) -> None:
    await setup.read()
    setup.transport.is_open = False  # Stripe closed it
    with pytest.raises(NotSent, match="gone"):
        await setup.write()
    assert setup.transport.written == ["connect", "GET"]


def later(wall: float, boot: float) -> Callable[[FakeClock], None]:
    """Return a function that moves both clocks."""

    def move(clock: FakeClock) -> None:
        clock.wall_time += wall
        clock.boot_time += boot

    return move


OUT_OF_RANGE = [
    "Mon, 99 Foo 99999 99:99:99 GMT",
    "Mon, 01 Jan 99999999999999 00:00:00 GMT",
    "Mon, 01 Jan 0000 00:00:00 GMT",
    "Mon, 01 Jan 2024 00:00:00 +99999999999999999999",
    "Mon, 01 Jan 2024 99999999999999999999:00:00 GMT",
]
JUMPS = {
    "the machine slept": later(61, 61),
    "it slept for 40 hours": later(144_000, 144_000),
    "the wall clock was set forward": later(61, 0),
    "the wall clock was set back": later(-61, 0),
    "the boot clock alone went on": later(0, 61),
    "a snapshot was restored": later(0, -1),
}


@pytest.mark.parametrize("jump", JUMPS.values(), ids=list(JUMPS))
@pytest.mark.parametrize(("step", "written"), [(HEADERS, []), (BODY, ["POST"])])
async def test_a_clock_jump_stops_the_next_socket_write(
    setup: Setup, jump: Callable[[FakeClock], None], step: str, written: list[str]
) -> None:
    await setup.read()
    setup.transport.before_step[step] = lambda: jump(setup.clock)
    with pytest.raises(NotSent, match="more than a minute old"):
        await setup.write()
    assert setup.transport.written == ["connect", "GET", *written]


@pytest.mark.parametrize("jump", [later(60, 60), later(-60, 0), later(0, 60)])
async def test_a_minute_is_allowed(setup: Setup, jump: Callable[[FakeClock], None]) -> None:
    await setup.read()
    jump(setup.clock)
    await setup.write()
    assert setup.transport.written[-1] == "money"


@pytest.mark.parametrize(
    ("verdicts", "written"), [((False,), []), ((True, False), ["POST"])], ids=["before the headers", "before the body"]
)
async def test_an_invalid_decision_is_not_sent(setup: Setup, verdicts: tuple[bool, ...], written: list[str]) -> None:
    await setup.read()
    with pytest.raises(NotSent, match="no longer holds"):
        await setup.write(verdicts)
    assert setup.transport.written == ["connect", "GET", *written]


@pytest.mark.parametrize(("off", "sent"), [(120, True), (-120, True), (121, False), (-121, False), (86_400, False)])
async def test_a_machine_with_a_wrong_clock_sends_nothing(setup: Setup, off: int, sent: bool) -> None:
    setup.transport.date = lambda: formatdate(setup.clock.wall_time - off, usegmt=True)
    await setup.read()
    assert setup.connection.skew == off
    if sent:
        await setup.write()
        assert setup.checked_at[0] == START - off  # by Stripe's clock
    else:
        with pytest.raises(NotSent, match="clock is"):
            await setup.write()
        assert setup.transport.written == ["connect", "GET"]


@pytest.mark.parametrize("date", [None, "", "yesterday", "Mon, 99"])
async def test_a_response_without_a_date_is_not_a_clock(setup: Setup, date: str | None) -> None:
    await setup.read()
    setup.transport.date = lambda: date
    await setup.read()  # replaces the first
    with pytest.raises(NotSent, match="nothing was read"):
        await setup.write()


@pytest.mark.parametrize("date", OUT_OF_RANGE)
async def test_a_date_out_of_range_is_not_a_clock(setup: Setup, date: str) -> None:
    await setup.read()
    setup.transport.date = lambda: date
    await setup.read()
    with pytest.raises(NotSent):
        await setup.write()
    assert setup.checked_at == []


async def test_a_responses_age_counts_from_before_its_request(setup: Setup) -> None:
    setup.transport.before_step[BODY] = lambda: setup.clock.wait(40)  # a slow response
    await setup.read()
    setup.clock.wait(21)
    with pytest.raises(NotSent, match="more than a minute old"):
        setup.connection.now()


async def test_now_advances_with_the_boot_clock(setup: Setup) -> None:
    with pytest.raises(NotSent):
        setup.connection.now()
    assert setup.connection.skew is None
    await setup.read()
    setup.clock.wait(33)
    assert setup.connection.now() == START + 33


@pytest.mark.parametrize(
    ("error", "sent"),
    [
        (httpx.ConnectError, False),
        (httpx.ConnectTimeout, False),
        (httpx.PoolTimeout, False),
        (httpx.UnsupportedProtocol, False),
        (httpx.WriteError, True),
        (httpx.WriteTimeout, True),
        (httpx.ReadError, True),
        (httpx.ReadTimeout, True),
        (httpx.RemoteProtocolError, True),
        (httpx.DecodingError, True),
    ],
)
async def test_a_failure_tells_whether_anything_may_have_been_sent(error: type[httpx.RequestError], sent: bool) -> None:
    def fail(request: httpx.Request) -> httpx.Response:
        raise error(f"at {request.url}")

    connection = Connection(httpx.MockTransport(fail), FakeClock())
    with pytest.raises(ConnectionFailed) as caught:
        await connection.request("POST", URL + "?sesame", {}, "money")
    assert caught.value.sent is sent
    assert "sesame" not in str(caught.value)


async def test_only_a_new_session_may_reconnect(setup: Setup) -> None:
    setup.connection.start_session()
    await setup.read()
    setup.transport.is_open = False  # Stripe closed it
    with pytest.raises(NotSent, match="gone"):
        await setup.read()
    assert setup.transport.written == ["connect", "GET"]
    setup.connection.start_session()
    await setup.read()
    await setup.read()
    assert setup.transport.written == ["connect", "GET", "connect", "GET", "GET"]


async def test_a_response_not_from_stripe_still_binds_the_session(setup: Setup) -> None:
    setup.transport.body = b"<html>"
    with pytest.raises(ConnectionFailed):
        await setup.read()
    setup.transport.is_open = False
    with pytest.raises(NotSent, match="gone"):
        await setup.read()


async def test_cancellation_is_not_a_failure(setup: Setup) -> None:
    def cancel() -> None:
        raise asyncio.CancelledError

    setup.transport.before_step[BODY] = cancel
    with pytest.raises(asyncio.CancelledError):
        await setup.read()


def test_all_connections_share_one_tls_context() -> None:
    assert create_ssl_context() is create_ssl_context()
