"""No payment is credited twice under racing or changed orders, deleted customers and truncated listings."""

import asyncio
from collections.abc import Callable

import httpx
import pytest

from chain.payment import Payment
from stateless_billing.crediting.payment_status import PaymentStatus
from stateless_billing.sandbox.account import Entry
from stateless_billing.sandbox.effects import Effect, error_saved, listing_cut, listing_ends_empty, listing_hole
from stateless_billing.sandbox.records import Transaction
from stateless_billing.services.container import Services
from stateless_billing.stripe.errors import LedgerUnproven, NeedsSecondReading, StripeUnavailable
from stateless_billing.stripe.ledger_reader import entries_or_none
from tests.fakes.factories import CUSTOMER, START, payment, tx_hash
from tests.fakes.in_process_service import CREDITS, HOUR, LISTS, READS, SERVICE, LoopClock, Town, advanced, sweeping

TARGET, ANOTHER = "cus_Target1", "cus_Target2"
ADMIN = "admin@example.org"
EPOCH_1 = 24 * HOUR  # after this the payments below are in epoch 1, outside its quiet zone
FIRST = payment()
SECOND = payment(sequence=1, tx_hash=tx_hash(2), block=101)
TEMPLATE = "/v1/customers/{customer}/balance_transactions"
LEDGER = f"/v1/customers/{CUSTOMER}/balance_transactions"


def town_of(*payments: Payment) -> Town:
    """A town with two more customers to redirect payments to."""
    town = Town(payments)
    for name in (TARGET, ANOTHER):
        town.add(name)
    return town


def order(town: Town, subject: Payment, text: str, **metadata: str) -> Transaction:
    """Write an admin's order into the service record now."""
    facts = {"kind": "order", "payment": subject.identity, "order": text, "operator": ADMIN, "reason": "as agreed"}
    bounds = {"value": "10000", "caps": "100000:100000"}
    now = LoopClock().wall()
    row = Entry(-1, "usd", f"Order by {ADMIN}: {text}", facts | bounds | metadata)
    return town.stripe.account.add_transaction(town.customer(SERVICE), row, now, int(now))


def charge(town: Town, customer_id: str, cents: int, count: int = 1) -> None:
    """Add debits by another system, all within this second; a negative amount is a credit."""
    now = LoopClock().wall()
    for _ in range(count):
        entry = Entry(cents, "usd", "Top-up via pi_1" if cents < 0 else "Usage")
        town.stripe.account.add_transaction(town.customer(customer_id), entry, now, int(now))


def credits_of(town: Town, subject: Payment) -> list[str]:
    """The customers that carry a credit of a payment, including deleted ones."""
    return [
        row.customer
        for customer in town.stripe.account.by_id.values()
        for row in customer.rows
        if row.metadata.get("kind") == "payment" and row.metadata["payment"] == subject.identity
    ]


async def proven(services: Services, subject: Payment) -> PaymentStatus:
    """Attempt twice, so that the ledger's second reading proves the absence."""
    first = await advanced(services, subject)
    if first.state != "pending":
        return first
    assert first.retry_after is not None
    await asyncio.sleep(first.retry_after + 1)
    return await advanced(services, subject)


def test_a_redirected_payment_is_not_credited_again_once_its_cause_is_resolved() -> None:
    town = town_of(FIRST, SECOND)

    async def scenario() -> None:
        town.customer(CUSTOMER).currency = "eur"
        services = await town.started()
        for subject in (FIRST, SECOND):
            assert (await advanced(services, subject)).cause == "currency"
        order(town, SECOND, f"redirect:{TARGET}")
        await asyncio.sleep(61)
        services.status_cache.make_due(SECOND)
        assert (await advanced(services, SECOND)).state == "credited"
        town.customer(CUSTOMER).currency = "usd"
        restarted = await town.started()
        await sweeping(restarted, 2 * HOUR)
        assert credits_of(town, FIRST) == [CUSTOMER]
        assert credits_of(town, SECOND) == [TARGET]
        assert town.cursor(CUSTOMER) == f"2:{SECOND.tx_hash}"

    town.run(scenario())


def test_redirects_collide_neither_with_the_targets_own_payment_nor_with_each_other() -> None:
    own = payment(customer_id=TARGET, tx_hash=tx_hash(3), block=102)
    other = payment(customer_id=ANOTHER, tx_hash=tx_hash(4), block=103)
    town = town_of(FIRST, own, other)

    async def scenario() -> None:
        for name in (CUSTOMER, ANOTHER):
            town.customer(name).currency = "eur"
        order(town, FIRST, f"redirect:{TARGET}")
        order(town, other, f"redirect:{TARGET}")
        services = await town.started()
        for subject in (FIRST, own, other):
            assert (await advanced(services, subject)).state == "credited"
            assert credits_of(town, subject) == [TARGET]

    town.run(scenario())


def test_of_two_orders_in_one_second_every_process_applies_the_same_one() -> None:
    town = town_of(FIRST)

    async def scenario() -> None:
        town.customer(CUSTOMER).deleted = True
        order(town, FIRST, f"redirect:{TARGET}")
        processes = [await town.started() for _ in range(2)]
        order(town, FIRST, f"redirect:{ANOTHER}")
        await asyncio.gather(*(advanced(services, FIRST) for services in processes))
        assert credits_of(town, FIRST) == [ANOTHER], "the order that Stripe wrote last is effective"

    town.run(scenario())


@pytest.mark.parametrize(
    "effect", [listing_ends_empty(later=True), listing_cut(), listing_ends_empty(), listing_hole()]
)
def test_a_truncated_listing_is_no_evidence(effect: Effect) -> None:
    town = town_of(FIRST)

    async def scenario() -> None:
        charge(town, CUSTOMER, -100)
        await asyncio.sleep(3 * HOUR)
        assert (await advanced(await town.started(), FIRST)).state == "credited"
        await asyncio.sleep(60)
        charge(town, CUSTOMER, 34, 151)  # the balance passes through 0
        await asyncio.sleep(EPOCH_1)
        town.stripe.faults.add(effect, method="GET", template=TEMPLATE, times=None)
        await sweeping(await town.started(), 18 * HOUR, busy=300)
        assert credits_of(town, FIRST) == [CUSTOMER]

    town.run(scenario())


def test_an_unproven_ledger_holds_the_payment_until_an_admin_vouches_for_it() -> None:
    town = town_of(FIRST)

    async def scenario() -> None:
        town.stripe.faults.add(error_saved(), method="POST", template=TEMPLATE, times=1)
        assert (await advanced(await town.started(), FIRST)).cause == "stripe_unclear"
        charge(town, CUSTOMER, 1, 150)
        await asyncio.sleep(EPOCH_1)
        town.stripe.faults.add(listing_ends_empty(), method="GET", template=TEMPLATE, path=LEDGER, times=None)
        services = await town.started()
        states = [await advanced(services, FIRST)]
        await asyncio.sleep(HOUR)
        states.append(await advanced(services, FIRST))
        assert [(status.state, status.cause) for status in states] == [("pending", None), ("held", "ledger_unproven")]
        assert CUSTOMER in states[1].detail
        order(town, FIRST, f"unproven:{CUSTOMER}")
        await asyncio.sleep(2 * HOUR)
        assert (await advanced(services, FIRST)).state == "credited"
        assert credits_of(town, FIRST) == [CUSTOMER]

    town.run(scenario())


def test_vouching_counts_for_one_epoch_only() -> None:
    town = town_of(FIRST)

    async def scenario() -> None:
        town.stripe.faults.add(error_saved(), method="POST", template=TEMPLATE, times=None)
        await asyncio.sleep(EPOCH_1)
        town.stripe.faults.add(listing_ends_empty(), method="GET", template=TEMPLATE, path=LEDGER, times=None)
        order(town, FIRST, f"unproven:{CUSTOMER}")
        services = await town.started()
        assert (await advanced(services, FIRST)).cause == "stripe_unclear"
        await asyncio.sleep(23 * HOUR)
        town.stripe.faults.clear()
        town.stripe.faults.add(listing_ends_empty(), method="GET", template=TEMPLATE, path=LEDGER, times=None)
        charge(town, CUSTOMER, 1)
        assert (await advanced(services, FIRST)).detail.startswith(f"the ledger of {CUSTOMER} does not prove")
        assert credits_of(town, FIRST) == []

    town.run(scenario())


def test_a_customer_deleted_after_its_credit_never_gets_its_payment_credited_elsewhere() -> None:
    town = town_of(FIRST)

    async def scenario() -> None:
        assert (await advanced(await town.started(), FIRST)).state == "credited"
        town.stripe.account.delete(CUSTOMER)
        services = await town.started()
        held = await advanced(services, FIRST)
        assert (held.state, held.cause) == ("held", "customer_deleted")
        assert "may have been credited there before" in held.detail
        order(town, FIRST, f"redirect:{TARGET}")
        restarted = await town.started()
        held = await advanced(restarted, FIRST)  # Stripe rejects the key with other parameters
        assert (held.state, held.cause) == ("held", "customer_deleted")
        await asyncio.sleep(EPOCH_1)
        await sweeping(await town.started(), 20 * HOUR, busy=300)
        assert credits_of(town, FIRST) == [CUSTOMER]

    town.run(scenario())


def test_a_deleted_customers_payment_is_redirected_after_an_acknowledgement() -> None:
    town = town_of(FIRST)

    async def scenario() -> None:
        town.stripe.account.delete(CUSTOMER)
        await asyncio.sleep(EPOCH_1)
        order(town, FIRST, f"redirect:{TARGET}")
        services = await town.started()
        assert (await proven(services, FIRST)).cause == "customer_deleted"
        order(town, FIRST, f"gone:{CUSTOMER}")
        services = await town.started()
        await sweeping(services, 3 * HOUR)
        assert credits_of(town, FIRST) == [TARGET]

    town.run(scenario())


def test_an_acknowledgement_counts_only_while_the_customer_is_deleted() -> None:
    town = town_of(FIRST)

    async def scenario() -> None:
        assert (await advanced(await town.started(), FIRST)).state == "credited"
        await asyncio.sleep(EPOCH_1)
        order(town, FIRST, f"redirect:{TARGET};gone:{CUSTOMER}")
        await sweeping(await town.started(), 3 * HOUR)
        assert credits_of(town, FIRST) == [CUSTOMER]

    town.run(scenario())


def test_an_order_with_a_deleted_target_does_not_credit_the_original_customer() -> None:
    town = town_of(FIRST)

    async def scenario() -> None:
        town.customer(CUSTOMER).currency = "eur"
        order(town, FIRST, f"redirect:{TARGET}")
        town.stripe.account.delete(TARGET)
        town.customer(CUSTOMER).currency = "usd"
        held = await advanced(await town.started(), FIRST)
        assert (held.state, held.cause) == ("held", "customer_deleted")
        await asyncio.sleep(EPOCH_1)
        assert (await proven(await town.started(), FIRST)).cause == "customer_deleted"
        assert credits_of(town, FIRST) == []

    town.run(scenario())


def test_the_target_of_a_withdrawn_order_is_still_checked() -> None:
    town = town_of(FIRST)

    async def scenario() -> None:
        town.customer(CUSTOMER).currency = "eur"
        order(town, FIRST, f"redirect:{TARGET}")
        assert (await advanced(await town.started(), FIRST)).state == "credited"
        order(town, FIRST, "withdraw")
        town.customer(CUSTOMER).currency = "usd"
        await asyncio.sleep(EPOCH_1)
        credited = await advanced(await town.started(), FIRST)
        assert (credited.state, credited.credited_customer) == ("credited", TARGET)
        assert credits_of(town, FIRST) == [TARGET]

    town.run(scenario())


def test_an_order_above_its_limit_is_not_applied() -> None:
    big = payment(cents=600_000)
    town = town_of(big)

    async def scenario() -> None:
        assert (await advanced(await town.started(), big)).cause == "over_limit"
        row = order(town, big, "release", value="600000")
        assert (await advanced(await town.started(), big)).cause == "over_limit", "above what one admin may order"
        words = {"value": "600000", "confirms": row.id}
        order(town, big, "release", **words)
        assert (await advanced(await town.started(), big)).cause == "over_limit", (
            "admins cannot confirm their own orders"
        )
        order(town, big, "release", **words, operator="second@example.org")
        assert (await advanced(await town.started(), big)).state == "credited"

    town.run(scenario())


def test_an_order_credits_at_most_its_value() -> None:
    town = town_of(FIRST)

    async def scenario() -> None:
        town.customer(CUSTOMER).currency = "eur"
        order(town, FIRST, f"redirect:{TARGET}", value="4999")
        held = await advanced(await town.started(), FIRST)
        assert (held.state, held.cause) == ("held", "over_limit")
        assert "$49.99" in held.detail
        assert credits_of(town, FIRST) == []

    town.run(scenario())


def test_a_bookkeeping_customer_is_never_credited() -> None:
    of_record = payment(customer_id=SERVICE, tx_hash=tx_hash(9))
    town = Town([of_record, FIRST], strangers=[SERVICE])

    async def scenario() -> None:
        assert (await advanced(await town.started(), of_record)).cause == "customer_invalid"
        town.customer(CUSTOMER).currency = "eur"
        order(town, FIRST, f"redirect:{SERVICE}")
        assert (await advanced(await town.started(), FIRST)).cause == "customer_invalid"
        assert [row for row in town.rows(SERVICE) if row.metadata["kind"] == "payment"] == []

    town.run(scenario())


def on_a_test_clock(town: Town) -> None:
    """Attach the customer to a test clock."""
    town.stripe.account.set_test_clock("clock_1", START)
    town.stripe.account.attach(town.customer(CUSTOMER), "clock_1")


def not_payable(town: Town) -> None:
    """Mark the customer as not payable."""
    town.set_metadata(CUSTOMER, {"gateway_payments": "off"})


HELD: dict[str, Callable[[Town], None]] = {"test_clock": on_a_test_clock, "not_payable": not_payable}


@pytest.mark.parametrize("cause", HELD)
@pytest.mark.parametrize("days", [0, 3])
def test_customers_that_must_not_be_credited(cause: str, days: int) -> None:
    town = town_of(FIRST)

    async def scenario() -> None:
        HELD[cause](town)
        await asyncio.sleep(days * 24 * HOUR)
        held = await proven(await town.started(), FIRST)
        assert (held.state, held.cause) == ("held", cause)
        assert credits_of(town, FIRST) == []

    town.run(scenario())


def test_the_check_after_an_unknown_outcome_covers_every_target() -> None:
    town = town_of(FIRST)

    async def scenario() -> None:
        town.customer(CUSTOMER).currency = "eur"
        order(town, FIRST, f"redirect:{TARGET}")
        stale, other = await town.started(), await town.started()
        assert (await advanced(other, FIRST)).state == "credited"
        order(town, FIRST, f"redirect:{ANOTHER}")
        credited = await advanced(stale, FIRST)
        assert (credited.state, credited.credited_customer) == ("credited", TARGET)

    town.run(scenario())


def test_a_foreign_credit_on_any_customer_holds_unless_the_order_is_newer() -> None:
    town = town_of(FIRST)

    async def scenario() -> None:
        order(town, FIRST, f"redirect:{TARGET}")
        await asyncio.sleep(5)
        now = LoopClock().wall()
        town.stripe.account.add_transaction(
            town.customer(CUSTOMER), Entry(-FIRST.cents, "usd", "by hand"), now, int(now)
        )
        assert (await advanced(await town.started(), FIRST)).cause == "ledger_altered"
        await asyncio.sleep(5)
        order(town, FIRST, f"redirect:{TARGET}")
        assert (await advanced(await town.started(), FIRST)).state == "credited"
        assert credits_of(town, FIRST) == [TARGET]

    town.run(scenario())


def test_a_service_record_newer_than_the_payment_proves_no_absence_of_orders() -> None:
    town = town_of(FIRST)

    async def scenario() -> None:
        town.customer(SERVICE).created = FIRST.time
        await asyncio.sleep(EPOCH_1)
        services = await town.started()
        await sweeping(services, 4 * HOUR)
        held = services.status_cache.last_status(FIRST)
        assert held
        assert (held.state, held.cause) == ("held", "ledger_unproven")
        assert "younger than the payment" in held.detail
        assert credits_of(town, FIRST) == []

    town.run(scenario())


@pytest.mark.parametrize(("since", "pages"), [(10, 1), (20_000, 201)])
def test_the_request_count_of_a_payment_after_its_first_epoch(since: int, pages: int) -> None:
    town = town_of(FIRST)

    async def scenario() -> None:
        town.stripe.account.add_past(
            town.customer(CUSTOMER), [(START - 2 * HOUR, Entry(-30_000, "usd", "Top-up via pi_1"))]
        )
        await asyncio.sleep(HOUR)
        charge(town, CUSTOMER, 1, since)
        await asyncio.sleep(EPOCH_1)
        services = await town.started()
        town.stripe.log.reset()
        first = await advanced(services, FIRST)
        assert first.state == "pending"
        assert town.costs() == {LISTS: 1 + pages, READS: 1}
        assert first.retry_after is not None
        await asyncio.sleep(first.retry_after + 1)
        assert (await advanced(services, FIRST)).state == "credited"
        assert town.costs() == {LISTS: 2 * (1 + pages), READS: 2, CREDITS: 1}

    town.run(scenario())


def test_a_reversal_in_a_later_epoch_needs_two_readings() -> None:
    town = town_of(FIRST)

    async def scenario() -> None:
        assert (await advanced(await town.started(), FIRST)).state == "credited"
        await asyncio.sleep(60)
        charge(town, CUSTOMER, 1, 150)
        services = await town.started()
        async with services.stripe.session() as session:
            [credit] = [
                entry for entry in await entries_or_none(session, CUSTOMER, FIRST.time) or [] if entry.kind == "payment"
            ]
        await asyncio.sleep(EPOCH_1)
        for effect in (listing_ends_empty(), listing_ends_empty(later=True)):
            town.stripe.faults.add(effect, method="GET", template=TEMPLATE, path=LEDGER, times=None)
            with pytest.raises((LedgerUnproven, StripeUnavailable)):
                await services.reversals.reverse(credit, ADMIN, "a mistake")
            town.stripe.faults.clear()
        with pytest.raises(NeedsSecondReading) as raised:
            await services.reversals.reverse(credit, ADMIN, "a mistake")
        await asyncio.sleep(raised.value.seconds + 1)
        done = await services.reversals.reverse(credit, ADMIN, "a mistake")
        assert await services.reversals.reverse(credit, ADMIN, "again") == done
        assert [row.amount for row in town.rows(CUSTOMER) if row.metadata.get("kind") == "reversal"] == [FIRST.cents]

    town.run(scenario())


def test_a_reversed_credit_stays_reversed_without_a_second_reading() -> None:
    town = town_of(FIRST)

    async def scenario() -> None:
        services = await town.started()
        assert (await advanced(services, FIRST)).state == "credited"
        async with services.stripe.session() as session:
            [credit] = await entries_or_none(session, CUSTOMER, FIRST.time) or []
        await services.reversals.reverse(credit, ADMIN, "a mistake")
        order(town, FIRST, f"redirect:{TARGET}")
        await asyncio.sleep(EPOCH_1)
        assert (await advanced(await town.started(), FIRST)).state == "reversed"
        assert credits_of(town, FIRST) == [CUSTOMER]

    town.run(scenario())


def test_a_credit_stripped_of_metadata_holds_even_beside_one_that_an_admin_judged() -> None:
    town = town_of(FIRST, SECOND)

    async def scenario() -> None:
        now = LoopClock().wall()
        by_hand = Entry(-SECOND.cents, "usd", "goodwill")
        town.stripe.account.add_transaction(town.customer(CUSTOMER), by_hand, now, int(now))
        services = await town.started()
        assert (await advanced(services, SECOND)).cause == "ledger_altered"
        await asyncio.sleep(60)
        order(town, SECOND, "release")
        await asyncio.sleep(61)
        services.status_cache.make_due(SECOND)
        assert (await advanced(services, SECOND)).state == "credited"
        await asyncio.sleep(600)
        town.rows(CUSTOMER)[-1].metadata.clear()
        await asyncio.sleep(EPOCH_1)
        assert (await proven(await town.started(), SECOND)).cause == "ledger_altered"
        assert len(town.rows(CUSTOMER)) == 2

    town.run(scenario())


def test_a_ledger_with_constant_traffic_can_be_proven() -> None:
    town = town_of(FIRST)

    async def scenario() -> None:
        past = [(START - 20 * 24 * HOUR + index * 600, Entry(1, "usd", "Usage")) for index in range(400)]
        town.stripe.account.add_past(town.customer(CUSTOMER), past)
        await asyncio.sleep(EPOCH_1)
        services = await town.started()
        states = []
        for _ in range(3):
            charge(town, CUSTOMER, 1)
            done = await advanced(services, FIRST)
            states.append(done.state)
            await asyncio.sleep((done.retry_after or 0) + 1)
        assert states == ["pending", "credited", "credited"]

    town.run(scenario())


def test_many_ordered_payments_do_not_deadlock_on_reading_the_rate_override() -> None:
    plain = [
        payment(customer_id=f"cus_P{number}", tx_hash=tx_hash(50 + number), block=100 + number, cents=0)
        for number in range(20)
    ]
    town = town_of(*plain)

    async def scenario() -> None:
        for subject in plain:
            order(town, subject, "release", caps="100000:9000000")
        services = await town.started()

        def expire(request: httpx.Request) -> None:
            if f"/{SERVICE}/balance_transactions" in str(request.url):
                services.overrides._cached.clear()  # its minute ends right here

        town.meddle = expire
        async with asyncio.timeout(HOUR):
            done = await asyncio.gather(*(advanced(services, subject) for subject in plain))
        assert {status.state for status in done} == {"credited"}

    town.run(scenario())


def test_a_deleted_service_record_leaves_payments_pending() -> None:
    town = town_of(FIRST)

    async def scenario() -> None:
        services = await town.started()
        town.customer(SERVICE).deleted = True
        pending = await advanced(services, FIRST)
        assert (pending.state, pending.cause) == ("pending", "stripe_down")

    town.run(scenario())


def test_the_credit_of_an_event_without_customer_is_found_on_its_former_target() -> None:
    unassigned = payment(customer_id=None)
    town = town_of(unassigned)

    async def scenario() -> None:
        order(town, unassigned, f"redirect:{TARGET}")
        assert (await advanced(await town.started(), unassigned)).state == "credited"
        order(town, unassigned, "withdraw")
        assert (await advanced(await town.started(), unassigned)).state == "credited"
        assert credits_of(town, unassigned) == [TARGET]

    town.run(scenario())


def test_plain_payments_are_priced_by_the_effective_order() -> None:
    plain = payment(cents=0)
    town = town_of(plain)

    async def scenario() -> None:
        order(town, plain, "release:0.007", market="0.006")
        order(town, plain, f"redirect:{TARGET}:0.005", market="0.006")
        town.customer(CUSTOMER).currency = "eur"
        done = await advanced(await town.started(), plain)
        assert (done.state, done.cents, done.credited_customer) == ("credited", 4_500, TARGET)

    town.run(scenario())
