"""Late routes are made once, by whoever is first, and answer as if they had been there from the start."""

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


class Made:
    """An application with an early route and late ones, which counts how often those were made."""

    def __init__(self) -> None:
        self.times = 0
        early = [Route("/pay/early", _say), Route("/payments", _say)]
        self.app = Starlette(routes=[*early, LazyRoutes(("/pay", "/admin"), self.make)])

    def make(self) -> list[Route]:
        self.times += 1
        time.sleep(0.05)
        return [Route("/pay", _say), Route("/admin/{what}", _say, methods=["POST"])]


async def answer(app: Starlette, path: str, method: str = "GET") -> httpx.Response:
    """The answer to one request."""
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
async def test_they_answer_as_others_do(method: str, path: str, status: int) -> None:
    assert (await answer(Made().app, path, method)).status_code == status


async def test_what_is_early_does_not_wait_for_them() -> None:
    made = Made()
    assert (await answer(made.app, "/pay/early")).text == "/pay/early"
    assert (await answer(made.app, "/other")).status_code == 404
    assert made.times == 0


async def test_they_are_made_once_whoever_asks() -> None:
    made = Made()
    starting = threading.Barrier(4)

    def load(_: int) -> None:
        starting.wait()
        load_lazy_routes(made.app)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(load, range(4)))
    assert (await answer(made.app, "/pay")).status_code == 200
    assert made.times == 1
