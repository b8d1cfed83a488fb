"""Rate and concurrency limits per client network."""

import asyncio

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from stateless_billing.runtime.security_log import SecurityLog
from stateless_billing.web.server.rate_limits import RateLimitMiddleware, client_origin, route_group
from tests.fakes.factories import FakeClock

pytestmark = pytest.mark.anyio


def limits(clock: FakeClock) -> Middleware:
    """Create the middleware under test."""
    return Middleware(RateLimitMiddleware, header="x-ip", clock=clock, security_log=SecurityLog(clock))


def request(peer: str, **headers: str) -> Request:
    """Create a request from a peer."""
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "client": (peer, 1), "headers": raw})


@pytest.mark.parametrize(
    ("peer", "headers", "header", "expected"),
    [
        ("192.0.2.1", {}, None, "192.0.2.1"),
        ("192.0.2.1", {"fly_client_ip": "198.51.100.7"}, None, "192.0.2.1"),
        ("192.0.2.1", {"fly_client_ip": "198.51.100.7"}, "fly-client-ip", "198.51.100.7"),
        ("192.0.2.1", {"x_forwarded_for": "10.0.0.1, 198.51.100.7"}, "x-forwarded-for", "198.51.100.7"),
        ("192.0.2.1", {"fly_client_ip": "nonsense"}, "fly-client-ip", "192.0.2.1"),
        ("2001:db8::1", {}, None, "2001:db8::/64"),
        ("2001:db8::ffff:2", {}, None, "2001:db8::/64"),
        ("::ffff:192.0.2.1", {}, None, "192.0.2.1"),
        ("/run/socket", {}, None, "/run/socket"),
    ],
)
def test_client_origin(peer: str, headers: dict[str, str], header: str | None, expected: str) -> None:
    assert client_origin(request(peer, **headers).scope, header) == expected


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["192.0.2.66", "198.51.100.7"], "198.51.100.7"),
        (["198.51.100.7", "192.0.2.66"], "192.0.2.66"),
        (["198.51.100.7, 192.0.2.66", "192.0.2.67,192.0.2.68"], "192.0.2.68"),
        (["198.51.100.7", ""], "192.0.2.1"),
        (["198.51.100.7,"], "192.0.2.1"),
        (["198.51.100.7", "nonsense"], "192.0.2.1"),
    ],
)
def test_of_several_lines_and_values_the_last_counts(lines: list[str], expected: str) -> None:
    headers = [(b"x-forwarded-for", line.encode()) for line in lines]
    scope = {"type": "http", "client": ("192.0.2.1", 1), "headers": headers}
    assert client_origin(scope, "x-forwarded-for") == expected
    assert client_origin(scope, None) == "192.0.2.1"


def test_route_groups_have_separate_limits() -> None:
    assert route_group("/api/quotes") == "/api/quotes"
    assert route_group("/api/payments/0x12") == route_group("/api/payments")
    assert route_group("/wp-admin") == route_group("/nothing") == ""


async def test_a_flood_gets_retry_after() -> None:
    clock = FakeClock()
    routes = [Route("/{path:path}", lambda _: PlainTextResponse("well"))]
    app = Starlette(routes=routes, middleware=[limits(clock)])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://x") as client:
        headers = {"x-ip": "192.0.2.1"}
        flood = [(await client.get("/pay", headers=headers)).status_code for _ in range(320)]
        assert flood == [200] * 300 + [429] * 20
        refused = await client.get("/pay", headers=headers)
        assert refused.headers["retry-after"] == "1"
        assert refused.headers["content-type"] == "application/problem+json"
        assert refused.json()["type"] == "/problems/rate_limited"
        assert (await client.get("/pay", headers={"x-ip": "192.0.2.2"})).status_code == 200
        assert (await client.get("/api/payments/0x", headers=headers)).status_code == 200
        assert (await client.get("/healthz", headers=headers)).status_code == 200
        clock.wait(1)
        assert (await client.get("/pay", headers=headers)).status_code == 200


async def test_concurrent_requests_are_limited_per_client() -> None:
    end = asyncio.Event()

    async def wait(request: Request) -> PlainTextResponse:
        await end.wait()
        return PlainTextResponse("well")

    routes = [Route("/healthz", lambda _: PlainTextResponse("well")), Route("/{path:path}", wait)]
    app = Starlette(routes=routes, middleware=[limits(FakeClock())])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://x") as client:

        async def ask(address: str, path: str = "/pay") -> int:
            return (await client.get(path, headers={"x-ip": address})).status_code

        tasks = [asyncio.create_task(ask("192.0.2.1")) for _ in range(100)]
        await asyncio.sleep(0.05)
        assert await ask("192.0.2.1", "/api/quotes") == 429, "whatever part of the site it is"
        assert await ask("192.0.2.1", "/healthz") == 200
        other = asyncio.create_task(ask("192.0.2.2"))
        await asyncio.sleep(0.05)
        end.set()
        assert await asyncio.gather(*tasks, other) == [200] * 101
        assert await ask("192.0.2.1") == 200
