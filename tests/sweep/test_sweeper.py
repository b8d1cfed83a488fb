"""Sweeps over a chain and a Stripe account in one process: what is passed, what stays open, and what it costs."""

import asyncio
import logging
from dataclasses import replace

import httpx
import pytest

from chain.payment import Payment
from stateless_billing.sandbox.api_keys import DEFAULT_KEY
from stateless_billing.sweep.sweeper import Sweeper, SweepResult
from tests.chain.fake_node import FakeNode, history
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

THREE = history(2, 1)  # of three customers
FINAL_SECONDS = FINALITY * BLOCK_SECONDS
IDLE = SweepResult(idle=True, complete=True)


def credited(town: Town, payments: list[Payment]) -> bool:
    """Whether each payment is credited once, and nothing else is."""
    wanted = sorted((one.customer_id or "", one.identity, -one.cents) for one in payments)
    rows = [row for one in {one.customer_id for one in payments} for row in town.rows(one or "")]
    return sorted((row.customer, row.metadata["payment"], row.amount) for row in rows) == wanted


def test_everything_final_is_credited_and_passed() -> None:
    town = Town(THREE)

    async def scenario() -> None:
        services = await town.started()
        assert await services.sweeper.run_once() == SweepResult(idle=True, complete=True)
        assert credited(town, THREE)
        assert [town.cursor(f"cus_Payer{number}") for number in range(3)] == [f"1:{one.tx_hash}" for one in THREE]
        await services.sweeper.run_once(force=True)
        assert town.record() == ("3", {})

    town.run(scenario())


def test_an_idle_sweep_asks_stripe_nothing() -> None:
    town = Town(THREE, **{f"swept__{CHAIN_ID}__{SHORT}": "3"})

    async def scenario() -> None:
        services = await town.started()
        town.stripe.log.reset()
        await sweeping(services, HOUR)
        assert town.stripe.log.counts.total() == 0

    town.run(scenario())


def test_a_bogus_open_key_is_dropped_at_the_start() -> None:
    keys = {f"open__{CHAIN_ID}__{SHORT}__{index}": "currency" for index in (1, 3, 99)}
    town = Town(THREE, **{f"swept__{CHAIN_ID}__{SHORT}": "3", **keys})

    async def scenario() -> None:
        services = await town.started()
        assert town.record() == ("3", {1: "currency", 3: "currency", 99: "currency"})
        assert (await services.sweeper.run_once(force=True)).complete
        assert town.record() == ("3", {})  # 1 was a payment, and it is credited now
        assert credited(town, [THREE[1]])
        assert await services.sweeper.run_once() == IDLE

    town.run(scenario())


def test_a_record_ahead_of_the_contract_is_that_of_another_contract() -> None:
    town = Town(THREE, **{f"swept__{CHAIN_ID}__{SHORT}": "50", f"open__{CHAIN_ID}__{SHORT}__40": "currency"})

    async def scenario() -> None:
        services = await town.started()
        await services.sweeper.run_once(force=True)
        assert credited(town, THREE)
        assert town.record() == ("3", {})

    town.run(scenario())


def test_a_record_ahead_of_a_node_that_is_behind_stays() -> None:
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


def test_a_count_that_shrinks_under_way_is_a_node_that_is_behind() -> None:
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
        assert town.record() == ("3", {1: "customer_invalid"})
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
    town = Town([replace(THREE[0], customer_id=None), *THREE[1:]])

    async def scenario() -> None:
        services = await town.started()
        await services.sweeper.run_once(force=True)
        assert town.record() == ("3", {0: "customer_invalid"})

    town.run(scenario())


def test_at_most_twenty_are_left_open_before_the_sweep_waits() -> None:
    many = history(*[1] * 25, customers=25)
    town = Town(many, strangers=[one.customer_id or "" for one in many])

    async def scenario() -> None:
        services = await town.started()
        for _ in range(2):
            await services.sweeper.run_once(force=True)
        swept, opened = town.record()
        assert (swept, len(opened)) == ("20", 20)

    town.run(scenario())


def calls_with_a_revoked_key(town: Town) -> None:
    """Ten minutes of sweeping with a key that is no longer accepted; the log then holds what was asked."""

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
    assert 25 * 2 <= len(calls) <= 25 * 10  # waits that double, for cursor and credit of each customer


def test_a_revoked_key_makes_no_hot_loop_of_records() -> None:
    town = Town(THREE)
    calls_with_a_revoked_key(town)
    calls = [row for row in town.stripe.log.rows if SERVICE in row.path]
    assert len(calls) <= 11  # once a minute


def test_one_customers_surprise_does_not_stop_the_others(caplog: pytest.LogCaptureFixture) -> None:
    town = Town(THREE)

    def surprise(request: httpx.Request) -> None:
        if "cus_Payer0" in request.url.path:
            raise RuntimeError("nobody expects this")

    async def scenario() -> None:
        services = await town.started()
        town.meddle = surprise
        with caplog.at_level(logging.CRITICAL):
            assert await services.sweeper.run_once() == SweepResult(idle=False, complete=False)
        assert credited(town, THREE[1:])
        town.meddle = lambda _: None
        await services.sweeper.run_once()
        assert credited(town, THREE)

    town.run(scenario())


def test_what_is_not_final_is_credited_and_not_passed() -> None:
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


def test_a_fresh_credit_and_its_finality_cost_what_the_documentation_says() -> None:
    young = payment(block=NOW_BLOCK - 30, customer_id="cus_Payer9", tx_hash=tx_hash(90))
    town = Town([young])

    async def scenario() -> None:
        services = await town.started()
        town.stripe.log.reset()
        town.connections = 0
        await services.sweeper.run_once()
        assert (town.asked(READS), town.asked(CREDITS), town.stripe.log.counts.total()) == (1, 1, 2)
        assert town.connections == 0  # over the one that the records were read over
        town.stripe.log.reset()
        await sweeping(services, 2 * FINAL_SECONDS)
        [record] = {row.path for row in town.stripe.log.rows if SERVICE in row.path}
        assert record == f"/v1/customers/{SERVICE}"
        mine = [row.endpoint for row in town.stripe.log.rows if SERVICE not in row.path]
        assert mine == [LISTS, UPDATES]

    town.run(scenario())


def test_several_processes_at_once_credit_once() -> None:
    many = history(3, 2, 4)
    town = Town(many)

    async def scenario() -> None:
        several = [await town.started() for _ in range(4)]
        await asyncio.gather(*(one.sweeper.run_once() for one in several))
        for one in several:
            await sweeping(one, 300)
        assert credited(town, many)

    town.run(scenario())


def test_a_sweep_that_was_not_started_has_no_gateways() -> None:
    town = Town([])

    async def scenario() -> None:
        services = town.process()
        assert isinstance(services.sweeper, Sweeper)
        assert await services.sweeper.run_once() == IDLE

    town.run(scenario())


RECORD = {"stateless_billing": "service", "grants": GRANTS}
OPEN_2 = f"open:{CHAIN_ID}:{SHORT}:2"
FORGED = payment(block=99, tx_hash=tx_hash(66), customer_id="cus_Forged")


def liars_town() -> Town:
    """Two nodes, of which the first one tells of a payment that never was, before all others."""
    town = Town(THREE)
    town.nodes = [FakeNode([FORGED, *THREE]), FakeNode(THREE)]
    return town


def test_an_open_payment_is_not_closed_by_one_nodes_word() -> None:
    town = liars_town()

    async def scenario() -> None:
        town.nodes[1].payments = THREE[:2]
        await (await town.started(RPC_URLS="http://node1.test")).sweeper.run_once(force=True)
        town.nodes[1].payments = list(THREE)
        town.set_metadata(SERVICE, RECORD | {f"swept:{CHAIN_ID}:{SHORT}": "3", OPEN_2: "stripe_down"})
        services = await town.started()
        assert not (await services.sweeper.run_once(force=True)).complete  # its payment 2 is the real payment 1
        assert town.record() == ("3", {2: "stripe_down"})
        town.nodes[0].payments = list(THREE)
        assert not (await services.sweeper.run_once(force=True)).complete  # it goes back to the record
        assert await services.sweeper.run_once(force=True) == IDLE
        assert town.record() == ("3", {})
        assert credited(town, THREE)

    town.run(scenario())


def test_what_only_one_node_tells_is_not_passed() -> None:
    town = liars_town()

    async def scenario() -> None:
        services = await town.started()
        await services.sweeper.run_once(force=True)
        assert credited(town, THREE)
        assert town.record() == (None, {})
        town.nodes[0].payments = list(THREE)
        await sweeping(services, 3 * 60)
        assert town.record() == ("3", {})

    town.run(scenario())


def test_a_node_that_cannot_be_asked_keeps_the_record_where_it_is() -> None:
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
