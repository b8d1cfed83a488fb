"""Limits of body size, body duration and concurrent requests."""

import asyncio
import json
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stateless_billing.web.http.inputs import MAX_BODY_BYTES
from stateless_billing.web.server.body_limits import BodyLimitMiddleware
from tests.fakes.in_process_service import Town
from tests.fakes.signed_in import open_browser, start_desk
from tests.fakes.virtual_time import run_virtually

DAY = 24 * 3600
JSON = {"content-type": "application/json"}


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Respond with the body after a second."""
    body = await Request(scope, receive).body()
    await asyncio.sleep(1)
    await PlainTextResponse(body)(scope, receive, send)


def is_nobody(request: Request) -> bool:
    """Nobody is signed in."""
    return False


async def send_request(
    app: ASGIApp, parts: list[tuple[float, bytes]], path: str = "/x", headers: dict[str, str] | None = None
) -> tuple[int, str]:
    """Send a body in delayed parts, chunked unless `headers` say how; None disconnects. Return the status and text."""
    remaining, sent = list(parts), list[Message]()

    async def receive() -> Message:
        if not remaining:
            return {"type": "http.disconnect"}
        seconds, part = remaining.pop(0)
        await asyncio.sleep(seconds)
        return {"type": "http.request", "body": part, "more_body": part != b""}

    async def send(message: Message) -> None:
        sent.append(message)

    named = [(name.encode(), value.encode()) for name, value in (headers or {"transfer-encoding": "chunked"}).items()]
    await app({"type": "http", "method": "POST", "path": path, "headers": named, "query_string": b""}, receive, send)
    text = b"".join(message.get("body", b"") for message in sent).decode()
    return (sent[0]["status"] if sent else 0), text


def problem_of(answer: tuple[int, str]) -> tuple[int, str]:
    """Return the status and code of a problem."""
    body: dict[str, Any] = json.loads(answer[1])
    return answer[0], body["type"].removeprefix("/problems/")


def test_bodies() -> None:
    run_virtually(_bodies())


async def _bodies() -> None:
    app = BodyLimitMiddleware(echo, is_nobody)
    assert await send_request(app, [(1, b"one "), (1, b"two"), (1, b"")]) == (200, "one two")
    assert problem_of(await send_request(app, [(1, b"a")] * 30)) == (408, "request_timeout")
    large = b"a" * (MAX_BODY_BYTES // 2)
    assert (await send_request(app, [(0, large), (0, large), (0, b"")]))[0] == 200
    assert problem_of(await send_request(app, [(0, large), (0, large), (0, b"a"), (0, b"")])) == (413, "body_too_large")
    announced = {"content-length": str(MAX_BODY_BYTES + 1)}
    assert problem_of(await send_request(app, [], headers=announced)) == (413, "body_too_large")
    assert await send_request(app, [(1, b"one")]) == (0, ""), "a disconnected client gets no response"


def test_only_an_operator_may_send_a_large_body() -> None:
    """Else outsiders could make the process hold 256 KiB for each connection."""
    town = Town([])

    async def scenario() -> None:
        _, site = await start_desk(town)
        large = b'{"note": "%s"}' % (b"a" * 2 * MAX_BODY_BYTES)
        forged = {"cookie": "__Host-session=forged"}
        async with open_browser(site) as operator, open_browser(site, age=31 * DAY) as late:
            for path, status in (("/api/admin/grants", 422), ("/api/quotes", 413)):
                assert (await operator.post(path, content=large, headers=JSON)).status_code == status
            for client, headers in ((operator, forged), (operator, {"cookie": ""}), (late, {})):
                response = await client.post("/api/admin/grants", content=large, headers=JSON | headers)
                assert (response.status_code, response.json()["type"]) == (413, "/problems/body_too_large")

    town.run(scenario())


def test_slow_senders_take_no_capacity() -> None:
    run_virtually(_places())


async def _places() -> None:
    app = BodyLimitMiddleware(echo, is_nobody, max_concurrent=2)
    slow = [asyncio.create_task(send_request(app, [(8, b"")])) for _ in range(10)]
    quick = [asyncio.create_task(send_request(app, [(0, b"")])) for _ in range(3)]
    assert [(await task)[0] for task in quick] == [200, 200, 503]
    watched = [asyncio.create_task(send_request(app, [(0, b"")], "/healthz")) for _ in range(5)]
    assert [(await task)[0] for task in watched] == [200] * 5
    ends = [(await task)[0] for task in slow]
    assert sorted(ends) == [200] * 2 + [503] * 8
    assert (await send_request(app, [(0, b"")]))[0] == 200


def test_a_request_without_a_body_waits_for_none() -> None:
    async def scenario() -> None:
        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            await PlainTextResponse("well")(scope, receive, send)

        async def receive() -> Message:
            raise AssertionError("there is nothing to read")

        sent = list[Message]()

        async def send(message: Message) -> None:
            sent.append(message)

        scope = {"type": "http", "method": "GET", "path": "/x", "headers": [(b"host", b"x")], "query_string": b""}
        await BodyLimitMiddleware(answer, is_nobody)(scope, receive, send)
        assert sent[0]["status"] == 200

    run_virtually(scenario())
