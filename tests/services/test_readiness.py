"""Readiness reports the chain, Stripe, price and signer, and detects Stripe's recovery without traffic."""

import asyncio
from decimal import Decimal

from chain.signatures import Signer
from stateless_billing.sandbox.effects import error_unsaved, wrong_date
from stateless_billing.services.container import Services
from stateless_billing.services.readiness import readiness
from stateless_billing.stripe.errors import StripeUnavailable
from tests.chain.fake_node import history
from tests.fakes.factories import CHAIN_ID
from tests.fakes.in_process_service import Town


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
