"""Views: what the contract says of itself, and answers that are none."""

import pytest

from chain.errors import InconsistentChainData, InvalidResponse, NodeError
from chain.views import GatewayContract
from tests.chain.fake_node import FakeNode, history
from tests.fakes.factories import CHAIN_ID, GATEWAY, WALLET

pytestmark = pytest.mark.anyio


def reading(node: FakeNode) -> GatewayContract:
    """The gateway's views as this node tells of them."""
    return GatewayContract(node, CHAIN_ID, GATEWAY)


async def test_what_the_contract_says_of_itself() -> None:
    node = FakeNode(history(2, 1))
    node.views = {"token": 5, "signer": 6, "paused": 0, "minimumAmount": 7, "rateCeiling": 8}
    gateway = reading(node)
    assert (await gateway.token(), await gateway.signer()) == ("0x" + "0" * 39 + "5", "0x" + "0" * 39 + "6")
    assert (await gateway.paused(), await gateway.minimum_amount(), await gateway.rate_ceiling()) == (False, 7, 8)
    assert (await gateway.total_payments(), await gateway.payment_count("cus_Payer0")) == (3, 1)
    assert (await gateway.payment_blocks(1, 3), await gateway.payment_blocks(3, 3)) == ([100, 102], [])
    assert gateway.short == "a1b2c3d4"


@pytest.mark.parametrize(
    ("raw", "customer"),
    [(b"cus_a".ljust(32, b"\0"), "cus_a"), (bytes(32), None), (b"cus_b" + b"9" * 27, "cus_b" + "9" * 27)],
)
async def test_the_customer_of_a_wallet(raw: bytes, customer: str | None) -> None:
    node = FakeNode()
    node.views["customerOf"] = int.from_bytes(raw)
    assert await reading(node).customer_of(WALLET) == customer


@pytest.mark.parametrize("raw", [b"acct_1".ljust(32, b"\0"), b"\0cus_a".ljust(32, b"\0"), b"\xff" * 32])
async def test_a_registered_customer_that_is_none_is_not_an_unregistered_wallet(raw: bytes) -> None:
    node = FakeNode()
    node.views["customerOf"] = int.from_bytes(raw)
    with pytest.raises(InvalidResponse):
        await reading(node).customer_of(WALLET)


async def test_a_view_without_a_contract_behind_it_is_a_failure() -> None:
    node = FakeNode()
    node.lies["eth_call"] = lambda _: "0x"
    for ask in (reading(node).total_payments, reading(node).paused, lambda: reading(node).payment_blocks(0, 0)):
        with pytest.raises(NodeError):
            await ask()


@pytest.mark.parametrize("blocks", [[102, 100], [100, 102, 101]])
async def test_an_index_that_goes_backwards(blocks: list[int]) -> None:
    node = FakeNode(history(1, 1, 1))
    node.lies["paymentBlocks"] = lambda _: blocks
    with pytest.raises(InconsistentChainData, match="backwards"):
        await reading(node).payment_blocks(0, len(blocks))
