"""What other processes did about a payment is noticed by a look: soon, seldom, and without a write."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Self

import pytest

from chain.payment import customer_id_to_bytes32
from stateless_billing.sandbox.account import Entry
from stateless_billing.sandbox.effects import error_saved, lost_before
from stateless_billing.services.container import Services
from stateless_billing.stripe.client import StripeApi
from tests.crediting.test_orders import ANOTHER, EPOCH_1, FIRST, TARGET, TEMPLATE, charge, credits_of, order, town_of
from tests.fakes.factories import CUSTOMER, WALLET
from tests.fakes.in_process_service import (
    CREDITS,
    HOUR,
    LISTS,
    READS,
    LoopClock,
    Town,
    advanced,
    observed,
    sweeping,
)

Ask = Callable[[Services], Awaitable[tuple[str, str | None]]]
LOOK_SECONDS = 300


async def claimed(services: Services) -> tuple[str, str | None]:
    """Claim the payment's transaction."""
    [shown] = (await services.claims.claim(FIRST.tx_hash)).payments
    return shown.state, shown.cause


async def asked(services: Services) -> tuple[str, str | None]:
    """Ask for the payment's transaction."""
    [shown] = (await services.claims.status(FIRST.tx_hash)).payments
    return shown.state, shown.cause


async def receipted(services: Services) -> tuple[str, str | None]:
    """Ask for the payment's receipt."""
    shown = await services.receipts.find(FIRST.tx_hash, 0)
    assert shown
    return shown.state, shown.cause


def registered() -> Town:
    """Create a town with a payment, whose gateway knows the customer of its wallet."""
    town = town_of(FIRST)
    for node in town.nodes:
        node.views["customerOf"] = int.from_bytes(customer_id_to_bytes32(CUSTOMER))
    return town


class SlowLists:
    """Stripe, whose lists take half a minute."""

    def __init__(self, stripe: StripeApi) -> None:
        self.health = stripe.health

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Self]:
        """Yield itself as the session."""
        yield self

    async def list_newest_entries(self, *_: object) -> None:
        """Take too long."""
        await asyncio.sleep(30)


WAYS: list[Ask] = [claimed, asked, receipted]


def reverse(town: Town, customer_id: str, credit: str, cents: int) -> None:
    """Reverse a credit."""
    now = LoopClock().wall()
    facts = {"kind": "reversal", "reverses": credit, "operator": "admin@example.org", "reason": "orphan"}
    row = Entry(cents, "usd", f"Takes back {credit}", facts)
    town.stripe.account.add_transaction(town.customer(customer_id), row, now, int(now))


async def held_at_two(town: Town) -> tuple[Services, Services]:
    """Two processes that hold the payment as not payable."""
    town.set_metadata(CUSTOMER, {"gateway_payments": "off"})
    processes = await town.started(), await town.started()
    for services in processes:
        assert await claimed(services) == ("held", "not_payable")
    return processes


@pytest.mark.parametrize("ask", WAYS)
def test_a_held_payment_that_another_process_credited_is_told_as_credited(ask: Ask) -> None:
    town = town_of(FIRST)

    async def scenario() -> None:
        first, second = await held_at_two(town)
        town.set_metadata(CUSTOMER, {})
        first.status_cache.make_due(FIRST)
        assert (await advanced(first, FIRST)).state == "credited"
        assert await ask(second) == ("held", "not_payable"), "it was looked at just now"
        await asyncio.sleep(LOOK_SECONDS)
        town.stripe.log.reset()
        assert await ask(second) == ("credited", None)
        assert town.costs() == {LISTS: 1}
        assert credits_of(town, FIRST) == [CUSTOMER]

    town.run(scenario())


@pytest.mark.parametrize("ask", WAYS)
def test_an_order_that_another_process_followed_is_noticed(ask: Ask) -> None:
    town = town_of(FIRST)

    async def scenario() -> None:
        first, second = await held_at_two(town)
        order(town, FIRST, f"redirect:{TARGET}")
        await asyncio.sleep(61)
        first.status_cache.make_due(FIRST)
        assert (await advanced(first, FIRST)).state == "credited"
        await asyncio.sleep(LOOK_SECONDS)
        assert await ask(second) == ("credited", None)
        assert credits_of(town, FIRST) == [TARGET]

    town.run(scenario())


def test_a_cause_that_is_gone_ends_the_wait_and_another_one_is_told() -> None:
    town = town_of(FIRST)

    async def scenario() -> None:
        services, second = await held_at_two(town)
        town.set_metadata(CUSTOMER, {})
        town.customer(CUSTOMER).currency = "eur"
        await asyncio.sleep(LOOK_SECONDS)
        assert await claimed(services) == await asked(second) == ("held", "currency")
        town.customer(CUSTOMER).currency = "usd"
        await asyncio.sleep(LOOK_SECONDS)
        assert await asked(second) == ("pending", None)
        assert credits_of(town, FIRST) == [], "a look writes nothing"
        assert await claimed(services) == ("credited", None)
        assert credits_of(town, FIRST) == [CUSTOMER]

    town.run(scenario())


def test_looks_are_seldom_and_read_only() -> None:
    town = town_of(FIRST)

    async def scenario() -> None:
        services, _ = await held_at_two(town)
        town.stripe.log.reset()
        for _ in range(700):  # for twelve minutes
            await asyncio.gather(*(ask(services) for ask in WAYS))
            await asyncio.sleep(1)
        assert town.costs() == {LISTS: 2, READS: 2}
        assert {row.method for row in town.stripe.log.rows} == {"GET"}

    town.run(scenario())


def test_a_look_at_a_payment_that_waits_for_stripe_keeps_its_schedule() -> None:
    town = town_of(FIRST)

    async def scenario() -> None:
        services, other = await town.started(), await town.started()
        town.stripe.faults.add(error_saved(), method="POST", template=TEMPLATE)
        assert await claimed(services) == ("pending", "stripe_unclear")
        for _ in range(60):
            await asyncio.sleep(30)
            await asked(services)
        sent = town.asked(CREDITS)
        assert sent < 12, "a question is no attempt"
        town.stripe.faults.add(lost_before(), times=4)
        await asyncio.sleep(61)
        assert (await asked(services))[0] == "pending", "a look that fails says nothing"
        await sweeping(other, 24 * HOUR, busy=300)
        assert await asked(services) == ("credited", None)

    town.run(scenario())


def test_a_ledger_that_must_be_proven_is_not_judged_by_a_look() -> None:
    town = town_of(FIRST)

    async def scenario() -> None:
        await asyncio.sleep(EPOCH_1)
        charge(town, CUSTOMER, 1)
        services = await town.started()
        first = await advanced(services, FIRST)
        assert first.state == "pending"
        for _ in range(6):
            await asyncio.sleep(LOOK_SECONDS)
            assert (await asked(services))[0] == "pending"
            assert services.status_cache.pending_status(FIRST) is not None
        assert credits_of(town, FIRST) == []

    town.run(scenario())


@pytest.mark.parametrize("ask", WAYS)
@pytest.mark.parametrize("sealed", [False, True])
@pytest.mark.parametrize("fresh", [False, True])
def test_a_reversed_payment_is_told_as_reversed(ask: Ask, *, sealed: bool, fresh: bool) -> None:
    town = town_of(FIRST)

    async def scenario() -> None:
        services = await town.started()
        credited = await advanced(services, FIRST)
        if sealed:
            await services.sweeper.run_once(force=True)
            assert town.cursor(CUSTOMER) == f"1:{FIRST.tx_hash}"
        reverse(town, CUSTOMER, credited.credit or "", 5_000)
        if fresh:
            services = await town.started()
        else:
            await asyncio.sleep(LOOK_SECONDS)
        assert await ask(services) == ("reversed", None)
        assert await ask(services) == ("reversed", None)
        assert credits_of(town, FIRST) == [CUSTOMER]

    town.run(scenario())


@pytest.mark.parametrize("fresh", [False, True])
def test_an_account_shows_a_reversed_payment_as_reversed(*, fresh: bool) -> None:
    town = registered()

    async def scenario() -> None:
        services = await town.started()
        credited = await advanced(services, FIRST)
        await services.sweeper.run_once(force=True)
        reverse(town, CUSTOMER, credited.credit or "", 5_000)
        services = await town.started() if fresh else services
        town.stripe.log.reset()
        for _ in range(4):
            [shown] = (await services.accounts.describe(WALLET, "192.0.2.1")).payments
            assert shown.state == "reversed"
            await asyncio.sleep(10)
        assert town.costs()[LISTS] <= 3, "one, and two that look for a credit elsewhere"

    town.run(scenario())


def test_an_account_costs_one_more_read_in_five_minutes() -> None:
    town = registered()

    async def scenario() -> None:
        services = await town.started()
        await advanced(services, FIRST)
        town.stripe.log.reset()
        for _ in range(60):
            [shown] = (await services.accounts.describe(WALLET, "192.0.2.1")).payments
            assert shown.state == "credited"
            await asyncio.sleep(10)
        assert town.costs()[LISTS] == 2

    town.run(scenario())


def test_an_account_does_not_wait_for_a_slow_stripe() -> None:
    town = registered()

    async def scenario() -> None:
        services = await town.started()
        await advanced(services, FIRST)
        await services.accounts.find(WALLET, "192.0.2.1")
        services.accounts._stripe = SlowLists(services.stripe)  # type: ignore[assignment]
        begun = asyncio.get_running_loop().time()
        [shown] = (await services.accounts.describe(WALLET, "192.0.2.1")).payments
        assert shown.state == "credited"
        assert 3 <= asyncio.get_running_loop().time() - begun < 4

    town.run(scenario())


def test_a_reversal_in_front_of_a_long_ledger_is_followed_to_its_credit() -> None:
    town = town_of(FIRST)

    async def scenario() -> None:
        services = await town.started()
        credited = await advanced(services, FIRST)
        await services.sweeper.run_once(force=True)
        charge(town, CUSTOMER, 1, count=120)
        assert (await observed(await town.started(), FIRST)).state == "credited", "by the cursor"
        reverse(town, CUSTOMER, credited.credit or "", 5_000)
        assert (await observed(await town.started(), FIRST)).state == "reversed"
        assert await receipted(await town.started()) == ("reversed", None)

    town.run(scenario())


@pytest.mark.parametrize("ask", WAYS)
def test_a_process_that_knows_the_credit_notices_its_reversal_in_front_of_a_long_ledger(ask: Ask) -> None:
    town = town_of(FIRST)

    async def scenario() -> None:
        services = await town.started()
        credited = await advanced(services, FIRST)
        charge(town, CUSTOMER, 1, count=120)
        reverse(town, CUSTOMER, credited.credit or "", 5_000)
        await asyncio.sleep(LOOK_SECONDS)
        assert (await ask(services))[0] == "reversed"

    town.run(scenario())


@pytest.mark.parametrize("ask", WAYS)
def test_a_known_reversal_stays_known_behind_a_long_ledger(ask: Ask) -> None:
    town = town_of(FIRST)

    async def scenario() -> None:
        services = await town.started()
        credited = await advanced(services, FIRST)
        await services.sweeper.run_once(force=True)
        reverse(town, CUSTOMER, credited.credit or "", 5_000)
        await asyncio.sleep(LOOK_SECONDS)
        assert (await ask(services))[0] == "reversed"
        charge(town, CUSTOMER, 1, count=1_500)
        for _ in range(3):
            await asyncio.sleep(LOOK_SECONDS)
            town.stripe.log.reset()
            assert (await ask(services))[0] == "reversed"
            assert town.costs()[LISTS] <= 1, "one page, however long the ledger is"

    town.run(scenario())


def test_a_credit_that_stands_elsewhere_counts_after_a_reversal() -> None:
    town = town_of(FIRST)

    async def scenario() -> None:
        services = await town.started()
        credited = await advanced(services, FIRST)
        await services.sweeper.run_once(force=True)
        reverse(town, CUSTOMER, credited.credit or "", 5_000)
        order(town, FIRST, f"redirect:{ANOTHER}")
        facts = dict(town.rows(CUSTOMER)[0].metadata)
        now = LoopClock().wall()
        row = Entry(-5_000, "usd", f"LITKEY payment {FIRST.tx_hash}", facts)
        town.stripe.account.add_transaction(town.customer(ANOTHER), row, now, int(now))
        await asyncio.sleep(LOOK_SECONDS)
        for each in (services, await town.started()):
            for ask in WAYS:
                assert await ask(each) == ("credited", None)

    town.run(scenario())
