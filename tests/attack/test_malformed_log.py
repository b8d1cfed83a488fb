"""A node cuts the data of one payment's log: only its block waits, all others go on."""

import logging
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from chain.errors import ChainError
from chain.payment import Payment, customer_id_to_bytes32
from stateless_billing.services.readiness import readiness
from stateless_billing.web.server.metrics_app import ServiceCollector
from tests.chain.fake_node import FakeNode
from tests.fakes.factories import GATEWAY, payment, tx_hash
from tests.fakes.in_process_service import HOUR, NOW_BLOCK, Town, sweeping

CUSTOMERS = BEFORE, VICTIM, AFTER = "cus_Before", "cus_Victim", "cus_After"


def payments_from(number: int) -> list[Payment]:
    """A payment of each customer, every second block."""
    return [
        payment(customer_id=customer, block=number + 2 * place, tx_hash=tx_hash(place))
        for place, customer in enumerate(CUSTOMERS)
    ]


PAYMENTS = payments_from(100)


def cut_data(logs: Any) -> Any:
    """Cut the data of the victim's log."""
    victim = customer_id_to_bytes32(VICTIM).hex()
    return [log | {"data": log["data"][:-64]} if log["topics"][1].endswith(victim) else log for log in logs]


def gauge(services: Any) -> str:
    """The metric of unreadable blocks."""
    registry = CollectorRegistry()
    registry.register(ServiceCollector(services))
    [line] = [line for line in generate_latest(registry).decode().splitlines() if line.startswith("billing_unreadable")]
    return line


def test_the_block_waits_and_is_named_and_all_else_is_swept(caplog: pytest.LogCaptureFixture) -> None:
    town = Town(PAYMENTS)
    town.nodes[0].lies["eth_getLogs"] = cut_data
    caplog.set_level(logging.ERROR)

    async def scenario() -> None:
        services = await town.started()
        result = await services.sweeper.run_once(force=True)
        assert not result.complete
        assert [len(town.rows(customer)) for customer in CUSTOMERS] == [1, 0, 1]
        assert town.record() == ("1", {}), "what was not read is never passed"
        check = (await readiness(services)).checks["chain"]
        assert check.ok, "all else goes on"
        assert f"block 102 of {GATEWAY}: only these wait" in check.detail
        assert gauge(services) == "billing_unreadable_blocks 1.0"
        town.nodes[0].asked.clear()
        await sweeping(services, 600)
        assert town.nodes[0].asked.count("eth_getLogs") <= 5 * 31, "the others are not read again"
        messages = [record.getMessage() for record in caplog.records]
        [message] = [message for message in messages if "block 102" in message]
        assert "expected 96 bytes, got 64" in message
        restarted = await town.started()
        del town.nodes[0].lies["eth_getLogs"]
        for process in (services, restarted):
            assert (await process.sweeper.run_once(force=True)).complete
            assert gauge(process) == "billing_unreadable_blocks 0.0"
        assert [len(town.rows(customer)) for customer in CUSTOMERS] == [1, 1, 1]
        assert town.record() == ("3", {})

    town.run(scenario())


def test_claims_of_others_go_on_before_finality() -> None:
    """The sum of unfinalized payments is read for every claim."""
    made = payments_from(NOW_BLOCK - 100)
    town = Town(made)
    town.nodes[0].lies["eth_getLogs"] = cut_data

    async def scenario() -> None:
        services = await town.started()
        for paid in (made[0], made[2]):
            claimed = await services.claims.claim(paid.tx_hash)
            assert claimed.state == "credited"
        with pytest.raises(ChainError):
            await services.claims.claim(made[1].tx_hash)

    town.run(scenario())


def test_two_other_nodes_show_it() -> None:
    town = Town(PAYMENTS)
    town.nodes += [FakeNode(PAYMENTS), FakeNode(PAYMENTS)]
    town.nodes[0].lies["eth_getLogs"] = cut_data

    async def scenario() -> None:
        services = await town.started()
        assert (await services.sweeper.run_once(force=True)).complete
        assert town.record() == ("3", {})
        await sweeping(services, HOUR)
        assert gauge(services) == "billing_unreadable_blocks 0.0"

    town.run(scenario())
