"""Shrinks a failing plan: removes everything it does not need to fail in the same way."""

from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from time import monotonic

from tests.simulation.faults import FAULTS
from tests.simulation.plan import Plan
from tests.simulation.result import Result

MAX_SECONDS = 60.0
_FIXED_FIELDS = (
    "seed",
    "theme",
    "events",
    "off",
    "replicas",
    "gateways",
    "customers",
    "nodes",
    "lags",
    "finality",
    "admins",
    "order_cap",
)


def shrunk(
    plan: Plan, failed: Result, play: Callable[[Plan], Result], seconds: float = MAX_SECONDS
) -> tuple[Plan, Result]:
    """Find the smallest plan within a time limit, and its result."""
    until = monotonic() + seconds
    again = True
    while again and monotonic() < until:
        again = False
        for smaller in _smaller(plan, failed):
            if monotonic() > until:
                break
            result = play(smaller)
            if _fails_alike(result, failed):
                plan, failed, again = smaller, result, True
                break
    return plan, failed


def _fails_alike(result: Result, other: Result) -> bool:
    return all(bool(getattr(result, name)) == bool(getattr(other, name)) for name in ("twice", "never", "wrong"))


def _smaller(plan: Plan, failed: Result) -> Iterator[Plan]:
    """Smaller plans: without halves of the events, then faults, then properties, then single events."""
    half = len(plan.events) // 2
    if half > 4:
        yield replace(plan, events=plan.events[:half])
        yield replace(plan, events=plan.events[half:])
    present = [name for name in failed.faults if name not in plan.off and name in FAULTS]
    if len(present) > 1:
        yield replace(plan, off=plan.off | set(present))
    for name in present:
        yield replace(plan, off=plan.off | {name})
    defaults = Plan(plan.seed, plan.theme)
    for field in fields(Plan):
        if field.name not in _FIXED_FIELDS and getattr(plan, field.name) != getattr(defaults, field.name):
            yield replace(plan, **{field.name: getattr(defaults, field.name)})
    for index in range(len(plan.events)):
        yield replace(plan, events=plan.events[:index] + plan.events[index + 1 :])
