"""Confirmations: depth, limits on unfinalized payments, and agreement between two nodes."""

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest
from msgspec import structs

from chain.errors import ChainError
from chain.gateway import Gateway
from chain.payment import Payment
from stateless_billing.crediting.confirmations import Confirmations
from stateless_billing.domain.finality import parse_tiers
from tests.chain.fake_node import FakeNode, FakeNodes
from tests.fakes.factories import CHAIN_ID, GATEWAY, OTHER_GATEWAY, PAYER, FakeClock, block, heads, payment, tx_hash

pytestmark = pytest.mark.anyio
TIERS = parse_tiers("10000:15s,100000:safe,finalized")
ADDRESSES = (GATEWAY, OTHER_GATEWAY)


class World:
    """Fake nodes that hold these payments, and the Confirmations that read them."""

    def __init__(
        self,
        payments: list[Payment],
        *,
        nodes: int = 1,
        latest: int = 200,
        finalized: int = 50,
        max_unfinalized_cents: int = 10**9,
        clock: type[FakeClock] = FakeClock,
    ) -> None:
        self.each = [FakeNode(payments, latest=latest, finalized=finalized) for _ in range(nodes)]
        self.clock = clock(wall_time=float(block(latest).time))
        reader = FakeNodes(*self.each)
        gateways = [Gateway(reader, CHAIN_ID, address) for address in ADDRESSES]
        self.confirmations = Confirmations(
            nodes=reader, gateways=gateways, tiers=TIERS, max_unfinalized_cents=max_unfinalized_cents, clock=self.clock
        )

    async def reached(self, subject: Payment) -> bool:
        """Whether this payment is deep enough."""
        return (await self.confirmations.depth_of(subject, await self.confirmations.heads())).reached


async def test_heads_are_read_deepest_first() -> None:
    world = World([], latest=200, finalized=50)
    assert await world.confirmations.heads() == heads(200, 125, 50)


async def test_seconds_are_counted_to_the_head() -> None:
    for latest, confirmed in ((107, 14), (108, 15)):
        world = World([payment()], latest=latest)
        depth = await world.confirmations.depth_of(payment(), await world.confirmations.heads())
        assert (depth.confirmed, depth.needed, depth.reached) == (confirmed, 15, confirmed == 15)


async def test_a_customers_unfinalized_payments_of_all_gateways_count_together() -> None:
    this = payment(cents=5_001, sequence=1, block=102, tx_hash=tx_hash(2))
    alone, other = payment(cents=5_000), payment(cents=5_000, gateway=OTHER_GATEWAY)
    assert await World([this], latest=120).reached(this)
    for earlier in (alone, other):
        assert not await World([earlier, this], latest=120).reached(this)  # `safe` is at 85
        assert await World([earlier, this], latest=200, finalized=60).reached(this)  # at 130
    final = payment(cents=5_000, block=40)
    assert await World([final, this], latest=120).reached(this)


async def test_all_customers_together_stay_below_the_maximum() -> None:
    bob = payment(cents=5_000, customer_id="cus_Bob", block=90, tx_hash=tx_hash(3))
    assert await World([bob, payment()], max_unfinalized_cents=10_000).reached(payment())
    assert not await World([bob, payment()], max_unfinalized_cents=9_999).reached(payment())
    assert await World([bob, payment()], max_unfinalized_cents=9_999, finalized=100).reached(payment())


async def test_a_plain_payment_waits_for_finality_and_reads_no_others() -> None:
    plain = payment(cents=0)
    world = World([plain], finalized=99)
    assert not await world.reached(plain)
    assert "eth_call" not in world.each[0].asked
    assert await World([plain], finalized=100).reached(plain)


async def test_one_reading_is_shared_for_seconds_by_the_payments_it_holds() -> None:
    world = World([payment()])
    for wait, calls in ((0, 1), (3, 1), (2.9, 1), (0.1, 2)):
        world.clock.wait(wait)
        await world.reached(payment())
        assert world.each[0].viewed.count((GATEWAY, "totalPayments")) == calls


async def test_a_payment_that_the_reading_does_not_hold_causes_a_new_one() -> None:
    later = payment(block=101, tx_hash=tx_hash(2), sequence=1)
    world = World([payment()])
    await world.reached(payment())
    world.each[0].payments.append(later)
    assert not await world.reached(later), "which a node hid within the second"
    world.clock.wait(1)
    assert await world.reached(later)
    moved = payment(block=102, tx_hash=tx_hash(2), sequence=1)
    world.each[0].payments[-1] = moved
    world.clock.wait(1)
    assert await world.reached(moved)
    for _ in range(5):
        assert not await world.reached(later), "a reorganisation moved it"
    assert world.each[0].viewed.count((GATEWAY, "totalPayments")) == 3, "once a second, however many ask"


async def test_a_reading_covers_no_payment_behind_the_head_that_was_read_before_it() -> None:
    """Of two gateways one was read before the other: an earlier payment of it may be missing."""
    first, second = payment(gateway=OTHER_GATEWAY, cents=9_000), payment(cents=9_000, block=101)
    world = World([first, second], latest=120)
    at_head_100 = await world.confirmations.heads()
    at_head_100 = heads(100, at_head_100.safe.number, at_head_100.finalized.number)
    windows = [await gateway.payments_above(50) for gateway in world.confirmations._gateways]
    world.confirmations.share_unfinalized(at_head_100, [windows[0]], world.clock.boot())
    assert not await world.reached(second), "both count, so that it waits for the second tier"


async def test_a_later_finalized_block_causes_no_new_reading() -> None:
    """An earlier one stays true: the reading holds more payments than it had to."""
    world = World([payment()])
    await world.reached(payment())
    await world.confirmations.depth_of(payment(), heads(200, 125, 60))
    assert world.each[0].viewed.count((GATEWAY, "totalPayments")) == 1
    await world.confirmations.depth_of(payment(), heads(200, 125, 40))
    assert world.each[0].viewed.count((GATEWAY, "totalPayments")) == 2, "this one holds too few"


async def test_safe_and_finalized_are_asked_of_each_node_every_six_seconds() -> None:
    world = World([], nodes=1)
    node = world.each[0]
    await world.confirmations.heads()
    assert node.asked.count("eth_getBlockByNumber") == 3
    node.tags = {"latest": 205, "safe": 150, "finalized": 60}
    assert await world.confirmations.heads() == heads(205, 125, 50), "the older ones stay true"
    assert node.asked.count("eth_getBlockByNumber") == 4
    world.clock.wait(6)
    assert await world.confirmations.heads() == heads(205, 150, 60)


async def test_a_node_that_went_back_is_asked_for_all_again() -> None:
    world = World([], nodes=1)
    await world.confirmations.heads()
    world.each[0].tags = {"latest": 120, "safe": 100, "finalized": 40}
    assert await world.confirmations.heads() == heads(120, 100, 40)


async def test_no_node_is_believed_by_what_another_says_is_final() -> None:
    plain = payment(cents=0)
    world = World([plain], nodes=2, finalized=100)
    world.each[1].tags["finalized"] = 99
    for _ in range(2):
        assert not await world.reached(plain)


LARGE = payment(cents=50_000)  # above the first tier: `safe` is needed
SMALL = payment(cents=5_000)


async def test_above_the_first_tier_two_nodes_must_agree() -> None:
    assert await World([LARGE], nodes=2).reached(LARGE)
    assert await World([LARGE], nodes=1).reached(LARGE)  # one node alone is trusted


@pytest.mark.parametrize(
    ("method", "lie"),
    [
        ("eth_getLogs", lambda _: []),
        ("eth_getLogs", lambda logs: [log | {"data": log["data"][:-1] + "1"} for log in logs]),  # other cents
        ("eth_getLogs", lambda logs: [log | {"transactionHash": tx_hash(9)} for log in logs]),
        ("eth_getBlockByNumber", lambda raw: raw | {"hash": "0x" + "cc" * 32}),
        ("eth_getBlockByNumber", lambda _: None),
    ],
)
async def test_a_second_node_that_differs_delays_a_large_payment_but_not_a_small_one(method: str, lie: Any) -> None:
    for subject, expected in ((LARGE, False), (SMALL, True)):
        world = World([subject], nodes=2)
        world.each[1].lies[method] = lie
        assert await world.reached(subject) is expected


async def test_a_second_node_that_lags_delays_a_large_payment() -> None:
    world = World([LARGE], nodes=2)
    world.each[1].tags["safe"] = 99
    assert not await world.reached(LARGE)


async def test_two_of_three_nodes_are_enough() -> None:
    world = World([LARGE], nodes=3)
    world.each[2].lies["eth_getLogs"] = lambda _: []
    assert await world.reached(LARGE)
    world.each[1].lies["eth_getLogs"] = lambda _: []
    assert not await world.reached(LARGE)


async def test_a_node_that_hangs_keeps_no_payment_waiting_that_two_others_confirm() -> None:
    subject = payment(cents=50_000)
    world = World([subject], nodes=3)
    hangs = asyncio.Event()
    ask = world.each[1].request

    async def request(method: str, *rest: Any) -> Any:
        if method == "eth_getLogs":
            await hangs.wait()
        return await ask(method, *rest)

    world.each[1].request = request  # type: ignore[method-assign, assignment]
    async with asyncio.timeout(5):
        assert await world.reached(subject)


async def test_a_plain_payment_needs_two_nodes() -> None:
    plain = payment(cents=0)
    world = World([plain], nodes=2, finalized=100)
    assert await world.reached(plain)
    world.each[1].tags["finalized"] = 99
    world.clock.wait(6)
    assert not await world.reached(plain)


async def test_a_payment_that_no_node_shows_is_not_confirmed() -> None:
    world = World([payment(block=90, tx_hash=tx_hash(2)), payment(sequence=1)])
    world.each[0].lies["eth_getLogs"] = lambda _: []
    assert not await world.reached(payment(sequence=1))


async def test_where_a_block_is_unreadable_one_node_alone_is_not_trusted() -> None:
    """It could hide payments, and with them how much is already credited before finality."""
    hidden, tiny = payment(block=90, tx_hash=tx_hash(2)), payment(cents=1, sequence=1)

    def hide(logs: Any) -> Any:
        return [] if logs and logs[0]["blockNumber"] == hex(90) else logs

    def world(*lies: Any) -> World:
        nodes = World([hidden, tiny], nodes=2)
        for node, lie in zip(nodes.each, lies, strict=True):
            node.lies["eth_getLogs"] = lie
        return nodes

    assert await world(hide, hide).reached(tiny), "both nodes show it"
    assert not await world(hide, lambda _: []).reached(tiny)
    assert await world(lambda logs: logs, lambda _: []).reached(tiny), "nothing is hidden"


@pytest.mark.parametrize(
    "subject", [payment(cents=1), SMALL, LARGE, payment(cents=0)], ids=["tiny", "small", "large", "plain"]
)
async def test_a_final_payment_needs_two_nodes(subject: Payment) -> None:
    assert await World([subject], nodes=2, finalized=100).reached(subject)
    assert await World([subject], nodes=1, finalized=100).reached(subject)
    for liar in (0, 1):
        world = World([subject], nodes=2, finalized=100)
        world.each[liar].lies["eth_getLogs"] = lambda logs: [log | {"data": log["data"][:-1] + "7"} for log in logs]
        assert not await world.reached(subject)


async def test_a_final_payment_forged_by_one_of_two_nodes_is_not_reached() -> None:
    forged = payment(tx_hash=tx_hash(66), sequence=1, log_index=9)
    world = World([payment()], nodes=2, finalized=100)
    world.each[0].payments.append(forged)
    assert not await world.reached(forged)
    world.each[1].payments.append(forged)
    assert await world.reached(forged)


async def test_a_payment_missing_from_the_unfinalized_list_is_not_reached() -> None:
    others = payment(tx_hash=tx_hash(2), customer_id="cus_Bob", block=98)
    for listed in ([], [others], [payment(wallet=PAYER)], [payment(customer_id="cus_Bob")], [payment(block=101)]):
        depth = await World(listed).confirmations.depth_of(SMALL, heads(200, 125, 50))
        assert (depth.reached, depth.confirmed, depth.needed) == (False, 15, 15)
    assert await World([others, SMALL]).reached(SMALL)


STALE = 31  # blocks of two seconds


def away(node: FakeNode) -> None:
    """Let a node answer nothing properly."""
    for method in ("eth_getBlockByNumber", "eth_getLogs", "eth_call"):
        node.lies[method] = lambda _: None


PLAIN = payment(cents=0)


class TestWhatHoldsAPaymentUp:
    """The cause of a wait that is longer than usual."""

    async def cause(self, world: World, subject: Payment) -> str | None:
        depth = await world.confirmations.depth_of(subject, await world.confirmations.heads())
        assert not depth.reached
        return depth.cause

    @pytest.mark.parametrize("subject", [LARGE, PLAIN], ids=["large", "plain"])
    async def test_a_second_node_that_does_not_answer(self, subject: Payment) -> None:
        world = World([subject], nodes=2, finalized=100)
        away(world.each[1])
        assert await self.cause(world, subject) == "node_unavailable"

    async def test_it_is_reached_once_the_node_is_back(self) -> None:
        world = World([PLAIN], nodes=2, finalized=100)
        away(world.each[1])
        assert await self.cause(world, PLAIN) == "node_unavailable"
        world.each[1].lies.clear()
        await world.confirmations.refresh_nodes(0)
        assert await world.reached(PLAIN)

    async def test_a_second_node_that_stands_still(self) -> None:
        world = World([PLAIN], nodes=2, finalized=100)
        world.each[1].tags |= {"latest": 99, "finalized": 40}
        assert await self.cause(world, PLAIN) == "node_unavailable"

    async def test_a_second_node_that_is_a_moment_behind_is_usual(self) -> None:
        world = World([PLAIN], nodes=2, finalized=100)
        world.each[1].tags |= {"latest": 199, "finalized": 99}
        assert await self.cause(world, PLAIN) is None

    async def test_a_second_node_that_shows_another_payment(self) -> None:
        world = World([PLAIN], nodes=2, finalized=100)
        world.each[1].lies["eth_getLogs"] = lambda _: []
        assert await self.cause(world, PLAIN) == "node_disagreement"

    async def test_one_of_three_away_holds_nothing_up(self) -> None:
        world = World([PLAIN], nodes=3, finalized=100)
        away(world.each[0])
        assert await world.reached(PLAIN)

    async def test_a_chain_that_makes_nothing_final(self) -> None:
        world = World([PLAIN], latest=1_900, finalized=99)
        assert await self.cause(world, PLAIN) == "finality_stalled", "its newest final block is an hour old"
        assert world.confirmations.stall(PLAIN) == "finality_stalled"
        assert await self.cause(World([PLAIN], latest=1_898, finalized=99), PLAIN) is None

    async def test_a_chain_without_safe_blocks(self) -> None:
        world = World([LARGE], latest=1_200, finalized=50)
        world.each[0].tags["safe"] = 99
        assert await self.cause(world, LARGE) == "finality_stalled"

    async def test_no_node_with_a_current_block(self) -> None:
        world = World([PLAIN], nodes=2)
        for node in world.each:
            node.tags["latest"] -= STALE
        assert await self.cause(world, PLAIN) == "node_unavailable"
        with pytest.raises(ChainError, match="over a minute old"):
            await world.confirmations.require_current_head()


class TestWhileTheOtherNodeIsAway:
    """Small quoted payments are credited on one node's word, at any depth and up to a sum."""

    def world(self, payments: list[Payment], maximum: int = 10**9) -> World:
        world = World(payments, nodes=2, finalized=100, max_unfinalized_cents=maximum)
        away(world.each[1])
        return world

    async def test_a_small_final_payment_is_reached(self) -> None:
        assert await self.world([SMALL]).reached(SMALL)

    @pytest.mark.parametrize("subject", [LARGE, PLAIN], ids=["large", "plain"])
    async def test_others_wait(self, subject: Payment) -> None:
        assert not await self.world([subject]).reached(subject)

    async def test_an_hours_sum_bounds_what_one_node_can_invent(self) -> None:
        first, second = payment(cents=600), payment(cents=600, customer_id="cus_Bob", tx_hash=tx_hash(2), log_index=5)
        world = self.world([first, second], maximum=1_000)
        assert await world.reached(first)
        assert await world.reached(first), "the same payment counts once"
        assert not await world.reached(second)
        world.clock.wait(3_600)
        world.each[0].tags["latest"] += 1_800
        assert await world.reached(second)

    async def test_before_finality_the_sum_of_all_bounds_it(self) -> None:
        unfinalized = [payment(cents=600, customer_id=f"cus_{n}", tx_hash=tx_hash(n), log_index=n) for n in range(4)]
        world = self.world(unfinalized, maximum=1_800)
        world.each[0].tags["finalized"] = 50
        assert [await world.reached(each) for each in unfinalized] == [True, True, True, False]

    async def test_without_a_first_tier_nothing_is_exempt(self) -> None:
        world = self.world([SMALL])
        world.confirmations._tiers = parse_tiers("finalized")
        assert not await world.reached(SMALL)


async def test_a_node_that_shows_ever_new_payments_is_believed_up_to_an_hours_sum() -> None:
    """Each of its unfinalized payments is within the limit, and it drops those that were credited."""
    world, reached = World([], nodes=2, max_unfinalized_cents=1_800), 0
    for turn in range(10):
        height = 100 + 40 * turn
        forged = [
            payment(cents=600, customer_id=f"cus_{turn}{n}", block=height + n, tx_hash=tx_hash(10 * turn + n + 2))
            for n in range(3)
        ]
        world.each[0].payments[:] = forged
        for node in world.each:
            node.tags |= {"latest": height + 60, "safe": 60}
        world.clock.wait(80)
        reached += [await world.reached(each) for each in forged].count(True)
    assert reached == 3
    honest = payment(cents=600, block=500)
    for node in world.each:
        node.payments[:] = [honest]
    world.clock.wait(7)
    assert await world.reached(honest), "two nodes show it"


async def test_an_identity_counts_with_its_facts() -> None:
    world = World([payment(cents=600)], nodes=2, max_unfinalized_cents=1_000)
    assert await world.reached(payment(cents=600))
    changed = payment(cents=900, customer_id="cus_Bob", block=140)
    world.each[0].payments[:] = [changed]
    world.each[1].payments.clear()
    world.clock.wait(7)
    assert not await world.reached(changed)


async def test_a_node_without_the_block_yet_has_not_failed_to_answer() -> None:
    """A lying node could put what it invents into blocks that the other does not have."""
    world = World([], nodes=2)
    subject = structs.replace(payment(block=205), time=block(150).time)
    await world.confirmations.heads()
    confirmed, cause = await world.confirmations._second_word(subject, TIERS[0], int(world.clock.wall()))
    assert (confirmed, cause) == (False, None)


async def test_a_node_that_hangs_is_not_asked_for_each_payment() -> None:
    subjects = [payment(cents=0, tx_hash=tx_hash(n), log_index=n, block=90 + n) for n in range(5)]
    world = World(subjects, nodes=2, finalized=100)

    def hang(_: Any) -> None:
        world.clock.wait(10)

    world.each[1].lies["eth_getLogs"] = world.each[1].lies["eth_call"] = hang
    begun = world.clock.boot()
    for subject in subjects:
        depth = await world.confirmations.depth_of(subject, await world.confirmations.heads())
        assert (depth.reached, depth.cause) == (False, "node_unavailable")
    assert world.clock.boot() - begun == 10
    world.each[1].lies.clear()
    world.clock.wait(30)
    for node in world.each:
        node.tags["latest"] += 40
    assert await world.reached(subjects[0])


async def test_a_node_with_a_stale_head_is_skipped() -> None:
    world = World([SMALL], nodes=2)
    world.each[0].tags["latest"] -= STALE
    for _ in range(2):
        assert await world.confirmations.heads() == heads(200, 125, 50)
    assert world.each[0].asked == ["eth_getBlockByNumber"], "its newest block, to compare it with the other's"
    world = World([SMALL], nodes=2)
    world.each[0].tags["latest"] -= 2  # 4 s behind the other: nodes differ by that much
    assert await world.confirmations.heads() == heads(198, 125, 50)
    world = World([SMALL], nodes=2)
    world.each[0].tags["latest"] -= 3
    assert await world.confirmations.heads() == heads(200, 125, 50)


async def test_if_all_heads_are_stale_a_stale_head_is_used() -> None:
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
    """A clock that advances on every reading."""

    def boot(self) -> float:
        """Seconds since boot, advanced by half a second per call."""
        self.boot_time += 0.5
        return self.boot_time


async def test_a_cache_entry_that_expires_between_two_reads_is_harmless() -> None:
    world = World([SMALL], clock=TickingClock)
    for _ in range(20):
        assert await world.reached(SMALL)


async def test_concurrent_callers_share_one_reading() -> None:
    world = World([SMALL])
    depths = await asyncio.gather(*(world.confirmations.depth_of(SMALL, heads(200, 125, 50)) for _ in range(20)))
    assert all(depth.reached for depth in depths)
    assert world.each[0].asked.count("eth_getLogs") == 1


async def test_a_block_from_the_future_is_confirming() -> None:
    world = World([LARGE], finalized=150)
    world.clock.wall_time = block(100).time - 121.0
    assert not await world.reached(LARGE)
