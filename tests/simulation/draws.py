"""Random draws shared by plans: how long a machine sleeps, and at which of its steps."""

import random
from dataclasses import replace
from typing import Any

from tests.simulation.plan import HOUR, LONG_IDLE, Plan

Where = tuple[str, int, int] | int

STEPS = ("any", "any", "begin_write", "begin_read", "before_write", "answered")


def step(rng: random.Random) -> Where:
    """A step of a visit: after a number of loop steps, or at a stage of one of its requests."""
    where = rng.randrange(1, 160)
    if rng.random() < 0.7:
        readings = rng.choice((0, 0, rng.randrange(1, 9)))
        return rng.choice(STEPS), rng.choice((1, 1, 2, 3, 4, 5, 6, 8)), readings
    return where


def sleep(rng: random.Random, plan: Plan) -> tuple[float, tuple[bool, bool]]:
    """How long it sleeps, and which clocks miss it. If connections never close, at least one clock must notice."""
    long = (rng.uniform(22, 27) * HOUR, rng.uniform(24, 40) * HOUR, rng.uniform(24, 28) * HOUR)
    short = (rng.uniform(1, 110), rng.uniform(60, 3600), rng.uniform(3600, 8000), rng.uniform(1800, 7200))
    seconds = rng.choice(long + short)
    missed = rng.choice(((False, False), (True, False), (False, True), (True, True)))
    if plan.idle_timeout > LONG_IDLE and all(missed):
        missed = rng.choice(((True, False), (False, True)))
    return seconds, missed


def calm(plan: Plan, **changes: Any) -> Plan:
    """The plan without random faults of Stripe, nodes and prices."""
    quiet = replace(plan, faults=(), reads=0.0, writes=0.0, refused=0.0, late=0.0, node_errors=0.0, omits=0.0)
    return replace(quiet, price_faults=0.0, skews=(), poisoned=False, two_versions=False, **changes)
