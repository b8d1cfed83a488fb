"""Sweeps over a fake chain and Stripe account in one process: progress, open payments and request counts."""

import asyncio
import logging
from typing import Any

import httpx
import pytest
from msgspec import structs

from chain.errors import NodeError
from chain.payment import Payment
from stateless_billing.sandbox.api_keys import DEFAULT_KEY
from stateless_billing.sweep.checkpoint import SEAL_SECONDS
from stateless_billing.sweep.sweeper import Sweeper, SweepResult
from tests.chain.fake_node import FakeNode, history
from tests.crediting.test_orders import credits_of
from tests.fakes.factories import BLOCK_SECONDS, CHAIN_ID, GATEWAY, payment, tx_hash
from tests.fakes.in_process_service import (
    CREDITS,
    FINALITY,
    GRANTS,
    HOUR,
    LISTS,
    NOW_BLOCK,
    READS,
    SERVICE,
    SHORT,
    UPDATES,
    Town,
    sweeping,
)

THREE = history(2, 1)  # payments of three customers
FINAL_SECONDS = FINALITY * BLOCK_SECONDS
IDLE = SweepResult(idle=True, complete=True)


def credited(town: Town, payments: list[Payment]) -> bool:
    """Whether each payment is credited exactly once, and nothing else is."""
    expected = sorted((subject.customer_id or "", subject.identity, -subject.cents) for subject in payments)
    customer_ids = {subject.customer_id or "" for subject in payments}
    rows = [row for customer_id in customer_ids for row in town.rows(customer_id)]
    return sorted((row.customer, row.metadata["payment"], row.amount) for row in rows) == expected


def test_all_final_payments_are_credited_and_passed() -> None:
    town = Town(THREE)

    async def scenario() -> None:
        services = await town.started()
        assert await services.sweeper.run_once() == SweepResult(idle=True, complete=True)
        assert credited(town, THREE)
        assert [town.cursor(f"cus_Payer{number}") for number in range(3)] == [
            f"1:{subject.tx_hash}" for subject in THREE
        ]
        await services.sweeper.run_once(force=True)
        assert town.record() == ("3", {})

    town.run(scenario())


def test_an_idle_sweep_makes_no_stripe_requests() -> None:
    town = Town(THREE, **{f"swept__{CHAIN_ID}__{SHORT}": "3"})

    async def scenario() -> None:
        services = await town.started()
        town.stripe.log.reset()
        await sweeping(services, HOUR)
        assert town.stripe.log.counts.total() == 0

    town.run(scenario())


def test_bogus_open_keys_are_replaced_by_a_look_at_all_payments() -> None:
    keys = {f"open__{CHAIN_ID}__{SHORT}__{index}": "currency" for index in (1, 3, 99)}
    town = Town(THREE, **{f"swept__{CHAIN_ID}__{SHORT}": "3", **keys})

    async def scenario() -> None:
        services = await town.started()
        assert town.record() == ("3", {1: "currency", 3: "currency", 99: "currency"})
        assert (await services.sweeper.run_once(force=True)).complete
        assert town.record() == ("3", {})
        assert credited(town, THREE)  # keys 3 and 99 may have named any of them
        assert await services.sweeper.run_once() == IDLE

    town.run(scenario())


def test_a_record_past_the_payment_count_belongs_to_another_contract() -> None:
    town = Town(THREE, **{f"swept__{CHAIN_ID}__{SHORT}": "50", f"open__{CHAIN_ID}__{SHORT}__40": "currency"})

    async def scenario() -> None:
        services = await town.started()
        await services.sweeper.run_once(force=True)
        assert credited(town, THREE)
        assert town.record() == ("3", {})

    town.run(scenario())


def test_a_record_past_the_payment_count_of_a_lagging_node_is_kept() -> None:
    town = Town(THREE, **{f"swept__{CHAIN_ID}__{SHORT}": "50"})
    town.lag = 90

    async def scenario() -> None:
        services = await town.started()
        town.stripe.log.reset()
        for _ in range(3):
            assert await services.sweeper.run_once(force=True) == SweepResult(idle=False, complete=False)
        assert town.stripe.log.counts.total() == 0
        assert town.record() == ("50", {})
        town.lag = 0
        await services.sweeper.run_once(force=True)
        assert town.record() == ("3", {})

    town.run(scenario())


def test_a_payment_count_that_shrinks_while_running_means_a_lagging_node() -> None:
    town = Town(THREE)

    async def scenario() -> None:
        services = await town.started()
        await services.sweeper.run_once(force=True)
        town.nodes[0].payments = THREE[:1]
        assert await services.sweeper.run_once(force=True) == SweepResult(idle=False, complete=False)
        assert town.record() == ("3", {})

    town.run(scenario())


def test_a_customer_unknown_to_stripe_is_held_and_passed_as_open() -> None:
    town = Town(THREE, strangers=["cus_Payer1"])

    async def scenario() -> None:
        services = await town.started()
        for _ in range(2):
            await services.sweeper.run_once(force=True)
        assert town.record() == ("3", {"cus_Payer1": "0:customer_invalid"})
        assert credited(town, [THREE[0], THREE[2]])
        town.stripe.log.reset()
        assert await services.sweeper.run_once() == SweepResult(idle=False, complete=True)
        assert town.stripe.log.counts.total() == 0  # until a day has passed
        town.add("cus_Payer1")
        again = await town.started()
        await again.sweeper.run_once(force=True)
        assert credited(town, THREE)
        assert town.record() == ("3", {})

    town.run(scenario())


def test_a_payment_without_a_customer_is_passed_as_open() -> None:
    town = Town([structs.replace(THREE[0], customer_id=None), *THREE[1:]])

    async def scenario() -> None:
        services = await town.started()
        await services.sweeper.run_once(force=True)
        assert town.record() == ("3", {0: "customer_invalid"})

    town.run(scenario())


def test_at_most_fifteen_customers_have_open_payments() -> None:
    many = history(*[1] * 25, customers=25)
    town = Town(many, strangers=[subject.customer_id or "" for subject in many])

    async def scenario() -> None:
        services = await town.started()
        for _ in range(2):
            await services.sweeper.run_once(force=True)
        swept, open_payments = town.record()
        assert (swept, len(open_payments)) == ("15", 15)

    town.run(scenario())


def calls_with_a_revoked_key(town: Town) -> None:
    """Sweep for ten minutes with a revoked key, so that the log holds the requests."""

    async def scenario() -> None:
        services = await town.started()
        town.stripe.keys.remove(DEFAULT_KEY)
        town.stripe.log.reset()
        await sweeping(services, 600, busy=6)
        assert {row.status for row in town.stripe.log.rows} == {401}
        assert not town.rows("cus_Payer0")

    town.run(scenario())


def test_a_revoked_key_makes_no_hot_loop_of_credits() -> None:
    town = Town(history(*[1] * 25, customers=25))  # more than may be left open
    calls_with_a_revoked_key(town)
    calls = [row for row in town.stripe.log.rows if SERVICE not in row.path]
    assert 25 * 2 <= len(calls) <= 25 * 10  # doubling delays, for the cursor and the credit of each customer


def test_a_revoked_key_makes_no_hot_loop_of_records() -> None:
    town = Town(THREE)
    calls_with_a_revoked_key(town)
    calls = [row for row in town.stripe.log.rows if SERVICE in row.path]
    assert len(calls) <= 11  # once a minute


def test_one_customers_failure_does_not_affect_the_others(caplog: pytest.LogCaptureFixture) -> None:
    town = Town(THREE)

    def fail(request: httpx.Request) -> None:
        if "cus_Payer0" in request.url.path:
            raise RuntimeError("unexpected")

    async def scenario() -> None:
        services = await town.started()
        town.meddle = fail
        with caplog.at_level(logging.CRITICAL):
            assert await services.sweeper.run_once() == SweepResult(idle=False, complete=False)
        assert credited(town, THREE[1:])
        town.meddle = lambda _: None
        await services.sweeper.run_once()
        assert credited(town, THREE)

    town.run(scenario())


def test_an_unfinalized_payment_is_credited_but_not_passed() -> None:
    young = payment(block=NOW_BLOCK - 30, customer_id="cus_Payer9", tx_hash=tx_hash(90))
    town = Town([*THREE, young])

    async def scenario() -> None:
        services = await town.started()
        assert await services.sweeper.run_once(force=True) == SweepResult(idle=False, complete=True)
        assert credited(town, [*THREE, young])
        assert (town.record(), town.cursor("cus_Payer9")) == (("3", {}), None)
        await sweeping(services, 2 * FINAL_SECONDS)
        await services.sweeper.run_once(force=True)
        assert (town.record(), town.cursor("cus_Payer9")) == (("4", {}), f"1:{young.tx_hash}")

    town.run(scenario())


def test_the_request_count_of_a_fresh_credit_and_its_finality_is_as_documented() -> None:
    young = payment(block=NOW_BLOCK - 30, customer_id="cus_Payer9", tx_hash=tx_hash(90))
    town = Town([young])

    async def scenario() -> None:
        services = await town.started()
        town.stripe.log.reset()
        town.connections = 0
        await services.sweeper.run_once()
        assert (town.asked(READS), town.asked(CREDITS), town.stripe.log.counts.total()) == (1, 1, 2)
        assert town.connections == 0  # reuses the connection that read the records
        town.stripe.log.reset()
        await sweeping(services, 2 * FINAL_SECONDS + SEAL_SECONDS)
        [record] = {row.path for row in town.stripe.log.rows if SERVICE in row.path}
        assert record == f"/v1/customers/{SERVICE}"
        mine = [row.endpoint for row in town.stripe.log.rows if SERVICE not in row.path]
        assert mine == [LISTS, UPDATES]

    town.run(scenario())


def test_concurrent_sweeps_credit_once() -> None:
    many = history(3, 2, 4)
    town = Town(many)

    async def scenario() -> None:
        processes = [await town.started() for _ in range(4)]
        await asyncio.gather(*(services.sweeper.run_once() for services in processes))
        for services in processes:
            await sweeping(services, 300)
        assert credited(town, many)

    town.run(scenario())


def test_a_sweeper_that_was_not_started_has_no_gateways() -> None:
    town = Town([])

    async def scenario() -> None:
        services = town.process()
        assert isinstance(services.sweeper, Sweeper)
        assert await services.sweeper.run_once() == IDLE

    town.run(scenario())


RECORD = {"stateless_billing": "service", "grants": GRANTS}
OPEN_2 = f"open:{CHAIN_ID}:{SHORT}:2"
FORGED = payment(block=99, tx_hash=tx_hash(66), customer_id="cus_Forged")


def town_with_lying_node() -> Town:
    """A town with two nodes, the first of which reports a forged payment before all others."""
    town = Town(THREE)
    town.nodes = [FakeNode([FORGED, *THREE]), FakeNode(THREE)]
    return town


def test_an_open_payment_is_not_closed_on_one_nodes_answer() -> None:
    town = town_with_lying_node()

    async def scenario() -> None:
        town.nodes[1].payments = THREE[:2]
        await (await town.started(RPC_URLS="http://node1.test")).sweeper.run_once(force=True)
        town.nodes[1].payments = list(THREE)
        town.set_metadata(SERVICE, RECORD | {f"swept:{CHAIN_ID}:{SHORT}": "3", OPEN_2: "stripe_down"})
        services = await town.started()
        assert not (await services.sweeper.run_once(force=True)).complete  # its payment 2 is the actual payment 1
        assert town.record() == ("3", {2: "stripe_down"})
        town.nodes[0].payments = list(THREE)
        assert not (await services.sweeper.run_once(force=True)).complete  # it rolls back to the record
        assert await services.sweeper.run_once(force=True) == IDLE
        assert town.record() == ("3", {})
        assert credited(town, THREE)

    town.run(scenario())


def test_payments_confirmed_by_one_node_only_are_not_passed() -> None:
    town = town_with_lying_node()

    async def scenario() -> None:
        services = await town.started()
        await services.sweeper.run_once(force=True)
        assert credited(town, THREE)
        assert town.record() == (None, {})
        town.nodes[0].payments = list(THREE)
        await sweeping(services, 3 * 60)
        assert town.record() == ("3", {})

    town.run(scenario())


def test_a_failing_node_keeps_the_record_unchanged() -> None:
    town = Town(THREE)
    town.nodes = [FakeNode(THREE), FakeNode(THREE)]

    async def scenario() -> None:
        services = await town.started()
        town.nodes[1].lies["eth_call"] = lambda _: "0x"
        assert await services.sweeper.run_once(force=True) == SweepResult(idle=False, complete=False)
        assert (town.record(), services.sweeper.swept()) == ((None, {}), {GATEWAY: 3})
        del town.nodes[1].lies["eth_call"]
        assert await services.sweeper.run_once(force=True) == IDLE
        assert town.record() == ("3", {})

    town.run(scenario())


def test_a_payment_that_cannot_be_judged_keeps_no_other_of_its_customer_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whichever is first: it raises each time, as one whose day holds a block that no node shows."""
    made = [payment(sequence=place, block=100 + place, tx_hash=tx_hash(place + 1), cents=500) for place in range(4)]
    new = payment(sequence=4, block=NOW_BLOCK - 60, tx_hash=tx_hash(9), cents=500)
    town = Town([*made, new])

    async def scenario() -> None:
        services = await town.started()
        process = type(services.crediting).process

        async def failing(self: Any, gateway: Any, each: Payment, heads: Any, **more: Any) -> Any:
            if each.sequence == 1:
                raise NodeError("no node shows a block of its day")
            return await process(self, gateway, each, heads, **more)

        monkeypatch.setattr(type(services.crediting), "process", failing)
        await sweeping(services, 30, 3, 15)
        assert [len(credits_of(town, each)) for each in [*made, new]] == [1, 0, 1, 1, 1]

    town.run(scenario())
