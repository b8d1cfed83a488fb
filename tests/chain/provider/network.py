"""Nodes behind a mocked network, and the ways in which they fail."""

import json
from collections.abc import Callable

import httpx

from chain.failover import FailoverProvider
from tests.fakes.factories import CHAIN_ID

URLS = (
    "https://one.example/v2/sesame-of-path",
    "https://two.example/?key=sesame-of-query",
    "https://user:sesame3@three.example",
)
Says = Callable[[httpx.Request], httpx.Response]


def result(value: object) -> Says:
    """A node that answers every question properly with `value`."""

    def say(request: httpx.Request) -> httpx.Response:
        number = json.loads(request.content)["id"]
        return httpx.Response(200, json={"jsonrpc": "2.0", "id": number, "result": value})

    return say


def body(text: str, status: int = 200) -> Says:
    """A node that answers with this."""
    return lambda _: httpx.Response(status, text=text)


def answer(**members: object) -> Says:
    """A node whose JSON-RPC answer has these members; `id` is the question's unless given."""

    def say(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"id": json.loads(request.content)["id"]} | members)

    return say


def broken(error: type[httpx.TransportError]) -> Says:
    """A node that cannot be reached."""

    def say(request: httpx.Request) -> httpx.Response:
        raise error(f"could not reach {request.url}")

    return say


class Network:
    """Some nodes, and who was asked; `chains` answers which chain a node is on, `batch` answers batches."""

    def __init__(self, **says: Says) -> None:
        self.says = says
        self.chains: dict[str, Says] = {}
        self.batch = body("no batches", 400)
        self.asked: list[str] = []
        self.checked: list[str] = []
        http = httpx.AsyncClient(transport=httpx.MockTransport(self.handle))
        self.nodes = FailoverProvider(
            http, [url for url in URLS if httpx.URL(url).host.split(".")[0] in says], CHAIN_ID
        )

    def handle(self, request: httpx.Request) -> httpx.Response:
        """Answer as the host would."""
        name = request.url.host.split(".")[0]
        if isinstance(message := json.loads(request.content), list):
            return self.batch(request)
        if message["method"] == "eth_chainId":
            self.checked.append(name)
            return self.chains.get(name, result(hex(CHAIN_ID)))(request)
        self.asked.append(name)
        return self.says[name](request)


FAILURES: dict[str, Says] = {
    "429": body("slow down", 429),
    "500": body("oops", 500),
    "400 with a body": body('{"jsonrpc": "2.0", "id": 1, "result": []}', 400),
    "redirect": lambda _: httpx.Response(302, headers={"location": "https://elsewhere.example"}),
    "HTML 200": body("<html>no backend is currently healthy</html>"),
    "empty": body(""),
    "cut JSON": body('{"jsonrpc": "2.0", "id": 1, "result": ['),
    "no UTF-8": lambda _: httpx.Response(200, content=b'{"id": 1, "result": ["\xff"]}'),
    "a list": body("[]"),
    "a batch": body('[{"jsonrpc": "2.0", "id": 1, "result": []}]'),
    "null": body("null"),
    "deep nesting": body("[" * 5_000),
    "null result": answer(result=None),
    "no result": answer(jsonrpc="2.0"),
    "an error": answer(error={"code": -32005, "message": "limit exceeded"}),
    "an error beside a result": answer(error={"code": -32005}, result=[]),
    "another question's": answer(id=77, result=[]),
    "no question's": answer(id=None, result=[]),
    "of another type": answer(result="0x"),
    "an object": answer(result={}),
    "a huge number": body('{"id": ' + "9" * 100_000 + ', "result": []}'),
    "connect": broken(httpx.ConnectError),
    "connect timeout": broken(httpx.ConnectTimeout),
    "read timeout": broken(httpx.ReadTimeout),
    "cut": broken(httpx.RemoteProtocolError),
    "pool": broken(httpx.PoolTimeout),
}
