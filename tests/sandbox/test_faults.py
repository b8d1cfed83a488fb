"""A fault hits exactly the requests it selects."""

import random

import pytest

from stateless_billing.sandbox.effects import NO_EFFECT, lost_after, lost_before
from stateless_billing.sandbox.faults import FaultPlan


@pytest.fixture
def plan() -> FaultPlan:
    """Return an empty plan."""
    return FaultPlan(random.Random(1))


def hits(plan: FaultPlan, count: int, method: str = "POST", template: str = "/t", path: str = "/p") -> list[bool]:
    """Return whether each of `count` requests is hit."""
    return [plan.next_effect(method, template, path) is not NO_EFFECT for _ in range(count)]


def test_the_next_n_after_some(plan: FaultPlan) -> None:
    plan.add(lost_after(), times=2, skip=1)
    assert hits(plan, 4) == [False, True, True, False]
    assert plan.faults == []


def test_only_what_matches(plan: FaultPlan) -> None:
    plan.add(lost_after(), method="POST", template="/t", path="/p", times=None)
    assert hits(plan, 1, method="GET") == hits(plan, 1, template="/u") == hits(plan, 1, path="/q") == [False]
    assert hits(plan, 3) == [True] * 3
    plan.clear()
    assert hits(plan, 1) == [False]


def test_by_chance_and_the_same_chance_again() -> None:
    def drawn() -> list[bool]:
        plan = FaultPlan(random.Random(9))
        plan.add(lost_after(), times=None, probability=0.3)
        return hits(plan, 300)

    assert drawn() == drawn()
    assert 60 < sum(drawn()) < 120


def test_the_oldest_matching_fault_alone(plan: FaultPlan) -> None:
    plan.add(lost_before())
    plan.add(lost_after())
    assert [plan.next_effect("GET", "", "").name for _ in range(3)] == ["lost_before", "lost_after", ""]


def test_times_0_never_hits(plan: FaultPlan) -> None:
    plan.add(lost_after(), times=0)
    assert hits(plan, 2) == [False, False]
