"""The service takes the decisions that the model takes, in every step of random runs of the simulation."""

import os
from itertools import islice

import pytest

from tests.model.watching import Comparison, summary, watched
from tests.simulation.planner import Planner
from tests.simulation.runner import play_seed

FIRST = int(os.environ.get("MODEL_SEED", "20000"))
"""No other test plays these seeds; MODEL_SEED=… plays others."""


def compared(seeds: range | list[int]) -> Comparison:
    """Play seeds and ask the model at each decision."""
    comparison = Comparison()
    with watched(comparison):
        for seed in seeds:
            play_seed(seed)
            assert not comparison.differences, f"MODEL_SEED={seed}: {comparison.differences[:3]}"
    return comparison


def seeds_of(theme: str, count: int) -> list[int]:
    """The first seeds of a theme."""
    return list(islice((seed for seed in range(5_000) if Planner(seed).plan().theme == theme), count))


def test_decisions_of_random_runs(capsys: pytest.CaptureFixture[str]) -> None:
    comparison = compared(range(FIRST, FIRST + 6))
    with capsys.disabled():
        print(f"\nseeds {FIRST} to {FIRST + 5}: {summary(comparison.asked)}")
    kinds = {name.partition(":")[0] for name in comparison.asked}
    assert {"may be sent", "may still be sent", "listing", "orders count", "key of the epoch"} <= kinds


@pytest.mark.parametrize(
    ("theme", "decision"),
    [
        ("deleted_after_credit", "deleted holds: True"),
        ("cut_list", "proven: False"),
        ("stripped", "listing: Finding.STRIPPED"),
        ("slept_over_orders", "orders count: False"),
    ],
)
def test_decisions_of_scenes_about_them(theme: str, decision: str) -> None:
    assert compared(seeds_of(theme, 2)).asked[decision], "the scene comes to this decision"


@pytest.mark.parametrize(
    ("mutant", "theme"),
    [("no_quiet_zone", "late_over_border"), ("no_altered_check", "stripped")],
)
def test_a_service_with_another_rule_differs(mutant: str, theme: str) -> None:
    comparison = Comparison()
    with watched(comparison):
        for seed in seeds_of(theme, 8):
            play_seed(seed, mutant)
            if comparison.differences:
                break
    assert comparison.differences
