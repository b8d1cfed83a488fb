"""What is known of each node: whether it answers, how far behind the others it is, and who is asked first."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any

import httpx
import pytest

from chain import provider
from chain.failover import MAX_LEAD_SECONDS, FailoverProvider
from tests.fakes.factories import CHAIN_ID, GATEWAY, block
from tests.fakes.virtual_time import run_virtually

START = block(0).time


class Nodes:
    """Nodes whose newest block the test moves; `code` tells who answered. None hangs, an exception is raised."""

    def __init__(self, count: int = 2) -> None:
        self.latest: list[int | httpx.TransportError | None] = [1_000] * count
        self.asked: list[int] = []
        self.http = httpx.AsyncClient(transport=httpx.MockTransport(self.handle))
        self.nodes = self.connect()

    def connect(self) -> FailoverProvider:
        """A connection of its own to all of them."""
        urls = [f"https://n{index}.example" for index in range(len(self.latest))]
        nodes = FailoverProvider(
            self.http, urls, CHAIN_ID, statuses=getattr(self, "nodes", None) and self.nodes.statuses
        )
        nodes.statuses.wall = lambda: START + 2_000 + asyncio.get_running_loop().time()
        return nodes

    async def handle(self, request: httpx.Request) -> httpx.Response:
        """Answer as the host would."""
        index, question = int(request.url.host[1]), json.loads(request.content)
        latest = self.latest[index]
        if latest is None:
            await asyncio.sleep(10**6)
        if isinstance(latest, httpx.TransportError):
            raise latest
        assert latest is not None
        results: dict[str, Callable[[], Any]] = {
            "eth_chainId": lambda: hex(CHAIN_ID),
            "eth_getCode": lambda: f"0x0{index}",
            "eth_getBlockByNumber": lambda: {
                "number": hex(latest),
                "hash": block(latest).hash,
                "timestamp": hex(block(latest).time),
            },
        }
        self.asked.append(index)
        return httpx.Response(200, json={"id": question["id"], "result": results[question["method"]]()})

    async def first(self, nodes: FailoverProvider | None = None) -> int:
        """Who is asked first."""
        return (await provider.code(nodes or self.nodes, GATEWAY))[0]

    async def advance(self, seconds: int = 10) -> None:
        """Let the chain go on at the nodes that stand at its head."""
        head = max(latest for latest in self.latest if isinstance(latest, int))
        await asyncio.sleep(seconds)
        self.latest = [latest + seconds // 2 if latest == head else latest for latest in self.latest]


def scene(play: Callable[[Nodes], Coroutine[Any, Any, None]], count: int = 2) -> None:
    async def scenario() -> None:
        nodes = Nodes(count)
        await play(nodes)
        await nodes.nodes.aclose()

    run_virtually(scenario())


def test_a_node_that_stands_still_is_asked_last_by_everybody_until_it_goes_on() -> None:
    async def play(nodes: Nodes) -> None:
        other = nodes.connect()
        await nodes.nodes.refresh(5)
        assert await nodes.first() == 0
        nodes.latest = [1_000, 1_003]
        await asyncio.sleep(6)
        await nodes.nodes.refresh(5)
        assert await nodes.first() == await nodes.first(other) == 1
        assert nodes.nodes.faults() == ["node 1 (n0.example) is 6 s behind the newest block that another node shows"]
        nodes.latest = [1_006, 1_006]
        await asyncio.sleep(5)
        await other.refresh(5)
        assert (await nodes.first(), nodes.nodes.faults()) == (0, [])

    scene(play)


def test_nodes_are_compared_whenever_each_was_read() -> None:
    async def play(nodes: Nodes) -> None:
        await nodes.nodes.refresh(5)
        await nodes.advance(100)
        status = nodes.nodes.statuses.nodes[1]
        await nodes.nodes._probe(nodes.nodes.nodes[1], status)
        assert nodes.nodes.faults() == [], "the first was read 100 s ago, and its block was as old"

    scene(play)


def test_nothing_is_asked_again_within_the_age() -> None:
    async def play(nodes: Nodes) -> None:
        await nodes.nodes.refresh(5)
        asked = len(nodes.asked)
        await asyncio.sleep(4)
        await asyncio.gather(*(nodes.nodes.refresh(5) for _ in range(9)))
        assert len(nodes.asked) == asked
        await asyncio.sleep(1)
        await asyncio.gather(*(nodes.nodes.refresh(5) for _ in range(9)))
        assert len(nodes.asked) == asked + 2

    scene(play)


def test_a_single_node_is_never_asked_for_its_head() -> None:
    async def play(nodes: Nodes) -> None:
        await nodes.nodes.refresh(0)
        assert nodes.asked == []

    scene(play, count=1)


def test_a_node_that_hangs_is_waited_for_once_and_for_a_second() -> None:
    async def play(nodes: Nodes) -> None:
        nodes.latest[0] = None
        loop = asyncio.get_running_loop()
        await nodes.nodes.refresh(5)
        assert loop.time() == 1
        await asyncio.sleep(4)
        assert nodes.nodes.faults() == ["node 1 (n0.example) does not answer properly"]
        assert [node.name for node in nodes.nodes.answering] == ["node 2 (n1.example)"]
        await asyncio.sleep(5)
        began = loop.time()
        await nodes.nodes.refresh(5)
        assert (loop.time(), await nodes.first()) == (began, 1)

    scene(play)


def test_a_node_that_returns_is_first_again() -> None:
    async def play(nodes: Nodes) -> None:
        nodes.latest[0] = httpx.ConnectError("refused")
        await nodes.nodes.refresh(5)
        assert await nodes.first() == 1
        nodes.latest[0] = 1_000
        await asyncio.sleep(5)
        await nodes.nodes.refresh(5)
        await asyncio.sleep(0.1)
        assert (await nodes.first(), nodes.nodes.faults()) == (0, [])

    scene(play)


def test_a_head_from_the_future_makes_nobody_seem_behind() -> None:
    async def play(nodes: Nodes) -> None:
        nodes.latest[1] = 1_000 + MAX_LEAD_SECONDS // 2 + 1
        await nodes.nodes.refresh(5)
        assert await nodes.first() == 0
        assert nodes.nodes.faults() == ["node 2 (n1.example) does not answer properly"]

    scene(play)


def test_changes_are_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    async def play(nodes: Nodes) -> None:
        nodes.latest = [1_000, 1_010]
        for _ in range(3):
            await nodes.nodes.refresh(5)
            await nodes.advance()
        nodes.latest = [1_030, 1_030]
        for _ in range(3):
            await nodes.nodes.refresh(0)

    scene(play)
    assert [record.getMessage() for record in caplog.records if record.name == "chain.failover"] == [
        "node 1 (n0.example) is 20 s behind the newest block that another node shows",
        "node 1 (n0.example) is as far as the others again",
    ]
