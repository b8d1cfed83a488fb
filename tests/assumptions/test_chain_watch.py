"""What a node called final and later tells otherwise is counted, and believed as before."""

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from chain.gateway import Gateway
from chain.payment import Block, Payment
from stateless_billing.assumptions.breaches import Breaches
from stateless_billing.assumptions.chain_watch import MAX_STEP_BACK_SECONDS, ChainWatch
from stateless_billing.crediting.confirmations import Confirmations
from stateless_billing.domain.finality import parse_tiers
from tests.chain.fake_node import FakeNode, FakeNodes
from tests.fakes.factories import BLOCK_SECONDS, CHAIN_ID, GATEWAY, FakeClock, block, payment, tx_hash
from tests.fakes.in_process_service import Town, advanced

STEP = MAX_STEP_BACK_SECONDS // BLOCK_SECONDS
OTHER_HASH = "0x" + "99" * 32
LATER = 10  # seconds, when a node is asked again what is final


def world(node: FakeNode) -> tuple[Confirmations, FakeClock]:
    """The reader of one node's heads, and its clock."""
    reader, clock = FakeNodes(node), FakeClock(wall_time=float(block(10_000).time))
    confirmations = Confirmations(
        nodes=reader,
        gateways=[Gateway(reader, CHAIN_ID, GATEWAY)],
        tiers=parse_tiers("finalized"),
        max_unfinalized_cents=10**9,
        clock=clock,
        watch=ChainWatch(Breaches()),
    )
    return confirmations, clock


@pytest.mark.anyio
@pytest.mark.parametrize(("to", "counted"), [(9_400, 0), (9_000 - STEP, 0), (9_000 - STEP - 1, 1), (10, 1)])
async def test_a_finalized_head_that_goes_far_back_is_counted(to: int, counted: int) -> None:
    node = FakeNode()
    confirmations, clock = world(node)
    await confirmations.heads()
    for finalized in (to, 9_000, to):
        node.tags |= {"finalized": finalized}
        clock.boot_time += LATER
        assert (await confirmations.heads()).finalized.number == finalized
    assert confirmations.watch.breaches.counts["finalized_went_back"] == counted
    assert sum(confirmations.watch.breaches.counts.values()) == counted


def test_a_head_that_goes_back_step_by_step_is_counted() -> None:
    watch = ChainWatch(Breaches())
    for number in range(9_000, 9_000 - 2 * STEP, -STEP // 2):
        watch.finalized("node 1", block(number))
    assert watch.breaches.counts == {"finalized_went_back": 1}


@pytest.mark.anyio
async def test_a_final_block_that_is_replaced_is_counted() -> None:
    node = FakeNode()
    confirmations, clock = world(node)
    await confirmations.heads()
    honest = confirmations.watch.breaches.counts.copy()
    node.lies["eth_getBlockByNumber"] = lambda header: header | {"hash": OTHER_HASH}
    for _ in range(3):
        clock.boot_time += LATER
        assert (await confirmations.heads()).finalized.hash == OTHER_HASH
    assert not honest
    assert confirmations.watch.breaches.counts == {"final_block_replaced": 1}


def test_two_nodes_whose_final_blocks_differ_are_counted() -> None:
    watch = ChainWatch(Breaches())
    watch.finalized("node 1", block(9))
    watch.finalized("node 2", Block(9, OTHER_HASH, block(9).time))
    assert watch.breaches.counts == {"final_block_replaced": 1}


CHANGES: dict[str, Callable[[Payment], Payment]] = {
    "another amount": lambda paid: replace(paid, amount=paid.amount + 1),
    "more cents": lambda paid: replace(paid, cents=paid.cents + 1),
    "another EVM transaction": lambda paid: replace(paid, tx_hash=tx_hash(7)),
    "another wallet": lambda paid: replace(paid, wallet="0x" + "77" * 20),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=list(CHANGES))
def test_a_final_payment_with_other_facts_is_counted_and_not_credited_twice(
    change: Callable[[Payment], Payment],
) -> None:
    paid = payment()
    town = Town([paid])

    async def scenario() -> None:
        services = town.process()
        assert (await advanced(services, paid)).state == "credited"
        assert (await advanced(services, paid)).state == "credited"
        assert not services.breaches.counts
        changed = change(paid)
        for node in town.nodes:
            node.payments = [changed]
        services.status_cache._credited.clear()
        await advanced(services, changed)
        assert services.breaches.counts == {"final_payment_changed": 1}
        assert not services.breaches.failures
        assert len(town.rows(paid.customer_id or "")) == 1

    town.run(scenario())
