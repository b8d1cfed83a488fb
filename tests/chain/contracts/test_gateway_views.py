"""The gateway's views: what the contract returns, and answers that no contract gives."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.contracts import GATEWAY_ABI, GatewayContract, contract_functions, read_early
from chain.errors import ChainError, InconsistentChainData, InvalidResponse, NoContract, NodeError
from chain.payment import Payment
from chain.provider import Call
from tests.chain.fake_node import FakeNode, FakeNodes, history, word
from tests.fakes.factories import CHAIN_ID, GATEWAY, WALLET

pytestmark = pytest.mark.anyio
T = TypeVar("T")


class Batchless(FakeNode):
    """A node that answers no batch, for this cause."""

    def __init__(self, payments: Sequence[Payment], cause: Exception) -> None:
        super().__init__(payments)
        self._cause = cause

    async def request_batch(self, calls: Sequence[Call], parse: Callable[[object], T], form: Any = Any) -> list[T]:
        """Raise."""
        raise NodeError("the fake node did not answer batch") from self._cause


def contract(node: FakeNode | FakeNodes) -> GatewayContract:
    """The gateway, read at this node."""
    return GatewayContract(node, CHAIN_ID, GATEWAY)


def answering(*words: int) -> FakeNode:
    """A node on which every view returns these words."""
    node = FakeNode(history(20))  # any index up to 20 is not refused before
    node.lies["eth_call"] = lambda _: "0x" + b"".join(word(value) for value in words).hex()
    return node


async def test_what_the_contract_says_of_itself() -> None:
    node = FakeNode(history(2, 1))
    node.views = {"token": 5, "signer": 6, "paused": 0, "minimumAmount": 7, "rateCeiling": 8, "treasury": 9, "owner": 1}
    gateway = contract(node)
    assert (await gateway.token(), await gateway.signer()) == ("0x" + "0" * 39 + "5", "0x" + "0" * 39 + "6")
    assert (await gateway.treasury(), await gateway.owner()) == ("0x" + "0" * 39 + "9", "0x" + "0" * 39 + "1")
    assert (await gateway.paused(), await gateway.minimum_amount(), await gateway.rate_ceiling()) == (False, 7, 8)
    assert (await gateway.total_payments(), await gateway.payment_count("cus_Payer0")) == (3, 1)
    assert (await gateway.payment_blocks(1, 3), await gateway.payment_blocks(3, 3)) == ([100, 102], [])
    assert await gateway.payment_blocks_of("cus_Payer0", 0, 1) == [100]
    assert gateway.address_prefix == "a1b2c3d4"


async def test_early_views_read_the_same_without_web3() -> None:
    node = FakeNode(history(2, 1))
    node.views = {"token": 2**160 - 1, "signer": 6, "decimals": 18}
    gateway = contract(node)
    views = [(GATEWAY, name) for name in ("token", "signer", "totalPayments", "decimals")]
    early = await read_early(node, views)
    assert early == [await gateway.token(), await gateway.signer(), await gateway.total_payments(), 18]
    assert early[0] == "0x" + "f" * 40
    for words in ((), (2**160,), (0, 0, 0)):
        with pytest.raises(ChainError):
            await read_early(answering(*words), [(GATEWAY, "token")])


async def test_early_views_say_where_there_is_no_contract() -> None:
    node = FakeNode(history(1))
    node.lies["eth_getCode"] = lambda _: "0x"
    with pytest.raises(NoContract, match=GATEWAY):
        await read_early(node, [(GATEWAY, "totalPayments")])


async def test_early_views_are_read_one_by_one_where_a_node_answers_no_batch() -> None:
    node = Batchless(history(2, 1), InvalidResponse("HTTP 400"))
    assert await read_early(node, [(GATEWAY, "totalPayments")]) == [3]


async def test_early_views_are_not_asked_again_of_a_node_that_is_away() -> None:
    node = Batchless(history(1), httpx.ConnectError("refused"))
    with pytest.raises(NodeError):
        await read_early(node, [(GATEWAY, "totalPayments")])
    assert node.asked == []


@pytest.mark.parametrize(
    ("raw", "customer"),
    [(b"cus_a".ljust(32, b"\0"), "cus_a"), (bytes(32), None), (b"cus_b" + b"9" * 27, "cus_b" + "9" * 27)],
)
async def test_the_customer_of_a_wallet(raw: bytes, customer: str | None) -> None:
    node = FakeNode()
    node.views["customerOf"] = int.from_bytes(raw)
    assert await contract(node).customer_of(WALLET) == customer


@pytest.mark.parametrize("raw", [b"acct_1".ljust(32, b"\0"), b"\0cus_a".ljust(32, b"\0"), b"\xff" * 32])
async def test_a_registered_customer_that_is_none_is_not_an_unregistered_wallet(raw: bytes) -> None:
    liar, honest = FakeNode(), FakeNode()
    liar.views["customerOf"] = int.from_bytes(raw)
    with pytest.raises(InvalidResponse):
        await contract(liar).customer_of(WALLET)
    assert await contract(FakeNodes(liar, honest)).customer_of(WALLET) is None


async def test_a_view_without_a_contract_behind_it_is_a_failure() -> None:
    gateway = contract(answering())
    for read in (gateway.total_payments, gateway.paused, lambda: gateway.payment_blocks(0, 0)):
        with pytest.raises(InvalidResponse, match="the fake node did not answer eth_call"):
            await read()


REFUSED = {
    "a number in 96 bytes": ("total_payments", (5, 0, 0)),
    "a number in 31 bytes more": ("total_payments", (5, 5)),
    "an address with more than 160 bits": ("token", (2**160,)),
    "an address with a word behind it": ("signer", (1, 0)),
    "a boolean of two": ("paused", (2,)),
    "a boolean with a word behind it": ("paused", (1, 0)),
}


@pytest.mark.parametrize(("view", "words"), REFUSED.values(), ids=list(REFUSED))
async def test_return_data_that_no_contract_gives_is_refused_and_the_next_node_asked(
    view: str, words: tuple[int, ...]
) -> None:
    liar, honest = answering(*words), answering(1)
    with pytest.raises(InvalidResponse):
        await getattr(contract(liar), view)()
    nodes = FakeNodes(liar, honest)
    assert await getattr(contract(nodes), view)() in (1, True, "0x" + "0" * 39 + "1")
    assert nodes.providers == [honest, liar], "it is asked last for a while"


@pytest.mark.parametrize(
    "words",
    [
        (),
        (32,),
        (32, 1),
        (32, 2, 5),
        (64, 1, 5),
        (64, 0, 1, 5),
        (32, 1, 2**64),
        (32, 2**255, 1),
        (2**255, 1, 5),
        (32, 1, 5, 0),
        (32, 0, 5),
        (32, 1, 5, 5, 5),
    ],
)
async def test_what_is_not_the_array_asked_for_is_refused_and_the_next_node_asked(words: tuple[int, ...]) -> None:
    liar, honest = answering(*words), answering(32, 1, 7)
    with pytest.raises(ChainError):
        await contract(liar).payment_blocks(0, 1)
    assert await contract(FakeNodes(liar, honest)).payment_blocks(0, 1) == [7]


@given(st.lists(st.integers(0, 2**64 - 1), max_size=20))
def test_an_array_is_read_as_it_was_encoded(values: list[int]) -> None:
    node = answering(32, len(values), *sorted(values))
    assert asyncio.run(contract(node).payment_blocks(0, len(values))) == sorted(values)


@given(st.binary(max_size=300))
def test_any_bytes_are_the_canonical_array_or_refused(raw: bytes) -> None:
    try:
        values = contract_functions(GATEWAY_ABI)["paymentBlocks"].decode(raw)
    except InvalidResponse:
        return
    assert raw == b"".join(word(value) for value in [32, len(values), *values])


@pytest.mark.parametrize("blocks", [[102, 100], [100, 102, 101]])
async def test_an_index_that_goes_backwards(blocks: list[int]) -> None:
    liar, honest = FakeNode(history(1, 1, 1)), FakeNode(history(1, 1, 1))
    liar.lies["paymentBlocks"] = lambda _: blocks
    with pytest.raises(InconsistentChainData, match="backwards"):
        await contract(liar).payment_blocks(0, len(blocks))
    nodes = FakeNodes(liar, honest)
    assert await contract(nodes).payment_blocks(0, len(blocks)) == [100, 102, 104][: len(blocks)]
