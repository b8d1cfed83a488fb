"""Orders that another process took are followed within seconds, at a bounded number of reads."""

import asyncio

from stateless_billing.services.container import Services
from stateless_billing.sweep.order_watch import MOST_SECONDS
from tests.crediting.test_orders import TARGET, credits_of, order, town_of
from tests.fakes.factories import CUSTOMER, GATEWAY, OTHER_GATEWAY, payment, tx_hash
from tests.fakes.in_process_service import HOUR, LISTS, READS, SERVICE, Town, advanced, sweeping

HELD = payment()
OTHER = payment(tx_hash=tx_hash(2), sequence=1, block=101)
DAY = 24 * HOUR


def held_town() -> Town:
    town = town_of(HELD, OTHER)
    town.customer(CUSTOMER).currency = "eur"
    return town


def test_an_order_is_followed_within_seconds_by_a_process_that_did_not_take_it() -> None:
    town = held_town()

    async def scenario() -> None:
        services = await town.started()
        await sweeping(services, 60, 3, 15)
        order(town, HELD, f"redirect:{TARGET}")
        await sweeping(services, 12, 3, 15)
        assert credits_of(town, HELD) == [TARGET]
        assert credits_of(town, OTHER) == [], "it has no order"

    town.run(scenario())


async def watched(services: Services, seconds: int) -> None:
    """Look for orders as often as the sweep's rounds do."""
    for _ in range(seconds // 5):
        await services.sweeper.order_watch.retry_ordered([HELD, OTHER])
        await asyncio.sleep(5)


def test_looking_costs_less_and_less_until_somebody_is_there() -> None:
    town = held_town()

    async def scenario() -> None:
        services = await town.started()
        for held in (HELD, OTHER):
            assert (await advanced(services, held)).state == "held"
        town.stripe.log.reset()
        await watched(services, 5)
        assert town.costs(record=True) == {READS: 2, LISTS: 1}, (
            "an order may be older than this process knows the payment"
        )
        costs = []
        for _ in range(3):
            town.stripe.log.reset()
            await watched(services, 6 * HOUR)
            costs.append(town.asked(READS))
            assert town.asked(LISTS) == 0, "nothing was ordered"
        assert costs[0] < 1_300
        assert costs[2] < 200
        services.sweeper.order_watch.note_activity()
        await watched(services, 10)
        order(town, HELD, f"redirect:{TARGET}")
        await watched(services, 10)
        assert services.status_cache.pending_status(HELD) is None, "it is due now"
        assert services.status_cache.pending_status(OTHER) is not None
        assert (await advanced(services, HELD)).state == "credited"
        await watched(services, 3 * DAY)
        town.stripe.log.reset()
        await watched(services, DAY)
        assert town.asked(READS) <= DAY // MOST_SECONDS * 2

    town.run(scenario())


def test_without_held_payments_nothing_is_read() -> None:
    town = town_of(HELD)

    async def scenario() -> None:
        services = await town.started()
        assert (await advanced(services, HELD)).state == "credited"
        town.stripe.log.reset()
        services.sweeper.order_watch.note_activity()
        await watched(services, 600)
        assert town.costs() == town.costs(record=True) == {}

    town.run(scenario())


def test_an_order_that_a_list_omits_at_first_is_noticed_once_it_shows() -> None:
    town = held_town()

    async def scenario() -> None:
        services = await town.started()
        for held in (HELD, OTHER):
            await advanced(services, held)
        await watched(services, 60)
        rows = town.rows(SERVICE)
        order(town, HELD, f"redirect:{TARGET}")
        late = rows.pop()
        await watched(services, 60)
        assert services.status_cache.pending_status(HELD) is not None
        rows.append(late)
        await watched(services, 10)
        assert services.status_cache.pending_status(HELD) is None, "it is due now"

    town.run(scenario())


def test_an_entry_that_is_no_order_does_not_keep_the_watch_awake() -> None:
    town = held_town()

    async def scenario() -> None:
        order(town, HELD, "hello")
        services = await town.started()
        for held in (HELD, OTHER):
            await advanced(services, held)
        await watched(services, 3 * DAY)
        town.stripe.log.reset()
        await watched(services, DAY)
        assert town.asked(READS) <= DAY // MOST_SECONDS * 2

    town.run(scenario())


def test_an_order_about_a_payment_of_any_gateway_is_followed_within_seconds() -> None:
    """The watch is asked once a round about all of them: asked for each gateway it would forget the other's."""
    elsewhere = payment(tx_hash=tx_hash(3), block=102, gateway=OTHER_GATEWAY)
    town = town_of(HELD, elsewhere)
    town.customer(CUSTOMER).currency = "eur"

    async def scenario() -> None:
        services = await town.started(GATEWAY_ADDRESSES=f"{GATEWAY},{OTHER_GATEWAY}")
        await sweeping(services, 2 * HOUR, 3, 15)
        order(town, elsewhere, f"redirect:{TARGET}")
        await sweeping(services, 20 * 60, 3, 15)
        assert credits_of(town, elsewhere) == [TARGET]

    town.run(scenario())


def test_an_order_is_followed_though_the_record_has_no_room_for_a_key_of_its_customer() -> None:
    held = [payment(customer_id=f"cus_H{n:02}", block=100 + n, tx_hash=tx_hash(100 + n)) for n in range(17)]
    town = Town(held)
    for each in held:
        town.set_metadata(str(each.customer_id), {"gateway_payments": "off"})

    async def scenario() -> None:
        services = await town.started()
        await sweeping(services, 600, 120, 120)
        without_key = [each for each in held if each.customer_id not in town.record()[1]]
        order(town, without_key[0], "release")
        await sweeping(services, 600, 120, 120)
        assert credits_of(town, without_key[0]) == [without_key[0].customer_id]
        assert credits_of(town, without_key[1]) == [], "it has no order"

    town.run(scenario())
