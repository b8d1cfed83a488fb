"""One to three nodes and the price feed behind one httpx transport. Each node lags, fails or lies in its own way."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

import httpx
import msgspec
from msgspec import structs

from chain.payment import Payment
from tests.chain.fake_node import FUNCTIONS, event_customer, raw_log, word
from tests.simulation.chain import CHAIN_ID, START, Chain, Version
from tests.simulation.faults import Coverage
from tests.simulation.prices import NONSENSE, Prices

_MESSAGES = (
    "missing trie node",
    "no backend is currently healthy to serve traffic",
    "eth_getLogs is limited to a 10,000 range",
    "please limit the query to at most 1000 blocks",
)
TOKEN = 0xF732A566


Span = tuple[float, float]
NEVER: Span = (0.0, 0.0)


@dataclass
class Node:
    """A node `lag` seconds behind, its `finalized` a further `behind`; only its answers contain `forged` payments.

    It is `away`, stands still (`frozen`) or never answers (`hangs`) from one second to another.
    """

    lag: float = 0.0
    behind: float = 0.0
    forged: list[Payment] = field(default_factory=list)
    errors: float = 0.0
    omits: float = 0.0
    away: Span = NEVER
    frozen: Span = NEVER
    hangs: Span = NEVER


@dataclass(frozen=True, slots=True)
class NodeAnswer:
    """The part of an HTTP response that `chain.provider` reads: a body of JSON, or a text that is not JSON."""

    status_code: int
    body: Any
    broken: str = ""

    @property
    def content(self) -> bytes:
        """The body as it is on the wire."""
        return self.broken.encode() or msgspec.json.encode(self.body)

    @property
    def text(self) -> str:
        """The same as text."""
        return self.content.decode()


@dataclass(frozen=True)
class View:
    """The chain as a node sees it at one moment."""

    version: Version
    latest: int
    safe: int
    finalized: int
    payments: list[Payment]


def within(span: Span, now: float) -> bool:
    """Whether a span is now."""
    return span[0] <= now < span[1]


class NodesTransport(httpx.AsyncBaseTransport):
    """Answers JSON-RPC and the price feed; `faulty` says whether a fault may be injected now."""

    def __init__(self, chain: Chain, prices: Prices, nodes: list[Node], rng: random.Random, coverage: Coverage) -> None:
        self.chain, self.prices, self.nodes, self._rng, self._coverage = chain, prices, nodes, rng, coverage
        self.faulty: Callable[[str], bool] = lambda name: True
        self.down_until = -1.0
        self.feed_down_until = -1.0
        self.price_faults = 0.0
        self.over = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer a request to the price feed. Requests to nodes bypass httpx, see `speed`."""
        assert request.url.host == "prices.test"
        await asyncio.sleep(0.01 + self._rng.random() * 0.04)
        if self.over or asyncio.get_running_loop().time() < self.feed_down_until:
            raise httpx.ConnectError("no feed")
        return self._prices(request, int(START + asyncio.get_running_loop().time()))

    async def ask(self, host: str, body: bytes) -> NodeAnswer:
        """A JSON-RPC request to the node of that name, after a short way."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(0.01 + self._rng.random() * 0.04)
        if self.over or loop.time() < self.down_until:
            raise httpx.ConnectError("no node")
        node = self.nodes[int(host[4:-5])]
        if within(node.hangs, loop.time()):
            await asyncio.sleep(30.0)  # longer than anybody waits
        if within(node.away, loop.time()):
            raise httpx.ConnectError("no node")
        return self._node(node, msgspec.json.decode(body), loop.time())

    def _prices(self, request: httpx.Request, now: int) -> httpx.Response:
        if self._rng.random() < self.price_faults and self.faulty("no_price"):
            self._coverage.hit("no_price")
            text = self._rng.choice(NONSENSE)
            return httpx.Response(429 if "429" in text else 502 if "html" in text else 200, text=text)
        asked = parse_qs(request.url.query.decode())
        return httpx.Response(200, text=self.prices.answer(int(asked["from"][0]), int(asked["to"][0]), now))

    def _node(self, node: Node, asked: Any, now: float) -> NodeAnswer:
        calls = asked if isinstance(asked, list) else [asked]
        if node.errors and self._rng.random() < node.errors and self.faulty("node_error"):
            return self._error(calls[0])
        view = self._view(node, now)
        answers = [self._answer(node, view, call) for call in calls]
        return NodeAnswer(200, answers if isinstance(asked, list) else answers[0])

    def _answer(self, node: Node, view: View, asked: dict[str, Any]) -> dict[str, Any]:
        result = getattr(self, "_" + asked["method"])(node, view, asked["params"])
        if isinstance(result, _Error):
            return {"jsonrpc": "2.0", "id": asked["id"], "error": {"message": str(result)}}
        return {"jsonrpc": "2.0", "id": asked["id"], "result": result}

    def _error(self, asked: dict[str, Any]) -> NodeAnswer:
        kind = self._rng.randrange(7)
        self._coverage.hit("node_wrong_id" if kind == 0 else "node_error")
        head = {"jsonrpc": "2.0", "id": asked["id"]}
        if kind == 0:
            return NodeAnswer(200, head | {"id": asked["id"] + 1, "result": "0x0"})
        if kind == 1:
            return NodeAnswer(429, None, "slow down")
        if kind == 2:
            return NodeAnswer(200, None, "<html>maintenance</html>")
        if kind == 3 and asked["method"] != "eth_getTransactionReceipt":
            return NodeAnswer(200, head | {"result": None})
        if kind == 4:
            raise httpx.ReadError("reset")
        if kind == 5:
            return NodeAnswer(200, None, '{"jsonrpc":"2.0","id":1,"resu')
        return NodeAnswer(400, head | {"error": {"code": -32000, "message": self._rng.choice(_MESSAGES)}})

    def _view(self, node: Node, now: float) -> View:
        now = node.frozen[0] if within(node.frozen, now) else now
        calm = not self.faulty("heads_backwards")
        seen = now if calm else now - node.lag
        version, latest = self.chain.at(seen), self.chain.latest(seen)
        finalized = self.chain.finalized(seen if calm else seen - node.behind)
        payments = [payment for payment in version.payments if payment.block <= latest]
        if node.forged and self.faulty("node_lies"):
            self._coverage.hit("node_lies")
            forged = [payment for payment in node.forged if payment.block <= latest]
            payments = sorted([*payments, *forged], key=lambda payment: (payment.block, payment.log_index))
        return View(version, latest, self.chain.safe(seen), finalized, payments)

    def _eth_chainId(self, node: Node, view: View, params: list[Any]) -> str:  # noqa: N802 # the method's own name
        return hex(CHAIN_ID)

    def _eth_getCode(self, node: Node, view: View, params: list[Any]) -> str:  # noqa: N802
        return "0x60"

    def _eth_getBlockByNumber(self, node: Node, view: View, params: list[Any]) -> dict[str, str] | None:  # noqa: N802
        if params[0] == "finalized" and (node.lag or node.behind) and self.faulty("heads_backwards"):
            self._coverage.hit("heads_backwards")
        tags = {"latest": view.latest, "safe": view.safe, "finalized": view.finalized}
        number = tags[params[0]] if params[0] in tags else int(params[0], 16)
        if number > view.latest:
            return None
        time = self.chain.time_of(number)
        return {"number": hex(number), "hash": view.version.hash(number), "timestamp": hex(time)}

    def _eth_getLogs(self, node: Node, view: View, params: list[Any]) -> "list[Any] | _Error":  # noqa: N802
        hash_, address = params[0]["blockHash"], params[0]["address"]
        if int(hash_[8:], 16) > view.latest:
            return _Error("unknown block")
        logged = [payment for payment in self.chain.by_block.get(hash_, ()) if payment.gateway == address]
        if node.forged and self.faulty("node_lies"):
            forged = [payment for payment in view.payments if payment in node.forged and payment.gateway == address]
            logged += [_placed(payment, view.version) for payment in forged]
            logged = [payment for payment in logged if payment.block_hash == hash_]
        if logged and node.omits and self._rng.random() < node.omits and self.faulty("logs_omitted"):
            self._coverage.hit("logs_omitted")
            logged.pop(self._rng.randrange(len(logged)))
        return [raw_log(payment) for payment in logged]

    def _eth_getTransactionReceipt(self, node: Node, view: View, params: list[Any]) -> dict[str, Any] | None:  # noqa: N802
        hash_ = params[0]
        forged = [_placed(payment, view.version) for payment in node.forged if payment.tx_hash == hash_]
        number = forged[0].block if forged else view.version.blocks.get(hash_)
        if number is None or number > view.latest:
            return None
        logs = forged or [payment for payment in view.payments if payment.tx_hash == hash_]
        return {
            "transactionHash": hash_,
            "status": "0x0" if hash_ in view.version.failed else "0x1",
            "blockNumber": hex(number),
            "blockHash": view.version.hash(number),
            "logs": [raw_log(payment) for payment in logs],
        }

    def _eth_call(self, node: Node, view: View, params: list[Any]) -> "str | _Error":
        to, calldata = params[0]["to"], params[0]["data"]
        function, arguments = FUNCTIONS[calldata[2:10]], bytes.fromhex(calldata[10:])
        if function == "symbol":
            return "0x" + (word(32) + word(6) + b"LITKEY".ljust(32, b"\0")).hex()
        if function in ("token", "decimals"):
            return "0x" + word(TOKEN if function == "token" else 18).hex()
        mine = [payment for payment in view.payments if payment.gateway == to]
        if function in ("paymentCount", "paymentBlocksOf"):
            mine = [payment for payment in mine if event_customer(payment) == arguments[:32]]
        if function in ("totalPayments", "paymentCount"):
            return "0x" + word(len(mine)).hex()
        start, stop = (int.from_bytes(arguments[at : at + 32]) for at in (len(arguments) - 64, len(arguments) - 32))
        if stop > len(mine):
            return _Error("execution reverted")
        words = [32, stop - start, *(payment.block for payment in mine[start:stop])]
        return "0x" + b"".join(word(value) for value in words).hex()


class _Error(str):
    """An error message instead of a result."""


def _placed(forged: Payment, version: Version) -> Payment:
    """A forged payment with its block's hash on the version that the node reports."""
    return structs.replace(forged, block_hash=version.hash(forged.block))
