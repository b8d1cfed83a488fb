"""HTTP for the audit, which reads tens of thousands of pages: httpx alone costs more than all else of a page.

Nothing that writes may use it, and nothing but the audit can: what is sent once needs the guard of
`stripe/connection.py`.
"""

import asyncio
import base64
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import httpx

from stateless_billing.audit.readers.bulk_connection import BulkConnection, Response
from stateless_billing.runtime.bounded_http import (
    MAX_RESPONSE_BYTES,
    RESPONSE_SECONDS,
    BoundedTransport,
    ResponseTooLarge,
    create_ssl_context,
    response_limits,
)

TIMEOUT = httpx.Timeout(30.0, connect=5.0)
IDLE_SECONDS = 30.0
_SURELY_OPEN_SECONDS = 1.0
_PIECE_BYTES = 256 * 1024  # decompressed in one step
_GZIP = 16 + zlib.MAX_WBITS
_IDENTITIES = ("", "identity")


@dataclass(frozen=True, slots=True)
class BulkResponse:
    """A complete response: its header names in lower case, its content decompressed."""

    status_code: int
    headers: Mapping[str, str]
    content: bytes


class BulkHost:
    """The connections to one host. No request can go to another, whatever it answers."""

    def __init__(
        self,
        url: str,
        *,
        max_connections: int,
        max_bytes: int = MAX_RESPONSE_BYTES,
        transports: Sequence[httpx.AsyncBaseTransport] = (),
    ) -> None:
        """`transports` replace the sockets, one for each connection."""
        parsed = httpx.URL(url)
        if parsed.scheme not in ("http", "https"):
            raise httpx.UnsupportedProtocol(f"not http or https: {parsed.scheme!r}")
        is_tls = parsed.scheme == "https"
        self.path = parsed.raw_path.decode("ascii")
        self._url = parsed
        self._address = parsed.raw_host.decode("ascii").strip("[]"), parsed.port or (443 if is_tls else 80)
        self._ssl = create_ssl_context() if is_tls else None
        if self._ssl:
            self._ssl.set_alpn_protocols(["http/1.1"])
        self._max_bytes = max_bytes
        self._free = asyncio.Semaphore(max_connections)
        self._idle: list[BulkConnection] = []
        self._transports = [BoundedTransport(transport, max_bytes) for transport in transports]
        self._fixed = _lines({"host": parsed.netloc.decode("ascii"), "accept": "*/*", "accept-encoding": "gzip"})

    async def request(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes = b"", timeout: httpx.Timeout = TIMEOUT
    ) -> BulkResponse:
        """Send a request to a path and query of this host, over the connection used last. Raises: httpx.HTTPError."""
        async with self._free:
            if self._transports:
                return await self._request_through_transport(method, target, headers, body, timeout)
            if not target.startswith("/") or not target.isascii() or not target.isprintable() or " " in target:
                raise httpx.LocalProtocolError("a request target that is no path")
            length = f"content-length: {len(body)}\r\n" if body or method == "POST" else ""
            head = f"{method} {target} HTTP/1.1\r\n{self._fixed}{_lines(headers)}{length}\r\n".encode("ascii")
            connection = await self._take(timeout)
            try:
                response = await connection.request(head + body, timeout.read or RESPONSE_SECONDS)
            except BaseException:
                connection.abort()  # also when cancelled: the answer to this request must not be taken for another's
                raise
            if connection.is_reusable:
                self._idle.append(connection)
            else:
                connection.abort()
        return BulkResponse(response.status, response.headers, await _decode(response, self._max_bytes))

    async def _take(self, timeout: httpx.Timeout) -> "BulkConnection":
        """Return an open connection that waits for a request, or a new one."""
        while self._idle:
            connection = self._idle.pop()
            if connection.idle_seconds > _SURELY_OPEN_SECONDS:
                try:
                    await asyncio.sleep(0)  # the loop sees in its next two rounds what has arrived meanwhile,
                    await asyncio.sleep(0)  # as the end of a connection
                except asyncio.CancelledError:
                    connection.abort()
                    raise
            if connection.is_reusable and connection.idle_seconds < IDLE_SECONDS:
                return connection
            connection.abort()
        host, port = self._address
        create = asyncio.get_running_loop().create_connection
        name = host if self._ssl else None
        try:
            async with asyncio.timeout(timeout.connect):
                _, connection = await create(
                    lambda: BulkConnection(self._max_bytes),
                    host,
                    port,
                    ssl=self._ssl,
                    server_hostname=name,
                    happy_eyeballs_delay=0.25,
                )
        except TimeoutError as error:
            raise httpx.ConnectTimeout("no connection in time") from error
        except OSError as error:
            raise httpx.ConnectError(f"no connection: {type(error).__name__}") from error
        return connection

    async def _request_through_transport(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes, timeout: httpx.Timeout
    ) -> BulkResponse:
        transport = self._transports.pop()
        extensions = {"timeout": timeout.as_dict()} | response_limits(self._max_bytes, RESPONSE_SECONDS)
        request = httpx.Request(
            method, self._url.join(target), headers=dict(headers), content=body, extensions=extensions
        )
        try:
            response = await transport.handle_async_request(request)
            try:
                content = await response.aread()
            finally:
                await response.aclose()
        finally:
            self._transports.append(transport)
        return BulkResponse(response.status_code, response.headers, content)

    async def aclose(self) -> None:
        """Close all idle connections."""
        for connection in self._idle:
            connection.abort()
        self._idle.clear()
        for transport in self._transports:
            await transport.aclose()


class BulkClient:
    """Posts to several URLs, each with its own connections, for a NodeProvider."""

    def __init__(self, max_connections: int, max_bytes: int, transport: httpx.AsyncBaseTransport | None = None) -> None:
        """`transport` replaces the sockets."""
        self._sizes = {"max_connections": max_connections, "max_bytes": max_bytes}
        self._transports = [transport] * max_connections if transport else []
        self._hosts: dict[str, tuple[BulkHost, Mapping[str, str]]] = {}

    async def post(
        self, url: str, *, content: bytes, headers: Mapping[str, str], timeout: httpx.Timeout
    ) -> BulkResponse:
        """Post to a URL. Raises: httpx.HTTPError."""
        if url not in self._hosts:
            self._hosts[url] = BulkHost(url, **self._sizes, transports=self._transports), _credentials(url)
        host, credentials = self._hosts[url]
        return await host.request("POST", host.path, {**headers, **credentials}, content, timeout)

    async def aclose(self) -> None:
        """Close all idle connections to all hosts."""
        for host, _ in self._hosts.values():
            await host.aclose()


def _lines(headers: Mapping[str, str]) -> str:
    """Write header lines. Raises: LocalProtocolError for a value that would write more than its line."""
    for name, value in headers.items():
        if not value.isascii() or not value.isprintable():
            raise httpx.LocalProtocolError(f"a header {name} with characters that it cannot have")
    return "".join(f"{name}: {value}\r\n" for name, value in headers.items())


def _credentials(url: str) -> Mapping[str, str]:
    """Return the header for a URL's user name and password, if it has them."""
    parsed = httpx.URL(url)
    userinfo = f"{parsed.username}:{parsed.password}".encode()
    return {"authorization": "Basic " + base64.b64encode(userinfo).decode("ascii")} if parsed.userinfo else {}


async def _decode(response: Response, max_bytes: int) -> bytes:
    """Decompress in small steps, so that few bytes neither become more than the limit nor hold up the loop."""
    encoding = response.headers.get("content-encoding", "").strip().lower()
    if encoding in _IDENTITIES:
        return b"".join(response.pieces)
    if encoding not in ("gzip", "x-gzip"):
        raise httpx.DecodingError("the response has an encoding that was not requested")
    decompressor, content, pending = zlib.decompressobj(_GZIP), bytearray(), b"".join(response.pieces)
    try:
        while pending and not decompressor.eof:
            content += decompressor.decompress(pending, _PIECE_BYTES)
            pending = decompressor.unconsumed_tail
            if len(content) > max_bytes:
                raise ResponseTooLarge(f"the response has more than {max_bytes} bytes")
            if pending:
                await asyncio.sleep(0)
    except zlib.error as error:
        raise httpx.DecodingError("the response is not valid gzip") from error
    if not decompressor.eof:
        raise httpx.DecodingError("the response is cut within its gzip stream")
    return bytes(content)
