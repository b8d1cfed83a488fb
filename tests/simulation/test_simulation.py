"""A fixed set of seeds and the fastest mutants; `make simulate` and `make mutants` run many more."""

import inspect
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from tests.simulation.busy import BUSY_SCENES
from tests.simulation.directed import DIRECTED
from tests.simulation.faults import FAULTS, Coverage
from tests.simulation.grant_plans import SCENES
from tests.simulation.limit_scenes import LIMIT_SCENES
from tests.simulation.mutants import MUTANTS, SCENE_MUTANTS
from tests.simulation.order_plans import ABOUT_ORDERS, ADMINS
from tests.simulation.outages import OUTAGE_SCENES
from tests.simulation.planner import THEMES, Planner
from tests.simulation.runner import play, play_seed
from tests.simulation.shrink import shrunk

FAILED_BEFORE = (135, 228, 229, 807, 1071, 2054, 3183, 3630, 739947000893)  # 35 is among the fixed ones

SEEDS = [*(range(start, start + 10) for start in range(0, 50, 10)), FAILED_BEFORE]


def command(seed: int) -> str:
    return f"python -m tests.simulation --seeds 1 --first {seed}"


@pytest.mark.parametrize("seeds", SEEDS, ids=lambda seeds: f"{seeds[0]}-{seeds[-1]}")
def test_every_payment_is_credited_exactly_once(seeds: Sequence[int]) -> None:
    for seed in seeds:
        result = play_seed(seed)
        assert not result.failed, f"{command(seed)}: {result.findings}"


def seeds_of(theme: str, count: int) -> list[int]:
    seeds = (seed for seed in range(5_000) if Planner(seed).plan().theme == theme)
    return list(itertools.islice(seeds, count))


@pytest.mark.parametrize(
    "theme", [*DIRECTED, *SCENES, *ABOUT_ORDERS, *LIMIT_SCENES, *BUSY_SCENES, *OUTAGE_SCENES, ADMINS]
)
def test_directed_scenes(theme: str) -> None:
    for seed in seeds_of(theme, 3):
        result = play_seed(seed)
        assert not result.failed, f"{command(seed)}: {result.findings}"


def test_a_seed_determines_everything() -> None:
    for seed in (3, 7):
        first, second = play_seed(seed), play_seed(seed)
        assert first.history == second.history
        assert first.steps == second.steps


@pytest.mark.parametrize(
    ("name", "theme"),
    [
        ("marker_first", "stripped"),
        ("partial_listing_counts", "cut_list"),
        ("no_freshness_limit", "stalled"),
        ("look_back_too_short", "behind_the_block"),
        ("no_quiet_zone", "late_over_border"),
        ("key_without_epoch", "burnt_key"),
        ("new_key_on_mismatch", "other_version"),
        ("cap_from_plain_list", "hidden_rows"),
        ("own_row_may_be_hidden", "hidden_rows"),
        *((name, themes[0]) for name, (_, themes) in SCENE_MUTANTS.items()),
    ],
)
def test_a_mutant_is_caught(name: str, theme: str) -> None:
    assert any(play_seed(seed, name).failed for seed in seeds_of(theme, 24))


def arguments(function: Callable[..., Any]) -> tuple[int, set[str]] | None:
    """The number of positional parameters and the required keywords; None if the function takes any."""
    parameters = inspect.signature(function).parameters.values()
    if any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters):
        return None
    positional = sum(parameter.kind is parameter.POSITIONAL_OR_KEYWORD for parameter in parameters)
    keywords = [parameter for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY]
    return positional, {parameter.name for parameter in keywords if parameter.default is parameter.empty}


def test_mutants_take_the_arguments_of_what_they_replace() -> None:
    """A mutant that raises TypeError would be caught without testing its rule."""
    for name, mutant in MUTANTS.items():
        for owner, attribute, value in mutant():
            original = vars(owner)[attribute]
            if inspect.isfunction(original) and inspect.isfunction(value):
                assert arguments(value) in (None, arguments(original)), name


def test_a_failing_plan_is_shrunk() -> None:
    plans = (Planner(seed).plan() for seed in seeds_of("currency_back", 12))
    plan, failed = next((plan, result) for plan in plans if (result := play(plan, "orders_after_held")).failed)
    smaller, result = shrunk(plan, failed, lambda smaller: play(smaller, "orders_after_held"), seconds=20)
    assert result.failed
    assert len(smaller.events) < len(plan.events)


def test_seeds_cover_every_theme() -> None:
    assert {Planner(seed).plan().theme for seed in range(2000)} == {
        *(*THEMES, *SCENES, *ABOUT_ORDERS, *LIMIT_SCENES, *BUSY_SCENES, *OUTAGE_SCENES, ADMINS)
    }


def test_only_known_faults_are_counted() -> None:
    with pytest.raises(AssertionError):
        Coverage().hit("no such fault")
    assert all(meaning for meaning in FAULTS.values())
