"""Every response has our headers once, whatever the handler says; a failure is a problem and no trace."""

import httpx
import pytest
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from stateless_billing.web.server.middleware import HEADERS, RequestContextMiddleware

pytestmark = pytest.mark.anyio


async def get(app: ASGIApp) -> httpx.Response:
    transport = httpx.ASGITransport(app=RequestContextMiddleware(app), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
        return await client.get("/")


async def test_ours_replace_the_handlers_and_its_cache_control_stays() -> None:
    theirs = {"X-Request-Id": "theirs", "content-security-policy": "default-src *", "cache-control": "max-age=60"}
    response = await get(PlainTextResponse("well", headers={**theirs, "x-other": "kept"}))
    assert response.headers.get_list("content-security-policy") == [HEADERS["content-security-policy"]]
    assert len(response.headers["x-request-id"]) == 16
    assert response.headers["cache-control"] == "max-age=60"
    assert response.headers["x-other"] == "kept"
    for name, value in HEADERS.items():
        assert response.headers.get_list(name) == [value]


async def test_nothing_is_stored_unless_a_handler_says_so() -> None:
    assert (await get(PlainTextResponse("well"))).headers["cache-control"] == "no-store"


async def test_a_failure_before_the_answer_is_a_problem_with_our_headers() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise ValueError("a secret detail")

    response = await get(app)
    assert (response.status_code, response.json()["type"]) == (500, "/problems/internal")
    assert response.json()["request_id"] == response.headers["x-request-id"]
    assert "secret" not in response.text
    assert response.headers["content-security-policy"]


async def test_a_failure_within_the_answer_breaks_it_off() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise ValueError("half way")

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": b""}

    sent = []

    async def send(message: object) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    with pytest.raises(ValueError, match="half way"):
        await RequestContextMiddleware(app)(scope, receive, send)
    assert len(sent) == 1
