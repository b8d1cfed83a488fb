"""A reading that shows the credit, or what may be it, is no evidence of its absence."""

import asyncio

import pytest

from stateless_billing.sandbox.account import Entry
from tests.crediting.test_orders import EPOCH_1, FIRST, charge, town_of
from tests.fakes.factories import CUSTOMER, START
from tests.fakes.in_process_service import HOUR, advanced


@pytest.mark.parametrize(("stripped", "state"), [(True, "held"), (False, "credited")])
def test_a_list_that_once_omits_the_credit_and_its_use_proves_nothing(stripped: bool, state: str) -> None:
    """The two rows add up to 0, so that the balances fit without them, and the oldest entry is the same."""
    town = town_of(FIRST)
    town.stripe.account.add_past(town.customer(CUSTOMER), [(START - 20 * 24 * HOUR, Entry(1, "usd", "Usage"))])

    async def scenario() -> None:
        assert (await advanced(await town.started(), FIRST)).state == "credited"
        await asyncio.sleep(60)
        charge(town, CUSTOMER, FIRST.cents)
        await asyncio.sleep(60)
        charge(town, CUSTOMER, 1, 150)  # the credit is not on the newest page
        rows = town.rows(CUSTOMER)
        if stripped:
            rows[1].metadata.clear()
        await asyncio.sleep(EPOCH_1)
        services = await town.started()
        assert (await advanced(services, FIRST)).state == state
        await asyncio.sleep(HOUR)
        omitted = rows[1:3]
        del rows[1:3]
        services.status_cache.invalidate(FIRST)  # as if the cache were full
        services.status_cache.make_due(FIRST)
        assert (await advanced(services, FIRST)).state == "pending", "absent for the first time"
        rows[1:1] = omitted
        await asyncio.sleep(HOUR)
        assert (await advanced(services, FIRST)).state == state
        assert len(rows) == 153, "nothing was written"

    town.run(scenario())
