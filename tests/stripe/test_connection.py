"""The guard: a money request goes out over the connection that was read over, by clocks that agree, or not at all."""

import asyncio
from collections.abc import Callable
from email.utils import formatdate

import httpx
import pytest

from stateless_billing.stripe.connection import Connection, ConnectionFailed, create_ssl_context
from stateless_billing.stripe.errors import NotSent
from tests.fakes.factories import START, FakeClock
from tests.fakes.tracing_transport import BODY, HEADERS, SteppingTransport

pytestmark = pytest.mark.anyio
URL = "http://stripe.example/v1/x"


class World:
    """A connection, its transport and its clock."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.transport = SteppingTransport(self.clock)
        self.connection = Connection(self.transport, self.clock)
        self.judged: list[int] = []

    async def read(self) -> None:
        """Read something."""
        await self.connection.request("GET", URL, {}, None)

    async def write(self, verdicts: tuple[bool, ...] = (True, True)) -> None:
        """Send money; the judge says these."""
        said = iter(verdicts)

        def judge(now: int) -> bool:
            self.judged.append(now)
            return next(said)

        self.connection.require_still_valid(judge)
        await self.connection.request("POST", URL, {}, "money")


@pytest.fixture
def world() -> World:
    """Nothing has been sent yet."""
    return World()


async def test_a_write_over_the_connection_of_the_read_is_judged_twice_and_sent(world: World) -> None:
    await world.read()
    world.transport.before[BODY] = lambda: world.clock.wait(5)
    await world.write()
    assert world.transport.wrote == ["connect", "GET", "POST", "money"]
    assert world.judged == [START, START + 5]


async def test_a_guard_stands_before_one_request_only(world: World) -> None:
    await world.read()
    await world.write()
    world.transport.open = False
    world.connection.start_session()
    await world.read()  # opens a new connection and asks nobody
    assert world.transport.wrote[-2:] == ["connect", "GET"]
    assert len(world.judged) == 2


async def test_a_request_takes_its_turn_when_all_before_its_first_byte_is_done(world: World) -> None:
    took: list[list[str]] = []

    async def turn() -> None:
        took.append(list(world.transport.wrote))
        world.clock.wait(5)

    world.connection.before_send(turn)
    await world.read()
    await world.read()
    assert took == [["connect"]], "once, and after the connection was opened"
    world.connection.before_send(turn)
    await world.write()
    assert took[1:] == [["connect", "GET", "GET"]]
    assert world.judged == [START + 10, START + 10], "judged by the time after the turn"
    world.connection.before_send(turn)
    with pytest.raises(NotSent, match="no longer holds"):
        await world.write((False,))
    assert world.transport.wrote[-1] == "money", "and a turn is no leave to send"


async def test_nothing_is_written_where_nothing_was_read(world: World) -> None:
    with pytest.raises(NotSent, match="gone"):
        await world.write()
    world.transport.open = True
    with pytest.raises(NotSent, match="nothing was read"):
        await world.write()
    assert world.transport.wrote == []


async def test_a_write_never_opens_a_connection(world: World) -> None:
    await world.read()
    world.transport.open = False  # Stripe closed it
    with pytest.raises(NotSent, match="gone"):
        await world.write()
    assert world.transport.wrote == ["connect", "GET"]


def later(wall: float, boot: float) -> Callable[[FakeClock], None]:
    """Both clocks move."""

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
@pytest.mark.parametrize(("step", "wrote"), [(HEADERS, []), (BODY, ["POST"])])
async def test_clocks_that_jump_stop_the_next_socket_write(
    world: World, jump: Callable[[FakeClock], None], step: str, wrote: list[str]
) -> None:
    await world.read()
    world.transport.before[step] = lambda: jump(world.clock)
    with pytest.raises(NotSent, match="more than a minute old"):
        await world.write()
    assert world.transport.wrote == ["connect", "GET", *wrote]


@pytest.mark.parametrize("jump", [later(60, 60), later(-60, 0), later(0, 60)])
async def test_a_minute_is_not_too_long(world: World, jump: Callable[[FakeClock], None]) -> None:
    await world.read()
    jump(world.clock)
    await world.write()
    assert world.transport.wrote[-1] == "money"


@pytest.mark.parametrize(
    ("verdicts", "wrote"), [((False,), []), ((True, False), ["POST"])], ids=["before the headers", "before the body"]
)
async def test_what_no_longer_holds_is_not_sent(world: World, verdicts: tuple[bool, ...], wrote: list[str]) -> None:
    await world.read()
    with pytest.raises(NotSent, match="no longer holds"):
        await world.write(verdicts)
    assert world.transport.wrote == ["connect", "GET", *wrote]


@pytest.mark.parametrize(("off", "sent"), [(120, True), (-120, True), (121, False), (-121, False), (86_400, False)])
async def test_a_machine_whose_clock_is_wrong_sends_nothing(world: World, off: int, sent: bool) -> None:
    world.transport.date = lambda: formatdate(world.clock.wall_time - off, usegmt=True)
    await world.read()
    assert world.connection.skew == off
    if sent:
        await world.write()
        assert world.judged[0] == START - off  # Stripe's clock counts
    else:
        with pytest.raises(NotSent, match="clock is"):
            await world.write()
        assert world.transport.wrote == ["connect", "GET"]


@pytest.mark.parametrize("date", [None, "", "yesterday", "Mon, 99"])
async def test_an_answer_without_a_date_is_no_clock(world: World, date: str | None) -> None:
    await world.read()
    world.transport.date = lambda: date
    await world.read()  # it takes the place of the first
    with pytest.raises(NotSent, match="nothing was read"):
        await world.write()


@pytest.mark.parametrize("date", OUT_OF_RANGE)
async def test_a_date_out_of_range_is_no_clock_and_no_crash(world: World, date: str) -> None:
    await world.read()
    world.transport.date = lambda: date
    await world.read()
    with pytest.raises(NotSent):
        await world.write()
    assert world.judged == []


async def test_the_age_of_an_answer_counts_from_before_its_request(world: World) -> None:
    world.transport.before[BODY] = lambda: world.clock.wait(40)  # a slow answer
    await world.read()
    world.clock.wait(21)
    with pytest.raises(NotSent, match="more than a minute old"):
        world.connection.now()


async def test_now_goes_on_with_the_boot_clock(world: World) -> None:
    with pytest.raises(NotSent):
        world.connection.now()
    assert world.connection.skew is None
    await world.read()
    world.clock.wait(33)
    assert world.connection.now() == START + 33


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
async def test_a_failure_tells_whether_anything_may_have_gone_out(error: type[httpx.RequestError], sent: bool) -> None:
    def fail(request: httpx.Request) -> httpx.Response:
        raise error(f"at {request.url}")

    connection = Connection(httpx.MockTransport(fail), FakeClock())
    with pytest.raises(ConnectionFailed) as caught:
        await connection.request("POST", URL + "?sesame", {}, "money")
    assert caught.value.sent is sent
    assert "sesame" not in str(caught.value)


async def test_a_session_reads_over_one_connection_and_a_new_one_may_reconnect(world: World) -> None:
    world.connection.start_session()
    await world.read()
    world.transport.open = False  # Stripe closed it
    with pytest.raises(NotSent, match="gone"):
        await world.read()
    assert world.transport.wrote == ["connect", "GET"]
    world.connection.start_session()
    await world.read()
    await world.read()
    assert world.transport.wrote == ["connect", "GET", "connect", "GET", "GET"]


async def test_an_answer_that_is_not_stripes_binds_the_session_all_the_same(world: World) -> None:
    world.transport.body = b"<html>"
    with pytest.raises(ConnectionFailed):
        await world.read()
    world.transport.open = False
    with pytest.raises(NotSent, match="gone"):
        await world.read()


async def test_cancelling_is_not_turned_into_a_failure(world: World) -> None:
    def cancel() -> None:
        raise asyncio.CancelledError

    world.transport.before[BODY] = cancel
    with pytest.raises(asyncio.CancelledError):
        await world.read()


def test_all_connections_share_one_tls_context() -> None:
    assert create_ssl_context() is create_ssl_context()
