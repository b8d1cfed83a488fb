"""Makes a failing plan small: whatever can be left out while it still fails in the same way is left out."""

from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from time import monotonic

from tests.simulation.faults import FAULTS
from tests.simulation.plan import Plan
from tests.simulation.result import Result

SECONDS = 60.0
_KEPT = (
    *("seed", "theme", "events", "off", "replicas", "gateways", "customers", "nodes", "lags", "finality"),
    *("admins", "order_cap"),
)


def shrunk(plan: Plan, failed: Result, play: Callable[[Plan], Result], seconds: float = SECONDS) -> tuple[Plan, Result]:
    """The smallest plan found within so many seconds, and its result."""
    until = monotonic() + seconds
    again = True
    while again and monotonic() < until:
        again = False
        for smaller in _smaller(plan, failed):
            if monotonic() > until:
                break
            result = play(smaller)
            if _alike(result, failed):
                plan, failed, again = smaller, result, True
                break
    return plan, failed


def _alike(one: Result, other: Result) -> bool:
    return (bool(one.twice), bool(one.never), bool(one.wrong)) == (
        bool(other.twice),
        bool(other.never),
        bool(other.wrong),
    )


def _smaller(plan: Plan, failed: Result) -> Iterator[Plan]:
    """First whole groups of events, then faults, then properties, then single events."""
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
    for one in fields(Plan):
        if one.name not in _KEPT and getattr(plan, one.name) != getattr(defaults, one.name):
            yield replace(plan, **{one.name: getattr(defaults, one.name)})
    for place in range(len(plan.events)):
        yield replace(plan, events=plan.events[:place] + plan.events[place + 1 :])
