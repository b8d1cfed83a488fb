"""JSON-RPC over one httpx client, with failover, and the few questions we ask of a node.

Every answer is checked for shape. An answer that does not fit, an error, an HTML page or a cut body is a failure of
that node, and the next one is asked; it is never an empty result.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, Protocol, TypeVar
from urllib.parse import urlsplit

import httpx

from chain import decoding
from chain.errors import ChainError, InvalidResponse, NodeError, WrongChain
from chain.payment import Block

T = TypeVar("T")
Call = tuple[str, Sequence[object]]
"""A JSON-RPC method and its parameters."""
RequestObserver = Callable[[str, str, bool], None]
"""Whoever counts: a node's name, the method (`batch` for several calls in one request), whether it was answered."""

TIMEOUT = httpx.Timeout(10.0, connect=3.0)
LONGEST_CALL = 20.0
_REST_SECONDS = 30  # how long a node that failed is asked last


class ChainClient(Protocol):
    """What can be asked: one node, or several of which the first that answers properly counts."""

    @property
    def each(self) -> Sequence["NodeProvider"]:
        """The nodes behind it, the one to ask first in front."""
        ...

    async def with_failover(self, read: Callable[["ChainClient"], Awaitable[T]]) -> T:
        """A reading of several questions that must fit together, all put to one node. Raises ChainError."""
        ...

    async def ask(self, method: str, params: Sequence[object], parse: Callable[[object], T]) -> T:
        """The parsed result of one JSON-RPC call. Raises NodeError."""
        ...

    async def request_batch(self, calls: Sequence[Call], parse: Callable[[object], T]) -> list[T]:
        """The parsed results of several calls that go out as one request. Raises NodeError."""
        ...


class NodeProvider:
    """One JSON-RPC endpoint. Its URL may hold a key, so messages carry its place in the list and its host only."""

    def __init__(
        self, http: httpx.AsyncClient, url: str, chain_id: int, place: int = 1, told: RequestObserver | None = None
    ) -> None:
        self._http, self._told = http, told
        self._url = url
        self._ids = count(1)
        self._chain_id, self._checked = chain_id, False
        self.name = f"node {place} ({urlsplit(url).hostname})"
        self.backoff_until = 0.0

    @property
    def each(self) -> Sequence["NodeProvider"]:
        """Itself."""
        return (self,)

    async def with_failover(self, read: Callable[[ChainClient], Awaitable[T]]) -> T:
        """A reading of several questions, all put to this node."""
        return await read(self)

    async def ask(self, method: str, params: Sequence[object], parse: Callable[[object], T]) -> T:
        """Ask once. Raises NodeError with the cause; never answers with less than was asked.

        Before its first answer counts, the node must be on the right chain, else WrongChain is raised, now and always.
        """
        await self._check()
        return await self._ask(method, params, parse)

    async def request_batch(self, calls: Sequence[Call], parse: Callable[[object], T]) -> list[T]:
        """Ask all `calls` in one request; the answers in the order of the calls, none missing. Raises NodeError."""
        await self._check()
        asked = {next(self._ids): call for call in calls}
        body = [_request(number, *call) for number, call in asked.items()]
        return await self._exchange("batch", body, lambda answer: [parse(one) for one in _results(answer, list(asked))])

    async def _check(self) -> None:
        if not self._checked:
            found = await self._ask("eth_chainId", [], decoding.quantity)
            if found != self._chain_id:
                raise WrongChain(f"{self.name} is on chain {found}, not {self._chain_id}")
            self._checked = True

    async def _ask(self, method: str, params: Sequence[object], parse: Callable[[object], T]) -> T:
        number = next(self._ids)
        return await self._exchange(
            method, _request(number, method, params), lambda answer: parse(_result(answer, number))
        )

    async def _exchange(self, method: str, body: object, parse: Callable[[httpx.Response], T]) -> T:
        answered = False
        try:
            async with asyncio.timeout(LONGEST_CALL):  # the phases' timeouts start again with every byte
                answer = await self._http.post(
                    self._url, content=json.dumps(body), headers={"content-type": "application/json"}, timeout=TIMEOUT
                )
            found = parse(answer)
            answered = True
        except (httpx.HTTPError, TimeoutError, InvalidResponse) as error:
            raise NodeError(f"{self.name} did not answer {method}: {self._cause(error)}") from error
        finally:
            if self._told:
                self._told(self.name, method, answered)
        return found

    def _cause(self, error: Exception) -> str:
        """What went wrong, without the URL: httpx puts it into messages, and a proxy may echo its path."""
        text = str(error) if isinstance(error, InvalidResponse) else type(error).__name__
        parts = urlsplit(self._url)
        values = [part.partition("=")[2] for part in parts.query.split("&")]
        for secret in (parts.path.strip("/"), parts.query, *values, parts.username, parts.password):
            if secret:
                text = text.replace(secret, "…")
        return text[:300]


class FailoverProvider:
    """All configured nodes, asked in order; one that failed lately is asked last."""

    def __init__(
        self, http: httpx.AsyncClient, urls: Sequence[str], chain_id: int, told: RequestObserver | None = None
    ) -> None:
        self._nodes = [NodeProvider(http, url, chain_id, place, told) for place, url in enumerate(urls, 1)]

    @property
    def each(self) -> Sequence[NodeProvider]:
        """The nodes in the order in which they are asked now."""
        now = asyncio.get_running_loop().time()
        return sorted(self._nodes, key=lambda node: node.backoff_until > now)

    async def with_failover(self, read: Callable[[ChainClient], Awaitable[T]]) -> T:
        """The first reading that fits together. One that does not is the node's failure, and the next one is asked."""
        causes: list[ChainError] = []
        for node in self.each:
            try:
                answer = await read(node)
            except ChainError as error:
                causes.append(error)
                node.backoff_until = asyncio.get_running_loop().time() + _REST_SECONDS
            else:
                node.backoff_until = 0.0
                return answer
        if len(causes) == 1:
            raise causes[0]
        raise NodeError("; ".join(str(cause) for cause in causes))

    async def ask(self, method: str, params: Sequence[object], parse: Callable[[object], T]) -> T:
        """The first proper answer."""
        return await self.with_failover(lambda node: node.ask(method, params, parse))

    async def request_batch(self, calls: Sequence[Call], parse: Callable[[object], T]) -> list[T]:
        """The first proper answers, all of one node."""
        return await self.with_failover(lambda node: node.request_batch(calls, parse))


@dataclass(frozen=True, slots=True)
class TxReceipt:
    """The part of an EVM transaction's receipt that we use; `logs` are still raw."""

    tx_hash: str
    block: int
    block_hash: str
    succeeded: bool
    logs: list[Any]


async def chain_id(reader: ChainClient) -> int:
    """The chain's id."""
    return await reader.ask("eth_chainId", [], decoding.quantity)


async def block(reader: ChainClient, which: int | str) -> Block:
    """The canonical block with that number, or the one a tag (`latest`, `safe`, `finalized`) names."""
    asked = hex(which) if isinstance(which, int) else which

    def parse(value: object) -> Block:
        got = decoding.block(value)
        if isinstance(which, int) and got.number != which:
            raise InvalidResponse(f"asked for block {which}, got {got.number}")
        return got

    return await reader.ask("eth_getBlockByNumber", [asked, False], parse)


async def logs(reader: ChainClient, within: Block, address: str, topic: str) -> object:
    """The raw logs of one event of one contract in one block, asked for by the block's hash."""
    wanted = {"blockHash": within.hash, "address": address, "topics": [topic]}
    return await reader.ask("eth_getLogs", [wanted], lambda value: decoding.items(value, "logs"))


async def receipt(reader: ChainClient, tx_hash: str) -> TxReceipt | None:
    """The receipt of an EVM transaction; None where the node knows of none (yet)."""

    def parse(value: object) -> TxReceipt | None:
        if value is None:
            return None
        got = decoding.fields(value, "a receipt")
        if decoding.hash32(got.get("transactionHash")) != tx_hash:
            raise InvalidResponse("a receipt of another transaction")
        status = decoding.quantity(got.get("status"))
        if status > 1:
            raise InvalidResponse(f"a receipt with status {status}")
        return TxReceipt(
            tx_hash=tx_hash,
            block=decoding.quantity(got.get("blockNumber")),
            block_hash=decoding.hash32(got.get("blockHash")),
            succeeded=status == 1,
            logs=decoding.items(got.get("logs"), "logs"),
        )

    return await reader.ask("eth_getTransactionReceipt", [tx_hash], parse)


async def call(reader: ChainClient, to: str, calldata: str, parse: Callable[[bytes], T]) -> T:
    """The parsed return data of a view at the head."""
    return await reader.ask(
        "eth_call", [{"to": to, "data": calldata}, "latest"], lambda value: parse(decoding.data(value))
    )


async def code(reader: ChainClient, address: str) -> bytes:
    """The code at an address, empty where there is none."""
    return await reader.ask("eth_getCode", [address, "latest"], decoding.data)


def _request(number: int, method: str, params: Sequence[object]) -> dict[str, object]:
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": list(params)}


def _result(answer: httpx.Response, number: int) -> object:
    got = decoding.fields(_json(answer), "a JSON-RPC answer")
    if "error" in got:
        raise InvalidResponse(f"error {str(got['error'])[:300]}")
    if got.get("id") != number or "result" not in got:
        raise InvalidResponse("a JSON-RPC answer to another question")
    return got["result"]


def _results(answer: httpx.Response, numbers: Sequence[int]) -> list[object]:
    """The results of a batch by their ids: nodes answer in any order, and some leave answers out."""
    found: dict[object, object] = {}
    for one in decoding.items(_json(answer), "JSON-RPC answers"):
        got = decoding.fields(one, "a JSON-RPC answer")
        if "result" not in got:
            raise InvalidResponse(f"error {str(got.get('error'))[:300]}")
        found[got.get("id")] = got["result"]
    if len(found) != len(numbers) or any(number not in found for number in numbers):
        raise InvalidResponse(f"{len(found)} answers to {len(numbers)} calls")
    return [found[number] for number in numbers]


def _json(answer: httpx.Response) -> object:
    if answer.status_code != httpx.codes.OK:
        raise InvalidResponse(f"HTTP {answer.status_code} {answer.text[:2000]!r}")
    try:
        body: object = answer.json()
    except (ValueError, RecursionError) as error:
        raise InvalidResponse(f"no JSON: {answer.text[:2000]!r}") from error
    return body
