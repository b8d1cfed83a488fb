"""The token's views, and answers of tokens that are none."""

import pytest
from eth_abi.abi import encode

from chain import token
from chain.errors import NodeError
from tests.chain.fake_node import FakeNode
from tests.fakes.factories import GATEWAY, OTHER_GATEWAY, WALLET

pytestmark = pytest.mark.anyio


def answering(raw: bytes) -> FakeNode:
    """A node on which every view answers these bytes."""
    node = FakeNode()
    node.views = {"allowance": 0, "decimals": 0, "symbol": 0}
    node.lies["eth_call"] = lambda _: "0x" + raw.hex()
    return node


async def test_integers() -> None:
    node = answering((7).to_bytes(32))
    assert await token.allowance(node, OTHER_GATEWAY, WALLET, GATEWAY) == 7
    assert await token.decimals(node, OTHER_GATEWAY) == 7


@pytest.mark.parametrize("raw", [b"", b"\x07", bytes(31), bytes(64)])
async def test_what_is_not_one_integer_is_a_failure(raw: bytes) -> None:
    with pytest.raises(NodeError):
        await token.decimals(answering(raw), OTHER_GATEWAY)


@pytest.mark.parametrize("symbol", ["LITKEY", "", "鍵" * 30])
async def test_symbol(symbol: str) -> None:
    assert await token.symbol(answering(encode(["string"], [symbol])), OTHER_GATEWAY) == symbol


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"LITKEY".ljust(32, b"\0"),  # bytes32, as some old tokens answer
        encode(["string"], ["LITKEY"])[:-32],
        encode(["bytes"], [b"\xff\xfe"]),
        (64).to_bytes(32) + encode(["string"], ["LITKEY"])[32:],
        (32).to_bytes(32) + b"\xff" * 32,
    ],
)
async def test_what_is_not_one_string_is_a_failure(raw: bytes) -> None:
    with pytest.raises(NodeError):
        await token.symbol(answering(raw), OTHER_GATEWAY)
