"""Health checks are answered before the application is loaded; other requests wait for it, and never forever."""

import asyncio

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from stateless_billing.services.container import Services
from stateless_billing.settings import SERVE, load
from stateless_billing.web.routes import create_app
from stateless_billing.web.server.loading import LoadingApp
from tests.fakes.in_process_service import LoopClock
from tests.web.test_openapi import ENVIRONMENT

pytestmark = pytest.mark.anyio


def client_of(front: LoadingApp) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app=front),
        base_url="http://x",
        headers={"accept-encoding": "identity"},
    )


async def test_a_health_check_is_answered_the_same_before_and_after() -> None:
    front = LoadingApp()
    app = create_app(Services(load(SERVE, ENVIRONMENT), LoopClock()))
    async with client_of(front) as client:
        before = await client.get("/healthz")
        assert (await client.head("/healthz")).status_code == 200
        front.admit(app, lambda: None)
        after = await client.get("/healthz")
    assert (before.status_code, before.json()) == (200, {"ok": True})
    own = {"x-request-id", "vary"}  # `vary` is of the compression, which no health check needs
    assert {name: value for name, value in before.headers.items() if name not in own} == {
        name: value for name, value in after.headers.items() if name not in own
    }


@pytest.mark.parametrize(("method", "path"), [("GET", "/pay"), ("POST", "/healthz"), ("GET", "/healthz/")])
async def test_other_requests_wait_for_the_application(method: str, path: str) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    front = LoadingApp()
    async with client_of(front) as client:
        waiting = asyncio.create_task(client.request(method, path))
        given_up = asyncio.create_task(client.request(method, path))
        await asyncio.sleep(0.01)
        assert not waiting.done()
        given_up.cancel()  # one client that leaves takes the application from nobody else
        await asyncio.sleep(0)
        front.admit(app, lambda: None)
        assert (await waiting).status_code == 204


async def test_those_that_wait_are_refused_if_the_application_cannot_be_loaded() -> None:
    front = LoadingApp()
    async with client_of(front) as client:
        waiting = asyncio.create_task(client.get("/pay"))
        await asyncio.sleep(0.01)
        front.give_up()
        refused = await waiting
    assert refused.status_code == 500
    assert "Payments you already made are safe" in refused.json()["detail"]
    assert refused.headers["content-security-policy"]


async def test_giving_up_after_loading_changes_nothing() -> None:
    ended = []
    front = LoadingApp()
    front.admit(create_app(Services(load(SERVE, ENVIRONMENT), LoopClock())), lambda: ended.append("streams"))
    front.give_up()
    front.drain()
    async with client_of(front) as client:
        assert (await client.get("/healthz")).status_code == 200
    assert ended == ["streams"]


async def test_a_stop_while_loading_reaches_the_streams_that_waited() -> None:
    front, ended = LoadingApp(), []
    front.drain()
    front.admit(create_app(Services(load(SERVE, ENVIRONMENT), LoopClock())), lambda: ended.append("streams"))
    assert ended == ["streams"]


async def test_an_application_after_the_end_of_the_start_is_not_admitted() -> None:
    front = LoadingApp()
    front.give_up()
    front.admit(create_app(Services(load(SERVE, ENVIRONMENT), LoopClock())), lambda: None)
    assert (await client_of(front).get("/pay")).status_code == 500
