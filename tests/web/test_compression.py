"""What does not fit into one packet is compressed for those who take it; the rest passes untouched."""

from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stateless_billing.web.server.compression import MIN_BYTES, CompressionMiddleware

pytestmark = pytest.mark.anyio


async def get(app: ASGIApp, accepted: str = "gzip", method: str = "GET") -> httpx.Response:
    transport = httpx.ASGITransport(app=CompressionMiddleware(app))
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
        return await client.request(method, "/", headers={"accept-encoding": accepted})


async def parts() -> AsyncIterator[bytes]:
    yield b"a" * MIN_BYTES
    yield b"b"


async def test_a_response_that_fits_into_a_packet_is_left_alone() -> None:
    short = await get(PlainTextResponse("a" * (MIN_BYTES - 1)))
    assert "content-encoding" not in short.headers
    assert "vary" not in short.headers
    assert short.text == "a" * (MIN_BYTES - 1)


@pytest.mark.parametrize(
    "app", [PlainTextResponse("a" * MIN_BYTES), StreamingResponse(parts(), media_type="text/html")]
)
async def test_a_longer_one_is_compressed(app: ASGIApp) -> None:
    long = await get(app)
    assert long.headers["content-encoding"] == "gzip"
    assert long.headers["vary"] == "Accept-Encoding"
    assert long.text.startswith("a" * MIN_BYTES)


async def test_caches_learn_of_the_other_form() -> None:
    plain = await get(PlainTextResponse("a" * MIN_BYTES), accepted="identity")
    assert "content-encoding" not in plain.headers
    assert plain.headers["vary"] == "Accept-Encoding"


@pytest.mark.parametrize("length", [0, MIN_BYTES])
async def test_a_response_without_a_body_passes(length: int) -> None:
    headers = {"content-length": str(length)}
    response = await get(Response(status_code=200, headers=headers), method="HEAD")
    assert (response.status_code, response.content) == (200, b"")


async def test_an_event_stream_begins_at_once() -> None:
    seen = list[str]()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        seen.append("after the start")
        await send({"type": "http.response.body", "body": b"data: 1\n\n"})

    async def receive() -> Message:
        raise AssertionError("nothing is read")

    async def send(message: Message) -> None:
        seen.append(message["type"])

    scope = {"type": "http", "headers": [(b"accept-encoding", b"gzip")]}
    await CompressionMiddleware(app)(scope, receive, send)
    assert seen == ["http.response.start", "after the start", "http.response.body"]
