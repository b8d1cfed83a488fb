"""One credit, exactly once: what a try and a look say of each state, and what unclear answers lead to."""

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
    """The customer is deleted."""
    town.customer(CUSTOMER).deleted = True


def in_euros(town: Town) -> None:
    """The customer is billed in euros."""
    town.customer(CUSTOMER).currency = "eur"


def altered(town: Town) -> None:
    """A credit of these cents says nothing of itself."""
    town.stripe.account.add_past(town.customer(CUSTOMER), [(FINAL.time + 60, Entry(-FINAL.cents, "usd"))])


def unknown(town: Town) -> None:
    """Stripe knows no such customer."""
    del town.stripe.account.by_id[CUSTOMER]


def unpriced(town: Town) -> None:
    """There is no price."""
    town.price = Decimal(0)


def down(town: Town) -> None:
    """Stripe answers nothing."""
    town.stripe.faults.add(lost_before(), times=None)


def refused_key(town: Town) -> None:
    """The key is revoked."""
    town.stripe.keys.remove(DEFAULT_KEY)


def nothing(town: Town) -> None:
    """All is well."""


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


@pytest.mark.parametrize(("one", "happens", "state", "cause"), STATES.values(), ids=list(STATES))
def test_a_look_says_what_a_try_says_and_writes_nothing(
    one: Payment, happens: Callable[[Town], None], state: str, cause: str | None
) -> None:
    town = Town([payment(), one] if one.customer_id is None else [one])
    happens(town)

    async def scenario() -> None:
        seen = await observed(town.process(), one)
        assert not [row for row in town.stripe.log.rows if row.method == "POST"]
        tried = await advanced(town.process(), one)
        assert (seen.state, seen.cause, seen.cents) == (tried.state, tried.cause, tried.cents)
        assert (tried.state, tried.cause) == (state, cause)

    town.run(scenario())


@pytest.mark.parametrize("one", [FINAL, FRESH, PLAIN], ids=["final", "fresh", "plain"])
def test_a_look_at_what_is_not_credited_yet_does_not_put_off_its_try(one: Payment) -> None:
    town = Town([one])

    async def scenario() -> None:
        services = town.process()
        seen = await observed(services, one)
        assert (seen.state, seen.cause) == ("pending", None)
        calls = town.stripe.log.counts.total()
        for _ in range(5):
            assert await observed(services, one) == seen
        assert town.stripe.log.counts.total() == calls
        assert town.rows(CUSTOMER) == []
        tried = await advanced(services, one)
        assert (tried.state, tried.cents) == ("credited", 5_400 if one is PLAIN else 5_000)
        again = await observed(town.process(), one)
        assert (again.state, again.cents, again.credit) == (tried.state, tried.cents, tried.credit)

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
@pytest.mark.parametrize("one", [FINAL, FRESH], ids=["final", "fresh"])
def test_whatever_a_write_is_answered_it_is_credited_once_under_one_key(
    one: Payment, effect: Effect, state: str, cause: str | None, rows: int
) -> None:
    town = Town([one])

    async def scenario() -> None:
        services = await town.started()
        town.stripe.faults.add(effect, method="POST", template=TEMPLATE)
        first = await advanced(services, one)
        assert (first.state, first.cause) == (state, cause)
        assert len(town.rows(CUSTOMER)) == rows
        await sweeping(services, HOUR)
        [row] = town.rows(CUSTOMER)
        assert (row.amount, row.metadata["payment"]) == (-one.cents, one.identity)
        assert len({row.idempotency_key for row in town.stripe.log.rows if row.endpoint == CREDITS}) == 1

    town.run(scenario())


def test_a_burnt_key_stays_the_key_until_its_epoch_is_over() -> None:
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
    ("one", "costs"),
    [
        (FRESH, {READS: 1, CREDITS: 1}),
        (FINAL, {LISTS: 1, READS: 1, CREDITS: 1}),
        (PLAIN, {LISTS: 1, READS: 1, CREDITS: 1}),
    ],
    ids=["fresh", "final", "plain"],
)
def test_what_a_credit_costs(one: Payment, costs: dict[str, int]) -> None:
    town = Town([one])

    async def scenario() -> None:
        services = town.process()
        await advanced(services, one)
        assert town.costs() == costs
        # Its orders and, for a plain one, an override of the price: read once a minute for all payments together.
        shared = {} if one is FRESH else {READS: 1 + (one is PLAIN), LISTS: 1}
        assert town.costs(record=True) == shared
        assert town.connections == 1 + bool(shared)
        await advanced(services, one)
        await observed(services, one)
        assert (town.costs(), town.costs(record=True)) == (costs, shared)  # asking again costs nothing

    town.run(scenario())


def test_a_connection_that_stripe_closed_is_replaced_once_and_read_over_anew() -> None:
    town = Town([FINAL])

    async def scenario() -> None:
        services = town.process()
        town.stripe.faults.add(closed_after(), method="GET", template=TEMPLATE)
        assert (await advanced(services, FINAL)).state == "credited"
        orders = 1  # they are read over a connection of their own
        assert (town.connections, town.asked(CREDITS)) == (2 + orders, 1)

    town.run(scenario())


def test_many_at_once_in_several_processes_credit_once() -> None:
    town = Town([FINAL])

    async def scenario() -> None:
        several = [town.process() for _ in range(3)]
        told = await asyncio.gather(*(advanced(one, FINAL) for one in several for _ in range(5)))
        assert {one.state for one in told} <= {"credited", "pending"}
        assert len(town.rows(CUSTOMER)) == 1

    town.run(scenario())


def test_what_was_remembered_of_a_payment_is_not_that_of_another_with_its_identity() -> None:
    town = Town([FRESH])
    town.add("cus_Bob")
    moved = payment(block=NOW_BLOCK - 31, customer_id="cus_Bob")

    async def scenario() -> None:
        services = town.process()
        assert (await advanced(services, FRESH)).state == "credited"
        town.nodes[0].payments = [moved]  # a reorganisation gave it to another customer
        await asyncio.sleep(2)
        assert (await advanced(services, moved)).state == "credited"
        assert [len(town.rows(one)) for one in (CUSTOMER, "cus_Bob")] == [1, 1]

    town.run(scenario())
