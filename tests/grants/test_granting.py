"""Grants: reserved first, judged by the ledger, given once, taken back whole, and completed after every crash."""

import asyncio
import contextlib
from collections import Counter
from dataclasses import replace
from random import Random
from typing import Any

import httpx
import pytest

from stateless_billing.domain.errors import ProblemError
from stateless_billing.domain.form_ids import FORM_SECONDS
from stateless_billing.grants.caps import Caps
from stateless_billing.grants.grant_ledger import Grant
from stateless_billing.operators.roster import Operator
from stateless_billing.sandbox.records import Contact
from stateless_billing.stripe.errors import OutcomeUnknown, RequestRejected, StripeFailure
from tests.fakes.factories import START
from tests.fakes.grants_setup import ANN, BEN, CUSTOMER, GRANTS, HOUR, GrantsSetup

pytestmark = pytest.mark.anyio
MODERATOR, OTHER, ADMIN = Operator(ANN, "moderator"), Operator(BEN, "moderator"), Operator("0x" + "1" * 40, "admin")


class Killed(BaseException):
    """The process is gone."""


async def quiet(request: httpx.Request) -> None:
    """Nothing happens."""


@pytest.fixture
def desk() -> GrantsSetup:
    return GrantsSetup()


def settled(desk: GrantsSetup) -> bool:
    """Whether the books agree: what was given is what is reserved, each grant once at most."""
    reserved = desk.rows(GRANTS, "reservation")
    reversals = {row.metadata["reverses"] for place in (GRANTS, CUSTOMER) for row in desk.rows(place, "reversal")}
    living = {row.metadata["grant"] for row in reserved if row.id not in reversals}
    given = [row for row in desk.rows(CUSTOMER, "grant") if row.id not in reversals]
    assert len(desk.rows(CUSTOMER, "grant")) == len({row.metadata["grant"] for row in desk.rows(CUSTOMER, "grant")})
    assert len(desk.rows(GRANTS, "reversal")) == len(
        {row.metadata["reverses"] for row in desk.rows(GRANTS, "reversal")}
    )
    return sorted(living) == sorted(row.metadata["grant"] for row in given)


async def test_a_grant_is_reserved_and_given_and_both_say_who_and_why(desk: GrantsSetup) -> None:
    grants = await desk.process()
    wish = desk.request()
    done = await grants.give(wish)
    [reservation], [grant] = desk.rows(GRANTS), desk.rows(CUSTOMER)
    told = {"grant": wish.grant, "operator": ANN, "reason": "goodwill", "note": "They waited for an hour"}
    caps = {"customer": CUSTOMER, "caps": "2000:10000:50000"}
    assert (reservation.amount, reservation.metadata) == (-750, {"kind": "reservation", **told, **caps})
    assert (grant.amount, grant.metadata) == (-750, {"kind": "grant", **told})
    assert (done.state, done.credit and done.credit.id, desk.balance()) == ("given", grant.id, 750)
    keys = [row.idempotency_key for row in desk.stripe.log.rows if row.idempotency_key]
    assert keys == [f"reserve:{wish.grant}", f"grant:{wish.grant}"]


async def test_the_same_form_again_gives_nothing_more(desk: GrantsSetup) -> None:
    grants, wish = await desk.process(), desk.request()
    first = await grants.give(wish)
    again = await grants.give(wish)
    elsewhere = await (await desk.process()).give(wish)
    assert {one.credit.id for one in (first, again, elsewhere) if one.credit} == {desk.rows(CUSTOMER)[0].id}
    assert desk.balance() == 750


@pytest.mark.parametrize("changes", [{"cents": 751}, {"customer": "cus_Bob"}, {"operator": BEN}])
async def test_a_form_is_for_one_grant_only(desk: GrantsSetup, changes: dict[str, Any]) -> None:
    grants, wish = await desk.process(), desk.request()
    await grants.give(wish)
    with pytest.raises(ProblemError, match="already_done"):
        await grants.give(replace(wish, **changes))
    assert desk.balance() == 750


@pytest.mark.parametrize(
    ("cents", "times", "broken"), [(2001, 0, "One grant"), (2000, 5, "You may give"), (1, 25, "All operators")]
)
async def test_above_a_cap_nothing_is_reserved_and_the_sentence_names_the_cap(
    desk: GrantsSetup, cents: int, times: int, broken: str
) -> None:
    grants = await desk.process()
    for number in range(times):
        operator = ANN if times == 5 else f"{number}@example.org"
        await grants.give(desk.request(2000, operator=operator), confirm_duplicate=True)
    with pytest.raises(ProblemError, match=broken) as caught:
        await grants.give(desk.request(cents), confirm_duplicate=True)
    assert caught.value.code == "over_cap"
    assert "Nothing was given" in caught.value.detail
    assert ("frees up in 24 h" in caught.value.detail) == bool(times)
    assert len(desk.rows(GRANTS)) == times


async def test_what_was_reserved_together_is_judged_by_its_place(desk: GrantsSetup) -> None:
    """Both read the ledger before either reserved: the first row fits, the second is reversed."""
    limits = Caps(2000, 2000, 50_000)
    first, second = await desk.process(limits), await desk.process(limits)
    slow, quick = desk.request(1500), desk.request(1500)
    done: list[Grant] = []

    async def overtake(request: httpx.Request) -> None:
        if request.url.path.endswith(CUSTOMER) and not done:  # the caps were read, the reservation comes next
            desk.before_response = quiet
            done.append(await second.give(quick))

    desk.before_response = overtake
    late = await first.give(slow)
    assert [one.state for one in (*done, late)] == ["given", "refused"]
    assert late.detail == "over_cap:operator"
    assert desk.balance() == 1500
    assert settled(desk)
    assert (await first.give(slow)).state == "refused", "for ever"


async def test_a_grant_alike_asks_again_for_ten_minutes(desk: GrantsSetup) -> None:
    grants = await desk.process()
    await grants.give(desk.request())
    with pytest.raises(ProblemError, match="look_alike"):
        await grants.give(desk.request(operator=BEN))
    assert (await grants.preview(desk.request()))[1] is not None
    assert (await grants.give(desk.request(), confirm_duplicate=True)).state == "given"
    desk.clock.wait(601)
    assert (await grants.preview(desk.request()))[1] is None
    assert (await grants.give(desk.request())).state == "given"
    assert desk.balance() == 2250


async def test_forms_die(desk: GrantsSetup) -> None:
    grants, wish = await desk.process(), desk.request()
    desk.clock.wait(FORM_SECONDS)
    with pytest.raises(ProblemError, match="form_dead"):
        await grants.give(wish)
    for grant in ("", "soon-1", "-1", f"{int(desk.clock.wall())}-", "²-1"):
        with pytest.raises(ProblemError, match="form_invalid"):
            await grants.give(desk.request(grant=grant))
    with pytest.raises(ProblemError, match="form_dead"):
        await grants.give(desk.request(grant=f"{int(desk.clock.wall()) + 2 * HOUR}-1"))
    assert desk.rows(GRANTS) == []


@pytest.mark.parametrize("effect", ["lost_after", "cut", "error_saved_done"])
@pytest.mark.parametrize("skip", [0, 1])
async def test_a_lost_answer_is_found_in_the_listing(desk: GrantsSetup, effect: str, skip: int) -> None:
    grants = await desk.process()
    desk.fault(effect, skip=skip)
    assert (await grants.give(desk.request())).state == "given"
    assert desk.balance() == 750
    assert settled(desk)


@pytest.mark.parametrize("effect", ["lost_before", "error_unsaved", "gateway", "key_in_use", "locked", "limited"])
@pytest.mark.parametrize("skip", [0, 1])
async def test_what_is_unclear_may_be_pressed_again(desk: GrantsSetup, effect: str, skip: int) -> None:
    grants, wish = await desk.process(), desk.request()
    desk.fault(effect, skip=skip)
    with pytest.raises(StripeFailure):
        await grants.give(wish)
    found = await grants.status(wish.grant)
    assert (found.state if found else None) == ("given" if skip else None)
    assert (await grants.give(wish)).state == "given"
    assert desk.balance() == 750
    assert settled(desk)


async def test_a_burnt_key_costs_the_grant_never_a_second_one(desk: GrantsSetup) -> None:
    grants, wish = await desk.process(), desk.request()
    desk.fault("error_saved", skip=1)
    with pytest.raises(OutcomeUnknown):
        await grants.give(wish)
    for _ in range(3):
        desk.clock.wait(5 * HOUR)
        assert (await (await desk.process()).ledger.reconcile())[0].state == "open"
    desk.clock.wait(8 * HOUR + 31 * 60)
    once = await grants.status(wish.grant)
    assert once
    assert once.state == "open", "a day later the record must tell twice that nothing took the reservation back"
    desk.clock.wait(31 * 60)
    found = await grants.status(wish.grant)
    assert found
    assert (found.state, found.detail) == ("refused", "lapsed")
    assert (desk.balance(), settled(desk)) == (0, True)


@pytest.mark.parametrize("step", range(1, 20))
async def test_killed_at_any_request_the_next_look_completes_it(desk: GrantsSetup, step: int) -> None:
    dying, wish = await desk.process(), desk.request()
    left = step

    async def die(request: httpx.Request) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            raise Killed

    desk.before_response = die
    with contextlib.suppress(Killed):
        await dying.give(wish)
    desk.before_response = quiet
    reserved = bool(desk.rows(GRANTS))
    other = await desk.process()
    assert [one.state for one in await other.ledger.reconcile()] == (["given"] if reserved else [])
    assert desk.balance() == (750 if reserved else 0)
    assert settled(desk)
    assert (await other.give(wish)).state == "given"
    assert desk.balance() == 750


@pytest.mark.parametrize("step", range(1, 16))
async def test_killed_at_any_request_of_an_undoing_the_next_look_completes_it(desk: GrantsSetup, step: int) -> None:
    dying = await desk.process()
    await dying.give(desk.request())
    left = step

    async def die(request: httpx.Request) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            raise Killed

    desk.before_response = die
    reservation = desk.rows(GRANTS)[0].id
    with contextlib.suppress(Killed):
        await dying.undo(reservation, MODERATOR, "mistake")
    desk.before_response = quiet
    begun = bool(desk.rows(GRANTS, "reversal"))
    other = await desk.process()
    assert [one.state for one in await other.ledger.reconcile()] == ["undone" if begun else "given"]
    assert settled(desk)
    assert (await other.undo(reservation, MODERATOR, "mistake")).state == "undone"
    assert desk.balance() == 0
    assert len(desk.rows(CUSTOMER)) == 2


@pytest.mark.parametrize("days", [3, 90])
async def test_an_old_grant_whose_undoing_was_torn_apart_is_completed_by_the_next_look(
    desk: GrantsSetup, days: int
) -> None:
    """The look goes by when it was taken back, not by when it was reserved."""
    grants = await desk.process()
    reservation = (await grants.give(desk.request())).reservation.entry.id
    desk.clock.wait(days * 24 * HOUR + 12 * HOUR)
    await grants.give(desk.request(100))
    with pytest.raises(ProblemError, match="unclear"):
        await grants.undo(reservation, ADMIN, "after all")
    desk.clock.wait(31 * 60)
    desk.fault("lost_before", skip=1)
    with pytest.raises(ProblemError, match="unclear"):
        await grants.undo(reservation, ADMIN, "after all")
    assert desk.balance() == 850
    desk.clock.wait(24 * HOUR)
    other = await desk.process()
    await other.ledger.reconcile()
    assert desk.balance() == 850, "the customer's ledger has told once that nothing takes the old grant back"
    desk.clock.wait(31 * 60)
    assert [one.reservation.entry.cents for one in await other.ledger.reconcile()] == [100]
    assert (desk.balance(), settled(desk)) == (100, True)
    desk.stripe.log.reset()
    await other.ledger.reconcile()
    assert desk.stripe.log.reads == 1


@pytest.mark.parametrize("effect", ["lost_after", "error_saved_done"])
async def test_what_no_list_shows_yet_is_looked_for_again_by_the_process_itself(desk: GrantsSetup, effect: str) -> None:
    grants = await desk.process()
    assert await grants.ledger.reconcile_if_due()
    desk.stripe.list_lag = 25 * 60.0
    desk.fault(effect)
    with pytest.raises(StripeFailure):
        await grants.give(desk.request())
    assert not await grants.ledger.reconcile_if_due()
    for _ in range(120):
        desk.clock.wait(60)
        await grants.ledger.reconcile_if_due()
    assert (desk.balance(), settled(desk)) == (750, True)
    assert await grants.ledger.reconcile_if_due()


async def test_undone_within_ten_minutes_by_its_giver_and_any_time_by_an_admin(desk: GrantsSetup) -> None:
    grants = await desk.process()
    first, second = await grants.give(desk.request(100)), await grants.give(desk.request(200))
    reservations = [one.reservation.entry.id for one in (first, second)]
    for operator in (OTHER, Operator(ANN, "auditor")):
        with pytest.raises(ProblemError, match="not_allowed"):
            await grants.undo(reservations[0], operator, "not mine")
    done = await grants.undo(reservations[0], MODERATOR, "wrong customer")
    assert (done.state, desk.balance()) == ("undone", 200)
    assert done.credit
    assert done.taken_back
    assert done.taken_back.metadata == {
        "kind": "reversal",
        "reverses": done.credit.id,
        "operator": ANN,
        "reason": "wrong customer",
    }
    desk.clock.wait(601)
    with pytest.raises(ProblemError, match="too_late"):
        await grants.undo(reservations[1], MODERATOR, "too late")
    desk.clock.wait(90 * 24 * HOUR + 12 * HOUR)
    with pytest.raises(ProblemError, match="Press again in 30 minutes"):
        await grants.undo(reservations[1], ADMIN, "after all")
    assert desk.balance() == 200
    desk.clock.wait(31 * 60)
    assert (await grants.undo(reservations[1], ADMIN, "after all")).state == "undone"
    assert desk.balance() == 0
    assert (await grants.undo(reservations[1], ADMIN, "twice")).state == "undone"
    assert desk.balance() == 0
    assert settled(desk)


async def test_undoing_gives_back_what_the_caps_leave(desk: GrantsSetup) -> None:
    grants = await desk.process()
    given = await grants.give(desk.request(2000))
    assert (await grants.remaining_limits(ANN)).operator.cents == 2000
    await grants.undo(given.reservation.entry.id, MODERATOR, "mistake")
    left = await grants.remaining_limits(ANN)
    assert (left.operator.cents, left.everyone.cents, left.cents) == (0, 0, 2000)


@pytest.mark.parametrize("entry", ["cbtxn_none", "../customers", "of the customer"])
async def test_only_a_reservation_can_be_undone(desk: GrantsSetup, entry: str) -> None:
    grants = await desk.process()
    given = await grants.give(desk.request())
    assert given.credit
    with pytest.raises((ProblemError, RequestRejected)):
        await grants.undo(given.credit.id if entry.startswith("of") else entry, ADMIN, "no such")
    assert desk.balance() == 750


async def test_a_grant_that_comes_to_life_after_its_reservation_was_reversed_is_reversed(desk: GrantsSetup) -> None:
    """Stripe executes a request late that was answered with a 500: nobody can prevent that, the next look mends it."""
    grants, wish = await desk.process(), desk.request()
    desk.fault("error_saved_late", skip=1, seconds=20 * 60)
    with pytest.raises(OutcomeUnknown):
        await grants.give(wish)
    [reservation] = desk.rows(GRANTS)
    undone = await grants.undo(reservation.id, MODERATOR, "it hung")
    assert (undone.state, undone.is_final, desk.balance()) == ("undone", False, 0)
    desk.clock.wait(25 * 60)
    [found] = await grants.ledger.reconcile()
    assert (found.state, desk.balance()) == ("undone", 0)
    assert len(desk.rows(CUSTOMER)) == 2
    assert settled(desk)


async def test_a_reservation_that_stripe_finishes_after_its_form_died_is_reversed(desk: GrantsSetup) -> None:
    grants, wish = await desk.process(), desk.request()
    desk.fault("error_saved_late", seconds=30 * HOUR)
    with pytest.raises(OutcomeUnknown):
        await grants.give(wish)
    desk.clock.wait(30 * HOUR + 5)
    [found] = await grants.ledger.reconcile()
    assert (found.state, found.detail, desk.balance()) == ("refused", "form_dead", 0)


async def test_no_list_shows_the_ledger_yet_and_nothing_is_given_before_it_does(desk: GrantsSetup) -> None:
    grants = await desk.process()
    await grants.give(desk.request(100))
    desk.clock.wait(3 * HOUR)
    await grants.give(desk.request(200))
    desk.stripe.list_lag = 25 * 60.0
    waiting = await grants.give(desk.request(300))
    assert (waiting.state, desk.balance()) == ("open", 300)
    assert not await grants.ledger.reconcile_if_due()
    desk.clock.wait(26 * 60)
    assert [one.state for one in await grants.ledger.reconcile()] == ["given"] * 3
    assert desk.balance() == 600


@pytest.mark.parametrize("state", ["deleted", "eur", "missing"])
async def test_who_cannot_be_credited_gets_no_reservation(desk: GrantsSetup, state: str) -> None:
    grants = await desk.process()
    customer = desk.stripe.account.by_id[CUSTOMER]
    if state == "deleted":
        customer.deleted = True
    if state == "eur":
        customer.currency = "eur"
    wish = desk.request(customer="cus_Nobody") if state == "missing" else desk.request()
    with pytest.raises((ProblemError, RequestRejected)):
        await grants.give(wish)
    assert desk.rows(GRANTS) == []


async def test_who_is_deleted_between_reservation_and_grant_frees_it(desk: GrantsSetup) -> None:
    grants = await desk.process()
    desk.fault("lost_before", skip=1)
    with pytest.raises(OutcomeUnknown):
        await grants.give(desk.request())
    desk.stripe.account.by_id[CUSTOMER].deleted = True
    [found] = await grants.ledger.reconcile()
    assert (found.state, found.detail) == ("refused", "customer_deleted")
    assert (await grants.remaining_limits(ANN)).operator.cents == 0


async def test_a_complete_ledger_is_not_read_again(desk: GrantsSetup) -> None:
    grants = await desk.process()
    assert await grants.ledger.reconcile_if_due()
    desk.stripe.log.reset()
    assert await grants.ledger.reconcile_if_due()
    assert desk.stripe.log.reads == 0
    await grants.give(desk.request())
    assert await grants.ledger.reconcile_if_due()


async def test_a_look_costs_one_read_once_all_is_known(desk: GrantsSetup) -> None:
    grants = await desk.process()
    for cents in (100, 200, 300):
        await grants.give(desk.request(cents))
    await grants.ledger.reconcile()
    desk.stripe.log.reset()
    await grants.ledger.reconcile()
    assert desk.stripe.log.reads == 1


async def test_one_customers_page_waits_for_that_customers_grants_alone(desk: GrantsSetup) -> None:
    desk.stripe.account.add_customer(desk.clock.wall(), START, Contact(email="b@example.org"), identifier="cus_Bob")
    for customer in (CUSTOMER, "cus_Bob", "cus_Bob", "cus_Bob"):
        await (await desk.process()).give(desk.request(customer=customer), confirm_duplicate=True)
    desk.fault("lost_before", skip=1)
    with pytest.raises(OutcomeUnknown):  # crashed between reservation and grant, on a process that is gone
        await (await desk.process()).give(desk.request(customer="cus_Bob", cents=99))
    fresh = await desk.process()
    desk.stripe.log.reset()
    found = await fresh.ledger.reconcile(customer=CUSTOMER)
    assert desk.stripe.log.reads == 2, "the record, and this customer"
    assert [one.state for one in found] == ["given"] * 5
    assert fresh.remaining_limits_of(found, ANN).operator.cents == 4 * 750 + 99
    assert await fresh.ledger.reconcile_if_due(), "the others are looked after in the background"
    assert desk.stripe.log.reads > 2
    assert desk.balance("cus_Bob") == 2349


async def test_a_page_that_shows_a_grant_of_another_process_has_it_looked_after(desk: GrantsSetup) -> None:
    desk.stripe.account.add_customer(desk.clock.wall(), START, Contact(email="b@example.org"), identifier="cus_Bob")
    watching = await desk.process()
    assert await watching.ledger.reconcile_if_due()
    desk.fault("lost_before", skip=1)
    with pytest.raises(OutcomeUnknown):
        await (await desk.process()).give(desk.request(customer="cus_Bob"))
    assert desk.balance("cus_Bob") == 0
    await watching.ledger.reconcile(customer=CUSTOMER)
    assert desk.balance("cus_Bob") == 0
    assert await watching.ledger.reconcile_if_due()
    assert desk.balance("cus_Bob") == 750


async def test_two_hundred_at_once_from_twenty_processes_never_pass_a_cap(desk: GrantsSetup) -> None:
    """Each process reads the ledger before the others have reserved, so that the verdicts alone keep the caps."""
    limits, random = Caps(500, 3_000, 9_007), Random(5)
    processes = [await desk.process(limits) for _ in range(20)]
    operators = [f"m{number}@example.org" for number in range(4)]

    async def wander(request: httpx.Request) -> None:
        await asyncio.sleep(random.random() / 100)

    desk.before_response = wander
    wishes = [desk.request(100 + number % 400, operator=operators[number % 4]) for number in range(200)]

    async def press(number: int) -> str:
        try:
            return (await processes[number % 20].give(wishes[number], confirm_duplicate=True)).state
        except ProblemError as refusal:
            return refusal.code

    states = Counter(await asyncio.gather(*(press(number) for number in range(200))))
    desk.before_response = quiet
    assert await (await desk.process()).ledger.reconcile_if_due() is False, "what was refused just now settles later"
    by_operator = Counter[str]()
    for row in desk.rows(CUSTOMER, "grant"):
        by_operator[row.metadata["operator"]] -= row.amount
    print(
        f"\n200 grants at once from 20 processes: {dict(states)}; {desk.balance()} of 9007 cents, {dict(by_operator)}"
    )
    assert states["refused"] > 5, "there was a race, and it was lost by somebody"
    assert desk.balance() == sum(by_operator.values()) <= 9_007
    assert all(cents <= 3_000 for cents in by_operator.values())
    assert settled(desk)
