"""A node stands still or goes away: others are asked, what waits says why, and goes on as soon as the node returns."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from chain.errors import NodeError
from chain.payment import Payment
from stateless_billing.services.container import Services
from stateless_billing.services.readiness import readiness
from stateless_billing.web.server.metrics_app import ServiceCollector
from tests.chain.fake_node import FakeNode
from tests.fakes.factories import BLOCK_SECONDS, CUSTOMER, START, WALLET, block, payment, tx_hash
from tests.fakes.in_process_service import BEGIN, NOW_BLOCK, LoopClock, Town
from tests.outages.test_stripe_returns import credit_times, run_for

SMALL = payment(cents=500)
LARGE = payment(cents=50_000, customer_id="cus_Bob", tx_hash=tx_hash(2), log_index=4)
PLAIN = payment(cents=0, customer_id="cus_Carol", tx_hash=tx_hash(3), log_index=7)
Scenario = Callable[[Town, Services], Coroutine[Any, Any, None]]


def play(scenario: Scenario, payments: list[Payment], nodes: int = 2) -> None:
    """Run a scenario with a process over so many nodes."""
    town = Town(payments)
    town.nodes = [FakeNode(payments) for _ in range(nodes)]

    async def run() -> None:
        await scenario(town, await town.started())

    town.run(run())


def leave(node: FakeNode) -> None:
    """Let every call to a node fail."""

    def answer(method: str, params: object) -> Any:
        raise NodeError("no backend is currently healthy")

    node.answer = answer  # type: ignore[method-assign]


def come_back(node: FakeNode) -> None:
    """Let a node answer again."""
    del node.answer


def freeze(node: FakeNode) -> None:
    """Let a node stand still: it answers everything as of now."""
    frozen = int(LoopClock().wall() - START) // BLOCK_SECONDS
    payments, original = list(node.payments), node.answer

    def answer(method: str, params: Any) -> Any:
        node.tags = {"latest": frozen, "safe": frozen - 300, "finalized": frozen - 600}
        node.payments = [paid for paid in payments if paid.block <= frozen]
        return original(method, params)

    node.answer = answer  # type: ignore[method-assign]


async def checks(services: Services) -> dict[str, str]:
    """What each check of `/readyz` that fails says."""
    return {name: check.detail for name, check in (await readiness(services)).checks.items() if not check.ok}


def gauges(services: Services) -> dict[str, float]:
    """The metrics of nodes and uncredited payments, by their labels."""
    samples = [sample for metric in ServiceCollector(services).collect() for sample in metric.samples]
    return {
        ":".join([sample.name, *sample.labels.values()]): sample.value
        for sample in samples
        if sample.name.startswith(("billing_node", "billing_uncredited_payments"))
    }


def test_while_the_second_node_is_away_small_final_payments_are_credited_and_the_others_say_why() -> None:
    async def scenario(town: Town, services: Services) -> None:
        leave(town.nodes[1])
        await run_for(services, 30)
        assert [bool(town.rows(paid.customer_id or "")) for paid in (SMALL, LARGE, PLAIN)] == [True, False, False]
        for paid in (LARGE, PLAIN):
            answer = await services.claims.status(paid.tx_hash)
            assert (answer.state, answer.payments[0].cause) == ("confirming", "node_unavailable")
        listed, complete = await services.uncredited_payments.list_all()
        assert complete
        assert [(entry.status.state, entry.status.cause) for entry in listed] == [
            ("confirming", "node_unavailable")
        ] * 2
        failing = await checks(services)
        assert list(failing) == ["nodes"]
        assert failing["nodes"].startswith("node 2 (node1.test) does not answer properly: payments above")
        found = gauges(services)
        assert found["billing_uncredited_payments:node_unavailable"] == 2
        assert (found["billing_node_up:node 1 (node0.test)"], found["billing_node_up:node 2 (node1.test)"]) == (1, 0)

    play(scenario, [SMALL, LARGE, PLAIN])


@pytest.mark.parametrize("away", [60, 600])
def test_a_node_that_returns_ends_the_wait_within_seconds(away: int) -> None:
    async def scenario(town: Town, services: Services) -> None:
        leave(town.nodes[1])
        work = asyncio.create_task(run_for(services, away + 60))
        await asyncio.sleep(away)
        come_back(town.nodes[1])
        returned_at = town.stripe.clock()
        await work
        assert credit_times(town)[-1] - returned_at < 5 + 15 + 2, "the nodes are looked at again, a round, its work"
        assert len(credit_times(town)) == 3

    play(scenario, [SMALL, LARGE, PLAIN])


def test_when_no_node_answered_for_long_everything_follows_within_seconds() -> None:
    async def scenario(town: Town, services: Services) -> None:
        for node in town.nodes:
            leave(node)
        work = asyncio.create_task(run_for(services, 660))
        await asyncio.sleep(600)
        assert set(await checks(services)) == {"chain", "nodes", "finality"}
        for node in town.nodes:
            come_back(node)
        returned_at = town.stripe.clock()
        await work
        assert credit_times(town)[-1] - returned_at < 5 + 15 + 2
        assert len(credit_times(town)) == 3

    play(scenario, [SMALL, LARGE, PLAIN])


def test_a_first_node_that_stands_still_is_named_and_asked_by_nobody_first() -> None:
    late = payment(cents=500, block=NOW_BLOCK + 30, sequence=1, tx_hash=tx_hash(9), time=block(NOW_BLOCK + 30).time)

    async def scenario(town: Town, services: Services) -> None:
        freeze(town.nodes[0])
        await asyncio.sleep(100)
        for _ in range(2):
            await services.accounts.find(WALLET, "198.51.100.1")
        visitors = services._clients.visitor_gateways[0]
        assert await visitors.payment_count(CUSTOMER) == await services.gateways[0].payment_count(CUSTOMER) == 2
        await run_for(services, 30)
        assert len(town.rows(CUSTOMER)) == 2
        failing = await checks(services)
        assert list(failing) == ["nodes"]
        assert failing["nodes"].startswith("node 1 (node0.test) is 1")
        assert gauges(services)["billing_node_behind_seconds:node 1 (node0.test)"] >= 100

    play(scenario, [payment(cents=500), late])


def test_one_of_three_nodes_away_holds_nothing_up_and_is_named() -> None:
    async def scenario(town: Town, services: Services) -> None:
        leave(town.nodes[2])
        await run_for(services, 30)
        assert all(town.rows(paid.customer_id or "") for paid in (SMALL, LARGE, PLAIN))
        assert await checks(services) == {"nodes": "node 3 (node2.test) does not answer properly"}

    play(scenario, [SMALL, LARGE, PLAIN], nodes=3)


def test_nodes_that_disagree_are_told_as_such() -> None:
    async def scenario(town: Town, services: Services) -> None:
        town.nodes[1].lies["eth_getLogs"] = lambda _: []
        await run_for(services, 30)
        answer = await services.claims.status(PLAIN.tx_hash)
        assert (answer.state, answer.payments[0].cause) == ("confirming", "node_disagreement")
        assert gauges(services)["billing_uncredited_payments:node_disagreement"] == 1
        town.nodes[1].lies.clear()
        await run_for(services, 5)
        assert town.rows("cus_Carol")

    play(scenario, [PLAIN])


def test_a_chain_that_finalizes_nothing_is_told_before_anybody_attempts_a_plain_payment() -> None:
    recent = payment(cents=0, block=NOW_BLOCK - 10, time=block(NOW_BLOCK - 10).time)

    async def scenario(town: Town, services: Services) -> None:
        began = int(BEGIN - START) // BLOCK_SECONDS - 1_600  # 3,200 s old
        original = town.nodes[0].answer

        def answer(method: str, params: Any) -> Any:
            town.nodes[0].tags["finalized"] = began
            return original(method, params)

        town.nodes[0].answer = answer  # type: ignore[method-assign]
        work = asyncio.create_task(run_for(services, 1_330))
        await asyncio.sleep(200)
        assert gauges(services)["billing_uncredited_payments:confirming"] == 1
        assert (await services.claims.status(recent.tx_hash)).payments[0].cause is None
        await asyncio.sleep(1_100)
        assert gauges(services)["billing_uncredited_payments:finality_stalled"] == 1
        assert (await services.claims.status(recent.tx_hash)).payments[0].cause == "finality_stalled"
        listed, _ = await services.uncredited_payments.list_all()
        assert [entry.status.cause for entry in listed] == ["finality_stalled"]
        assert list(await checks(services)) == ["finality"]
        come_back(town.nodes[0])
        await work
        assert len(town.rows(CUSTOMER)) == 1

    play(scenario, [recent], nodes=1)
