"""Lazy routes are created once and behave like ordinary routes."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from stateless_billing.web.server.lazy_routes import LazyRoutes, load_lazy_routes

pytestmark = pytest.mark.anyio


class CountingApp:
    """An application with an eager and a lazy route that counts how often the lazy one is created."""

    def __init__(self) -> None:
        self.times = 0
        early = [Route("/pay/early", _say), Route("/payments", _say)]
        self.app = Starlette(routes=[*early, LazyRoutes(("/pay", "/admin"), self.make)])

    def make(self) -> list[Route]:
        self.times += 1
        time.sleep(0.05)
        return [Route("/pay", _say), Route("/admin/{what}", _say, methods=["POST"])]


async def get_response(app: Starlette, path: str, method: str = "GET") -> httpx.Response:
    """Send a request and return the response."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://x") as client:
        return await client.request(method, path)


async def _say(request: Request) -> Response:
    return PlainTextResponse(request.url.path)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/pay", 200),
        ("POST", "/pay", 405),
        ("POST", "/admin/this", 200),
        ("GET", "/admin/this", 405),
        ("GET", "/admin", 404),
        ("GET", "/payments", 200),
        ("TRACE", "/payments", 405),
        ("GET", "/pays", 404),
        ("GET", "/other", 404),
    ],
)
async def test_lazy_routes_respond_like_others(method: str, path: str, status: int) -> None:
    assert (await get_response(CountingApp().app, path, method)).status_code == status


async def test_eager_routes_do_not_load_lazy_ones() -> None:
    counting = CountingApp()
    assert (await get_response(counting.app, "/pay/early")).text == "/pay/early"
    assert (await get_response(counting.app, "/other")).status_code == 404
    assert counting.times == 0


async def test_lazy_routes_are_created_once() -> None:
    counting = CountingApp()
    starting = threading.Barrier(4)

    def load(_: int) -> None:
        starting.wait()
        load_lazy_routes(counting.app)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(load, range(4)))
    assert (await get_response(counting.app, "/pay")).status_code == 200
    assert counting.times == 1
