"""Scenes of an outage that ends, after which everything due must be credited within seconds.

Drawn from a separate random stream, so that all other seeds stay the same.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from stateless_billing.sandbox import effects
from stateless_billing.sandbox.effects import Effect
from tests.simulation.draws import calm
from tests.simulation.plan import Event, Plan

if TYPE_CHECKING:
    from tests.simulation.world import World

SHARE = 0.02  # of all seeds
RECOVERY_SECONDS = 45.0
"""The longest call to a node that began before the end (20), the next probe (5), an idle round (15), the work (5)."""
KINDS = ("outage", "run_whole", "served", "recovered")
_FIRST_TIER_CENTS = 10_000
_SHALLOW_SECONDS = 20  # of the first tier's 15, and a block
Scene = tuple[Plan, list[Event]]

STRIPE: dict[str, Callable[[], Effect]] = {
    "stripe_503": lambda: effects.error_unsaved(503),
    "stripe_closes": effects.closed_after,
    "stripe_resets": effects.lost_before,
    "stripe_limits": effects.limited,
    "stripe_locks": effects.locked,
    "stripe_refuses_key": effects.unknown_key,
}
"""What Stripe answers to everything while such an outage lasts."""
NODES = ("node_away", "node_frozen", "node_hangs")  # the first of two nodes
OTHERS = ("nodes_down", "nodes_hang", "finality_stalls", "chain_stalls", "feed_down")
BLIPS = ("stripe_503", "stripe_resets")  # of a single request


class Outages:
    """Begins outages, runs a process with all of its tasks, and checks what is credited after the end."""

    def __init__(self, world: "World") -> None:
        self._world = world

    def happen(self, event: Event) -> None:
        """Let one event happen now."""
        getattr(self, f"_{event.kind}")(*event.args)

    def _run_whole(self, slot: int, seconds: float) -> None:
        replica = self._world.replica(slot)

        async def run() -> None:
            await replica.ready.wait()
            services = replica.services
            work = [services.sweeper.run(3, 15), services.stripe_probe.watch(), services.price_feed.watch()]
            tasks = [asyncio.create_task(task) for task in work]
            try:
                await asyncio.sleep(seconds)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

        replica.spawn(run())

    def _outage(self, name: str, seconds: float) -> None:
        world = self._world
        if not world.faulty(name):
            return
        world.coverage.hit(name)
        world.note("world", f"{name} for {seconds:.0f} s")
        end = world.seconds() + seconds
        if name in STRIPE:
            world.mischief.outage = STRIPE[name]
            if not seconds:
                world.mischief.outage_requests = 1
            else:
                world.loop.call_later(seconds, self._end_stripe, context=world.context)
        elif name in NODES:
            setattr(world.nodes.nodes[0], name.removeprefix("node_"), (world.seconds(), end))
        elif name == "nodes_hang":
            for node in world.nodes.nodes:
                node.hangs = world.seconds(), end
        elif name == "stripe_down":
            world.stripe_back = end
        elif name == "nodes_down":
            world.nodes.down_until = end
        elif name == "feed_down":
            world.nodes.feed_down_until = end
        else:
            world.chain.stall("finalized" if name == "finality_stalls" else "latest", world.seconds(), end)

    def _end_stripe(self) -> None:
        self._world.mischief.outage = None

    def _served(self) -> None:
        """Check that small payments are credited although one of two nodes fails."""
        self._check(self._world.seconds() - RECOVERY_SECONDS, only_small=True)

    def _recovered(self) -> None:
        """Check that what was deep enough when the outage ended is credited."""
        self._check(self._world.seconds() - RECOVERY_SECONDS)

    def _check(self, due_at: float, *, only_small: bool = False) -> None:
        """Check that what was deep enough then is credited."""
        world = self._world
        final, head = world.chain.finalized(due_at), world.chain.latest(due_at - _SHALLOW_SECONDS)
        own: Counter[str | None] = Counter()
        for payment in sorted(world.chain.now.payments, key=lambda each: (each.block, each.log_index)):
            own[payment.customer_id] += payment.cents if payment.block > final else 0
            # The first tier counts what else of the customer's is not final, as the service does.
            is_small = 0 < max(payment.cents, own[payment.customer_id]) <= _FIRST_TIER_CENTS and payment.quoted
            is_due = payment.block <= (head if is_small else final)
            if is_due and (is_small or not only_small) and not world.oracle.credited(payment):
                kind = "small" if is_small else "quoted" if payment.quoted else "plain"
                world.oracle.wrong(f"late: {kind} payment {payment.sequence} of {payment.customer_id} is not credited")


def with_outage(seed: int, plan: Plan, events: list[Event]) -> Scene:
    """Return the plan unchanged, or one of these scenes."""
    rng = random.Random(f"{seed}/outage")
    if rng.random() >= SHARE or "sweep_often" in {event.kind for event in events}:
        return plan, events
    name = rng.choice(list(OUTAGE_SCENES))
    return OUTAGE_SCENES[name](rng, replace(plan, theme=name, caps=None, admins=False, lies=0.0))


def _quiet(plan: Plan, **changes: Any) -> Plan:
    base = calm(
        plan,
        restart_seconds=0.2,
        ahead=0,
        customers=3,
        gateways=1,
        page=100,
        list_lag=0.0,
        lying=False,
        lies_again=False,
    )
    base = replace(base, restart_seconds=0.2, whole_start=False, theme=plan.theme)
    return replace(base, idle_timeout=75.0, record_late=0.0, key_life=30 * 3600.0, **changes)


def _payments(rng: random.Random, plan: Plan, end: float) -> list[Event]:
    """Payments that are final before `end`, and small ones of another customer until shortly before."""
    events = []
    for number, cents in enumerate((0, 50_000, 500, rng.choice((0, 500, 20_000)))):
        paid = end - plan.finality - rng.uniform(5, 400)
        events.append(Event(paid, "pay", (number, ((0, number % 2, 9_000, cents),))))
    for number in range(rng.choice((1, 3))):
        paid = end - rng.choice((rng.uniform(30, 200), rng.uniform(30, 900)))
        events.append(Event(paid, "pay", (100 + number, ((0, 2, 9_000, 500),))))
    return events


def _returns(rng: random.Random, plan: Plan, name: str, nodes: int) -> Scene:
    """One party fails while payments are waiting, and returns."""
    plan = _quiet(plan, replicas=1, nodes=nodes, lags=((0.0, 0.0),) * nodes)
    seconds = rng.choice((5.0, 20.0, 75.0, 300.0, 1200.0))
    end = plan.finality + 1200 + seconds + rng.uniform(0, 3600)
    events = [*_payments(rng, plan, end), Event(end - seconds, "outage", (name, seconds))]
    began = end - rng.choice((seconds + rng.uniform(10, 200), seconds * rng.uniform(0.2, 1)))
    events.append(Event(began, "run_whole", (0, end + RECOVERY_SECONDS + 5 - began)))
    if rng.random() < 0.3:
        restart = end - seconds / 2
        events += [Event(restart, "restart", (0,)), Event(restart + 1, "run_whole", (0, seconds / 2 + 60))]
    elif name in NODES and end - began > RECOVERY_SECONDS:
        paid = max(began, end - seconds) + 2
        events += [Event(paid, "pay", (200, ((0, 2, 9_000, 500),))), Event(end - 1, "served", ())]
        events.append(Event(paid + _SHALLOW_SECONDS + RECOVERY_SECONDS + 1, "served", ()))
    return plan, [*events, Event(end + RECOVERY_SECONDS, "recovered", ())]


def stripe_returns(rng: random.Random, plan: Plan) -> Scene:
    """Stripe fails and returns."""
    return _returns(rng, plan, rng.choice((*STRIPE, "stripe_down")), rng.choice((1, 2)))


def node_returns(rng: random.Random, plan: Plan) -> Scene:
    """One of two nodes fails and returns; small payments are credited meanwhile."""
    return _returns(rng, plan, rng.choice(NODES), 2)


def chain_returns(rng: random.Random, plan: Plan) -> Scene:
    """All nodes, finality, the chain or the price feed fail and return."""
    return _returns(rng, plan, rng.choice(OTHERS), rng.choice((1, 2)))


def blip(rng: random.Random, plan: Plan) -> Scene:
    """A single request to Stripe fails now and then."""
    plan = _quiet(plan, replicas=1, nodes=1, lags=((0.0, 0.0),))
    end = plan.finality + 600 + rng.uniform(0, 3600)
    events = [*_payments(rng, plan, end), Event(end - 100, "run_whole", (0, 150.0))]
    blips = [Event(end - rng.uniform(0, 100), "outage", (rng.choice(BLIPS), 0.0)) for _ in range(rng.choice((1, 2, 4)))]
    return plan, [*events, *blips, Event(end + RECOVERY_SECONDS, "recovered", ())]


OUTAGE_SCENES = {scene.__name__: scene for scene in (stripe_returns, node_returns, chain_returns, blip)}
