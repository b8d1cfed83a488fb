"""A gateway read through an honest node is read exactly; through one that lies it is not read at all."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.errors import BadAnswer, ChainError, Inconsistent, NodeError
from chain.gateway import WINDOW, Gateway
from chain.payment import Payment
from tests.chain.fake_node import FakeNode, history, raw_log
from tests.factories import CHAIN_ID, GATEWAY, OTHER_GATEWAY, WALLET, block, payment, tx_hash

pytestmark = pytest.mark.anyio


def reading(node: FakeNode, address: str = GATEWAY) -> Gateway:
    """The gateway as this node tells of it."""
    return Gateway(node, CHAIN_ID, address)


async def everything(gateway: Gateway, start: int, stop: int) -> list[tuple[int, Payment]]:
    """All windows as one list; each must end with a block."""
    found: list[tuple[int, Payment]] = []
    async for window in gateway.payments(start, stop):
        assert window
        assert not found or window[0][1].block > found[-1][1].block
        found += window
    return found


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
    with pytest.raises(BadAnswer):
        await reading(node).customer_of(WALLET)


async def test_a_view_without_a_contract_behind_it_is_a_failure() -> None:
    node = FakeNode()
    node.lies["eth_call"] = lambda _: "0x"
    for ask in (reading(node).total_payments, reading(node).paused, lambda: reading(node).payment_blocks(0, 0)):
        with pytest.raises(NodeError):
            await ask()


SIZES = st.lists(st.sampled_from([1, 1, 2, 3, WINDOW - 1, WINDOW, WINDOW + 1, 2 * WINDOW + 7]), min_size=1, max_size=5)


@settings(deadline=None, max_examples=25)
@given(SIZES, st.floats(0, 1))
def test_an_honest_index_is_read_exactly_whatever_the_blocks_hold(sizes: list[int], part: float) -> None:
    made = history(*sizes)
    start = int(part * len(made))
    found = asyncio.run(everything(reading(FakeNode(made)), start, len(made)))
    if start == len(made):
        assert found == []
        return
    begins = next(at for at, one in enumerate(made) if one.block == made[start].block)
    assert found == list(enumerate(made))[begins:]


@pytest.mark.parametrize(
    ("sizes", "start", "begins"),
    [((3, 4, 2), 0, 0), ((3, 4, 2), 3, 3), ((3, 4, 2), 5, 3), ((9,), 8, 0), ((1, 40), 40, 1)],
)
async def test_a_start_within_a_block_reads_the_whole_block(sizes: tuple[int, ...], start: int, begins: int) -> None:
    made = history(*sizes)
    assert await everything(reading(FakeNode(made)), start, len(made)) == list(enumerate(made))[begins:]


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(1, 30), min_size=1, max_size=8), st.integers(90, 120))
def test_the_payments_above_a_block(sizes: list[int], number: int) -> None:
    made = history(*sizes)
    found = asyncio.run(reading(FakeNode(made)).payments_above(number))
    assert found == [one for one in made if one.block > number]


async def test_every_place_of_the_index() -> None:
    made = history(1, 3, 20, 1)
    gateway = reading(FakeNode(made))
    assert [await gateway.payment_at(index) for index in range(len(made))] == made


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.data())
def test_one_customers_payments(sizes: list[int], data: st.DataObject) -> None:
    made = history(*sizes)
    mine = [one for one in made if one.customer_id == "cus_Payer0"]
    start = data.draw(st.integers(0, len(mine)))
    stop = data.draw(st.integers(start, len(mine)))
    assert asyncio.run(reading(FakeNode(made)).payments_of("cus_Payer0", start, stop)) == mine[start:stop]


async def test_two_gateways_on_one_chain_are_told_apart() -> None:
    mine = history(2, 2)
    others = [replace(one, log_index=one.log_index + 50) for one in history(1, 2, gateway=OTHER_GATEWAY)]
    node = FakeNode([*mine, *others])
    assert await everything(reading(node), 0, 4) == list(enumerate(mine))
    assert await everything(reading(node, OTHER_GATEWAY), 0, 3) == list(enumerate(others))


async def test_logs_are_asked_for_by_the_hash_of_each_block_once() -> None:
    node = FakeNode(history(5, 1, 7))
    await everything(reading(node), 0, 13)
    assert node.asked.count("eth_getLogs") == node.asked.count("eth_getBlockByNumber") == 3


Lie = Callable[[Any], Any]
FORGED = raw_log(payment(block=102, log_index=50, tx_hash=tx_hash(77), customer_id="cus_Payer0", sequence=3))


def in_block_102(lie: Callable[[list[Any]], list[Any]]) -> Lie:
    """A lie about the logs of block 102 only."""
    return lambda logs: lie(logs) if logs and logs[0]["blockNumber"] == hex(102) else logs


LIES: dict[str, tuple[str, Lie]] = {
    "omits the first log": ("eth_getLogs", in_block_102(lambda logs: logs[1:])),
    "omits the last log": ("eth_getLogs", in_block_102(lambda logs: logs[:-1])),
    "omits all logs": ("eth_getLogs", lambda _: []),
    "adds a log": ("eth_getLogs", in_block_102(lambda logs: [*logs, FORGED])),
    "repeats a log": ("eth_getLogs", in_block_102(lambda logs: [*logs, logs[-1]])),
    "shows logs of another block": ("eth_getLogs", lambda logs: [log | {"blockHash": block(9).hash} for log in logs]),
    "shows removed logs": ("eth_getLogs", lambda logs: [log | {"removed": True} for log in logs]),
    "turns the logs round": ("eth_getLogs", lambda logs: logs[::-1]),
    "answers another block": ("eth_getBlockByNumber", lambda raw: raw | {"number": "0x1"}),
    "knows another block by that number": ("eth_getBlockByNumber", lambda raw: raw | {"hash": "0x" + "cc" * 32}),
    "has no such block": ("eth_getBlockByNumber", lambda _: None),
    "shortens the index": ("paymentBlocks", lambda blocks: blocks[:-1]),
    "lengthens the index": ("paymentBlocks", lambda blocks: [*blocks, blocks[-1]]),
    "empties the index": ("paymentBlocks", lambda _: []),
    "turns the index round": ("paymentBlocks", lambda blocks: blocks[::-1]),
    "moves a payment to an empty block": ("paymentBlocks", lambda blocks: [*blocks[:-1], 500]),
    "moves a payment to the block before": (
        "paymentBlocks",
        lambda b: [100 if x == 102 and b[0] == 100 else x for x in b],
    ),
    "answers with a cut word": ("eth_call", lambda raw: raw[:-2]),
    "answers with nothing": ("eth_call", lambda _: "0x"),
}


@pytest.mark.parametrize(("what", "lie"), LIES.values(), ids=list(LIES))
async def test_a_lie_about_the_whole_index_is_noticed(what: str, lie: Lie) -> None:
    node = FakeNode(history(2, 3, 4))
    node.lies[what] = lie
    with pytest.raises(ChainError):
        await everything(reading(node), 0, 9)


@pytest.mark.parametrize(("what", "lie"), LIES.values(), ids=list(LIES))
async def test_a_lie_about_one_customer_is_noticed(what: str, lie: Lie) -> None:
    node = FakeNode(history(2, 3, 4, customers=1))
    node.lies[what.replace("paymentBlocks", "paymentBlocksOf")] = lie
    with pytest.raises(ChainError):
        await reading(node).payments_of("cus_Payer0", 0, 9)


async def test_logs_against_the_count_are_called_inconsistent() -> None:
    node = FakeNode(history(2, 3, 4))
    node.lies["eth_getLogs"] = LIES["omits the last log"][1]
    with pytest.raises(Inconsistent, match="block 102 shows 2 payments, the gateway counts 3"):
        await everything(reading(node), 0, 9)
    with pytest.raises(Inconsistent, match="cus_Payer1's payments are not those the gateway counts"):
        await reading(node).payments_of("cus_Payer1", 0, 3)


async def test_what_was_read_before_a_hole_is_handed_out_and_the_hole_is_not() -> None:
    made = history(WINDOW, 1, 2)
    node = FakeNode(made)
    node.lies["eth_getLogs"] = lambda logs: logs[1:] if len(logs) == 2 else logs
    windows = reading(node).payments(0, len(made))
    assert await anext(windows) == list(enumerate(made))[:WINDOW]
    with pytest.raises(Inconsistent):
        await anext(windows)


async def test_a_node_that_lags_behind_the_count_does_not_shorten_it() -> None:
    made = history(2, 3)
    node = FakeNode(made[:2])  # it knows the first block only
    with pytest.raises(NodeError):
        await everything(reading(node), 0, 5)
    with pytest.raises(NodeError):
        await reading(node).payments_of("cus_Payer0", 0, 2)


@pytest.mark.parametrize("blocks", [[102, 100], [100, 102, 101]])
async def test_an_index_that_goes_backwards(blocks: list[int]) -> None:
    node = FakeNode(history(1, 1, 1))
    node.lies["paymentBlocks"] = lambda _: blocks
    with pytest.raises(Inconsistent, match="backwards"):
        await reading(node).payment_blocks(0, len(blocks))


async def test_a_payment_at_a_place_must_be_one_that_the_contract_counts() -> None:
    node = FakeNode(history(1, 2))
    node.lies["eth_getLogs"] = lambda logs: [
        log | {"data": "0x" + (7).to_bytes(32).hex() + log["data"][66:]} for log in logs
    ]
    with pytest.raises(ChainError):
        await reading(node).payment_at(1)
    node.lies["eth_getLogs"] = lambda logs: logs[:1]
    with pytest.raises(Inconsistent, match="shows 1 payments, the gateway counts more"):
        await reading(node).payment_at(2)
