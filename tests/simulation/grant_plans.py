"""Plans with moderators: forms, submissions, reversals and reconciliations, beside payments or directed.

Drawn from a separate random stream, so that a seed's payments are the same with and without them.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import replace

from tests.simulation.draws import Where, sleep, step
from tests.simulation.plan import DAY, HOUR, Event, Plan

CAPS = ((700, 1000, 1500), (700, 1500, 2000), (500, 500, 800))
AMOUNTS = (100, 250, 400, 500, 500, 700)
MODERATOR, ADMIN = "moderator", "admin"
SHARE_WITH_MODERATORS = 0.2  # of all seeds, including the directed ones
DIRECTED_SHARE = 0.08
RECONCILE_INTERVAL = 7 * HOUR
Scene = Callable[[random.Random, Plan], tuple[Plan, list[Event]]]


def with_moderators(seed: int, plan: Plan, events: list[Event]) -> tuple[Plan, list[Event]]:
    """Return the plan unchanged, with moderators added, or directed at moderators only."""
    rng = random.Random(f"{seed}/moderators")
    chance = rng.random()
    if chance < DIRECTED_SHARE:
        name = rng.choice(list(SCENES))
        plan, events = SCENES[name](rng, replace(plan, theme=name, poisoned=False))
    elif chance < SHARE_WITH_MODERATORS and events:
        events = events + _mixed(rng, plan, [event.at for event in events])
    else:
        return plan, events
    first, last = min(event.at for event in events), max(event.at for event in events)
    looks = [
        Event(first + number * RECONCILE_INTERVAL, "look", (number % 5,))
        for number in range(1, int((last - first) / RECONCILE_INTERVAL) + 2)
    ]
    return replace(plan, caps=rng.choice(CAPS)), events + looks


def _form(number: int, at: float, operator: int, customer: int, cents: int) -> Event:
    return Event(at, "form", (number, operator, customer, cents))


def _harm(at: float, slot: int, where: Where, what: str, slept: tuple[float, tuple[bool, bool]]) -> Event:
    return Event(at - 0.001, "harm", (slot, where, what, *slept))


def _mixed(rng: random.Random, plan: Plan, about: Sequence[float]) -> list[Event]:
    """Several forms around the times of other events."""
    start = max(100.0, rng.choice(about) + rng.uniform(-1000, 4000))
    events = []
    for number in range(rng.choice((2, 3, 5, 8))):
        soon = rng.choice((rng.uniform(0, 3), rng.uniform(0, 60), rng.uniform(0, 3 * HOUR), rng.uniform(0, 26 * HOUR)))
        at, slot = start + soon, rng.randrange(5)
        opened = rng.choice((rng.uniform(1, 60), rng.uniform(1, 60), rng.uniform(20, 22.5) * HOUR))
        events += [
            _form(number, max(0.0, at - opened), rng.randrange(2), rng.randrange(plan.customers), rng.choice(AMOUNTS)),
            Event(at, "press", (slot, number)),
        ]
        if rng.random() < 0.25:
            what = rng.choice(("sleep", "kill", "kill", "cancel"))
            events.append(_harm(at, slot, step(rng), what, sleep(rng, plan)))
            events.append(Event(at + rng.uniform(1, 4000), "look", (slot + 1,)))
        if rng.random() < 0.35:
            after = rng.choice((rng.uniform(0.3, 120), rng.uniform(0.3, 120), rng.uniform(20, 24) * HOUR))
            events.append(Event(at + after, "press", (rng.randrange(5), number)))
        if rng.random() < 0.4:
            after = rng.choice(
                (rng.uniform(0.3, 3), rng.uniform(3, 550), rng.uniform(3, 550), rng.uniform(20, 26) * HOUR)
            )
            events.append(Event(at + after, "undo", (rng.randrange(5), number, rng.choice((MODERATOR, ADMIN)))))
        if rng.random() < 0.3:
            events.append(Event(at + rng.uniform(0.5, 5) * rng.choice((1, 600)), "look", (rng.randrange(5),)))
    return events


def rush(rng: random.Random, plan: Plan) -> tuple[Plan, list[Event]]:
    """More grants are submitted at once, at several processes, than any cap allows."""
    at = rng.uniform(60, HOUR)
    events = []
    for number in range(rng.choice((6, 10))):
        slot, operator = number % 4, rng.randrange(2)
        pressed = at + rng.uniform(0, rng.choice((0.5, 3, 60)))
        events += [_form(number, at - 5, operator, 0, rng.choice(AMOUNTS)), Event(pressed, "press", (slot, number))]
        if rng.random() < 0.3:
            events.append(Event(pressed + rng.uniform(0.3, 90), "undo", (rng.randrange(4), number, MODERATOR)))
        if rng.random() < 0.2:
            events.append(_harm(pressed, slot, step(rng), "kill", sleep(rng, plan)))
        if rng.random() < 0.3:
            events.append(Event(pressed + rng.uniform(0.5, 100), "look", (rng.randrange(4),)))
    lag = rng.choice((0.0, 2.0, 60.0, 1500.0))
    return replace(plan, replicas=4, list_lag=lag), events


def hidden_rows(rng: random.Random, plan: Plan) -> tuple[Plan, list[Event]]:
    """A list lags behind a grant and its reversal of the same amount; then more is granted."""
    at, cents = rng.uniform(60, HOUR), rng.choice((400, 500))
    old = rng.choice((HOUR, 5 * HOUR, DAY + HOUR))
    events = []
    for number, (pressed, operator) in enumerate(((at, 1), (at + old, 0), (at + old + 40, 0), (at + old + 80, 0))):
        events += [_form(number, pressed - 5, operator, 0, cents), Event(pressed, "press", (number, number))]
    events.append(Event(at + old + rng.uniform(1, 75), "undo", (4, 0, ADMIN)))
    looks = [Event(at + old + 100 + number * 900, "look", (number,)) for number in range(4)]
    calm = replace(plan, replicas=5, reads=0.0, writes=0.0, refused=0.0, late=0.0, skews=(), two_versions=False)
    return replace(calm, list_lag=rng.choice((200.0, 600.0, 1500.0))), events + looks


def slept_through(rng: random.Random, plan: Plan) -> tuple[Plan, list[Event]]:
    """A process sleeps between reservation and grant, past the end of the form or the epoch, and wakes."""
    at, length = rng.uniform(60, HOUR), rng.choice((rng.uniform(20, 26), rng.uniform(24, 40))) * HOUR
    opened = rng.choice((5.0, rng.uniform(0, 21.9) * HOUR))
    pressed = at + opened
    missed = rng.choice(((True, False), (False, True), (False, False)))
    where = rng.choice(("begin_write", "before_write", "answered")), rng.choice((1, 2, 5, 6, 7)), rng.choice((0, 0, 3))
    again = [
        Event(pressed + after, rng.choice(("press", "look")), (1, 0))
        for after in (rng.uniform(60, 900), rng.uniform(18, 21.9) * HOUR, rng.uniform(22.4, 24) * HOUR)
    ]
    life = rng.choice((24.0, 26.0, 44.0)) * HOUR
    return replace(plan, replicas=2, key_life=life, idle_timeout=rng.choice((75.0, 1e12)), skews=()), [
        _form(0, at, 0, 0, 500),
        _harm(pressed, 0, where, "sleep", (length, missed)),
        Event(pressed, "press", (0, 0)),
        *again,
    ]


def undone_meanwhile(rng: random.Random, plan: Plan) -> tuple[Plan, list[Event]]:
    """A grant is reversed while another process is about to write it, or its reversal is interrupted."""
    at = rng.uniform(60, HOUR)
    length = rng.choice((rng.uniform(2, 50), rng.uniform(2, 50), rng.uniform(60, 4000)))
    struck = rng.choice((0, 1))
    moment = at if struck == 0 else at + 20
    return replace(plan, replicas=3, skews=()), [
        _form(0, at - 5, 0, 0, 500),
        _harm(moment, struck, step(rng), rng.choice(("sleep", "sleep", "kill")), (length, (False, False))),
        Event(at, "press", (0, 0)),
        Event(at + 20, "undo", (1, 0, MODERATOR)),
        Event(at + rng.uniform(20, 80), "press", (2, 0)),
        Event(at + rng.uniform(20, 80), "undo", (2, 0, ADMIN)),
        Event(at + rng.uniform(21, 5000), "look", (2,)),
    ]


SCENES: dict[str, Scene] = {scene.__name__: scene for scene in (rush, hidden_rows, slept_through, undone_meanwhile)}
