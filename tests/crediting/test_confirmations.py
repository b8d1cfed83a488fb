"""Confirmations: what nodes tell of a payment's depth, together with all that is not final, and told alike by two."""

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest

from chain.errors import ChainError
from chain.gateway import Gateway
from chain.payment import Payment
from chain.payment_index import WINDOW
from stateless_billing.crediting.confirmations import Confirmations
from stateless_billing.domain.finality import parse_tiers
from tests.chain.fake_node import FakeNode, FakeNodes, history
from tests.fakes.factories import CHAIN_ID, GATEWAY, OTHER_GATEWAY, PAYER, FakeClock, block, heads, payment, tx_hash

pytestmark = pytest.mark.anyio
TIERS = parse_tiers("10000:15s,100000:safe,finalized")
ADDRESSES = (GATEWAY, OTHER_GATEWAY)


class World:
    """Nodes that tell of these payments, and the one reader of them."""

    def __init__(
        self,
        payments: list[Payment],
        *,
        nodes: int = 1,
        latest: int = 200,
        finalized: int = 50,
        most: int = 10**9,
        clock: type[FakeClock] = FakeClock,
    ) -> None:
        self.each = [FakeNode(payments, latest=latest, finalized=finalized) for _ in range(nodes)]
        self.clock = clock(wall_time=float(block(latest).time))
        reader = FakeNodes(*self.each)
        gateways = [Gateway(reader, CHAIN_ID, address) for address in ADDRESSES]
        self.confirmations = Confirmations(
            nodes=reader, gateways=gateways, tiers=TIERS, max_unfinalized_cents=most, clock=self.clock
        )

    async def reached(self, one: Payment) -> bool:
        """Whether this payment is deep enough."""
        return (await self.confirmations.depth_of(one, await self.confirmations.heads())).reached


async def test_heads_are_read_deepest_first() -> None:
    world = World([], latest=200, finalized=50)
    assert await world.confirmations.heads() == heads(200, 125, 50)


async def test_seconds_are_counted_to_the_head() -> None:
    for latest, confirmed in ((107, 14), (108, 15)):
        world = World([payment()], latest=latest)
        found = await world.confirmations.depth_of(payment(), await world.confirmations.heads())
        assert (found.confirmed, found.needed, found.reached) == (confirmed, 15, confirmed == 15)


async def test_a_customers_unfinalised_payments_of_all_gateways_count_together() -> None:
    this = payment(cents=5_001, sequence=1, block=102, tx_hash=tx_hash(2))
    alone, other = payment(cents=5_000), payment(cents=5_000, gateway=OTHER_GATEWAY)
    assert await World([this], latest=120).reached(this)
    for earlier in (alone, other):
        assert not await World([earlier, this], latest=120).reached(this)  # `safe` is at 85
        assert await World([earlier, this], latest=200, finalized=60).reached(this)  # at 130
    final = payment(cents=5_000, block=40)
    assert await World([final, this], latest=120).reached(this)


async def test_all_customers_together_stay_below_the_most() -> None:
    bob = payment(cents=5_000, customer_id="cus_Bob", block=90, tx_hash=tx_hash(3))
    assert await World([bob, payment()], most=10_000).reached(payment())
    assert not await World([bob, payment()], most=9_999).reached(payment())
    assert await World([bob, payment()], most=9_999, finalized=100).reached(payment())


async def test_a_plain_payment_waits_for_finality_and_reads_no_others() -> None:
    plain = payment(cents=0)
    world = World([plain], finalized=99)
    assert not await world.reached(plain)
    assert "eth_call" not in world.each[0].asked
    assert await World([plain], finalized=100).reached(plain)


async def test_one_reading_serves_several_payers_for_a_second() -> None:
    world = World([payment()])
    for wait, calls in ((0, 1), (0.5, 1), (1, 2)):
        world.clock.wait(wait)
        await world.reached(payment())
        assert world.each[0].viewed.count((GATEWAY, "totalPayments")) == calls


async def test_a_later_finalized_block_is_read_anew() -> None:
    world = World([payment()])
    await world.reached(payment())
    world.each[0].tags["finalized"] = 60
    await world.reached(payment())
    assert world.each[0].viewed.count((GATEWAY, "totalPayments")) == 2


LARGE = payment(cents=50_000)  # above the first tier: `safe` is needed
SMALL = payment(cents=5_000)


async def test_above_the_first_tier_two_nodes_must_tell_the_same() -> None:
    assert await World([LARGE], nodes=2).reached(LARGE)
    assert await World([LARGE], nodes=1).reached(LARGE)  # one node alone is trusted


@pytest.mark.parametrize(
    ("what", "lie"),
    [
        ("eth_getLogs", lambda _: []),
        ("eth_getLogs", lambda logs: [log | {"data": log["data"][:-1] + "1"} for log in logs]),  # other cents
        ("eth_getLogs", lambda logs: [log | {"transactionHash": tx_hash(9)} for log in logs]),
        ("eth_getBlockByNumber", lambda raw: raw | {"hash": "0x" + "cc" * 32}),
        ("eth_getBlockByNumber", lambda _: None),
    ],
)
async def test_a_second_node_that_differs_holds_a_large_payment_back_and_not_a_small_one(what: str, lie: Any) -> None:
    for one, expected in ((LARGE, False), (SMALL, True)):
        world = World([one], nodes=2)
        world.each[1].lies[what] = lie
        assert await world.reached(one) is expected


async def test_a_second_node_that_lags_holds_a_large_payment_back() -> None:
    world = World([LARGE], nodes=2)
    world.each[1].tags["safe"] = 99
    assert not await world.reached(LARGE)


async def test_two_of_three_nodes_are_enough() -> None:
    world = World([LARGE], nodes=3)
    world.each[2].lies["eth_getLogs"] = lambda _: []
    assert await world.reached(LARGE)
    world.each[1].lies["eth_getLogs"] = lambda _: []
    assert not await world.reached(LARGE)


async def test_a_plain_payment_is_told_by_two_nodes_too() -> None:
    plain = payment(cents=0)
    world = World([plain], nodes=2, finalized=100)
    assert await world.reached(plain)
    world.each[1].tags["finalized"] = 99
    assert not await world.reached(plain)


async def test_an_index_with_a_hole_is_no_basis_for_a_depth() -> None:
    world = World([payment(block=90, tx_hash=tx_hash(2)), payment(sequence=1)])
    world.each[0].lies["eth_getLogs"] = lambda _: []
    with pytest.raises(ChainError):
        await world.reached(payment(sequence=1))


@pytest.mark.parametrize(
    "one", [payment(cents=1), SMALL, LARGE, payment(cents=0)], ids=["tiny", "small", "large", "plain"]
)
async def test_a_final_payment_is_told_by_two_nodes(one: Payment) -> None:
    assert await World([one], nodes=2, finalized=100).reached(one)
    assert await World([one], nodes=1, finalized=100).reached(one)
    for liar in (0, 1):
        world = World([one], nodes=2, finalized=100)
        world.each[liar].lies["eth_getLogs"] = lambda logs: [log | {"data": log["data"][:-1] + "7"} for log in logs]
        assert not await world.reached(one)


async def test_a_final_payment_that_one_of_two_nodes_made_up_is_not_reached() -> None:
    forged = payment(tx_hash=tx_hash(66), sequence=1, log_index=9)
    world = World([payment()], nodes=2, finalized=100)
    world.each[0].payments.append(forged)
    assert not await world.reached(forged)
    world.each[1].payments.append(forged)
    assert await world.reached(forged)


async def test_a_payment_that_the_list_of_the_unfinalised_lacks_is_not_reached() -> None:
    others = payment(tx_hash=tx_hash(2), customer_id="cus_Bob", block=98)
    for told in ([], [others], [payment(wallet=PAYER)], [payment(customer_id="cus_Bob")], [payment(block=101)]):
        found = await World(told).confirmations.depth_of(SMALL, heads(200, 125, 50))
        assert (found.reached, found.confirmed, found.needed) == (False, 15, 15)
    assert await World([others, SMALL]).reached(SMALL)


STALE = 31  # blocks of two seconds


async def test_a_node_whose_head_is_stale_is_passed_over() -> None:
    world = World([SMALL], nodes=2)
    world.each[0].tags["latest"] -= STALE
    for _ in range(2):
        assert await world.confirmations.heads() == heads(200, 125, 50)
    assert len(world.each[0].asked) == 3  # it rests
    world = World([SMALL], nodes=2)
    world.each[0].tags["latest"] -= STALE - 1  # just a minute old
    assert await world.confirmations.heads() == heads(200 - STALE + 1, 125, 50)


async def test_where_all_heads_are_stale_there_are_heads_all_the_same() -> None:
    world = World([SMALL], nodes=2)
    world.each[0].tags["latest"] -= STALE
    world.each[1].tags["latest"] -= STALE + 1
    assert (await world.confirmations.heads()).latest in (block(200 - STALE), block(199 - STALE))
    world.each[0].lies["eth_getBlockByNumber"] = lambda _: None
    assert await world.confirmations.heads() == heads(199 - STALE, 125, 50)
    world.each[1].lies["eth_getBlockByNumber"] = lambda _: None
    with pytest.raises(ChainError):
        await world.confirmations.heads()


@dataclass
class TickingClock(FakeClock):
    """A clock that goes on whenever somebody looks at it."""

    def boot(self) -> float:
        """Seconds passed, half a one more each time."""
        self.boot_time += 0.5
        return self.boot_time


async def test_what_expires_between_two_looks_does_no_harm() -> None:
    world = World([SMALL], clock=TickingClock)
    for _ in range(20):
        assert await world.reached(SMALL)


async def test_many_at_once_read_once() -> None:
    world = World([SMALL])
    found = await asyncio.gather(*(world.confirmations.depth_of(SMALL, heads(200, 125, 50)) for _ in range(20)))
    assert all(one.reached for one in found)
    assert world.each[0].asked.count("eth_getLogs") == 1


async def test_a_block_from_the_future_is_confirming() -> None:
    world = World([LARGE], finalized=150)
    world.clock.wall_time = block(100).time - 121.0
    assert not await world.reached(LARGE)


MADE = history(2, 1, 3)
WHERE = {index: one.block for index, one in enumerate(MADE)}


async def agreed(*nodes: FakeNode, blocks: dict[int, int]) -> bool | None:
    """What these nodes together say of the index."""
    world = World([])
    world.confirmations._nodes = FakeNodes(*nodes)
    return await world.confirmations.nodes_agree(Gateway(FakeNodes(*nodes), CHAIN_ID, GATEWAY), blocks)


async def test_two_nodes_agree_where_payments_lie_or_not() -> None:
    liar = FakeNode([payment(block=99, tx_hash=tx_hash(66)), *MADE])
    assert await agreed(FakeNode(MADE), FakeNode(MADE), blocks=WHERE)
    assert await agreed(liar, FakeNode(MADE), FakeNode(MADE), blocks=WHERE)
    assert await agreed(liar, FakeNode(MADE), blocks=WHERE) is False
    assert await agreed(liar, FakeNode(MADE), blocks={0: 99, 3: WHERE[2]}) is False
    assert await agreed(liar, FakeNode(MADE), blocks={5: 104}), "the same in both"


async def test_one_node_alone_is_trusted_and_nothing_needs_nobody() -> None:
    assert await agreed(FakeNode([]), blocks=WHERE)
    assert await agreed(FakeNode([]), FakeNode([]), blocks={})


async def test_nodes_that_cannot_be_asked_tell_nothing() -> None:
    silent = FakeNode(MADE)
    silent.lies["eth_call"] = lambda _: "0x"
    assert await agreed(silent, FakeNode(MADE), blocks=WHERE) is None
    assert await agreed(silent, FakeNode(MADE), FakeNode(MADE), blocks=WHERE)
    assert await agreed(FakeNode(MADE[:3]), FakeNode(MADE), blocks=WHERE) is None, "it is behind"


async def test_places_far_apart_are_asked_for_in_windows() -> None:
    made = history(*[1] * (WINDOW + 2), customers=1)
    blocks = {index: made[index].block for index in (0, 1, WINDOW, WINDOW + 1)}
    nodes = FakeNode(made), FakeNode(made)
    assert await agreed(*nodes, blocks=blocks)
    assert await agreed(*nodes, blocks=blocks | {WINDOW + 1: 1}) is False
    assert nodes[0].viewed.count((GATEWAY, "paymentBlocks")) == 4
