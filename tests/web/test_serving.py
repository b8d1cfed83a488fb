"""How a serving process ends: by a signal, by its work, or because it cannot listen."""

import asyncio
import os
import signal
import socket

import httpx
import pytest
from starlette.responses import PlainTextResponse

from stateless_billing.domain.errors import StartupReadFailed, StartupRefused
from stateless_billing.sandbox.stack import free_port
from stateless_billing.web.server.serving import serve, serve_secondary

pytestmark = pytest.mark.anyio
APP = PlainTextResponse("well")
UNREAD = StartupReadFailed("The chain could not be read: node 1 is away.")


async def answered(port: int) -> None:
    """Wait until the process answers."""
    async with httpx.AsyncClient(trust_env=False) as client:
        while True:
            try:
                assert (await client.get(f"http://127.0.0.1:{port}/")).text == "well"
            except httpx.TransportError:
                await asyncio.sleep(0.005)
            else:
                return


async def test_a_start_that_fails_after_the_signal_is_no_failure(caplog: pytest.LogCaptureFixture) -> None:
    port = free_port()
    drained = asyncio.Event()

    async def work() -> None:
        await answered(port)
        os.kill(os.getpid(), signal.SIGTERM)
        await drained.wait()
        raise UNREAD

    await serve(APP, "127.0.0.1", port, drained.set, work())
    assert "node 1 is away" in caplog.text


async def test_a_start_that_fails_while_it_is_cancelled_is_no_failure() -> None:
    port = free_port()

    async def work() -> None:
        try:
            await answered(port)
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.sleep(3600)
        finally:
            raise UNREAD

    await serve(APP, "127.0.0.1", port, lambda: None, work())


@pytest.mark.parametrize("failure", [UNREAD, StartupRefused("The key is of another account."), ValueError("a defect")])
async def test_a_failure_before_any_signal_ends_the_process_with_it(failure: Exception) -> None:
    port = free_port()
    drained = []

    async def work() -> None:
        await answered(port)
        raise failure

    with pytest.raises(type(failure)) as caught:
        await serve(APP, "127.0.0.1", port, lambda: drained.append(True), work())
    assert caught.value is failure
    assert drained == [True], "the streams end first"


async def test_a_defect_is_raised_even_after_the_signal() -> None:
    port = free_port()
    drained = asyncio.Event()

    async def work() -> None:
        await answered(port)
        os.kill(os.getpid(), signal.SIGTERM)
        await drained.wait()
        raise ValueError("a defect")

    with pytest.raises(ValueError, match="a defect"):
        await serve(APP, "127.0.0.1", port, drained.set, work())


async def test_a_port_that_is_taken_is_a_fault_of_the_settings() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StartupRefused, match=f"PORT {port} of 127.0.0.1 cannot be listened on"):
            await serve(APP, "127.0.0.1", port, lambda: None, asyncio.sleep(3600))


async def test_a_scrape_is_answered_without_nagles_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    delays: list[int] = []

    async def accept(_: object, sockets: list[socket.socket]) -> None:
        with socket.create_connection(sockets[0].getsockname()), sockets[0].accept()[0] as accepted:
            delays.append(accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

    monkeypatch.setattr("stateless_billing.web.server.serving._SecondaryServer.serve", accept)
    await serve_secondary(APP, "127.0.0.1", 0)
    assert delays == [1]


async def test_metrics_are_served_as_soon_as_the_port_is_free(caplog: pytest.LogCaptureFixture) -> None:
    """A process that is being replaced holds both ports until its last request is answered."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        serving = asyncio.create_task(serve_secondary(APP, "127.0.0.1", port, retry_seconds=0.02))
        await asyncio.sleep(0.2)
        assert not serving.done()
        assert caplog.text.count(f"METRICS_PORT {port}") == 1, "said once"
    await asyncio.wait_for(answered(port), 5)
    serving.cancel()
    await asyncio.wait([serving])
