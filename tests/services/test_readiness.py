"""Readiness: what it tells of chain, Stripe and price, and that it finds out by itself that Stripe is well again."""

import asyncio
from decimal import Decimal
from typing import Any

from chain.signing import Signer
from stateless_billing.sandbox.effects import error_unsaved, wrong_date
from stateless_billing.services.container import Services
from stateless_billing.services.readiness import readiness
from stateless_billing.stripe.errors import StripeUnavailable
from tests.chain.fake_node import history
from tests.fakes.factories import CHAIN_ID
from tests.fakes.in_process_service import Town


async def ready(services: Services) -> tuple[bool, list[str]]:
    """Whether a process is fit, and which checks say no."""
    told: dict[str, Any] = await readiness(services)
    assert all(set(one) == {"ok", "age", "detail"} for one in told["checks"].values())
    return told["ready"], [name for name, one in told["checks"].items() if not one["ok"]]


async def fail_once(town: Town, services: Services) -> None:
    """One call to Stripe fails."""
    town.stripe.faults.add(error_unsaved())
    async with services.stripe.session() as session:
        try:
            await session.get_customer("cus_Payer0")
        except StripeUnavailable:
            return
    raise AssertionError("it did not fail")


def test_it_recovers_after_a_failed_call_without_traffic() -> None:
    town = Town(history(1))

    async def scenario() -> None:
        services = await town.started()
        assert await ready(services) == (True, [])
        await fail_once(town, services)
        town.stripe.log.reset()
        assert await ready(services) == (False, ["stripe"])
        await asyncio.sleep(59)
        assert await ready(services) == (False, ["stripe"])
        assert town.stripe.log.counts.total() == 0
        await asyncio.sleep(2)
        assert await ready(services) == (True, [])
        asked = town.stripe.log.counts.total()
        assert asked == 2  # the bookkeeping customers
        for _ in range(5):
            await asyncio.sleep(120)
            assert await ready(services) == (True, [])
        assert town.stripe.log.counts.total() == asked

    town.run(scenario())


def test_while_stripe_is_away_it_is_asked_once_a_minute() -> None:
    town = Town(history(1))

    async def scenario() -> None:
        services = await town.started()
        await fail_once(town, services)
        town.stripe.faults.add(error_unsaved(), times=None)
        town.stripe.log.reset()
        for _ in range(120):
            await asyncio.sleep(5)
            assert await ready(services) == (False, ["stripe"])
        assert 8 <= town.stripe.log.counts.total() <= 10

    town.run(scenario())


def test_a_clock_that_differs_from_stripes_is_not_fit() -> None:
    town = Town(history(1))

    async def scenario() -> None:
        services = await town.started()
        town.stripe.faults.add(wrong_date(600))
        async with services.stripe.session() as session:
            await session.get_customer("cus_Payer0")
        assert await ready(services) == (False, ["stripe"])

    town.run(scenario())


def test_without_a_price_what_was_promised_is_still_credited() -> None:
    town = Town(history(1))
    town.price = Decimal(0)

    async def scenario() -> None:
        assert await ready(await town.started()) == (True, ["price"])

    town.run(scenario())


def test_a_chain_that_stands_still_is_not_fit() -> None:
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


def test_a_signer_that_the_gateway_does_not_accept_is_told_and_is_no_reason_to_stop_crediting() -> None:
    town = Town(history(1))
    key = "0x" + "11" * 32
    address = Signer(key, CHAIN_ID).address

    async def scenario() -> None:
        services = await town.started(SIGNER_KEY=key)
        assert await ready(services) == (True, ["signer"])
        told: dict[str, Any] = await readiness(services)
        assert f"SIGNER_KEY signs as {address}" in told["checks"]["signer"]["detail"]
        town.nodes[0].views["signer"] = int(address, 16)
        asked = len(town.nodes[0].viewed)
        assert await ready(services) == (True, ["signer"])  # believed for a minute
        assert len(town.nodes[0].viewed) == asked
        await asyncio.sleep(61)
        assert await ready(services) == (True, [])

    town.run(scenario())
