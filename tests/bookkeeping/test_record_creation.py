"""`doctor --init` makes what is missing: repeated, after deletions, concurrently, and cut off at each step."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from stateless_billing.bookkeeping.records import RECORD_MARKER, NotOurAccount, ServiceRecords, create_records
from stateless_billing.sandbox.effects import lost_after, not_permitted
from stateless_billing.stripe.client import StripeApi
from stateless_billing.stripe.errors import StripeFailure
from tests.fakes.in_process_service import GRANTS, SERVICE, Town

DAY = 24 * 3600
Scenario = Callable[[Town, StripeApi], Coroutine[Any, Any, None]]


def play(scenario: Scenario, *, search_lag: float = 0.0) -> None:
    """Run a scenario in an account without bookkeeping customers."""
    town = Town([])
    for name in (SERVICE, GRANTS):
        town.stripe.account.delete(name)
    town.stripe.search_lag = search_lag
    town.run(scenario(town, town.process().stripe))


async def check(town: Town, stripe: StripeApi, service_id: str) -> str:
    """The grants record of a service record that a process would accept."""
    records = ServiceRecords(stripe, service_id)
    await records.load()
    return records.grants_id


def living(town: Town) -> list[str]:
    """The bookkeeping customers that are not deleted."""
    customers = town.stripe.account.by_id.values()
    return [one.id for one in customers if not one.deleted and RECORD_MARKER in one.contact.metadata]


@pytest.mark.parametrize("wait", [0, 30, 2 * DAY])
def test_a_second_run_finds_the_first_pair(wait: int) -> None:
    async def scenario(town: Town, stripe: StripeApi) -> None:
        service_id = await create_records(stripe)
        await check(town, stripe, service_id)
        await asyncio.sleep(wait)
        assert await create_records(stripe) == service_id
        assert len(living(town)) == 2

    play(scenario, search_lag=60)


@pytest.mark.parametrize("wait", [0, 120, 2 * DAY])
@pytest.mark.parametrize("what", [("service",), ("grants",), ("service", "grants")])
def test_what_was_deleted_is_made_anew(what: tuple[str, ...], wait: int) -> None:
    async def scenario(town: Town, stripe: StripeApi) -> None:
        first = await create_records(stripe)
        for _ in range(3):
            service_id = await create_records(stripe)
            deleted = {"service": service_id, "grants": await check(town, stripe, service_id)}
            for name in what:
                town.stripe.account.delete(deleted[name])
            await asyncio.sleep(wait)
            renewed = await create_records(stripe)
            assert await check(town, stripe, renewed) in living(town)
            assert (renewed == service_id) is ("service" not in what)
            assert await create_records(stripe) == renewed
        assert (first in living(town)) is ("service" not in what)

    play(scenario)


def test_a_record_of_another_grants_ledger_under_the_same_key_is_no_dead_end() -> None:
    """The grants record was deleted within the day, before search showed the service record."""

    async def scenario(town: Town, stripe: StripeApi) -> None:
        service_id = await create_records(stripe)
        town.stripe.account.delete(await check(town, stripe, service_id))
        await check(town, stripe, await create_records(stripe))

    play(scenario, search_lag=60)


def test_runs_at_once_make_one_pair() -> None:
    async def scenario(town: Town, stripe: StripeApi) -> None:
        results: set[str] = set()
        for _ in range(20):
            answers = await asyncio.gather(*(create_records(stripe) for _ in range(3)), return_exceptions=True)
            results |= {answer for answer in answers if isinstance(answer, str)}
        assert len(results) == 1
        assert len(living(town)) == 2

    play(scenario, search_lag=60)


@pytest.mark.parametrize("request_number", range(1, 5))
def test_a_run_that_was_cut_off_is_completed_by_the_next(request_number: int) -> None:
    async def scenario(town: Town, stripe: StripeApi) -> None:
        town.stripe.faults.add(lost_after(), method="POST", template="/v1/customers", skip=request_number - 1)
        service_id = ""
        for _ in range(3):
            try:
                service_id = await create_records(stripe)
            except StripeFailure:
                continue
            break
        await check(town, stripe, service_id)
        assert len(living(town)) == 2

    play(scenario, search_lag=60)


def test_a_key_that_may_not_read_creates_nothing_more() -> None:
    async def scenario(town: Town, stripe: StripeApi) -> None:
        town.stripe.faults.add(not_permitted(), method="GET", template="/v1/customers/{customer}", times=None)
        with pytest.raises(StripeFailure):
            await create_records(stripe)
        assert len(living(town)) <= 1

    play(scenario)


def test_a_deleted_record_is_refused_at_the_start() -> None:
    async def scenario(town: Town, stripe: StripeApi) -> None:
        service_id = await create_records(stripe)
        town.stripe.account.delete(service_id)
        with pytest.raises(NotOurAccount):
            await check(town, stripe, service_id)

    play(scenario)
