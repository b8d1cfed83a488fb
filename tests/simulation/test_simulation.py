"""A fixed set of seeds, and the fastest mutants; `make simulate` and `make mutants` play many more."""

import pytest

from tests.simulation.directed import DIRECTED
from tests.simulation.faults import FAULTS, Coverage
from tests.simulation.planner import THEMES, Planner
from tests.simulation.runner import play, play_seed
from tests.simulation.shrink import shrunk

SEEDS = [range(start, start + 10) for start in range(0, 60, 10)]


def command(seed: int) -> str:
    return f"python -m tests.simulation --seeds 1 --first {seed}"


@pytest.mark.parametrize("seeds", SEEDS, ids=lambda seeds: f"{seeds[0]}-{seeds[-1]}")
def test_every_payment_is_credited_exactly_once(seeds: range) -> None:
    for seed in seeds:
        result = play_seed(seed)
        assert not result.failed, f"{command(seed)}: {result.findings}"


@pytest.mark.parametrize("theme", DIRECTED)
def test_what_is_directed_at_one_moment(theme: str) -> None:
    seeds = [seed for seed in range(2_000) if Planner(seed).plan().theme == theme][:4]
    for seed in seeds:
        result = play_seed(seed)
        assert not result.failed, f"{command(seed)}: {result.findings}"


def test_a_seed_decides_everything() -> None:
    for seed in (3, 7):
        first, second = play_seed(seed), play_seed(seed)
        assert first.history == second.history
        assert first.steps == second.steps


@pytest.mark.parametrize("name", ["marker_first", "plain_before_finality", "partial_listing_counts"])
def test_a_broken_rule_is_caught(name: str) -> None:
    assert any(play_seed(seed, name).failed for seed in range(40))


def test_a_failing_plan_becomes_smaller() -> None:
    plan = Planner(0).plan()
    failed = play(plan, "marker_first")
    assert failed.failed
    smaller, result = shrunk(plan, failed, lambda one: play(one, "marker_first"), seconds=5)
    assert result.failed
    assert len(smaller.events) < len(plan.events)


def test_seeds_cover_every_theme() -> None:
    assert {Planner(seed).plan().theme for seed in range(300)} == set(THEMES)


def test_only_known_faults_are_counted() -> None:
    with pytest.raises(AssertionError):
        Coverage().hit("no such fault")
    assert all(meaning for meaning in FAULTS.values())
