"""Stripe answers, but not as it should: it limits the rate, repeats an old refusal, closes each connection."""

import time

from stateless_billing.sandbox.effects import locked
from tests.fakes.factories import payment
from tests.fakes.in_process_service import CREDITS, HOUR, Town, sweeping
from tests.outages.world import Recovery, World

LIMITED_SECONDS = 30.0  # after a 429 a payment is tried again after 5 s, then 10 s
RETURN_SECONDS = 20.0
NEXT_KEY_HOURS = 25  # the epoch of 23 hours, its quiet zone, and two readings half an hour apart
CREDIT = "/v1/customers/{customer}/balance_transactions"


def outage_stripe_limits(world: World) -> Recovery:
    """Stripe's rate limiter answers the next writes with 429."""
    with world.started() as scene:
        web, _ = scene.start()
        bills = scene.bills(web, 5000)
        scene.fail_stripe("limited", times=3, method="POST")
        with scene.observe(web, scene.pay_all(bills)) as observer:
            seconds = scene.seconds_until_credited(bills, scene.wait_for_fault())
    unsaid = observer.unsaid("pending: rate_limited")
    return Recovery(seconds, LIMITED_SECONDS, observer.payers, observer.readiness, unsaid)


def outage_stripe_closes_connections(world: World) -> Recovery:
    """Stripe, or a proxy before it, closes the connection after every answer, so that nothing may be written."""
    with world.started() as scene:
        web, sweeper = scene.start()
        bills = scene.bills(web, 5000)
        scene.fail_stripe("closed_after")
        with scene.observe(web, scene.pay_all(bills)) as observer:
            time.sleep(world.lasting(20, 6))
        assert not scene.is_credited(bills[0]), "a write opened a new connection"
        is_named = "clos" in (web.log() + sweeper.log())
        seconds = scene.seconds_until_credited(bills, scene.restore_stripe())
    unsaid = [] if is_named else ["in the log: that the connection is closed after each answer"]
    return Recovery(seconds, RETURN_SECONDS, observer.payers, observer.readiness, unsaid)


def outage_stripe_repeats_a_lock_timeout(world: World) -> Recovery:
    """A 429 `lock_timeout` was saved under the credit's key, so Stripe repeats it; the recovery is in virtual time."""
    with world.started() as scene:
        web, _ = scene.start()
        bills = scene.bills(web, 5000)
        scene.fail_stripe("locked", times=1, method="POST", saved=True)
        with scene.observe(web, scene.pay_all(bills)) as observer:
            scene.wait_for_fault()
            time.sleep(world.lasting(15, 8))
        assert not scene.is_credited(bills[0])
    note = "measured in virtual time: the next epoch's key, after two readings of the ledger"
    seconds, limit = seconds_until_the_next_key(), NEXT_KEY_HOURS * HOUR
    unsaid = observer.unsaid("pending: stripe_unclear")
    return Recovery(seconds, limit, observer.payers, observer.readiness, unsaid, note)


def seconds_until_the_next_key() -> float:
    """Return the virtual seconds from a saved `lock_timeout` to the credit."""
    town = Town([payment()])

    async def scenario() -> None:
        services = await town.started()
        town.stripe.faults.add(locked(saved=True), method="POST", template=CREDIT)
        await sweeping(services, (NEXT_KEY_HOURS + 1) * HOUR)

    town.run(scenario())
    writes = [row for row in town.stripe.log.rows if row.endpoint == CREDITS]
    [credited] = [row.time for row in writes if row.status == 200]
    return credited - writes[0].time
