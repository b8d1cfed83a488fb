"""A party whose responses are endless, bombs or drips is treated as one that failed, and costs little memory."""

import asyncio
import contextlib
import gzip
import json
import threading
import time
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import cache

import httpx
import pytest

from chain import provider
from chain.errors import NodeError
from chain.failover import FailoverProvider
from chain.provider import NodeProvider
from chain.signatures import preload_crypto
from stateless_billing.audit.readers.bulk_http import BulkClient, BulkHost
from stateless_billing.audit.readers.stripe import StripeReader, StripeReadError
from stateless_billing.crediting.webhook import CreditWebhook
from stateless_billing.operators.mailer import Mail, Mailer
from stateless_billing.pricing.price_feed import PriceFeed
from stateless_billing.pricing.rates import NoRate, parse_samples
from stateless_billing.runtime.bounded_http import (
    MAX_BYTES_ON_LOOP,
    MEBIBYTE,
    BoundedTransport,
    ResponseTooLarge,
    create_http_client,
    parse_response,
)
from stateless_billing.stripe.connection import Connection, ConnectionFailed
from stateless_billing.stripe.rate_limiter import RateLimiter
from tests.fakes.factories import CUSTOMER, GATEWAY, FakeClock, payment

pytestmark = pytest.mark.anyio

MAX_MEMORY_BYTES = 64 * MEBIBYTE
_LIMITS = httpx.Limits(max_connections=5)
_CHUNK = b" " * 65536


@cache
def bomb() -> bytes:
    """Create 200 MiB of zeros as gzip: 0.9 MB."""
    packer = zlib.compressobj(1, wbits=16 + zlib.MAX_WBITS)
    return b"".join(packer.compress(bytes(MEBIBYTE)) for _ in range(200)) + packer.flush()


class Attacker:
    """A server that sends one kind of body, and counts what it could send."""

    def __init__(self) -> None:
        self.kind = "endless"
        self.sent = 0
        self.url = ""
        self.tasks: list[asyncio.Task[None]] = []

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer a connection."""
        self.tasks.append(asyncio.create_task(self._answer(reader, writer)))

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError), contextlib.closing(writer):
            await reader.readuntil(b"\r\n\r\n")
            encoding = b"content-encoding: gzip\r\n" if self.kind == "bomb" else b""
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n" + encoding + b"\r\n")
            while self.kind != "bomb":
                await self._send(writer, _CHUNK if self.kind == "endless" else b" ")
                await asyncio.sleep(0 if self.kind == "endless" else 0.05)
            await self._send(writer, bomb())

    async def _send(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        writer.write(data)
        await writer.drain()
        self.sent += len(data)


class RawStream(httpx.AsyncByteStream):
    """A body as it comes from a socket."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._body


@pytest.fixture
async def attacker() -> AsyncIterator[Attacker]:
    """An attacker that listens."""
    attacker = Attacker()
    server = await asyncio.start_server(attacker.accept, "127.0.0.1", 0)
    attacker.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield attacker
    server.close()
    for task in attacker.tasks:
        task.cancel()
    await asyncio.gather(*attacker.tasks, return_exceptions=True)


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    """The service's client. What it imports late is no part of what a response costs."""
    preload_crypto()
    async with create_http_client(None, limits=_LIMITS) as client:
        yield client


async def ask_node(http: httpx.AsyncClient, url: str) -> None:
    """Ask a node for its chain."""
    with pytest.raises(NodeError, match="ResponseTooLarge"):
        await provider.chain_id(NodeProvider(http, url, 8453))


async def ask_price(http: httpx.AsyncClient, url: str) -> None:
    """Ask for the price."""
    with pytest.raises(NoRate, match="ResponseTooLarge"):
        await PriceFeed(http=http, base=url, coin="x", api_key=None, clock=FakeClock()).current_rate()


async def send_mail(http: httpx.AsyncClient, url: str) -> None:
    """Send a mail."""
    assert not await Mailer(http, url, "key", "a@example.org", ()).send(Mail("b@example.org", "s", "t", "h", "k"))


async def send_webhook(http: httpx.AsyncClient, url: str) -> None:
    """Post a credit."""
    webhook = CreditWebhook(http, url, "secret", FakeClock(), ())
    webhook.enqueue(payment(), CUSTOMER, 5_000)
    await webhook.aclose()


async def ask_stripe(_: httpx.AsyncClient, url: str) -> None:
    """Read from Stripe: an unclear outcome."""
    connection = Connection(httpx.AsyncHTTPTransport(), FakeClock())
    with pytest.raises(ConnectionFailed, match="ResponseTooLarge") as failure:
        await connection.request("GET", f"{url}/v1/customers", {}, None)
    assert failure.value.sent
    await connection.aclose()


async def audit_stripe(_: httpx.AsyncClient, url: str) -> None:
    """Read from Stripe for an audit."""
    host = BulkHost(url, max_connections=1, max_bytes=MEBIBYTE)
    reader = StripeReader(host, "sk_test_x", RateLimiter(rate=1000, total_rate=4000, processes=1))
    with pytest.raises(StripeReadError, match="ResponseTooLarge"):
        await reader.now()
    await host.aclose()


async def ask_node_for_audit(_: httpx.AsyncClient, url: str) -> None:
    """Ask a node for its chain, for an audit."""
    client = BulkClient(1, 4 * MEBIBYTE)
    with pytest.raises(NodeError, match="ResponseTooLarge"):
        await provider.chain_id(NodeProvider(client, url, 8453))
    await client.aclose()


PARTIES: dict[str, tuple[Callable[[httpx.AsyncClient, str], Awaitable[None]], int]] = {
    "node": (ask_node, 4 * MEBIBYTE),
    "node of an audit": (ask_node_for_audit, 4 * MEBIBYTE),
    "price feed": (ask_price, 4 * MEBIBYTE),
    "mail": (send_mail, 64 * 1024),
    "hook": (send_webhook, 64 * 1024),
    "Stripe": (ask_stripe, 8 * MEBIBYTE),
}
IN_FLIGHT = 8 * MEBIBYTE  # what the sockets' buffers hold


@pytest.mark.parametrize("kind", ["endless", "bomb"])
@pytest.mark.parametrize("party", PARTIES)
async def test_a_response_is_cut_off_while_it_is_read(
    attacker: Attacker, http: httpx.AsyncClient, party: str, kind: str
) -> None:
    attacker.kind = kind
    ask, limit = PARTIES[party]
    began = time.process_time()
    tracemalloc.start()
    try:
        await ask(http, attacker.url)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert attacker.sent < limit + IN_FLIGHT
    assert peak < MAX_MEMORY_BYTES, f"{party}: {peak / MEBIBYTE:.0f} MiB"
    assert time.process_time() - began < 15


async def test_the_audit_gives_up_on_a_stripe_that_floods(
    attacker: Attacker, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stateless_billing.audit.readers.stripe.MAX_ATTEMPTS", 1)
    await audit_stripe(http, attacker.url)


async def test_a_drip_ends_with_its_total_time(attacker: Attacker) -> None:
    attacker.kind = "drip"
    began = time.perf_counter()
    async with httpx.AsyncClient(transport=BoundedTransport(httpx.AsyncHTTPTransport(), seconds=0.5)) as client:
        with pytest.raises(httpx.ReadTimeout):
            await client.get(attacker.url)
    assert 0.4 < time.perf_counter() - began < 5


async def test_the_next_node_is_asked() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        question = json.loads(request.content)
        if question["method"] == "eth_getCode" and request.url.host == "flood.example":
            return httpx.Response(200, content=bytes(5 * MEBIBYTE))
        result = "0x2105" if question["method"] == "eth_chainId" else "0x01"
        return httpx.Response(200, json={"jsonrpc": "2.0", "id": question["id"], "result": result})

    async with create_http_client(httpx.MockTransport(answer), limits=_LIMITS) as client:
        nodes = FailoverProvider(client, ["https://flood.example", "https://other.example"], 8453)
        assert await provider.code(nodes, GATEWAY) == b"\x01"


def answering(encoding: str, body: bytes) -> httpx.AsyncClient:
    """Create a client of a server that always sends this body."""
    headers = {"content-encoding": encoding}
    transport = httpx.MockTransport(lambda _: httpx.Response(200, headers=headers, stream=RawStream(body)))
    return create_http_client(transport, limits=_LIMITS)


@pytest.mark.parametrize(("encoding", "body"), [("gzip", gzip.compress(b"[1]", mtime=0)), ("identity", b"[1]")])
async def test_proper_encodings_are_decoded(encoding: str, body: bytes) -> None:
    async with answering(encoding, body) as client:
        assert (await client.get("https://x.example")).content == b"[1]"


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", gzip.compress(b"x" * 1000, mtime=0)[:-9]),
        ("gzip", b"no gzip"),
        ("gzip, gzip", gzip.compress(gzip.compress(b"x", mtime=0), mtime=0)),
        ("br", b"x"),
    ],
)
async def test_other_encodings_and_broken_gzip_are_transport_failures(encoding: str, body: bytes) -> None:
    async with answering(encoding, body) as client:
        with pytest.raises(httpx.DecodingError):
            await client.get("https://x.example")


@pytest.mark.parametrize("charset", ["zlib_codec", "punycode", "idna", "unicode_escape"])
async def test_the_codec_that_an_error_page_names_is_not_used(charset: str) -> None:
    headers = {"content-type": f"text/html; charset={charset}"}
    transport = httpx.MockTransport(lambda _: httpx.Response(500, headers=headers, content=b"x" * MEBIBYTE))
    async with create_http_client(transport, limits=_LIMITS) as client:
        with pytest.raises(NodeError, match="HTTP 500"):
            await provider.chain_id(NodeProvider(client, "https://node.example", 8453))
        with pytest.raises(NoRate, match="HTTP 500"):
            await PriceFeed(
                http=client, base="https://x.example", coin="x", api_key=None, clock=FakeClock()
            ).recent_samples()


async def test_large_responses_are_parsed_off_the_loop() -> None:
    threads: list[threading.Thread] = []

    def parse(_: bytes) -> None:
        threads.append(threading.current_thread())

    await parse_response(parse, bytes(MAX_BYTES_ON_LOOP))
    await parse_response(parse, bytes(MAX_BYTES_ON_LOOP + 1))
    assert threads[0] is threading.main_thread()
    assert threads[1] is not threading.main_thread()


def test_a_price_of_a_million_digits_costs_nothing() -> None:
    began = time.process_time()
    [sample] = parse_samples(b'{"prices": [[1, 0.' + b"3" * 3_000_000 + b"]]}")
    assert sample.rate == 0
    assert time.process_time() - began < 0.5
    with pytest.raises(NoRate, match="samples"):
        parse_samples(b'{"prices": [' + b", ".join([b"[1, 1]"] * 5_001) + b"]}")


def test_a_cut_response_is_a_transport_error() -> None:
    assert issubclass(ResponseTooLarge, httpx.TransportError), "callers treat it as a failed request"


async def test_redirects_are_not_followed() -> None:
    hosts: list[str] = []

    def redirect(request: httpx.Request) -> httpx.Response:
        hosts.append(request.url.host)
        return httpx.Response(307, headers={"location": "http://169.254.169.254/"})

    transport = httpx.MockTransport(redirect)
    async with create_http_client(transport, limits=_LIMITS) as client:
        with pytest.raises(NodeError, match="HTTP 307"):
            await provider.chain_id(NodeProvider(client, "https://node.example", 8453))
    connection = Connection(transport, FakeClock())
    with pytest.raises(ConnectionFailed):
        await connection.request("GET", "https://stripe.example/v1/customers", {}, None)
    await connection.aclose()
    assert hosts == ["node.example", "stripe.example"]
