"""Stripe fails for an hour and returns: everything that waits is credited at once, at the pace, oldest first."""

import asyncio
from decimal import Decimal

import pytest

from stateless_billing.sandbox.effects import error_unsaved, limited
from stateless_billing.services.container import Services
from tests.fakes.factories import payment, tx_hash
from tests.fakes.in_process_service import CREDITS, HOUR, Town

LIVE_KEY = "sk_live_sandbox"
CREDIT = "/v1/customers/{customer}/balance_transactions"


def town_of(count: int) -> Town:
    """A live account with one final payment of each customer, and Stripe's rate limits."""
    town = Town(
        [
            payment(
                customer_id=f"cus_Payer{number}",
                block=100 + number // 4,
                log_index=number % 4,
                tx_hash=tx_hash(number),
                cents=100,
            )
            for number in range(count)
        ],
        key=LIVE_KEY,
    )
    town.stripe.limits.enabled = True
    return town


async def run_for(services: Services, seconds: float) -> None:
    """Sweep and probe as a process does."""
    work = [
        asyncio.create_task(services.sweeper.run(3, 15)),
        asyncio.create_task(services.stripe_probe.watch()),
        asyncio.create_task(services.price_feed.watch()),
    ]
    await asyncio.sleep(seconds)
    for task in work:
        task.cancel()
    await asyncio.gather(*work, return_exceptions=True)


def credit_times(town: Town) -> list[float]:
    """When each credit was written."""
    return sorted(row.time for row in town.stripe.log.rows if row.endpoint == CREDITS and row.status == 200)


def play(count: int, *, outage: int = HOUR) -> tuple[list[float], int]:
    """Fail for `outage` seconds; the seconds from Stripe's return to each credit, and the number of 429s."""
    town = town_of(count)
    returned_at = 0.0

    async def scenario() -> None:
        nonlocal returned_at
        services = await town.started(STRIPE_RATE="25", STRIPE_TOTAL_RATE="100")
        town.stripe.faults.add(error_unsaved(503), times=None)
        work = asyncio.create_task(run_for(services, outage + 300))
        await asyncio.sleep(outage)
        assert not credit_times(town)
        town.stripe.log.reset()
        town.stripe.faults.clear()
        returned_at = town.stripe.clock()
        await work

    town.run(scenario())
    limits = sum(row.status == 429 for row in town.stripe.log.rows)
    return [time - returned_at for time in credit_times(town)], limits


def test_what_waits_is_credited_within_seconds() -> None:
    seconds, limits = play(200, outage=600)
    assert len(seconds) == 200
    assert limits == 0
    assert seconds[-1] < 5 + 2 + 3 + 200 / 20, "a probe, a round, and the pace"


def test_cursors_are_read_and_written_after_the_credits() -> None:
    town = town_of(100)
    moved: list[float] = []

    async def scenario() -> None:
        services = await town.started(STRIPE_RATE="25", STRIPE_TOTAL_RATE="100")
        await run_for(services, 60)
        moved.extend(
            row.time
            for row in town.stripe.log.rows
            if row.method == "POST" and row.endpoint != CREDITS and row.status == 200
        )

    town.run(scenario())
    credited = credit_times(town)
    assert len(credited) == 100
    assert all(town.cursor(f"cus_Payer{number}") for number in range(100))
    before = sum(time < credited[70] for time in moved)
    assert before <= 2 * 16, "only those that were begun before the queue was long, or when it was short again"


def test_one_failed_read_costs_no_wait() -> None:
    town = town_of(1)

    async def scenario() -> None:
        services = await town.started()
        town.stripe.faults.add(error_unsaved(503), method="GET")
        begun = town.stripe.clock()
        await run_for(services, 60)
        assert credit_times(town)[0] - begun < 5

    town.run(scenario())


def test_an_unclear_write_is_looked_at_once_stripe_answers() -> None:
    town = town_of(1)

    async def scenario() -> None:
        services = await town.started()
        town.stripe.faults.add(error_unsaved(503), method="POST", template=CREDIT, times=2)
        begun = town.stripe.clock()
        await run_for(services, 60)
        assert len(town.rows("cus_Payer0")) == 1
        assert credit_times(town)[-1] - begun < 30

    town.run(scenario())


@pytest.mark.parametrize("seconds", [120, HOUR])
def test_an_outage_is_probed_and_an_idle_service_reads_nothing(seconds: int) -> None:
    town = town_of(1)

    async def scenario() -> None:
        services = await town.started()
        await run_for(services, 60)
        town.stripe.log.reset()
        await run_for(services, seconds)
        assert town.stripe.log.counts.total() == 0
        town.stripe.faults.add(error_unsaved(503), times=None)
        services.stripe.health.failure = "one call failed"
        await run_for(services, seconds)
        assert town.stripe.log.counts.total() <= 2 * seconds / 5 + 2

    town.run(scenario())


def test_a_price_that_returns_prices_what_waits_at_once() -> None:
    town = Town([payment(cents=0)])
    town.price = Decimal(0)

    async def scenario() -> None:
        services = await town.started()
        work = asyncio.create_task(run_for(services, HOUR + 200))
        await asyncio.sleep(HOUR)
        assert not credit_times(town)
        town.price = Decimal("0.006")
        returned_at = town.stripe.clock()
        await work
        assert credit_times(town)[0] - returned_at < 100, "the feed is asked once a minute"

    town.run(scenario())


def test_rate_limits_end_no_wait_early() -> None:
    """A 429 is a proper answer: nothing recovers by it."""
    town = town_of(1)

    async def scenario() -> None:
        services = await town.started()
        town.stripe.faults.add(limited(), method="POST", template=CREDIT, times=3)
        await run_for(services, 90)
        assert len(town.rows("cus_Payer0")) == 1

    town.run(scenario())
