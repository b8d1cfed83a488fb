"""CreditProcessor credits exactly once; attempts and read-only checks agree in every state and after lost answers."""

import asyncio
from collections.abc import Callable
from decimal import Decimal

import pytest

from chain.payment import Payment
from stateless_billing.sandbox.account import Entry
from stateless_billing.sandbox.api_keys import DEFAULT_KEY
from stateless_billing.sandbox.effects import (
    Effect,
    closed_after,
    cut,
    error_saved,
    error_saved_done,
    error_unsaved,
    gateway,
    key_in_use,
    limited,
    locked,
    lost_after,
    lost_before,
)
from tests.fakes.factories import CUSTOMER, WHOLE_TOKEN, payment
from tests.fakes.in_process_service import CREDITS, HOUR, LISTS, NOW_BLOCK, READS, Town, advanced, observed, sweeping

FINAL = payment()
FRESH = payment(block=NOW_BLOCK - 30)
PLAIN = payment(cents=0)
TEMPLATE = "/v1/customers/{customer}/balance_transactions"


def deleted(town: Town) -> None:
    """Delete the customer."""
    town.customer(CUSTOMER).deleted = True


def in_euros(town: Town) -> None:
    """Bill the customer in euros."""
    town.customer(CUSTOMER).currency = "eur"


def altered(town: Town) -> None:
    """Add a credit of the same amount without metadata."""
    town.stripe.account.add_past(town.customer(CUSTOMER), [(FINAL.time + 60, Entry(-FINAL.cents, "usd"))])


def unknown(town: Town) -> None:
    """Remove the customer from Stripe."""
    del town.stripe.account.by_id[CUSTOMER]


def unpriced(town: Town) -> None:
    """Make the price unavailable."""
    town.price = Decimal(0)


def down(town: Town) -> None:
    """Make every request to Stripe fail."""
    town.stripe.faults.add(lost_before(), times=None)


def refused_key(town: Town) -> None:
    """Revoke the API key."""
    town.stripe.keys.remove(DEFAULT_KEY)


def nothing(town: Town) -> None:
    """Change nothing."""


STATES: dict[str, tuple[Payment, Callable[[Town], None], str, str | None]] = {
    "deleted": (FINAL, deleted, "held", "customer_deleted"),
    "deleted and fresh": (FRESH, deleted, "held", "customer_deleted"),
    "in euros": (FINAL, in_euros, "held", "currency"),
    "in euros and fresh": (FRESH, in_euros, "held", "currency"),
    "altered": (FINAL, altered, "held", "ledger_altered"),
    "unknown": (FINAL, unknown, "held", "customer_invalid"),
    "unknown and fresh": (FRESH, unknown, "held", "customer_invalid"),
    "no customer": (payment(customer_id=None), nothing, "held", "customer_invalid"),
    "over the limit": (payment(cents=600_000), nothing, "held", "over_limit"),
    "no price": (PLAIN, unpriced, "held", "rate_unavailable"),
    "below a cent": (payment(cents=0, amount=WHOLE_TOKEN // 1_000), nothing, "credited", None),
    "too young": (payment(block=NOW_BLOCK - 3), nothing, "confirming", None),
    "plain and not final": (payment(cents=0, block=NOW_BLOCK - 100), nothing, "confirming", None),
    "Stripe is down": (FINAL, down, "pending", "stripe_down"),
    "the key is revoked": (FINAL, refused_key, "pending", "stripe_down"),
}


@pytest.mark.parametrize(("subject", "change", "state", "cause"), STATES.values(), ids=list(STATES))
def test_a_check_returns_the_status_of_an_attempt_and_writes_nothing(
    subject: Payment, change: Callable[[Town], None], state: str, cause: str | None
) -> None:
    town = Town([payment(), subject] if subject.customer_id is None else [subject])
    change(town)

    async def scenario() -> None:
        checked = await observed(town.process(), subject)
        assert not [row for row in town.stripe.log.rows if row.method == "POST"]
        attempted = await advanced(town.process(), subject)
        assert (checked.state, checked.cause, checked.cents) == (attempted.state, attempted.cause, attempted.cents)
        assert (attempted.state, attempted.cause) == (state, cause)

    town.run(scenario())


@pytest.mark.parametrize("subject", [FINAL, FRESH, PLAIN], ids=["final", "fresh", "plain"])
def test_a_check_does_not_delay_the_next_attempt(subject: Payment) -> None:
    town = Town([subject])

    async def scenario() -> None:
        services = town.process()
        checked = await observed(services, subject)
        assert (checked.state, checked.cause) == ("pending", None)
        calls = town.stripe.log.counts.total()
        for _ in range(5):
            assert await observed(services, subject) == checked
        assert town.stripe.log.counts.total() == calls
        assert town.rows(CUSTOMER) == []
        credited = await advanced(services, subject)
        assert (credited.state, credited.cents) == ("credited", 5_400 if subject is PLAIN else 5_000)
        again = await observed(town.process(), subject)
        assert (again.state, again.cents, again.credit) == (credited.state, credited.cents, credited.credit)

    town.run(scenario())


UNCLEAR: dict[str, tuple[Effect, str, str | None, int]] = {
    "lost before": (lost_before(), "pending", "stripe_unclear", 0),
    "lost after": (lost_after(), "credited", None, 1),
    "cut": (cut(), "credited", None, 1),
    "502 HTML": (gateway(502), "pending", "stripe_unclear", 0),
    "502 HTML, executed": (gateway(502, executed=True), "credited", None, 1),
    "400 HTML": (gateway(400), "pending", "stripe_unclear", 0),
    "404 HTML, executed": (gateway(404, executed=True), "credited", None, 1),
    "unsaved 500": (error_unsaved(), "pending", "stripe_unclear", 0),
    "unsaved 408": (error_unsaved(408), "pending", "stripe_unclear", 0),
    "saved 500, done": (error_saved_done(), "credited", None, 1),
    "key in use": (key_in_use(), "pending", "stripe_unclear", 0),
    "rate limited": (limited(), "pending", "rate_limited", 0),
    "locked": (locked(), "pending", "rate_limited", 0),
}


@pytest.mark.parametrize(("effect", "state", "cause", "rows"), UNCLEAR.values(), ids=list(UNCLEAR))
@pytest.mark.parametrize("subject", [FINAL, FRESH], ids=["final", "fresh"])
def test_any_answer_to_a_write_leads_to_one_credit_under_one_key(
    subject: Payment, effect: Effect, state: str, cause: str | None, rows: int
) -> None:
    town = Town([subject])

    async def scenario() -> None:
        services = await town.started()
        town.stripe.faults.add(effect, method="POST", template=TEMPLATE)
        first = await advanced(services, subject)
        assert (first.state, first.cause) == (state, cause)
        assert len(town.rows(CUSTOMER)) == rows
        await sweeping(services, HOUR)
        [row] = town.rows(CUSTOMER)
        assert (row.amount, row.metadata["payment"]) == (-subject.cents, subject.identity)
        assert len({row.idempotency_key for row in town.stripe.log.rows if row.endpoint == CREDITS}) == 1

    town.run(scenario())


def test_a_key_with_a_saved_error_is_used_until_its_epoch_ends() -> None:
    town = Town([FINAL])

    async def scenario() -> None:
        services = await town.started()
        town.stripe.faults.add(error_saved(), method="POST", template=TEMPLATE)
        await sweeping(services, 20 * HOUR, busy=300)
        assert town.rows(CUSTOMER) == []
        assert len({row.idempotency_key for row in town.stripe.log.rows if row.endpoint == CREDITS}) == 1
        await sweeping(services, 6 * HOUR, busy=300)
        [row] = town.rows(CUSTOMER)
        assert row.metadata["payment"] == FINAL.identity
        keys = [row.idempotency_key for row in town.stripe.log.rows if row.endpoint == CREDITS]
        assert [key.rpartition(":")[2] for key in (keys[0], keys[-1])] == ["0", "1"]

    town.run(scenario())


@pytest.mark.parametrize(
    ("subject", "costs"),
    [
        (FRESH, {READS: 1, CREDITS: 1}),
        (FINAL, {LISTS: 1, READS: 1, CREDITS: 1}),
        (PLAIN, {LISTS: 1, READS: 1, CREDITS: 1}),
    ],
    ids=["fresh", "final", "plain"],
)
def test_the_request_count_of_a_credit(subject: Payment, costs: dict[str, int]) -> None:
    town = Town([subject])

    async def scenario() -> None:
        services = town.process()
        await advanced(services, subject)
        assert town.costs() == costs
        # Orders and, for a plain payment, the rate override are read once a minute for all payments together.
        shared = {} if subject is FRESH else {READS: 1 + (subject is PLAIN), LISTS: 1}
        assert town.costs(record=True) == shared
        assert town.connections == 1 + bool(shared)
        await advanced(services, subject)
        await observed(services, subject)
        assert (town.costs(), town.costs(record=True)) == (costs, shared)  # asking again costs nothing

    town.run(scenario())


def test_a_connection_closed_by_stripe_is_replaced_once_and_reads_repeat() -> None:
    town = Town([FINAL])

    async def scenario() -> None:
        services = town.process()
        town.stripe.faults.add(closed_after(), method="GET", template=TEMPLATE)
        assert (await advanced(services, FINAL)).state == "credited"
        orders = 1  # read over a separate connection
        assert (town.connections, town.asked(CREDITS)) == (2 + orders, 1)

    town.run(scenario())


def test_concurrent_attempts_in_several_processes_credit_once() -> None:
    town = Town([FINAL])

    async def scenario() -> None:
        processes = [town.process() for _ in range(3)]
        statuses = await asyncio.gather(*(advanced(services, FINAL) for services in processes for _ in range(5)))
        assert {status.state for status in statuses} <= {"credited", "pending"}
        assert len(town.rows(CUSTOMER)) == 1

    town.run(scenario())


def test_a_cached_status_does_not_apply_to_another_payment_with_the_same_identity() -> None:
    town = Town([FRESH])
    town.add("cus_Bob")
    moved = payment(block=NOW_BLOCK - 31, customer_id="cus_Bob")

    async def scenario() -> None:
        services = town.process()
        assert (await advanced(services, FRESH)).state == "credited"
        town.nodes[0].payments = [moved]  # a reorg gives the identity to another customer's payment
        await asyncio.sleep(2)
        assert (await advanced(services, moved)).state == "credited"
        assert [len(town.rows(customer_id)) for customer_id in (CUSTOMER, "cus_Bob")] == [1, 1]

    town.run(scenario())
