"""The audit's connections: kept while they are sound, never shared with what was not asked, closed to other hosts."""

import asyncio
import base64
import ssl
from pathlib import Path

import httpx
import pytest

from stateless_billing.audit.readers import bulk_http
from stateless_billing.audit.readers.bulk_http import BulkClient, BulkHost
from stateless_billing.sandbox import processes
from tests.audit.test_bulk_connection import BODY, GOOD, serving

pytestmark = pytest.mark.anyio

EARLY = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nearly"
CLOSES = GOOD.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n", 1)
OTHER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"


async def get(host: BulkHost, target: str = "/v1/x") -> bytes:
    """Read a page."""
    return (await host.request("GET", target, {})).content


async def test_a_connection_is_kept() -> None:
    async with serving(GOOD) as raw:
        host = BulkHost(raw.url, max_connections=3)
        assert [await get(host) for _ in range(3)] == [BODY] * 3
        assert raw.connections == 1
        await asyncio.gather(*(get(host) for _ in range(9)))
        assert raw.connections == 3, "never more than allowed"
        await host.aclose()


@pytest.mark.parametrize("answer", [CLOSES, GOOD + EARLY, GOOD + b"\0", GOOD.replace(b"1.1", b"1.0")])
async def test_a_connection_that_says_too_much_or_closes_is_not_used_again(answer: bytes) -> None:
    async with serving(answer, OTHER) as raw:
        host = BulkHost(raw.url, max_connections=1)
        assert [await get(host), await get(host)] == [BODY, b"{}"]
        assert raw.connections == 2
        await host.aclose()


async def test_an_answer_to_no_request_is_never_taken_for_the_next() -> None:
    async with serving(GOOD, OTHER, then="late") as raw:
        host = BulkHost(raw.url, max_connections=1)
        assert await get(host) == BODY
        await asyncio.sleep(0.2)  # while `early` arrives
        assert await get(host) == b"{}"
        assert raw.connections == 2
        await host.aclose()


async def test_the_answer_to_a_request_given_up_is_never_taken_for_the_next() -> None:
    async with serving(b"", OTHER) as raw:
        host = BulkHost(raw.url, max_connections=1)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await get(host)
        assert await get(host) == b"{}"
        assert raw.connections == 2
        await host.aclose()


async def test_a_connection_idle_for_too_long_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(GOOD) as raw:
        host = BulkHost(raw.url, max_connections=1)
        await get(host)
        monkeypatch.setattr(bulk_http, "IDLE_SECONDS", 0.0)
        await get(host)
        assert raw.connections == 2
        await host.aclose()


async def test_a_connection_that_the_other_side_closed_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk_http, "_SURELY_OPEN_SECONDS", -1.0)
    async with serving(GOOD, then="close") as raw:
        host = BulkHost(raw.url, max_connections=1)
        assert [await get(host) for _ in range(3)] == [BODY] * 3
        assert raw.connections == 3
        await host.aclose()


async def test_nobody_listening_is_a_failure_to_connect() -> None:
    async with serving(GOOD) as raw:
        url = raw.url
    with pytest.raises(httpx.ConnectError):
        await get(BulkHost(url, max_connections=1))


@pytest.mark.parametrize("target", ["//evil.example/x\r\nhost: evil", "https://evil.example/", "/a b", "/é", ""])
async def test_a_target_names_no_host_and_no_header(target: str) -> None:
    async with serving(GOOD) as raw:
        with pytest.raises(httpx.LocalProtocolError):
            await get(BulkHost(raw.url, max_connections=1), target)
        with pytest.raises(httpx.LocalProtocolError):
            await BulkHost(raw.url, max_connections=1).request("GET", "/", {"authorization": "x\r\nhost: y"})
        assert not raw.requests


async def test_a_node_gets_its_path_and_its_credentials() -> None:
    async with serving(GOOD) as raw:
        client = BulkClient(2, 1000)
        url = raw.url.replace("://", "://user:p%40ss@") + "/v2/key?x=1"
        answer = await client.post(
            url, content=b"[]", headers={"content-type": "application/json"}, timeout=bulk_http.TIMEOUT
        )
        assert answer.content == BODY
        head, _, body = raw.requests[0].partition(b"\r\n\r\n")
        assert head.startswith(b"POST /v2/key?x=1 HTTP/1.1\r\nhost: 127.0.0.1:")
        assert b"\r\nauthorization: Basic dXNlcjpwQHNz\r\n" in head + b"\r\n"
        assert body == b"[]"
        await client.aclose()


@pytest.mark.parametrize(
    ("userinfo", "plain"), [("key@", b"key:"), (":key@", b":key"), ("a%3Ab:c@", b"a:b:c"), ("", None)]
)
def test_credentials_are_as_httpx_sends_them(userinfo: str, plain: bytes | None) -> None:
    """A user name alone has a colon behind it (RFC 7617)."""
    url = f"https://{userinfo}node.test/"
    sent = httpx.Client()._build_request_auth(httpx.Request("GET", url)) if plain else None
    request = next(sent.auth_flow(httpx.Request("GET", url))) if sent else httpx.Request("GET", url)
    own = bulk_http._credentials(url)
    assert own.get("authorization") == request.headers.get("authorization")
    assert own == ({"authorization": "Basic " + base64.b64encode(plain).decode()} if plain else {})


async def test_a_certificate_of_nobody_we_know_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate, key = tmp_path / "c.pem", tmp_path / "k.pem"
    options = ["-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost", "-addext"]
    files = ["-out", str(certificate), "-keyout", str(key)]
    processes.run(["openssl", "req", *options, "subjectAltName=DNS:localhost", *files], check=True)
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(certificate, key)
    async with serving(GOOD, tls=server_side) as raw:
        url = raw.url.replace("http://127.0.0.1", "https://localhost")
        with pytest.raises(httpx.ConnectError):
            await get(BulkHost(url, max_connections=1))
        ours = ssl.create_default_context(cafile=str(certificate))
        monkeypatch.setattr(bulk_http, "create_ssl_context", lambda: ours)
        host = BulkHost(url, max_connections=1)
        assert [await get(host), await get(host)] == [BODY, BODY]
        await host.aclose()
        with pytest.raises(httpx.ConnectError):
            await get(BulkHost(url.replace("localhost", "127.0.0.1"), max_connections=1))
        assert len(raw.requests) == 2


def test_only_http_is_spoken() -> None:
    with pytest.raises(httpx.UnsupportedProtocol):
        BulkHost("ftp://x.example", max_connections=1)
