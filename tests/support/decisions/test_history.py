"""The decisions of a time are listed by when they were made, whatever they are about."""

import asyncio

import pytest

from stateless_billing.grants.caps import DAY
from stateless_billing.pricing.override_values import MAX_HISTORY
from stateless_billing.services.container import Services
from tests.fakes.desk import ANN, MODERATOR, Desk, run_desk
from tests.fakes.factories import payment
from tests.fakes.grants_on_record import reserve, take_back
from tests.fakes.in_process_service import GRANTS, Town


@pytest.mark.parametrize("given", [0, 1, 5, 59, 61, 100, 400])
@pytest.mark.parametrize("taken", [0, 4, 29, 31, 89])
def test_a_grant_taken_back_is_listed_by_when_it_was_taken_back(given: int, taken: int) -> None:
    town = Town([payment()])

    async def scenario(services: Services) -> None:
        refused = reserve(town, age=(given + taken) * DAY + 4000, given=False)
        row = reserve(town, age=(given + taken) * DAY + 3900)
        take_back(town, *refused, "service", age=taken * DAY + 3610)
        reversal = take_back(town, *row, ANN, age=taken * DAY + 3600)
        desk = Desk(services, MODERATOR)
        for days in (1, 7, 30, 90, 365):
            listed = (await desk.page(f"/admin/decisions.csv?days={days}")).strip().splitlines()[1:]
            assert len(listed) == (1 if taken < days else 0), (days, listed)
            page = await desk.page(f"/admin/decisions?days={days}")
            assert page.count(f'id="{reversal}"') == len(listed)
        assert len(town.rows(GRANTS)) == 4, "looking writes nothing"

    run_desk(town, scenario)


def test_only_the_last_rates_set_by_hand_are_kept_and_the_page_says_so() -> None:
    town = Town([payment()])

    async def scenario(services: Services) -> None:
        ann = Desk(services, ANN)
        for number in range(7):
            await ann.decide("rate", {"rate": f"0.006{number}", "hours": 1})
            await asyncio.sleep(5)
        page = await ann.page("/admin/decisions?days=1")
        assert page.count("rate: <code>") == MAX_HISTORY
        assert f"keeps the last {MAX_HISTORY}. Older ones" in page

    run_desk(town, scenario)
