"""The sweep notices what happened to held payments, at a bounded number of reads."""

import asyncio

from stateless_billing.services.container import Services
from stateless_billing.sweep.held_watch import MOST_SECONDS
from tests.crediting.test_orders import credits_of
from tests.fakes.factories import payment, tx_hash
from tests.fakes.in_process_service import HOUR, LISTS, Town, advanced, sweeping

HELD = [payment(customer_id=f"cus_Held{n}", tx_hash=tx_hash(10 + n), block=100 + n) for n in range(4)]


def town_of_held() -> Town:
    """A town whose customers are all marked as not payable."""
    town = Town(HELD)
    for each in HELD:
        town.set_metadata(each.customer_id or "", {"gateway_payments": "off"})
    return town


async def sweeping_held(town: Town) -> Services:
    """A process that swept for an hour."""
    services = await town.started()
    await sweeping(services, HOUR)
    assert len(services.sweeper.uncredited()) == 4
    town.stripe.log.reset()
    return services


async def watched(services: Services, seconds: int) -> int:
    """Look as often as the sweep's rounds do, and return the number of looks."""
    looks = 0
    for _ in range(seconds // 15):
        before = [services.status_cache.looked_at(each) for each in HELD]
        services.sweeper.held_watch.look_again(HELD)
        await asyncio.sleep(1)
        looks += before != [services.status_cache.looked_at(each) for each in HELD]
        await asyncio.sleep(14)
    return looks


def test_looks_read_only_and_ever_less_often() -> None:
    town = town_of_held()

    async def scenario() -> None:
        services = await town.started()
        for each in HELD:
            assert (await advanced(services, each)).state == "held"
        town.stripe.log.reset()
        looks = [await watched(services, hours * HOUR) for hours in (1, 5, 6, 10)]
        assert 4 * 9 <= looks[0] <= 4 * 12
        assert looks[1] < 4 * 25
        assert looks[2] < 4 * 10
        assert looks[3] <= 4 * (10 * HOUR // MOST_SECONDS + 1)
        assert {row.method for row in town.stripe.log.rows} == {"GET"}
        assert town.costs()[LISTS] == sum(looks)

    town.run(scenario())


def test_a_cause_that_is_gone_is_noticed_within_minutes() -> None:
    town = town_of_held()

    async def scenario() -> None:
        services = await sweeping_held(town)
        town.set_metadata("cus_Held2", {})
        await sweeping(services, 600)
        assert [credits_of(town, each) for each in HELD] == [[], [], ["cus_Held2"], []]
        assert [found.customer_id for found, _ in services.sweeper.uncredited()] == [
            "cus_Held0",
            "cus_Held1",
            "cus_Held3",
        ]

    town.run(scenario())


def test_a_credit_of_another_process_closes_the_payment() -> None:
    town = town_of_held()

    async def scenario() -> None:
        services, other = await sweeping_held(town), await town.started()
        town.set_metadata("cus_Held2", {})
        assert (await advanced(other, HELD[2])).state == "credited"
        town.set_metadata("cus_Held2", {"gateway_payments": "off"})
        await sweeping(services, 600)
        assert len(services.sweeper.uncredited()) == 3
        assert town.record() == ("4", {f"cus_Held{n}": "0:not_payable" for n in (0, 1, 3)})
        assert credits_of(town, HELD[2]) == ["cus_Held2"]

    town.run(scenario())


def test_a_round_does_not_wait_for_a_look() -> None:
    town = town_of_held()

    async def scenario() -> None:
        services = await sweeping_held(town)
        watch = services.sweeper.held_watch

        begun = []

        async def hang(subject: object) -> None:
            begun.append(subject)
            await asyncio.sleep(HOUR)

        watch._look = hang
        await asyncio.sleep(600)
        for _ in range(9):
            watch.look_again(HELD)
            await asyncio.sleep(1)
        assert len(begun) == 1
        for _ in range(60):
            watch.look_again(HELD)
            await asyncio.sleep(5)
        assert len(begun) == 1, "it took too long, so that the next one waits"
        await asyncio.sleep(60)
        watch.look_again(HELD)
        await asyncio.sleep(1)
        assert len(begun) == 2
        await watch.stop()

    town.run(scenario())
