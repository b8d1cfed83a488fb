"""A gateway read through nodes: index and logs from one of them, and the next where they do not fit together."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from chain.errors import ChainError, InconsistentChainData, NodeError
from chain.gateway import Gateway
from chain.payment import Payment
from chain.payment_index import WINDOW
from tests.chain.fake_node import FakeNode, FakeNodes, history
from tests.chain.lies import LIES, Lie
from tests.fakes.factories import CHAIN_ID, GATEWAY, OTHER_GATEWAY

pytestmark = pytest.mark.anyio


def reading(node: FakeNode, address: str = GATEWAY) -> Gateway:
    """The gateway as this node tells of it."""
    return Gateway(node, CHAIN_ID, address)


async def everything(gateway: Gateway, start: int, stop: int) -> list[tuple[int, Payment]]:
    """All windows as one list; each must end with a block. Raises: InconsistentChainData for an unreadable block."""
    payments: list[tuple[int, Payment]] = []
    async for window in gateway.payments(start, stop):
        for unreadable in window.unreadable:
            raise InconsistentChainData(str(unreadable))
        assert window.payments
        assert not payments or window.payments[0][1].block > payments[-1][1].block
        payments += window.payments
    return payments


SIZES = st.lists(st.sampled_from([1, 1, 2, 3, WINDOW - 1, WINDOW, WINDOW + 1, 2 * WINDOW + 7]), min_size=1, max_size=5)


@settings(max_examples=25)
@given(SIZES, st.floats(0, 1))
def test_an_honest_index_is_read_exactly_whatever_the_blocks_hold(sizes: list[int], part: float) -> None:
    made = history(*sizes)
    start = int(part * len(made))
    payments = asyncio.run(everything(reading(FakeNode(made)), start, len(made)))
    if start == len(made):
        assert payments == []
        return
    begins = next(at for at, payment in enumerate(made) if payment.block == made[start].block)
    assert payments == list(enumerate(made))[begins:]


@pytest.mark.parametrize(
    ("sizes", "start", "begins"),
    [((3, 4, 2), 0, 0), ((3, 4, 2), 3, 3), ((3, 4, 2), 5, 3), ((9,), 8, 0), ((1, 40), 40, 1)],
)
async def test_a_start_within_a_block_reads_the_whole_block(sizes: tuple[int, ...], start: int, begins: int) -> None:
    made = history(*sizes)
    assert await everything(reading(FakeNode(made)), start, len(made)) == list(enumerate(made))[begins:]


async def test_two_gateways_on_one_chain_are_told_apart() -> None:
    mine = history(2, 2)
    others = [replace(payment, log_index=payment.log_index + 50) for payment in history(1, 2, gateway=OTHER_GATEWAY)]
    node = FakeNode([*mine, *others])
    assert await everything(reading(node), 0, 4) == list(enumerate(mine))
    assert await everything(reading(node, OTHER_GATEWAY), 0, 3) == list(enumerate(others))


async def test_logs_are_asked_for_by_the_hash_of_each_block_once() -> None:
    node = FakeNode(history(5, 1, 7))
    await everything(reading(node), 0, 13)
    assert node.asked.count("eth_getLogs") == 3
    assert node.asked.count("eth_getBlockByNumber") == 4, "the newest once more: they are all on its chain"


@pytest.mark.parametrize(("what", "lie"), LIES.values(), ids=list(LIES))
async def test_a_lie_about_the_whole_index_is_noticed(what: str, lie: Lie) -> None:
    node = FakeNode(history(2, 3, 4))
    node.lies[what] = lie
    with pytest.raises(ChainError):
        await everything(reading(node), 0, 9)


async def test_what_was_read_before_a_hole_is_handed_out_and_the_hole_is_not() -> None:
    made = history(WINDOW - 1, 1, 2)
    node = FakeNode(made)
    node.lies["eth_getLogs"] = lambda logs: logs[1:] if len(logs) == 2 else logs
    windows = reading(node).payments(0, len(made))
    assert (await anext(windows)).payments == list(enumerate(made))[: WINDOW - 1]
    window = await anext(windows)
    [hole] = window.unreadable
    assert (hole.number, hole.payments, hole.cause) == (104, 2, "block 104 shows 1 payments, not 2")
    assert window.payments == [(WINDOW - 1, made[WINDOW - 1])]


async def test_a_node_that_lags_behind_the_count_does_not_shorten_it() -> None:
    made = history(2, 3)
    node = FakeNode(made[:2])  # it knows the first block only
    with pytest.raises(NodeError):
        await everything(reading(node), 0, 5)
    with pytest.raises(NodeError):
        await reading(node).payments_of("cus_Payer0", 0, 2)


READINGS: dict[str, Callable[[Gateway], Awaitable[Any]]] = {
    "a window": lambda gateway: everything(gateway, 0, 9),
    "a block": lambda gateway: gateway.payments_in(102),
    "one place": lambda gateway: gateway.payment_at(3),
    "above a block": lambda gateway: gateway.payments_above(100),
    "a customer's": lambda gateway: gateway.payments_of("cus_Payer0", 0, 9),
}
READ_BY = {
    "a window": ("eth_getLogs", "paymentBlocks"),
    "a block": ("eth_getBlockByNumber",),
    "one place": ("eth_getLogs", "paymentBlocks", "totalPayments"),
    "above a block": ("eth_getLogs", "paymentBlocks", "totalPayments"),
    "a customer's": ("eth_getLogs", "paymentBlocksOf"),
}
TELLS: dict[str, Lie] = {
    "eth_getLogs": lambda logs: logs[1:],
    "paymentBlocks": lambda blocks: blocks[:-1],
    "paymentBlocksOf": lambda blocks: blocks[:-1],
    "totalPayments": lambda total: total - 1,  # so that the window ends within a block
    "eth_getBlockByNumber": lambda raw: raw | {"number": "0x1"},
}


@pytest.mark.parametrize(("reading_of", "what"), [(name, what) for name, some in READ_BY.items() for what in some])
async def test_a_node_whose_story_does_not_fit_is_passed_over_and_rests(reading_of: str, what: str) -> None:
    made = history(2, 3, 4, customers=1)
    liar, honest = FakeNode(made), FakeNode(made)
    liar.lies[what] = TELLS[what]
    nodes = FakeNodes(liar, honest)
    gateway = Gateway(nodes, CHAIN_ID, GATEWAY)
    read = READINGS[reading_of]
    assert await read(gateway) == await read(reading(FakeNode(made)))
    assert nodes.providers == [honest, liar]
    asked = len(liar.asked)
    await read(gateway)
    assert len(liar.asked) == asked  # it rests


async def test_index_and_logs_are_never_mixed_from_two_nodes() -> None:
    made = history(2, 3, 4)
    short, honest = FakeNode(made[:5]), FakeNode(made)  # the first has not seen the last block
    gateway = Gateway(FakeNodes(short, honest), CHAIN_ID, GATEWAY)
    assert await everything(gateway, 0, 9) == list(enumerate(made))
    assert honest.asked.count("eth_getLogs") == 3
    assert "eth_getLogs" not in short.asked


async def test_where_no_node_tells_a_story_that_fits_all_causes_are_told() -> None:
    nodes = [FakeNode(history(2, 3, 4)) for _ in range(2)]
    for node in nodes:
        node.lies["eth_getLogs"] = LIES["omits the last log"][1]
    with pytest.raises(InconsistentChainData, match=r"2 payments, not 3; .*2 payments, not 3"):
        await everything(Gateway(FakeNodes(*nodes), CHAIN_ID, GATEWAY), 0, 9)


def cut_data_in(number: int) -> Lie:
    """Cut the data of the first log of a block."""

    def lie(logs: Any) -> Any:
        if not logs or logs[0]["blockNumber"] != hex(number):
            return logs
        return [logs[0] | {"data": logs[0]["data"][:-2]}, *logs[1:]]

    return lie


async def test_a_malformed_log_hides_no_other_block() -> None:
    made = history(2, 1, 3, 1, 2)
    node = FakeNode(made)
    node.lies["eth_getLogs"] = cut_data_in(104)
    [window] = [window async for window in reading(node).payments(0, len(made))]
    assert [payment for _, payment in window.payments] == [paid for paid in made if paid.block != 104]
    assert window.stop == len(made)
    [unreadable] = window.unreadable
    assert str(unreadable).startswith(
        f"block 104 with 3 payments of gateway {GATEWAY} is unreadable: expected 96 bytes"
    )
    above = await reading(node).payments_above(101)
    assert [paid for _, paid in above.payments] == [paid for paid in made if paid.block in (102, 106, 108)]
    assert [block.number for block in above.unreadable] == [104]


async def test_a_malformed_log_is_asked_of_the_next_node() -> None:
    made = history(2, 1, 3)
    nodes = [FakeNode(made), FakeNode(made)]
    nodes[0].lies["eth_getLogs"] = cut_data_in(100)
    nodes[1].lies["eth_getLogs"] = cut_data_in(104)
    gateway = Gateway(FakeNodes(*nodes), CHAIN_ID, GATEWAY)
    [window] = [window async for window in gateway.payments(0, len(made))]
    assert sorted(window.payments) == list(enumerate(made))
    assert not window.unreadable


async def test_blocks_that_are_done_are_not_read_again() -> None:
    made = history(2, 1, 3)
    node = FakeNode(made)
    windows = [window async for window in reading(node).payments(0, len(made), lambda index, block: index < 3)]
    assert [window.payments for window in windows] == [list(enumerate(made))[3:]]
    assert node.asked.count("eth_getLogs") == 1


async def test_nodes_that_show_no_logs_at_all_are_a_failure() -> None:
    made = history(*[1] * 40)
    node = FakeNode(made)
    node.lies["eth_getLogs"] = lambda logs: []
    with pytest.raises(InconsistentChainData):
        await anext(reading(node).payments(0, len(made)))
    assert node.asked.count("eth_getLogs") < 8 * len(made)
