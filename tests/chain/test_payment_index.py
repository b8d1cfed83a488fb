"""An index read through an honest node is read exactly; through one that lies it is not read at all."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.errors import ChainError, InconsistentChainData
from chain.payment import Payment
from chain.payment_index import MAX_BETWEEN, WINDOW, PaymentIndex
from tests.chain.fake_node import FakeNode, history
from tests.chain.lies import LIES, Lie
from tests.fakes.factories import CHAIN_ID, CUSTOMER, GATEWAY, block, payment, tx_hash

pytestmark = pytest.mark.anyio


def reading(node: FakeNode, address: str = GATEWAY) -> PaymentIndex:
    """The index as this node tells of it."""
    return PaymentIndex(node, CHAIN_ID, address)


async def read_between(node: FakeNode, since: int, until: int) -> list[Payment]:
    """Read all payments of a time."""
    index = reading(node)
    return [paid for _, paid in await index.read_entries(await index.blocks_between(since, until))]


@settings(max_examples=40)
@given(st.lists(st.integers(1, 30), min_size=1, max_size=8), st.integers(90, 120))
def test_the_payments_above_a_block(sizes: list[int], number: int) -> None:
    made = history(*sizes)
    above = asyncio.run(reading(FakeNode(made)).blocks_above(number))
    expected = [(index, paid.block) for index, paid in enumerate(made) if paid.block > number]
    assert [(index, block.number) for block in above for index in range(block.start, block.stop)] == expected
    assert len({block.number for block in above}) == len(above)


@settings(max_examples=60)
@given(st.lists(st.integers(1, 4), max_size=12), st.integers(90, 130), st.integers(0, 30))
def test_the_payments_between_two_times(sizes: list[int], first: int, more: int) -> None:
    made = history(*sizes)
    since, until = block(first).time + 1, block(first + more).time
    between = asyncio.run(read_between(FakeNode(made), since, until))
    assert between == [paid for paid in made if since <= paid.time <= until]


async def test_payments_of_a_recent_time_cost_few_readings() -> None:
    node = FakeNode(history(*[1] * 900))
    assert len(await read_between(node, block(1_890).time, block(1_892).time)) == 2
    assert len(node.asked) < 30
    node.asked.clear()
    assert await read_between(node, block(2_000).time, block(9_000).time) == []
    assert len(node.asked) == 6


@pytest.mark.parametrize(("what", "lie"), LIES.values(), ids=list(LIES))
async def test_a_lie_about_the_payments_of_a_time_is_noticed(what: str, lie: Lie) -> None:
    node = FakeNode(history(2, 3, 4))
    since, until = block(100).time, block(104).time
    assert len(await read_between(node, since, until)) == 9
    node.lies[what] = lie
    with pytest.raises(ChainError):
        await read_between(node, since, until)


async def test_more_than_a_window_of_a_time_is_located_and_too_many_are_not() -> None:
    node = FakeNode(history(WINDOW, 1, WINDOW - 1, 3))
    located = await reading(node).blocks_between(0, block(110).time)
    assert [(each.start, each.stop) for each in located] == [(0, 2_000), (2_000, 2_001), (2_001, 4_000), (4_000, 4_003)]
    node = FakeNode(history(MAX_BETWEEN, 1))
    assert len(await reading(node).blocks_between(0, block(101).time)) == 1
    with pytest.raises(InconsistentChainData, match="20001 payments"):
        await reading(node).blocks_between(0, block(110).time)


async def test_every_place_of_the_index() -> None:
    made = history(1, 3, 20, 1)
    gateway = reading(FakeNode(made))
    assert [await gateway.payment_at(index) for index in range(len(made))] == made


@settings(max_examples=40)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.data())
def test_one_customers_payments(sizes: list[int], data: st.DataObject) -> None:
    made = history(*sizes)
    mine = [paid for paid in made if paid.customer_id == "cus_Payer0"]
    start = data.draw(st.integers(0, len(mine)))
    stop = data.draw(st.integers(start, len(mine)))
    assert asyncio.run(reading(FakeNode(made)).payments_of("cus_Payer0", start, stop)) == mine[start:stop]


@pytest.mark.parametrize(("what", "lie"), LIES.values(), ids=list(LIES))
async def test_a_lie_about_one_customer_is_noticed(what: str, lie: Lie) -> None:
    node = FakeNode(history(2, 3, 4, customers=1))
    node.lies[what.replace("paymentBlocks", "paymentBlocksOf")] = lie
    with pytest.raises(ChainError):
        await reading(node).payments_of("cus_Payer0", 0, 9)


async def test_logs_against_the_count_are_called_inconsistent() -> None:
    node = FakeNode(history(2, 3, 4))
    node.lies["eth_getLogs"] = LIES["omits the last log"][1]
    with pytest.raises(InconsistentChainData, match="block 102 shows 2 payments, not 3"):
        await reading(node).window(0, 9)
    with pytest.raises(InconsistentChainData, match="cus_Payer1's payments are not those the gateway counts"):
        await reading(node).payments_of("cus_Payer1", 0, 3)


async def test_a_window_ends_with_a_block_and_begins_with_one() -> None:
    made = history(WINDOW - 1, 2, 1)
    index = reading(FakeNode(made))
    assert await index.window(0, len(made)) == list(enumerate(made))[: WINDOW - 1]
    assert await index.window(WINDOW, len(made)) == list(enumerate(made))[WINDOW - 1 :]


@pytest.mark.parametrize("omitted", [0, 1, 2])
async def test_a_payment_at_a_place_is_not_taken_from_a_block_with_a_hole(omitted: int) -> None:
    node = FakeNode(history(1, 3, 1))
    node.lies["eth_getLogs"] = lambda logs: logs[:omitted] + logs[omitted + 1 :] if len(logs) == 3 else logs
    for index in (1, 2, 3):
        with pytest.raises(InconsistentChainData, match="block 102 shows 2 payments, not 3"):
            await reading(node).payment_at(index)
    assert (await reading(node).payment_at(4)).block == 104


async def test_counting_one_payment() -> None:
    first, last = payment(), payment(sequence=1, log_index=8, tx_hash=tx_hash(2))
    index = reading(FakeNode([first, last]))
    await index.check_counted([last])
    await index.check_counted([payment(customer_id=None, sequence=5)])  # nobody can be asked for it
    with pytest.raises(InconsistentChainData, match="knows no payment 1 in block 104"):
        await index.check_counted([payment(sequence=1, block=104)])


async def test_an_empty_range_costs_nothing() -> None:
    node = FakeNode(history(2))
    assert await reading(node).payments_of(CUSTOMER, 3, 3) == []
    assert node.asked == []
