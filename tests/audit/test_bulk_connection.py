"""Hostile and broken servers: the audit's own transport refuses what the careful one refuses, and no less."""

import asyncio
import gzip
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass, field

import httpx
import pytest

from stateless_billing.audit.readers import bulk_connection
from stateless_billing.audit.readers.bulk_connection import MAX_HEAD_BYTES
from stateless_billing.audit.readers.bulk_http import BulkHost
from stateless_billing.runtime.bounded_http import ResponseTooLarge, create_http_client

pytestmark = pytest.mark.anyio

MAX_BYTES = 512 * 1024
PATIENCE = httpx.Timeout(0.3, connect=5.0)
BODY = b'{"object": "list"}'
GOOD = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(BODY) + BODY
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
GZIP = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n"


@dataclass
class RawServer:
    """Answers each request with the next of `answers`, the last one for ever; `then` says what follows."""

    answers: list[bytes]
    then: str = "wait"
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0
    url: str = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Handle one connection."""
        self.connections += 1
        with suppress(ConnectionError, asyncio.IncompleteReadError), closing(writer):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0] or b"0")
                self.requests.append(head + await reader.readexactly(length))
                answer = self.answers[min(len(self.requests), len(self.answers)) - 1]
                writer.write(answer)
                if self.then == "close":
                    break
                if self.then == "late":
                    await asyncio.sleep(0.05)
                    writer.write(answer)
                while self.then in ("repeat", "drip"):
                    writer.write(answer if self.then == "repeat" else b" ")
                    await writer.drain()
                    await asyncio.sleep(0 if self.then == "repeat" else 0.1)


@asynccontextmanager
async def serving(*answers: bytes, then: str = "wait", tls: ssl.SSLContext | None = None) -> AsyncIterator[RawServer]:
    """Run a server."""
    raw = RawServer(list(answers), then)
    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.create_task(raw.serve(reader, writer)))

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=tls)
    raw.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield raw
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def read_carefully(url: str) -> tuple[int, bytes]:
    """Read through httpx, as the service does."""
    async with create_http_client(None, limits=httpx.Limits(), max_bytes=MAX_BYTES) as client:
        response = await client.get(f"{url}/v1/x", timeout=PATIENCE)
        return response.status_code, response.content


async def read_in_bulk(url: str) -> tuple[int, bytes]:
    """Read as the audit does."""
    host = BulkHost(url, max_connections=1, max_bytes=MAX_BYTES)
    try:
        response = await host.request("GET", "/v1/x", {}, timeout=PATIENCE)
    finally:
        await host.aclose()
    return response.status_code, response.content


READERS: dict[str, Callable[[str], Awaitable[tuple[int, bytes]]]] = {"careful": read_carefully, "bulk": read_in_bulk}

PROPER = {
    "a length": (GOOD, "wait"),
    "chunks": (CHUNKED + b"%x\r\n" % len(BODY) + BODY + b"\r\n0\r\n\r\n", "wait"),
    "chunks with extensions and trailers": (
        CHUNKED + b"%x;a=b\r\n" % len(BODY) + BODY + b"\r\n0\r\nx: y\r\n\r\n",
        "wait",
    ),
    "up to the end of the connection": (b"HTTP/1.1 200 OK\r\n\r\n" + BODY, "close"),
    "HTTP/1.0": (b"HTTP/1.0 200 OK\r\n\r\n" + BODY, "close"),
    "after an interim answer": (b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + GOOD, "wait"),
    "gzip": (GZIP % len(gzip.compress(BODY)) + gzip.compress(BODY), "wait"),
    "a name of a header in capitals": (GOOD.replace(b"content-length", b"CONTENT-LENGTH"), "wait"),
}
BROKEN = {
    "nothing": (b"", "close", httpx.RemoteProtocolError),
    "a cut head": (GOOD[:20], "close", httpx.RemoteProtocolError),
    "a cut body": (GOOD[:-1], "close", httpx.RemoteProtocolError),
    "a cut chunk": (CHUNKED + b"ff\r\n" + BODY, "close", httpx.RemoteProtocolError),
    "no last chunk": (CHUNKED + b"2\r\n{}\r\n", "close", httpx.RemoteProtocolError),
    "a malformed chunk": (CHUNKED + b"zz\r\n{}\r\n", "wait", httpx.RemoteProtocolError),
    "no HTTP": (b"<html>Bad Gateway</html>\r\n\r\n", "close", httpx.RemoteProtocolError),
    "another protocol": (
        b"HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
        "wait",
        httpx.HTTPError,
    ),
    "a negative length": (GOOD.replace(b"length: 18", b"length: -18"), "wait", httpx.RemoteProtocolError),
    "two lengths": (GOOD.replace(b"\r\n\r\n", b"\r\ncontent-length: 3\r\n\r\n", 1), "wait", httpx.RemoteProtocolError),
    "an unknown transfer encoding": (CHUNKED.replace(b"chunked", b"gzip") + BODY, "close", httpx.RemoteProtocolError),
    "a longer length": (GOOD.replace(b"length: 18", b"length: 19"), "wait", httpx.ReadTimeout),
    "silence": (b"", "wait", httpx.ReadTimeout),
    "a head without an end": (b"HTTP/1.1 200 OK\r\n", "wait", httpx.ReadTimeout),
    "endless headers": (b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 30_000, "wait", httpx.RemoteProtocolError),
    "an endless header": (b"HTTP/1.1 200 OK\r\nx: " + b"y" * 2 * MAX_HEAD_BYTES, "wait", httpx.RemoteProtocolError),
    "a length beyond the limit": (
        b"HTTP/1.1 200 OK\r\ncontent-length: 9999999\r\n\r\n" + b" " * 2 * MAX_BYTES,
        "wait",
        ResponseTooLarge,
    ),
    "endless chunks": (CHUNKED + b"10000\r\n" + b" " * 0x10000 + b"\r\n" + b"10000\r\n", "wait", httpx.ReadTimeout),
    "a bomb": (GZIP % len(gzip.compress(bytes(10**8))) + gzip.compress(bytes(10**8)), "wait", ResponseTooLarge),
    "cut gzip": (GZIP % 20 + gzip.compress(BODY)[:20], "wait", httpx.DecodingError),
    "no gzip": (GZIP % len(BODY) + BODY, "wait", httpx.DecodingError),
    "an encoding that was not requested": (
        GOOD.replace(b"OK", b"OK\r\ncontent-encoding: br"),
        "wait",
        httpx.DecodingError,
    ),
}


async def read_with(reader: str, answer: bytes, then: str) -> tuple[int, bytes] | Exception:
    """Read an answer; return what came of it."""
    async with serving(answer, then=then) as raw:
        try:
            return await READERS[reader](raw.url)
        except httpx.HTTPError as error:
            return error


@pytest.mark.parametrize("reader", READERS)
async def test_every_framing_is_understood(reader: str) -> None:
    results = await asyncio.gather(*(read_with(reader, *each) for each in PROPER.values()))
    assert dict(zip(PROPER, results, strict=True)) == dict.fromkeys(PROPER, (200, BODY))


@pytest.mark.parametrize("reader", READERS)
async def test_what_is_not_a_whole_answer_is_a_failure(reader: str) -> None:
    results = await asyncio.gather(*(read_with(reader, *each[:2]) for each in BROKEN.values()))
    expected = {case: error for case, (_, _, error) in BROKEN.items()}
    failed = {
        case: expected[case] if isinstance(result, expected[case]) else result
        for case, result in zip(BROKEN, results, strict=True)
    }
    assert failed == expected


@pytest.mark.parametrize("reader", READERS)
async def test_no_redirect_is_followed(reader: str) -> None:
    async with serving(GOOD) as other:
        for status in (301, 302, 307, 308):
            head = f"HTTP/1.1 {status} Moved\r\nlocation: {other.url}/v1/x\r\ncontent-length: 0\r\n\r\n"
            assert await read_with(reader, head.encode(), "wait") == (status, b"")
        assert not other.requests


@pytest.mark.parametrize("piece", [b"HTTP/1.1 100 Continue\r\n\r\n", CHUNKED + b"1;" + b"a" * 9_000])
async def test_what_never_becomes_an_answer_is_bounded(piece: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk_connection, "RESPONSE_SECONDS", 20.0)
    async with serving(piece, then="repeat") as raw:
        with pytest.raises(httpx.RemoteProtocolError):
            await asyncio.wait_for(read_in_bulk(raw.url), 10)


async def test_a_drip_does_not_last_longer_than_a_response_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk_connection, "RESPONSE_SECONDS", 0.5)

    async with serving(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n", then="drip") as raw:
        with pytest.raises(httpx.ReadTimeout):
            await asyncio.wait_for(read_in_bulk(raw.url), 5)
