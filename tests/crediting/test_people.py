"""What people do pays no payment twice: orders that race and change, deleted customers, lists that end early."""

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
EPOCH_1 = 24 * HOUR  # after this the payments below are in their second epoch, outside of its quiet zone
FIRST = payment()
SECOND = payment(sequence=1, tx_hash=tx_hash(2), block=101)
TEMPLATE = "/v1/customers/{customer}/balance_transactions"
LEDGER = f"/v1/customers/{CUSTOMER}/balance_transactions"


def town_of(*payments: Payment) -> Town:
    """A town with two more customers, whose entries are all known to Stripe at once."""
    town = Town(payments)
    for name in (TARGET, ANOTHER):
        town.add(name)
    return town


def order(town: Town, one: Payment, text: str, **metadata: str) -> Transaction:
    """An admin's order, written into the service record now."""
    told = {"kind": "order", "payment": one.identity, "order": text, "operator": ADMIN, "reason": "as agreed"}
    bounds = {"value": "10000", "caps": "100000:100000"}
    now = LoopClock().wall()
    row = Entry(-1, "usd", f"Order by {ADMIN}: {text}", told | bounds | metadata)
    return town.stripe.account.add_transaction(town.customer(SERVICE), row, now, int(now))


def charge(town: Town, customer_id: str, cents: int, count: int = 1) -> None:
    """Debits by another system, all of this second; a negative amount is its credit."""
    now = LoopClock().wall()
    for _ in range(count):
        known = Entry(cents, "usd", "Top-up via pi_1" if cents < 0 else "Usage")
        town.stripe.account.add_transaction(town.customer(customer_id), known, now, int(now))


def credits_of(town: Town, one: Payment) -> list[str]:
    """The customers that carry a credit of a payment, deleted ones too."""
    return [
        row.customer
        for customer in town.stripe.account.by_id.values()
        for row in customer.rows
        if row.metadata.get("kind") == "payment" and row.metadata["payment"] == one.identity
    ]


async def proven(services: Services, one: Payment) -> PaymentStatus:
    """Tries until the ledger has told twice what it holds."""
    first = await advanced(services, one)
    if first.state != "pending":
        return first
    assert first.retry_after is not None
    await asyncio.sleep(first.retry_after + 1)
    return await advanced(services, one)


def test_a_redirected_payment_is_not_credited_again_when_its_cause_is_gone() -> None:
    town = town_of(FIRST, SECOND)

    async def scenario() -> None:
        town.customer(CUSTOMER).currency = "eur"
        services = await town.started()
        for one in (FIRST, SECOND):
            assert (await advanced(services, one)).cause == "currency"
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
        for one in (FIRST, own, other):
            assert (await advanced(services, one)).state == "credited"
            assert credits_of(town, one) == [TARGET]

    town.run(scenario())


def test_of_two_orders_in_one_second_every_process_follows_the_same_one() -> None:
    town = town_of(FIRST)

    async def scenario() -> None:
        town.customer(CUSTOMER).deleted = True
        order(town, FIRST, f"redirect:{TARGET}")
        processes = [await town.started() for _ in range(2)]
        order(town, FIRST, f"redirect:{ANOTHER}")
        await asyncio.gather(*(advanced(one, FIRST) for one in processes))
        assert credits_of(town, FIRST) == [ANOTHER], "the one that Stripe wrote last stands"

    town.run(scenario())


@pytest.mark.parametrize(
    "effect", [listing_ends_empty(later=True), listing_cut(), listing_ends_empty(), listing_hole()]
)
def test_a_listing_that_ends_early_is_no_evidence(effect: Effect) -> None:
    town = town_of(FIRST)

    async def scenario() -> None:
        charge(town, CUSTOMER, -100)
        await asyncio.sleep(3 * HOUR)
        assert (await advanced(await town.started(), FIRST)).state == "credited"
        await asyncio.sleep(60)
        charge(town, CUSTOMER, 34, 151)  # the balance passes through 0 on its way
        await asyncio.sleep(EPOCH_1)
        town.stripe.faults.add(effect, method="GET", template=TEMPLATE, times=None)
        await sweeping(await town.started(), 18 * HOUR, busy=300)
        assert credits_of(town, FIRST) == [CUSTOMER]

    town.run(scenario())


def test_a_ledger_that_does_not_prove_it_holds_the_payment_until_an_admin_vouches() -> None:
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
        assert [(one.state, one.cause) for one in states] == [("pending", None), ("held", "ledger_unproven")]
        assert CUSTOMER in states[1].detail
        order(town, FIRST, f"unproven:{CUSTOMER}")
        await asyncio.sleep(2 * HOUR)
        assert (await advanced(services, FIRST)).state == "credited"
        assert credits_of(town, FIRST) == [CUSTOMER]

    town.run(scenario())


def test_an_admin_vouches_for_one_epoch_only() -> None:
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
        told = await advanced(restarted, FIRST)  # the key decides: Stripe knows it with other parameters
        assert (told.state, told.cause) == ("held", "customer_deleted")
        await asyncio.sleep(EPOCH_1)
        await sweeping(await town.started(), 20 * HOUR, busy=300)
        assert credits_of(town, FIRST) == [CUSTOMER]

    town.run(scenario())


def test_a_deleted_customers_payment_is_redirected_after_an_explicit_yes() -> None:
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


def test_a_yes_counts_only_while_stripe_shows_the_customer_deleted() -> None:
    town = town_of(FIRST)

    async def scenario() -> None:
        assert (await advanced(await town.started(), FIRST)).state == "credited"
        await asyncio.sleep(EPOCH_1)
        order(town, FIRST, f"redirect:{TARGET};gone:{CUSTOMER}")
        await sweeping(await town.started(), 3 * HOUR)
        assert credits_of(town, FIRST) == [CUSTOMER]

    town.run(scenario())


def test_an_order_that_names_a_deleted_target_does_not_send_the_credit_back() -> None:
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


def test_a_withdrawn_order_leaves_its_target_as_a_place_to_look() -> None:
    town = town_of(FIRST)

    async def scenario() -> None:
        town.customer(CUSTOMER).currency = "eur"
        order(town, FIRST, f"redirect:{TARGET}")
        assert (await advanced(await town.started(), FIRST)).state == "credited"
        order(town, FIRST, "withdraw")
        town.customer(CUSTOMER).currency = "usd"
        await asyncio.sleep(EPOCH_1)
        found = await advanced(await town.started(), FIRST)
        assert (found.state, found.credited_customer) == ("credited", TARGET)
        assert credits_of(town, FIRST) == [TARGET]

    town.run(scenario())


def test_an_order_beyond_its_bounds_is_not_followed() -> None:
    big = payment(cents=600_000)
    town = town_of(big)

    async def scenario() -> None:
        assert (await advanced(await town.started(), big)).cause == "over_limit"
        row = order(town, big, "release", value="600000")
        assert (await advanced(await town.started(), big)).cause == "over_limit", "above what one admin may order"
        words = {"value": "600000", "confirms": row.id}
        order(town, big, "release", **words)
        assert (await advanced(await town.started(), big)).cause == "over_limit", "nobody confirms himself"
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


def test_a_bookkeeping_customer_is_neither_paid_for_nor_a_target() -> None:
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
    """The customer's time is not ours."""
    town.stripe.account.set_test_clock("clock_1", START)
    town.stripe.account.attach(town.customer(CUSTOMER), "clock_1")


def not_payable(town: Town) -> None:
    """The customer takes no payments."""
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


def test_the_second_look_after_an_unclear_answer_covers_every_target() -> None:
    town = town_of(FIRST)

    async def scenario() -> None:
        town.customer(CUSTOMER).currency = "eur"
        order(town, FIRST, f"redirect:{TARGET}")
        dying, other = await town.started(), await town.started()
        assert (await advanced(other, FIRST)).state == "credited"
        order(town, FIRST, f"redirect:{ANOTHER}")
        found = await advanced(dying, FIRST)
        assert (found.state, found.credited_customer) == ("credited", TARGET)

    town.run(scenario())


def test_a_credit_by_others_on_any_place_holds_unless_the_order_is_younger() -> None:
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


def test_a_record_younger_than_the_payment_proves_no_absence_of_orders() -> None:
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
def test_what_a_payment_older_than_its_first_epoch_costs(since: int, pages: int) -> None:
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


def test_a_reversal_in_a_later_epoch_needs_its_entry_told_twice() -> None:
    town = town_of(FIRST)

    async def scenario() -> None:
        assert (await advanced(await town.started(), FIRST)).state == "credited"
        await asyncio.sleep(60)
        charge(town, CUSTOMER, 1, 150)
        services = await town.started()
        async with services.stripe.session() as session:
            [credit] = [
                one for one in await entries_or_none(session, CUSTOMER, FIRST.time) or [] if one.kind == "payment"
            ]
        await asyncio.sleep(EPOCH_1)
        for effect in (listing_ends_empty(), listing_ends_empty(later=True)):
            town.stripe.faults.add(effect, method="GET", template=TEMPLATE, path=LEDGER, times=None)
            with pytest.raises((LedgerUnproven, StripeUnavailable)):
                await services.reversals.reverse(credit, ADMIN, "a mistake")
            town.stripe.faults.clear()
        with pytest.raises(NeedsSecondReading) as told:
            await services.reversals.reverse(credit, ADMIN, "a mistake")
        await asyncio.sleep(told.value.seconds + 1)
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


def test_a_credit_of_ours_that_was_stripped_holds_also_beside_one_that_an_admin_saw() -> None:
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


def test_a_busy_ledger_is_proven_all_the_same() -> None:
    town = town_of(FIRST)

    async def scenario() -> None:
        past = [(START - 20 * 24 * HOUR + place * 600, Entry(1, "usd", "Usage")) for place in range(400)]
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


def test_many_ordered_payments_whose_rate_is_read_meanwhile_do_not_wait_for_each_other() -> None:
    plain = [
        payment(customer_id=f"cus_P{one}", tx_hash=tx_hash(50 + one), block=100 + one, cents=0) for one in range(20)
    ]
    town = town_of(*plain)

    async def scenario() -> None:
        for one in plain:
            order(town, one, "release", caps="100000:9000000")
        services = await town.started()

        def expire(request: httpx.Request) -> None:
            if f"/{SERVICE}/balance_transactions" in str(request.url):
                services.overrides._copy.clear()  # its minute ends right here

        town.meddle = expire
        async with asyncio.timeout(HOUR):
            done = await asyncio.gather(*(advanced(services, one) for one in plain))
        assert {one.state for one in done} == {"credited"}

    town.run(scenario())


def test_a_service_record_that_is_gone_is_no_fault_of_the_payers() -> None:
    town = town_of(FIRST)

    async def scenario() -> None:
        services = await town.started()
        town.customer(SERVICE).deleted = True
        told = await advanced(services, FIRST)
        assert (told.state, told.cause) == ("pending", "stripe_down")

    town.run(scenario())


def test_an_event_without_a_customer_is_found_where_an_order_once_sent_it() -> None:
    nobodys = payment(customer_id=None)
    town = town_of(nobodys)

    async def scenario() -> None:
        order(town, nobodys, f"redirect:{TARGET}")
        assert (await advanced(await town.started(), nobodys)).state == "credited"
        order(town, nobodys, "withdraw")
        assert (await advanced(await town.started(), nobodys)).state == "credited"
        assert credits_of(town, nobodys) == [TARGET]

    town.run(scenario())


def test_plain_payments_are_priced_by_the_order_that_stands() -> None:
    plain = payment(cents=0)
    town = town_of(plain)

    async def scenario() -> None:
        order(town, plain, "release:0.007", market="0.006")
        order(town, plain, f"redirect:{TARGET}:0.005", market="0.006")
        town.customer(CUSTOMER).currency = "eur"
        done = await advanced(await town.started(), plain)
        assert (done.state, done.cents, done.credited_customer) == ("credited", 4_500, TARGET)

    town.run(scenario())
