"""Nodes: whatever a node does but answer properly is its failure; the next one is asked, and no key is told."""

import asyncio
import json
from typing import Any

import httpx
import pytest

from chain import decoding, provider
from chain.errors import NodeError
from tests.chain.fake_node import FakeNode
from tests.chain.provider.network import FAILURES, Network, Says, answer, body, broken, result
from tests.fakes.factories import CHAIN_ID, GATEWAY, block, payment, tx_hash
from tests.fakes.virtual_time import run_virtually

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("says", FAILURES.values(), ids=list(FAILURES))
async def test_a_failure_is_never_an_empty_list(says: Says) -> None:
    network = Network(one=says)
    with pytest.raises(NodeError) as caught:
        await provider.logs(network.nodes, block(1), GATEWAY, "0x")
    message = str(caught.value)
    assert message.startswith("node 1 (one.example) did not answer eth_getLogs: ")
    assert "sesame" not in message
    assert len(message) < 600


@pytest.mark.parametrize("says", FAILURES.values(), ids=list(FAILURES))
async def test_the_next_node_is_asked(says: Says) -> None:
    network = Network(one=says, two=result([]), three=result([1]))
    assert await provider.logs(network.nodes, block(1), GATEWAY, "0x") == []
    assert network.asked == ["one", "two"]


async def test_deep_nesting_is_a_failure_not_a_crash() -> None:
    # How deep Python parses depends on its release: beyond that it is no JSON, within it an answer of another form.
    for text in (*("[" * depth + "]" * depth for depth in (5_000, 1_000_000)), "[" * 5_000, '{"a":' * 5_000):
        with pytest.raises(NodeError, match=r"did not answer eth_getLogs: (no JSON|expected a JSON-RPC answer)"):
            await provider.logs(Network(one=body(text)).nodes, block(1), GATEWAY, "0x")


async def test_all_causes_are_told_and_no_key() -> None:
    network = Network(one=broken(httpx.ConnectError), two=body("busy", 503), three=answer(error="no"))
    with pytest.raises(NodeError) as caught:
        await provider.code(network.nodes, GATEWAY)
    assert str(caught.value) == (
        "node 1 (one.example) did not answer eth_getCode: ConnectError; "
        "node 2 (two.example) did not answer eth_getCode: HTTP 503 'busy'; "
        "node 3 (three.example) did not answer eth_getCode: error no"
    )
    assert network.asked == ["one", "two", "three"]


def test_a_node_that_failed_is_asked_last_for_half_a_minute() -> None:
    async def scenario() -> None:
        network = Network(one=body("", 500), two=result("0x01"), three=result("0x01"))
        for _ in range(2):
            await provider.code(network.nodes, GATEWAY)
        assert network.asked == ["one", "two", "two"]
        network.says |= {"one": result("0x01"), "two": body("", 500), "three": body("", 500)}
        await provider.code(network.nodes, GATEWAY)  # the others fail: the resting one is asked all the same
        assert network.asked[3:] == ["two", "three", "one"]
        await provider.code(network.nodes, GATEWAY)  # it answered: it is well
        assert network.asked[6:] == ["one"]
        network.says["one"] = body("", 500)
        with pytest.raises(NodeError):
            await provider.code(network.nodes, GATEWAY)
        network.says |= {name: result("0x01") for name in network.says}
        await asyncio.sleep(31)
        await provider.code(network.nodes, GATEWAY)
        assert network.asked[-1] == "one"

    run_virtually(scenario())


async def test_each_question_has_an_id_of_its_own() -> None:
    seen: list[dict[str, Any]] = []

    def say(request: httpx.Request) -> httpx.Response:
        seen.append(json.loads(request.content))
        return result(hex(CHAIN_ID))(request)

    network = Network(one=say)
    network.chains["one"] = say
    assert await provider.chain_id(network.nodes) == CHAIN_ID
    await provider.chain_id(network.nodes)
    assert seen[0] == {"jsonrpc": "2.0", "id": seen[0]["id"], "method": "eth_chainId", "params": []}
    assert len({message["id"] for message in seen}) == len(seen) == 3  # the first time the node proves its chain


async def test_blocks_by_number_and_by_tag() -> None:
    fake = FakeNode(latest=500, finalized=300)
    assert await provider.block(fake, 42) == block(42)
    assert await provider.block(fake, "finalized") == block(300)
    with pytest.raises(NodeError):
        await provider.block(fake, 501)  # not there yet
    fake.lies["eth_getBlockByNumber"] = lambda raw: raw | {"number": "0x2b"}
    with pytest.raises(NodeError, match="asked for block 42, got 43"):
        await provider.block(fake, 42)


async def test_receipts() -> None:
    paid = payment()
    fake = FakeNode([paid])
    fake.reverted.add(tx_hash(8))
    assert await provider.receipt(fake, tx_hash(7)) is None
    failed, succeeded = await provider.receipt(fake, tx_hash(8)), await provider.receipt(fake, paid.tx_hash)
    assert failed is not None
    assert succeeded is not None
    assert (failed.succeeded, succeeded.succeeded) == (False, True)
    assert (succeeded.tx_hash, succeeded.block, succeeded.block_hash) == (paid.tx_hash, 100, paid.block_hash)
    assert succeeded.payment_counts == {GATEWAY: 1}


@pytest.mark.parametrize(
    "lie",
    [
        {"transactionHash": tx_hash(2)},
        {"status": "0x2"},
        {"status": None},
        {"blockNumber": None},
        {"blockHash": "0x"},
        {"logs": None},
    ],
)
async def test_a_receipt_that_is_wrong_is_a_failure(lie: dict[str, object]) -> None:
    fake = FakeNode([payment()])
    fake.lies["eth_getTransactionReceipt"] = lambda raw: raw | lie
    with pytest.raises(NodeError):
        await provider.receipt(fake, payment().tx_hash)


async def test_code() -> None:
    assert await provider.code(Network(one=result("0x6001")).nodes, GATEWAY) == b"\x60\x01"
    assert await provider.code(Network(one=result("0x")).nodes, GATEWAY) == b""
    with pytest.raises(NodeError):
        await provider.code(Network(one=result(None)).nodes, GATEWAY)


async def test_a_views_parser_decides_what_is_an_answer() -> None:
    network = Network(one=result("0x"), two=result("0x" + "00" * 31 + "05"))
    total = await provider.call(network.nodes, GATEWAY, "0x", decoding.uint256)
    assert total == 5
    assert network.asked == ["one", "two"]
