"""Receipts are true for redirected, deleted, malformed and tiny payments, and cost one read where that is enough."""

import asyncio
from collections.abc import Callable

import pytest

from chain.payment import Payment
from stateless_billing.payers.responses import ReceiptResponse
from stateless_billing.services.container import Services
from tests.crediting.test_orders import FIRST, TARGET, charge, credits_of, order, town_of
from tests.fakes.factories import CUSTOMER, payment, tx_hash
from tests.fakes.in_process_service import HOUR, LISTS, NOW_BLOCK, Town, advanced, sweeping

NAMELESS = payment(customer_id=None)
DUST = payment(cents=0, amount=10**15)


async def receipt(services: Services, subject: Payment = FIRST) -> ReceiptResponse:
    """Ask for a receipt."""
    found = await services.receipts.find(subject.tx_hash, subject.ordinal)
    assert found
    return found


def in_euros(town: Town) -> None:
    """Bill the customer in euros."""
    town.customer(CUSTOMER).currency = "eur"


def deleted(town: Town) -> None:
    """Delete the customer."""
    town.customer(CUSTOMER).deleted = True


def unchanged(town: Town) -> None:
    """Change nothing."""


@pytest.mark.parametrize(
    ("subject", "change"), [(FIRST, in_euros), (FIRST, deleted), (NAMELESS, unchanged)], ids=["euros", "gone", "bytes"]
)
def test_a_redirected_payment_has_a_true_receipt(subject: Payment, change: Callable[[Town], None]) -> None:
    town = town_of(subject)

    async def scenario() -> None:
        change(town)
        first = await town.started()
        before = await receipt(await town.started(), subject)
        assert before.state == "held"
        order(town, subject, f"redirect:{TARGET}")
        status = await advanced(first, subject)
        assert (status.state, credits_of(town, subject)) == ("credited", [TARGET])
        second = await town.started()
        shown = await receipt(second, subject)
        assert (shown.state, shown.cents, shown.credit) == ("credited", 5_000, status.credit)
        assert (await second.claims.status(subject.tx_hash)).state == "credited"

    town.run(scenario())


def test_a_receipt_before_the_credit_says_what_the_api_says() -> None:
    town = town_of(FIRST)

    async def scenario() -> None:
        town.customer(CUSTOMER).currency = "eur"
        services = await town.started()
        shown = await receipt(services)
        assert (shown.state, shown.cause) == ("held", "currency")
        [same] = (await services.claims.status(FIRST.tx_hash)).payments
        assert (same.state, same.cause) == ("held", "currency")

    town.run(scenario())


@pytest.mark.parametrize("sealed", [False, True])
def test_less_than_a_cent_is_credited_with_nothing(*, sealed: bool) -> None:
    other = payment(sequence=1, tx_hash=tx_hash(2), block=101)
    town = town_of(DUST, other)

    async def scenario() -> None:
        services = await town.started()
        if sealed:
            await sweeping(services, 2 * HOUR)
            assert town.cursor(CUSTOMER) == f"2:{other.tx_hash}"
        fresh = await town.started()
        shown = await receipt(fresh, DUST)
        assert (shown.state, shown.cents, shown.retry_after) == ("credited", 0, None)
        [same] = (await (await town.started()).claims.status(DUST.tx_hash)).payments
        assert (same.state, same.cents) == ("credited", 0)

    town.run(scenario())


def test_a_credit_on_the_newest_page_costs_one_read() -> None:
    town = town_of(FIRST)

    async def scenario() -> None:
        credited = await advanced(await town.started(), FIRST)
        services = await town.started()
        town.stripe.log.reset()
        shown = await receipt(services)
        assert (shown.state, shown.credit) == ("credited", credited.credit)
        assert await receipt(services) == shown
        assert (town.costs(), town.costs(record=True)) == ({LISTS: 1}, {})

    town.run(scenario())


def test_the_cursor_shows_a_credit_behind_a_hundred_entries_by_one_read() -> None:
    town = town_of(FIRST)

    async def scenario() -> None:
        services = await town.started()
        await services.sweeper.run_once(force=True)
        charge(town, CUSTOMER, 1, count=120)
        services = await town.started()
        town.stripe.log.reset()
        shown = await receipt(services)
        assert (shown.state, shown.cents, shown.credit) == ("credited", 5_000, None)
        assert (town.costs(), town.costs(record=True)) == ({LISTS: 1}, {})

    town.run(scenario())


def test_what_is_not_deep_enough_reads_nothing_of_stripe() -> None:
    young = payment(block=NOW_BLOCK - 3)
    town = town_of(young)

    async def scenario() -> None:
        services = await town.started()
        town.stripe.log.reset()
        shown = await receipt(services, young)
        assert (shown.state, shown.needed) == ("confirming", 15)
        assert not town.stripe.log.rows
        assert await services.receipts.find(young.tx_hash, 7) is None
        await asyncio.sleep(0)

    town.run(scenario())
