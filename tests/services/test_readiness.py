"""Readiness reports the chain, Stripe, price and signer, and detects Stripe's recovery without traffic."""

import asyncio
from decimal import Decimal

import pytest

from chain.signatures import Signer
from stateless_billing.sandbox.effects import error_unsaved, wrong_date
from stateless_billing.services.container import Services
from stateless_billing.services.readiness import readiness
from stateless_billing.stripe.errors import StripeUnavailable
from tests.chain.fake_node import history
from tests.fakes.factories import CHAIN_ID
from tests.fakes.in_process_service import LoopClock, NodesLine, StripeLine, Town


async def ready(services: Services) -> tuple[bool, list[str]]:
    """Whether a process is fit, and which checks say no."""
    answer = await readiness(services)
    return answer.ready, [name for name, check in answer.checks.items() if not check.ok]


async def fail_once(town: Town, services: Services) -> None:
    """Make one call to Stripe fail, and its repetition."""
    town.stripe.faults.add(error_unsaved(), times=2)
    async with services.stripe.session() as session:
        try:
            await session.get_customer("cus_Payer0")
        except StripeUnavailable:
            return
    raise AssertionError("the call did not fail")


def test_it_recovers_after_a_failed_call_without_traffic() -> None:
    town = Town(history(1))

    async def scenario() -> None:
        services = await town.started()
        assert await ready(services) == (True, [])
        await fail_once(town, services)
        town.stripe.log.reset()
        assert await ready(services) == (False, ["stripe"])
        assert town.stripe.log.counts.total() == 0, "it reads nothing itself"
        work = asyncio.create_task(services.stripe_probe.watch())
        await asyncio.sleep(12)
        assert await ready(services) == (True, [])
        requests = town.stripe.log.counts.total()
        assert requests == 2  # the bookkeeping customers
        for _ in range(5):
            await asyncio.sleep(120)
            assert await ready(services) == (True, [])
        assert town.stripe.log.counts.total() == requests
        work.cancel()

    town.run(scenario())


def test_a_clock_that_differs_from_stripes_is_not_ready() -> None:
    town = Town(history(1))

    async def scenario() -> None:
        services = await town.started()
        town.stripe.faults.add(wrong_date(600))
        async with services.stripe.session() as session:
            await session.get_customer("cus_Payer0")
        assert await ready(services) == (False, ["stripe"])

    town.run(scenario())


class SetClock(LoopClock):
    """A machine whose wall clock is ahead by `ahead`; nodes and Stripe have the right time."""

    def __init__(self, ahead: float) -> None:
        self.ahead = ahead

    def wall(self) -> float:
        """Unix seconds by this machine."""
        return super().wall() + self.ahead


def process_of(town: Town, clock: SetClock) -> Services:
    """A process on a machine with that clock."""
    return Services(town.process().settings, clock, NodesLine(town), lambda: StripeLine(town))


@pytest.mark.parametrize("ahead", [-120, -90, -61, 61, 90, 119])
def test_a_clock_that_is_off_by_one_or_two_minutes_credits_and_is_ready_with_a_warning(ahead: int) -> None:
    town = Town(history(1))

    async def scenario() -> None:
        services = process_of(town, SetClock(ahead))
        services.startup.has_passed = True
        services.sweeper.start(await services.records.load())
        work = asyncio.create_task(services.sweeper.run(3, 15))
        await asyncio.sleep(20)
        work.cancel()
        assert town.rows(str(history(1)[0].customer_id)), "it credits"
        answer = await readiness(services)
        assert (answer.ready, answer.checks["chain"].ok) == (True, True), answer
        assert f"this machine's clock is {ahead:+d} s" in answer.checks["stripe"].detail
        age = answer.checks["chain"].age
        assert age is not None
        assert -2 <= age <= 3, "by Stripe's clock"

    town.run(scenario())


@pytest.mark.parametrize("ahead", [-3600, -123, 122, 600, 3600])
def test_a_clock_that_stops_the_sending_is_named_and_no_node_is(ahead: int) -> None:
    town = Town(history(1))

    async def scenario() -> None:
        services = process_of(town, SetClock(ahead))
        services.startup.has_passed = True
        services.sweeper.start(await services.records.load())
        work = asyncio.create_task(services.sweeper.run(3, 15))
        await asyncio.sleep(20)
        work.cancel()
        assert not town.rows(str(history(1)[0].customer_id)), "it credits nothing"
        answer = await readiness(services)
        assert (answer.ready, answer.checks["chain"].ok, answer.checks["stripe"].ok) == (False, True, False), answer
        assert "this machine's clock is" in answer.checks["stripe"].detail

    town.run(scenario())


def test_a_clock_that_is_set_while_idle_is_noticed_within_seconds_and_forgiven_when_it_is_right_again() -> None:
    town = Town(history(1))

    async def scenario() -> None:
        clock = SetClock(0)
        services = process_of(town, clock)
        services.startup.has_passed = True
        services.sweeper.start(await services.records.load())
        work = asyncio.create_task(services.stripe_probe.watch())
        for ahead, ready_then in ((300, False), (0, True), (-300, False), (90, True)):
            clock.ahead = ahead
            await asyncio.sleep(6)
            town.stripe.log.reset()
            answer = await readiness(services)
            assert (answer.ready, answer.checks["chain"].ok) == (ready_then, True), (ahead, answer)
            assert ("this machine's clock" in answer.checks["stripe"].detail) is (ahead != 0)
            await asyncio.sleep(600)
            assert town.stripe.log.counts.total() == 0, "an idle service reads nothing"
        work.cancel()

    town.run(scenario())


def test_a_missing_price_does_not_make_the_process_unready() -> None:
    town = Town(history(1))
    town.price = Decimal(0)

    async def scenario() -> None:
        assert await ready(await town.started()) == (True, ["price"])

    town.run(scenario())


def test_a_stalled_chain_is_not_ready() -> None:
    town = Town(history(1))

    async def scenario() -> None:
        services = await town.started()
        town.lag = 90
        assert await ready(services) == (False, ["chain"])
        town.nodes[0].lies["eth_getBlockByNumber"] = lambda _: None
        assert await ready(services) == (False, ["chain"])
        del town.nodes[0].lies["eth_getBlockByNumber"]
        town.lag = 0
        assert await ready(services) == (True, [])

    town.run(scenario())


def test_a_signer_that_the_gateway_rejects_is_reported_but_does_not_stop_crediting() -> None:
    town = Town(history(1))
    key = "0x" + "11" * 32
    address = Signer(key, CHAIN_ID).address

    async def scenario() -> None:
        services = await town.started(SIGNER_KEY=key)
        assert await ready(services) == (True, ["signer"])
        answer = await readiness(services)
        assert f"SIGNER_KEY signs as {address}" in answer.checks["signer"].detail
        town.nodes[0].views["signer"] = int(address, 16)
        views = len(town.nodes[0].viewed)
        assert await ready(services) == (True, ["signer"])  # cached for a minute
        assert len(town.nodes[0].viewed) == views
        await asyncio.sleep(61)
        assert await ready(services) == (True, [])

    town.run(scenario())
