"""Directed scenes about what one admin may order alone, drawn from a separate random stream."""

import random
from dataclasses import replace

from tests.simulation.order_scenes import T1, T2, Scene, claims, into, order, paid, quiet
from tests.simulation.plan import HOUR, Event, Plan

SHARE = 0.02  # of all seeds
ALONE_CENTS = 8_000
_SMALL_CENTS = 1_000
_DANAS_OTHER_NAME = 3


def with_limits(seed: int, plan: Plan, events: list[Event]) -> tuple[Plan, list[Event]]:
    """Return the plan unchanged, or a scene about limits."""
    rng = random.Random(f"{seed}/limits")
    if rng.random() >= SHARE:
        return plan, events
    name = rng.choice(list(LIMIT_SCENES))
    return LIMIT_SCENES[name](rng, replace(plan, theme=name, poisoned=False))


def hidden_decision(rng: random.Random, plan: Plan) -> Scene:
    """An admin orders twice, together above the limit of a day, while listings omit rows or trail behind."""
    at = rng.uniform(60, HOUR)
    ordered = at + plan.finality + rng.uniform(60, HOUR)
    second = ordered + rng.choice((rng.uniform(0, 2), rng.uniform(2, HOUR)))
    events = [Event(1, "bill", (0, "eur")), paid(at), paid(at + 5, number=1)]
    events += [order(ordered, 0, 0), order(second, 1, 1, number=1, target=rng.choice((T1, T2)))]
    for slot in (0, 1, 2, 0, 1, 2):
        seen = second + rng.uniform(5, HOUR)
        events += [Event(seen - 1, "restart", (slot,)), Event(seen, "claim", (slot, 1))]
    if rng.random() < 0.3:
        events += claims(into(rng, at, 1), 2, 1)
    kinds = ("listing_cut", "listing_hole", "listing_ends_empty")
    page, lag = rng.choice((1, 100)), rng.choice((0.0, 0.0, 60.0))
    return replace(quiet(plan), order_cap=ALONE_CENTS, page=page, list_lag=lag, lies=0.5, lie_kinds=kinds), events


def other_name(rng: random.Random, plan: Plan) -> Scene:
    """An order above one admin's limit is confirmed by the same person, signed in under another name."""
    at = rng.uniform(60, HOUR)
    ordered = at + plan.finality + rng.uniform(60, HOUR)
    names = rng.choice(((0, _DANAS_OTHER_NAME), (_DANAS_OTHER_NAME, 0)))
    events = [Event(1, "bill", (0, "eur")), paid(at), order(ordered, 0, 0, admin=names[0])]
    events.append(Event(ordered + rng.uniform(30, HOUR), "confirm", (1, 0, names[1])))
    if rng.random() < 0.5:
        events.append(Event(ordered + rng.uniform(HOUR, 2 * HOUR), "confirm", (2, 0, 1)))
    return replace(quiet(plan), order_cap=3_000), events


def decisions_at_once(rng: random.Random, plan: Plan) -> Scene:
    """Three admins release many payments within seconds over three processes, and confirm each other's orders."""
    return many_decisions(rng, plan, rng.choice((12, 18, 24)))


def many_decisions(rng: random.Random, plan: Plan, count: int) -> Scene:
    """So many decisions at once: each is worth a fraction of what an admin may decide alone in a day."""
    at = rng.uniform(60, HOUR)
    ordered = at + plan.finality + count + rng.uniform(60, HOUR)
    events = [Event(1, "mark", (customer, "off")) for customer in range(3)]
    for number in range(count):
        slot, admin = rng.randrange(3), rng.randrange(4)
        events.append(paid(at + number, number % 3, number, _SMALL_CENTS))
        events.append(order(ordered + rng.uniform(0, 3), number, slot, "release", number=number, admin=admin))
        events.append(Event(ordered + rng.uniform(60, 600), "confirm", (slot, number, rng.randrange(4))))
        events.append(Event(ordered + rng.uniform(0, 900), "claim", (rng.randrange(3), number)))
    lies, lag = rng.choice((0.0, 0.06)), rng.choice((0.0, 0.0, 60.0))
    changed = replace(quiet(plan), customers=3, order_cap=count * _SMALL_CENTS // 6, list_lag=lag)
    return replace(changed, lies=lies, lie_kinds=("listing_cut", "listing_hole"), page=rng.choice((10, 100))), events


LIMIT_SCENES = {scene.__name__: scene for scene in (hidden_decision, other_name, decisions_at_once)}
