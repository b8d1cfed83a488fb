"""The gauges of `/metrics`: those of the sweep tell only what a round has read."""

from typing import Any

import pytest

from stateless_billing.services.container import Services
from stateless_billing.web.server.metrics_app import ServiceCollector
from tests.fakes.factories import payment
from tests.fakes.in_process_service import BEGIN, LoopClock, Town, sweeping

COMPLETED = "billing_sweep_completed_timestamp_seconds"
OF_THE_SWEEP = {
    COMPLETED,
    "billing_uncredited_payments",
    "billing_uncredited_cents",
    "billing_oldest_uncredited_seconds",
    "billing_swept_payments",
    "billing_unreadable_blocks",
}


def gauges(services: Services) -> dict[str, list[float]]:
    """The values of each gauge of the sweep."""
    metrics = ServiceCollector(services).collect()
    return {each.name: [sample.value for sample in each.samples] for each in metrics if each.name in OF_THE_SWEEP}


def test_a_process_that_does_not_sweep_has_no_gauge_of_the_sweep() -> None:
    """Its start loads the service record as every start does; BillingNobodySweeps asks for the absence."""
    town = Town([payment()])

    async def scenario() -> None:
        services = await town.started(SWEEP="off")
        assert not services.settings.sweep
        assert services.sweeper.swept(), "the record is loaded"
        assert gauges(services) == {}

    town.run(scenario())


def test_a_completed_round_is_dated() -> None:
    town = Town([payment()])

    async def scenario() -> None:
        services = await town.started()
        await services.sweeper.run_once()
        assert set(gauges(services)) == OF_THE_SWEEP
        assert gauges(services)[COMPLETED] == [services.sweeper.completed_at]
        assert BEGIN <= (services.sweeper.completed_at or 0) <= LoopClock().wall()
        before = LoopClock().wall()
        await sweeping(services, 600)
        assert (services.sweeper.completed_at or 0) > before + 500, "an idle round counts too"

    town.run(scenario())


def fail_by_node(town: Town, services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every reading of the contract fail."""
    town.nodes[0].lies["eth_call"] = lambda _: "0x"


def fail_by_fault(town: Town, services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every round raise what nobody expects."""

    async def raising(*_: Any) -> None:
        raise KeyError("a fault")

    monkeypatch.setattr(services.sweeper.order_watch, "retry_ordered", raising)


@pytest.mark.parametrize("fail", [fail_by_node, fail_by_fault])
@pytest.mark.parametrize("has_completed", [False, True])
def test_rounds_that_fail_are_not_dated(fail: Any, has_completed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    town = Town([payment()])

    async def scenario() -> None:
        services = await town.started()
        if has_completed:
            await services.sweeper.run_once()
        before = services.sweeper.completed_at
        assert (before is not None) == has_completed
        fail(town, services, monkeypatch)
        await sweeping(services, 600)
        assert services.sweeper.completed_at == before
        assert (COMPLETED in gauges(services)) == has_completed

    town.run(scenario())
