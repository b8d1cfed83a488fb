"""An order that one admin gave alone is applied only once the listing shows all that this admin decided before."""

import asyncio

import pytest

from chain.payment import Payment
from stateless_billing.domain.errors import ProblemError
from stateless_billing.sandbox.account import Entry
from stateless_billing.sandbox.records import Transaction
from tests.crediting.test_orders import ADMIN, ANOTHER, EPOCH_1, TARGET, credits_of, order, town_of
from tests.fakes.factories import CUSTOMER, START, payment, tx_hash
from tests.fakes.in_process_service import HOUR, SERVICE, LoopClock, Town, advanced, sweeping

FIRST, SECOND = (payment(sequence=number, tx_hash=tx_hash(number), block=100 + number) for number in (0, 1))
WITHOUT_ORDER = payment(customer_id=ANOTHER, tx_hash=tx_hash(2), block=102)
REDIRECT = f"redirect:{TARGET}"


def hide(town: Town, row: Transaction) -> None:
    """Let listings trail behind this row alone."""
    row.written, town.stripe.list_lag = LoopClock().wall() + 100 * HOUR, 1.0


def show_all(town: Town) -> None:
    """Let listings show every row."""
    town.stripe.list_lag = 0.0


@pytest.mark.parametrize("per_day", [10_000, 9_999])
def test_an_order_waits_while_a_listing_hides_what_its_admin_decided_before(per_day: int) -> None:
    town = town_of(FIRST, SECOND, WITHOUT_ORDER)
    limits = {"value": "5000", "caps": f"9000:{per_day}"}

    async def scenario() -> None:
        town.customer(CUSTOMER).currency = "eur"
        hide(town, order(town, FIRST, REDIRECT, **limits))
        row = order(town, SECOND, REDIRECT, **limits)
        await asyncio.sleep(2)
        services = await town.started()
        waiting = await advanced(services, SECOND)
        assert (waiting.state, waiting.cause) == ("pending", None)
        assert "once the list of orders shows that it is within its admin's limits" in waiting.detail
        assert 60 <= (waiting.retry_after or 0) <= 75
        assert (await advanced(services, WITHOUT_ORDER)).state == "credited", "a payment without orders does not wait"
        show_all(town)
        await sweeping(services, 100)
        assert credits_of(town, SECOND) == ([TARGET] if per_day == 10_000 else [])
        order(town, SECOND, REDIRECT, **limits, confirms=row.id, operator="second@example.org")
        await sweeping(services, 100)
        assert credits_of(town, SECOND) == [TARGET]

    town.run(scenario())


def test_a_confirmed_order_does_not_wait_for_the_listing() -> None:
    town = town_of(FIRST, SECOND)

    async def scenario() -> None:
        town.customer(CUSTOMER).currency = "eur"
        hide(town, order(town, FIRST, REDIRECT))
        row = order(town, SECOND, REDIRECT)
        await asyncio.sleep(2)
        services = await town.started(OPERATORS="second@example.org=admin", SESSION_SECRETS="x" * 32)
        assert (await advanced(services, SECOND)).state == "pending"
        orders, checks = await services.orders.find(SECOND), services.decisions.checks
        draft = await checks.confirm(row.id, SECOND, "second@example.org", "it cannot be judged", orders)
        heads = await services.confirmations.heads()
        form = services.grants.create_grant_id()
        gateway = services.gateways[0]
        _, status = await services.uncredited_payments.write_order(gateway, SECOND, heads, form, draft)
        assert status.state == "pending", "the confirmation is not listed yet"
        await sweeping(services, 100)
        assert credits_of(town, SECOND) == [TARGET]
        with pytest.raises(ProblemError, match="needs no confirmation"):
            await checks.confirm(row.id, SECOND, "third@example.org", "again", await services.orders.find(SECOND))

    town.run(scenario())


def test_a_credit_that_was_written_is_found_whether_or_not_its_order_can_be_judged() -> None:
    town = town_of(FIRST, SECOND)

    async def scenario() -> None:
        town.customer(CUSTOMER).currency = "eur"
        earlier = order(town, FIRST, REDIRECT)
        order(town, SECOND, REDIRECT)
        assert (await advanced(await town.started(), SECOND)).state == "credited"
        hide(town, earlier)
        await asyncio.sleep(2)
        credited = await advanced(await town.started(), SECOND)
        assert (credited.state, credited.credited_customer) == ("credited", TARGET)

    town.run(scenario())


def past_order(town: Town, subject: Payment, created: int) -> Transaction:
    """An order whose row was created in the past."""
    words = {"kind": "order", "payment": subject.identity, "order": REDIRECT, "operator": ADMIN, "reason": "as agreed"}
    row = Entry(-1, "usd", "Order", words | {"value": "5000", "caps": "9000:9000"})
    return town.stripe.account.add_transaction(town.customer(SERVICE), row, created, created)


def test_in_a_later_epoch_the_orders_must_be_proven_for_the_day_before_an_order_too() -> None:
    """Without the rule a ledger that is proven back to the payment hides what was decided before that."""
    town = town_of(FIRST, SECOND)

    async def scenario() -> None:
        town.customer(CUSTOMER).currency = "eur"
        hide(town, past_order(town, FIRST, START - 5 * HOUR))
        past_order(town, WITHOUT_ORDER, START - 2 * HOUR)
        order(town, SECOND, REDIRECT, value="5000", caps="9000:20000")
        await asyncio.sleep(EPOCH_1)
        services = await town.started()
        states = []
        for _ in range(2):
            status = await advanced(services, SECOND)
            states.append((status.state, status.cause))
            await asyncio.sleep(2_000)
        assert states == [("pending", None), ("held", "ledger_unproven")]
        show_all(town)
        await sweeping(services, 3 * HOUR)
        assert credits_of(town, SECOND) == [TARGET]

    town.run(scenario())
