"""Stripe fails, answers in part, or cannot be reached, and returns."""

import time

from tests.outages.world import Recovery, World

RETURN_SECONDS = 20.0  # a probe every 5 s, a sweep, and the pace
BLIP_SECONDS = 5.0
SMALL_CENTS = 5000


def outage_stripe_503(world: World) -> Recovery:
    """Several payments wait while Stripe answers 503."""
    with world.started() as scene:
        web, _ = scene.start()
        bills = scene.bills(web, *[SMALL_CENTS] * 6)
        scene.fail_stripe("error_unsaved", status=503)
        with scene.observe(web, scene.pay_all(bills)[:2]) as observer:
            time.sleep(world.lasting(75, 6))
        seconds = scene.seconds_until_credited(bills, scene.restore_stripe())
    unsaid = observer.unsaid("pending: stripe_down", "not ready (stripe)")
    return Recovery(seconds, RETURN_SECONDS, observer.payers, observer.readiness, unsaid)


def outage_stripe_refuses(world: World) -> Recovery:
    """Nothing listens at Stripe's address."""
    with world.started() as scene:
        web, _ = scene.start()
        bills = scene.bills(web, *[SMALL_CENTS] * 3)
        scene.stripe.refuse()
        with scene.observe(web, scene.pay_all(bills)[:1]) as observer:
            time.sleep(world.lasting(30, 5))
        since = time.monotonic()
        scene.stripe.restore()
        seconds = scene.seconds_until_credited(bills, since)
    unsaid = observer.unsaid("pending: stripe_down", "not ready (stripe)")
    return Recovery(seconds, RETURN_SECONDS, observer.payers, observer.readiness, unsaid)


def outage_stripe_read_503(world: World) -> Recovery:
    """One read of a credit is answered with a 503."""
    return _after_a_blip(world, "error_unsaved", status=503)


def outage_stripe_answer_lost(world: World) -> Recovery:
    """One read of a credit gets no answer: the connection closes."""
    return _after_a_blip(world, "lost_before")


def _after_a_blip(world: World, effect: str, **arguments: object) -> Recovery:
    with world.started() as scene:
        web, _ = scene.start()
        bills = scene.bills(web, SMALL_CENTS)
        scene.fail_stripe(effect, times=1, method="GET", **arguments)
        with scene.observe(web, scene.pay_all(bills)) as observer:
            seconds = scene.seconds_until_credited(bills, scene.wait_for_fault())
    return Recovery(seconds, BLIP_SECONDS, observer.payers, observer.readiness)


def outage_stripe_read_reset(world: World) -> Recovery:
    """One connection is reset in the middle of a credit's read."""
    with world.started() as scene:
        web, _ = scene.start()
        bills = scene.bills(web, SMALL_CENTS)
        scene.stripe.reset_next()
        with scene.observe(web, scene.pay_all(bills)) as observer:
            seconds = scene.seconds_until_credited(bills, scene.stripe.wait_for_hit())
    return Recovery(seconds, BLIP_SECONDS, observer.payers, observer.readiness)


def outage_stripe_idle_dropped(world: World) -> Recovery:
    """Idle connections were dropped silently: what is sent over them is lost."""
    with world.started() as scene:
        web, _ = scene.start()
        first, second = scene.bills(web, SMALL_CENTS, SMALL_CENTS)
        [tx_hash] = scene.pay_all([first])
        scene.seconds_until_credited([first], time.monotonic())
        scene.wait_until_final(tx_hash)  # then the cursor is written, over the same connections
        time.sleep(world.lasting(30, 6))
        scene.stripe.swallow_open()
        with scene.observe(web, scene.pay_all([second])) as observer:
            seconds = scene.seconds_until_credited([second], scene.stripe.wait_for_hit())
    return Recovery(seconds, BLIP_SECONDS, observer.payers, observer.readiness)
