"""Servers on 127.0.0.1 that close each connection after its answer, as a proxy may: what is said of it and where."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.utils import formatdate
from functools import partial

import httpx
import pytest

from stateless_billing.bookkeeping.records import ServiceRecords
from stateless_billing.doctor.checks import State
from stateless_billing.doctor.stripe_key_checks import StripeKeyChecks
from stateless_billing.runtime.clock import SystemClock
from stateless_billing.services.container import Services
from stateless_billing.services.readiness import readiness
from stateless_billing.settings import STRIPE, load
from stateless_billing.stripe.client import StripeApi
from stateless_billing.stripe.connection import Connection, create_transport
from stateless_billing.stripe.errors import ConnectionNotKept, NotSent, StripeFailure
from stateless_billing.stripe.rate_limiter import RateLimiter
from tests.chain.fake_node import history
from tests.fakes.in_process_service import LoopClock, NodesLine, StripeLine, Town

pytestmark = pytest.mark.anyio
CLOSES_AFTER_EVERY_ANSWER = "closes the connection after every answer (Connection: close / HTTP/1.0)"
KINDS = ("announced", "http_1_0", "silent", "kept")
CLOSING = KINDS[:3]
RECORD = {"id": "cus_Service", "object": "customer", "created": 1, "livemode": False, "balance": 0}


class Server:
    """Answers every request with one customer, and closes in one of the KINDS after each."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.connections = 0
        self.posts = 0
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Handle one connection."""
        self.connections += 1
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                self.posts += head.startswith(b"post")
                if b"content-length: " in head:
                    await reader.readexactly(int(head.split(b"content-length: ")[1].split(b"\r\n")[0]))
                writer.write(self._answer())
                if self.kind != "kept":
                    break
        except asyncio.IncompleteReadError:
            pass
        writer.close()

    def _answer(self) -> bytes:
        body = json.dumps({**RECORD, "metadata": {"stateless_billing": "service", "grants": "cus_Service"}})
        version = "1.0" if self.kind == "http_1_0" else "1.1"
        close = "connection: close\r\n" if self.kind == "announced" else ""
        date = formatdate(SystemClock().wall(), usegmt=True)
        return f"HTTP/{version} 200 OK\r\ndate: {date}\r\n{close}content-length: {len(body)}\r\n\r\n{body}".encode()


@asynccontextmanager
async def serving(kind: str) -> AsyncIterator[Server]:
    """Run a server that closes in this way."""
    server = Server(kind)
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    yield server
    listener.close()
    await listener.wait_closed()


async def write_after_read(connection: Connection, url: str) -> None:
    """Read, wait until a closed connection shows, and send a guarded write."""
    connection.start_session()
    await connection.request("GET", url, {}, None)
    await asyncio.sleep(0.05)
    connection.require_still_valid(lambda _: True)
    await connection.request("POST", url, {}, "amount=1")


@pytest.mark.parametrize("kind", CLOSING)
async def test_a_write_says_that_no_connection_stays_open(kind: str) -> None:
    async with serving(kind) as server:
        connection = Connection(create_transport(), SystemClock())
        if kind == "silent":  # once may be an accident
            with pytest.raises(NotSent, match="is gone") as accident:
                await write_after_read(connection, server.url)
            assert not isinstance(accident.value, ConnectionNotKept)
        with pytest.raises(ConnectionNotKept, match="writes need a connection that stays open"):
            await write_after_read(connection, server.url)
        assert server.posts == 0
        server.kind = "kept"
        await write_after_read(connection, server.url)
        await write_after_read(connection, server.url)
        assert server.posts == 2
        server.kind = "silent"
        connection.start_session()
        await connection.request("GET", server.url, {}, None)  # over the connection that is still open
        await asyncio.sleep(0.05)
        with pytest.raises(NotSent, match="is gone") as accident:
            await write_after_read_is_sent(connection, server.url)
        assert not isinstance(accident.value, ConnectionNotKept), "counted anew"
        await connection.aclose()


async def write_after_read_is_sent(connection: Connection, url: str) -> None:
    """Send a guarded write."""
    connection.require_still_valid(lambda _: True)
    await connection.request("POST", url, {}, "amount=1")


@pytest.mark.parametrize("kind", CLOSING)
async def test_the_start_and_the_health_say_it(kind: str) -> None:
    async with serving(kind) as server:
        clock = SystemClock()
        limiter = RateLimiter(rate=100, total_rate=400, processes=1)
        stripe = StripeApi(key="sk_test_x", base=server.url, rate_limiter=limiter, clock=clock)
        records = ServiceRecords(stripe, "cus_Service")
        with pytest.raises(StripeFailure):
            await records.load()
        with pytest.raises(StripeFailure) as caught:
            await records.load()
        if isinstance(caught.value, NotSent):
            assert CLOSES_AFTER_EVERY_ANSWER in str(caught.value)
            assert CLOSES_AFTER_EVERY_ANSWER in (stripe.health.connection_fault or "")
        server.kind = "kept"
        async with stripe.session() as session:
            for _ in range(2):
                await session.get_customer("cus_Service")
        assert stripe.health.connection_fault is None
        assert stripe.health.recovered_at > 0, "what waits is due at once"
        await stripe.aclose()


@pytest.mark.parametrize("kind", KINDS)
async def test_doctor_reads_twice_over_one_connection(kind: str) -> None:
    async with serving(kind) as server:
        environ = {"STRIPE_API_KEY": "sk_test_x", "STRIPE_API_BASE": server.url, "CHAIN_ID": "31337"}
        key = StripeKeyChecks(load(STRIPE, environ), create_transport(), SystemClock())
        checks = {check.name: check for check in await key.run()}
        await key.aclose()
    check = checks["stripe_connection"]
    if kind == "kept":
        assert (check.state, check.detail) == (State.OK, "two reads went over one connection")
    else:
        assert check.state is State.MEND
        assert CLOSES_AFTER_EVERY_ANSWER in check.detail
        assert "proxy" in check.mend


class ClosingLine(StripeLine):
    """Closes after every answer while `closes`, announced or not."""

    def __init__(self, town: Town, closes: dict[str, bool]) -> None:
        super().__init__(town)
        self.closes = closes

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Respond, and close."""
        response = await super().handle_async_request(request)
        if self.closes["now"]:
            self._open = False
            if self.closes["announced"]:
                response.headers["connection"] = "close"
        return response


@pytest.mark.parametrize("announced", [True, False])
def test_payments_and_readiness_say_it_and_resume_at_once(announced: bool, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    town = Town(history(1))
    customer_id = str(history(1)[0].customer_id)
    closes = {"now": False, "announced": announced}

    async def scenario() -> None:
        settings = town.process().settings
        services = Services(settings, LoopClock(), NodesLine(town), partial(ClosingLine, town, closes))
        services.startup.has_passed = True
        services.sweeper.start(await services.records.load())
        closes["now"] = True
        work = [asyncio.create_task(services.sweeper.run(3, 15)), asyncio.create_task(services.stripe_probe.watch())]
        await asyncio.sleep(900)
        assert not town.rows(customer_id)
        [status] = [services.status_cache.pending_status(payment) for payment in history(1)]
        assert status is not None
        assert (status.state, status.cause) == ("pending", "stripe_down")
        assert CLOSES_AFTER_EVERY_ANSWER in (status.detail or "")
        answer = await readiness(services)
        assert (answer.ready, CLOSES_AFTER_EVERY_ANSWER in answer.checks["stripe"].detail) == (False, True)
        lines = [record.getMessage() for record in caplog.records if "payment " in record.getMessage()]
        assert any(CLOSES_AFTER_EVERY_ANSWER in line for line in lines)
        reads = town.stripe.log.counts.total()
        assert reads < 900, "the probe and the payment's retries, no more"
        closes["now"] = False
        await asyncio.sleep(12)
        assert len(town.rows(customer_id)) == 1, "a probe and a round later"
        assert (await readiness(services)).ready
        for task in work:
            task.cancel()

    town.run(scenario())
