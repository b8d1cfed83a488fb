"""The effect of faults on a socket, observed with plain HTTP."""

import asyncio

import httpx
import pytest

from stateless_billing.sandbox import effects
from stateless_billing.sandbox.sandbox import Sandbox
from stateless_billing.sandbox.server import serving_in_thread
from tests.sandbox.in_process_client import InProcessClient

pytestmark = pytest.mark.anyio
HEADERS = InProcessClient().headers()


async def raw(base: str, text: str) -> bytes:
    """Send bytes to the server and read until it closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(base.rpartition(":")[2]))
    writer.write(text.encode())
    async with asyncio.timeout(5):
        answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


def get(path: str) -> str:
    """Return an HTTP/1.1 request."""
    named = "".join(f"{name}: {value}\r\n" for name, value in HEADERS.items())
    return f"GET {path} HTTP/1.1\r\nHost: x\r\n{named}\r\n"


async def test_a_lost_answer_is_a_connection_closed_without_a_byte(sandbox: Sandbox, base: str) -> None:
    sandbox.stripe.faults.add(effects.lost_after())
    assert await raw(base, get("/v1/customers")) == b""


async def test_a_caller_that_disconnects_during_its_request_is_no_failure(
    sandbox: Sandbox, base: str, caplog: pytest.LogCaptureFixture
) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", int(base.rpartition(":")[2]))
    writer.write(b"POST /v1/customers HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nname")
    await writer.drain()
    await asyncio.sleep(0.05)
    writer.close()
    await writer.wait_closed()
    async with httpx.AsyncClient(base_url=base, headers=HEADERS) as http:
        assert (await http.get("/v1/customers")).status_code == 200
    assert "Traceback" not in caplog.text


async def test_a_cut_answer_announces_more_than_it_sends(sandbox: Sandbox, base: str) -> None:
    sandbox.stripe.faults.add(effects.cut())
    head, _, body = (await raw(base, get("/v1/customers"))).partition(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    assert head.startswith(b"HTTP/1.1 200")
    assert 0 < len(body) < length


async def test_a_connection_may_close_after_a_whole_answer_that_did_not_say_so(sandbox: Sandbox, base: str) -> None:
    sandbox.stripe.faults.add(effects.closed_after())
    head, _, body = (await raw(base, get("/v1/customers"))).partition(b"\r\n\r\n")
    assert body.endswith(b"}")
    assert b"connection: close" not in head.lower()


async def test_headers_are_stripes_alone_and_the_connection_stays(sandbox: Sandbox, base: str) -> None:
    async with httpx.AsyncClient(base_url=base, headers=HEADERS) as http:
        first = await http.get("/v1/customers")
        assert [name for name in first.headers if name == "date"] == ["date"]
        assert "server" not in first.headers
        opened: list[str] = []

        async def trace(name: str, info: object) -> None:
            opened.append(name)

        await http.get("/v1/customers", extensions={"trace": trace})
        assert opened
        assert not [name for name in opened if "connect_tcp" in name]


async def test_connections_can_be_refused(sandbox: Sandbox, base: str) -> None:
    sandbox.refused_connections = 2
    for _ in range(2):
        async with httpx.AsyncClient(base_url=base) as http:
            with pytest.raises(httpx.TransportError):
                await http.get("/v1/customers")
    async with httpx.AsyncClient(base_url=base, headers=HEADERS) as http:
        assert (await http.get("/v1/customers")).status_code == 200


async def test_a_slow_answer_takes_its_time(sandbox: Sandbox, base: str) -> None:
    sandbox.stripe.faults.add(effects.slow(before=0.05, after=0.05))
    async with httpx.AsyncClient(base_url=base, headers=HEADERS) as http:
        began = asyncio.get_running_loop().time()
        await http.get("/v1/customers")
        assert asyncio.get_running_loop().time() - began >= 0.1


async def test_ids_are_taken_from_the_path_as_it_was_sent(sandbox: Sandbox, base: str) -> None:
    async with httpx.AsyncClient(base_url=base, headers=HEADERS) as http:
        answer = await http.get("/v1/customers/cus_a%2Fbalance_transactions")
    assert answer.json()["error"]["message"] == "No such customer: 'cus_a/balance_transactions'"


async def test_three_services_share_one_address(sandbox: Sandbox, base: str) -> None:
    async with httpx.AsyncClient(base_url=base) as http:
        assert (await http.get("/v1/customers")).status_code == 401
        assert (await http.get("/api/v3/ping")).status_code == 200
        assert (await http.post("/emails")).status_code == 401
        assert (await http.get("/_sandbox/state")).status_code == 200
        assert (await http.get("/elsewhere")).status_code == 404


def test_a_thread_can_serve_a_synchronous_caller(sandbox: Sandbox) -> None:
    with serving_in_thread(sandbox) as base, httpx.Client(base_url=base, headers=HEADERS) as http:
        assert http.get("/v1/customers").json()["data"] == []
    with pytest.raises(httpx.ConnectError):
        httpx.get(base)
