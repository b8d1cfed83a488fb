"""JSON-RPC to one node over HTTP, and the node as a provider of web3.

Every response is checked. One of the wrong shape, an error, an HTML page or a cut body is that node's failure, and the
result is never empty instead.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import cache, cached_property
from itertools import count
from typing import TYPE_CHECKING, Any, Protocol, TypeVar
from urllib.parse import urlsplit

import httpx
import msgspec

from chain import decoding
from chain.decoding import TxReceipt
from chain.errors import InvalidResponse, NodeError, WrongChain, redact_url
from chain.payment import Block
from chain.signatures import import_late

if TYPE_CHECKING:
    from web3 import AsyncWeb3
    from web3.providers.async_base import AsyncBaseProvider

T = TypeVar("T")
Call = tuple[str, Sequence[object]]
"""A JSON-RPC method and its parameters."""
RequestObserver = Callable[[str, str, bool], None]
"""Counts requests: a node's name, the method (`batch` for several calls in one request), whether it was answered."""

CONNECTION_TIMEOUT = httpx.Timeout(10.0, connect=3.0)
CALL_TIMEOUT_SECONDS = 20.0
_MAX_BYTES_ON_LOOP = 256 * 1024  # a larger response is parsed in a thread
_ETH_CALL: Any = "eth_call"
_CHAIN_ID: Call = ("eth_chainId", [])
_WEB3_MODULES = ("web3.providers.async_base", "web3")


class HttpResponse(Protocol):
    """A response with its whole body."""

    @property
    def status_code(self) -> int:
        """The HTTP status."""

    @property
    def content(self) -> bytes:
        """The decoded body."""


class HttpClient(Protocol):
    """What a node is asked through: httpx's client, or another with its exceptions."""

    async def post(
        self, url: str, *, content: bytes, headers: Mapping[str, str], timeout: httpx.Timeout
    ) -> HttpResponse:
        """Post to a URL. Raises: httpx.HTTPError."""


class ChainClient(Protocol):
    """One node, or several of which the first proper answer counts."""

    @property
    def providers(self) -> Sequence["NodeProvider"]:
        """The nodes behind it, in the order in which they are asked."""

    async def with_failover(self, read: Callable[["NodeProvider"], Awaitable[T]]) -> T:
        """Run a reading of one or several calls that must fit together, all against one node.

        Raises: ChainError.
        """

    async def request(self, method: str, params: Sequence[object], parse: Callable[[object], T]) -> T:
        """Make one JSON-RPC call and parse its result.

        Raises: NodeError.
        """

    async def request_batch(self, calls: Sequence[Call], parse: Callable[[object], T], form: Any = Any) -> list[T]:
        """Make several calls in one request and parse their results, of the type `form` where the JSON is decoded.

        Raises: NodeError.
        """


class NodeProvider:
    """One JSON-RPC endpoint. Its URL may hold a key, so messages carry only its position in the list and its host."""

    def __init__(
        self,
        http: HttpClient,
        url: str,
        chain_id: int,
        position: int = 1,
        on_request: RequestObserver | None = None,
    ) -> None:
        self._http = http
        self._url = url
        self._chain_id = chain_id
        self._on_request = on_request
        self._ids = count(1)
        self._is_verified = False
        self._verifying = asyncio.Lock()
        self.name = f"node {position} ({urlsplit(url).hostname})"
        self.backoff_until = 0.0

    @property
    def providers(self) -> Sequence["NodeProvider"]:
        """Itself."""
        return (self,)

    @cached_property
    def web3(self) -> "AsyncWeb3[Any]":
        """web3 over this node alone, without middleware, so that it makes no calls of its own."""
        preload_web3()
        from web3 import AsyncWeb3

        return AsyncWeb3(_web3_provider_class()(self), middleware=[])

    async def with_failover(self, read: Callable[["NodeProvider"], Awaitable[T]]) -> T:
        """Run a reading against this node."""
        return await read(self)

    async def request(self, method: str, params: Sequence[object], parse: Callable[[object], T]) -> T:
        """Make one call. The node must prove its chain before its first answer counts.

        Raises: NodeError with the cause; WrongChain for as long as the node is on another chain.
        """
        await self.verify_chain()
        return await self._request(method, params, parse)

    async def request_batch(self, calls: Sequence[Call], parse: Callable[[object], T], form: Any = Any) -> list[T]:
        """Make all `calls` in one request; the results are in the order of the calls, none missing.

        A node that has not proven its chain does so in the same request: no other result counts before.

        Raises: NodeError; WrongChain for as long as the node is on another chain.
        """
        if form is not Any:
            await self.verify_chain()  # its number would not be of this form
        proof = [] if self._is_verified else [_CHAIN_ID]
        numbered = {next(self._ids): call for call in (*proof, *calls)}

        def read(content: bytes) -> list[T]:
            results = decoding.batch_results(content, list(numbered), form)
            if proof:
                self._verify(decoding.quantity(results.pop(0)))
            return [parse(result) for result in results]

        return await self._exchange("batch", [_message(number, *call) for number, call in numbered.items()], read)

    async def call(self, to: str, calldata: str) -> bytes:
        """Call a view at the head through web3.

        Raises: NodeError.
        """
        raw: bytes = await self.web3.manager.coro_request(_ETH_CALL, [{"to": to, "data": calldata}, "latest"])
        return raw

    def reject(self, method: str, cause: str) -> InvalidResponse:
        """Count an answer that decoded to nothing usable as a failed request; the error to raise."""
        if self._on_request:
            self._on_request(self.name, method, False)
        return InvalidResponse(f"{self.name} did not answer {method}: {self._redact(cause)}")

    async def verify_chain(self) -> None:
        """Ask the node for its chain, unless it has proven it already. Raises: NodeError, WrongChain."""
        async with self._verifying:
            if not self._is_verified:
                self._verify(await self._request(*_CHAIN_ID, decoding.quantity))

    def _verify(self, chain_id: int) -> None:
        if chain_id != self._chain_id:
            raise WrongChain(f"{self.name} is on chain {chain_id}, not {self._chain_id}")
        self._is_verified = True

    async def _request(self, method: str, params: Sequence[object], parse: Callable[[object], T]) -> T:
        number = next(self._ids)
        return await self._exchange(
            method, _message(number, method, params), lambda content: parse(decoding.result(content, number))
        )

    async def _exchange(self, method: str, body: object, parse: Callable[[bytes], T]) -> T:
        is_answered = False
        try:
            async with asyncio.timeout(CALL_TIMEOUT_SECONDS):  # httpx restarts its own timeouts with every byte
                response = await self._http.post(
                    self._url,
                    content=msgspec.json.encode(body),
                    headers={"content-type": "application/json"},
                    timeout=CONNECTION_TIMEOUT,
                )
            content = _body(response)
            parsed = parse(content) if len(content) <= _MAX_BYTES_ON_LOOP else await asyncio.to_thread(parse, content)
            is_answered = True
        except (httpx.HTTPError, TimeoutError, InvalidResponse) as error:
            cause = str(error) if isinstance(error, InvalidResponse) else type(error).__name__
            raise NodeError(f"{self.name} did not answer {method}: {self._redact(cause)}") from error
        finally:
            if self._on_request:
                self._on_request(self.name, method, is_answered)
        return parsed

    def _redact(self, text: str) -> str:
        """Remove what the URL has: httpx puts it into messages, and a proxy may echo its path."""
        return redact_url(text, self._url)[:300]


def preload_web3() -> None:
    """Import web3 now, so that the first contract call does not wait for it."""
    import_late(*_WEB3_MODULES)


@cache
def _web3_provider_class() -> "Callable[[NodeProvider], AsyncBaseProvider]":
    from web3.providers.async_base import AsyncBaseProvider

    class Web3Provider(AsyncBaseProvider):
        """Sends web3's requests through a NodeProvider, which refuses errors before web3 sees them."""

        global_ccip_read_enabled = False  # a revert with OffchainLookup could otherwise make us fetch any URL

        def __init__(self, node: NodeProvider) -> None:
            super().__init__()
            self._node = node

        async def make_request(self, method: Any, params: Any) -> Any:
            result = await self._node.request(method, params, decoding.data)
            return {"jsonrpc": "2.0", "id": 1, "result": result}

    return Web3Provider


async def chain_id(reader: ChainClient) -> int:
    """Read the chain's ID."""
    return await reader.request("eth_chainId", [], decoding.quantity)


async def block(reader: ChainClient, which: int | str) -> Block:
    """Read the canonical block with that number, or the block of a tag (`latest`, `safe`, `finalized`)."""
    selector = hex(which) if isinstance(which, int) else which

    def parse(value: object) -> Block:
        header = decoding.block(value)
        if isinstance(which, int) and header.number != which:
            raise InvalidResponse(f"asked for block {which}, got {header.number}")
        return header

    return await reader.request("eth_getBlockByNumber", [selector, False], parse)


async def logs(reader: ChainClient, within: Block, address: str, topic: str) -> object:
    """Read the raw logs of one event of one contract in one block, selected by the block's hash."""
    query = {"blockHash": within.hash, "address": address, "topics": [topic]}
    return await reader.request("eth_getLogs", [query], lambda value: decoding.items(value, "logs"))


async def receipt(reader: ChainClient, tx_hash: str) -> TxReceipt | None:
    """Read the receipt of an EVM transaction; None if the node does not have it (yet)."""
    return await reader.request(
        "eth_getTransactionReceipt",
        [tx_hash],
        lambda value: None if value is None else decoding.receipt(value, tx_hash),
    )


async def call(reader: ChainClient, to: str, calldata: str, parse: Callable[[bytes], T]) -> T:
    """Call a view at the head, without web3, and parse its return data."""
    return await reader.request(
        "eth_call", [{"to": to, "data": calldata}, "latest"], lambda value: parse(decoding.data(value))
    )


async def code(reader: ChainClient, address: str) -> bytes:
    """Read the code at an address, empty if there is none."""
    return await reader.request("eth_getCode", [address, "latest"], decoding.data)


def _message(number: int, method: str, params: Sequence[object]) -> dict[str, object]:
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": list(params)}


def _body(response: HttpResponse) -> bytes:
    if response.status_code != httpx.codes.OK:
        raise InvalidResponse(f"HTTP {response.status_code} {response.content[:2000].decode(errors='replace')!r}")
    return response.content
