"""IndexAgreement: the record passes only what two nodes place alike."""

import pytest

from chain.gateway import Gateway
from chain.payment_index import WINDOW
from stateless_billing.sweep.index_agreement import IndexAgreement
from tests.chain.fake_node import FakeNode, FakeNodes, history
from tests.fakes.factories import CHAIN_ID, GATEWAY, payment, tx_hash

pytestmark = pytest.mark.anyio

PAYMENTS = history(2, 1, 3)
BLOCKS = {index: indexed.block for index, indexed in enumerate(PAYMENTS)}


async def agreed(*nodes: FakeNode, blocks: dict[int, int]) -> bool | None:
    """Whether these nodes agree about the index."""
    reader = FakeNodes(*nodes)
    return await IndexAgreement(reader).nodes_agree(Gateway(reader, CHAIN_ID, GATEWAY), blocks, {}, {})


async def test_agreement_takes_two_nodes_with_the_same_blocks() -> None:
    liar = FakeNode([payment(block=99, tx_hash=tx_hash(66)), *PAYMENTS])
    assert await agreed(FakeNode(PAYMENTS), FakeNode(PAYMENTS), blocks=BLOCKS)
    assert await agreed(liar, FakeNode(PAYMENTS), FakeNode(PAYMENTS), blocks=BLOCKS)
    assert await agreed(liar, FakeNode(PAYMENTS), blocks=BLOCKS) is False
    assert await agreed(liar, FakeNode(PAYMENTS), blocks={0: 99, 3: BLOCKS[2]}) is False
    assert await agreed(liar, FakeNode(PAYMENTS), blocks={5: 104}), "the same in both"


async def test_a_single_node_is_trusted_and_no_blocks_need_no_node() -> None:
    assert await agreed(FakeNode([]), blocks=BLOCKS)
    assert await agreed(FakeNode([]), FakeNode([]), blocks={})


async def test_a_failing_node_neither_confirms_nor_contradicts() -> None:
    silent = FakeNode(PAYMENTS)
    silent.lies["eth_call"] = lambda _: "0x"
    assert await agreed(silent, FakeNode(PAYMENTS), blocks=BLOCKS) is None
    assert await agreed(silent, FakeNode(PAYMENTS), FakeNode(PAYMENTS), blocks=BLOCKS)
    assert await agreed(FakeNode(PAYMENTS[:3]), FakeNode(PAYMENTS), blocks=BLOCKS) is None, "it is behind"


async def test_distant_indexes_are_read_in_windows() -> None:
    payments = history(*[1] * (WINDOW + 2), customers=1)
    blocks = {index: payments[index].block for index in (0, 1, WINDOW, WINDOW + 1)}
    nodes = FakeNode(payments), FakeNode(payments)
    assert await agreed(*nodes, blocks=blocks)
    assert await agreed(*nodes, blocks=blocks | {WINDOW + 1: 1}) is False
    assert nodes[0].viewed.count((GATEWAY, "paymentBlocks")) == 4
