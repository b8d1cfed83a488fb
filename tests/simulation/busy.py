"""Scenes of a customer with many payments beside one with few, whose credits must come in time.

Drawn from a separate random stream, so that all other seeds stay the same.
"""

import asyncio
import random
from dataclasses import replace
from typing import TYPE_CHECKING

from tests.simulation.draws import calm, sleep, step
from tests.simulation.mischief import ANY, LISTS, WRITES
from tests.simulation.plan import CUSTOMERS, Event, Plan

if TYPE_CHECKING:
    from tests.simulation.world import World

SHARE = 0.008  # of all seeds; they take long
PATIENCE_SECONDS = 12.0  # a credit usually takes a round of three seconds and a second of work
KINDS = ("sweep_often", "in_time")
_BUSY, _HONEST = 0, 1
_CALLS = 20  # payments in one EVM transaction
Scene = tuple[Plan, list[Event]]


class Sweeping:
    """Sweeps at short intervals, and the rule about time."""

    def __init__(self, world: "World") -> None:
        self._world = world

    def happen(self, event: Event) -> None:
        """Let one event happen now."""
        getattr(self, f"_{event.kind}")(*event.args)

    def _sweep_often(self, slot: int, seconds: float) -> None:
        replica = self._world.replica(slot)

        async def sweep() -> None:
            await replica.ready.wait()
            try:
                async with asyncio.timeout(seconds):
                    await replica.services.sweeper.run(3, 15)
            except TimeoutError:
                return

        replica.spawn(sweep())

    def _in_time(self, customer: int) -> None:
        """Check that what was final long enough ago is credited."""
        world = self._world
        final = world.chain.finalized(world.seconds() - PATIENCE_SECONDS)
        for payment in world.chain.now.payments:
            is_due = payment.customer_id == CUSTOMERS[customer] and payment.block <= final
            if is_due and not world.oracle.credited(payment):
                world.oracle.wrong(
                    f"starved: payment {payment.sequence} of {payment.customer_id} is final for {PATIENCE_SECONDS} s"
                )


def with_busy(seed: int, plan: Plan, events: list[Event]) -> Scene:
    """Return the plan unchanged, or one of these scenes."""
    rng = random.Random(f"{seed}/busy")
    if rng.random() >= SHARE:
        return plan, events
    name = rng.choice(list(BUSY_SCENES))
    return BUSY_SCENES[name](rng, replace(plan, theme=name, poisoned=False, caps=None, admins=False, lies=0.0))


def _crowd(at: float, count: int, together: int = _CALLS) -> list[Event]:
    """Small plain payments of the busy customer, so many in an EVM transaction."""
    calls = ((0, _BUSY, 10, 0),) * together
    return [Event(at + 0.2 * number, "pay", (number, calls)) for number in range(count // together)]


def _honest(at: float, plan: Plan) -> list[Event]:
    """Payments that nobody claims, one every few seconds while the busy customer's are credited, and the checks."""
    events = []
    for number in range(6):
        paid = at + 7.0 * number
        events.append(Event(paid, "pay", (900 + number, ((0, _HONEST, 9_000, 0),))))
        events.append(Event(paid + plan.finality + plan.ahead + PATIENCE_SECONDS + 1, "in_time", (_HONEST,)))
    return events


def _quiet(plan: Plan, **changes: object) -> Plan:
    base = calm(plan, nodes=1, lags=((0.0, 0.0),), ahead=0, customers=2, gateways=1, page=100, list_lag=0.0)
    return replace(base, whole_start=False, idle_timeout=75.0, record_late=0.0, **changes)  # type: ignore[arg-type]


def backlog(rng: random.Random, plan: Plan) -> Scene:
    """Many payments become final at once, and others' payments while they are credited."""
    plan = _quiet(plan, replicas=1)
    at = rng.uniform(60, 3600)
    events = _crowd(at, rng.choice((120, 140, 160))) + _honest(at + 3, plan)
    return plan, [*events, Event(at + plan.finality - 10, "sweep_often", (0, 400.0))]


def all_held(rng: random.Random, plan: Plan) -> Scene:
    """The same, and none of the many can be credited; then the process is killed and another goes on."""
    plan = _quiet(plan, replicas=1)
    at = rng.uniform(60, 3600)
    swept = at + plan.finality
    events = _crowd(at, rng.choice((80, 120))) + _honest(at + 3, plan)
    events.append(Event(at + 60, rng.choice(("delete", "currency")), (_BUSY, 0)))
    events += [Event(swept - 10, "sweep_often", (0, 150.0)), Event(swept + 160, "restart", (0,))]
    return plan, [*events, Event(swept + 170, "sweep_often", (0, 100.0))]


def halting(rng: random.Random, plan: Plan) -> Scene:
    """Requests fail while many payments are credited, and processes sleep and die between them."""
    faults = tuple(rng.sample((*ANY, *WRITES[:3], *LISTS), 4))
    plan = replace(_quiet(plan, replicas=2), faults=faults, reads=0.02, writes=rng.choice((0.05, 0.2)))
    plan = replace(plan, list_lag=rng.choice((0.0, 60.0)))
    at = rng.uniform(60, 3600)
    swept = at + plan.finality
    # Few: what is older than an epoch is credited one by one, each after two readings half an hour apart.
    events = [*_crowd(at, rng.choice((8, 10)), 2), Event(at + 3, "pay", (900, ((0, _HONEST, 9_000, 0),)))]
    for number in range(rng.choice((2, 3, 4))):
        began, slot = swept + 70.0 * number, number % 2
        events.append(Event(began, "sweep_often", (slot, rng.uniform(30, 600))))
        if rng.random() < 0.7:
            what = rng.choice(("kill", "cancel", "sleep"))
            harm = (slot, step(rng), what, *sleep(rng, plan))
            events += [Event(began + rng.uniform(1, 30), "harm", harm), Event(began + 60, "restart", (slot,))]
    return plan, events


BUSY_SCENES = {scene.__name__: scene for scene in (backlog, all_held, halting)}
