"""Runs many seeds in any number of processes and sums up their results."""

import gc
import logging
import multiprocessing
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.simulation.mutants import broken
from tests.simulation.plan import Plan
from tests.simulation.planner import Planner
from tests.simulation.result import Result
from tests.simulation.speed import faster
from tests.simulation.world import World

_CHUNK = 10


def play(plan: Plan, mutant: str | None = None) -> Result:
    """Run one plan in its own world, with a mutant's rule broken if named."""
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with broken(mutant), faster():
            return World(plan).run()
    finally:
        logging.disable(disabled)


def play_seed(seed: int, mutant: str | None = None) -> Result:
    """Run one seed."""
    return play(Planner(seed).plan(), mutant)


def _chunk(seeds: range) -> list[Result]:
    gc.disable()
    try:
        return [play_seed(seed) for seed in seeds]
    finally:
        gc.enable()
        gc.collect()


def results(first: int, count: int, processes: int) -> Iterator[Result]:
    """The results of `count` seeds, in any order."""
    chunks = [range(start, min(start + _CHUNK, first + count)) for start in range(first, first + count, _CHUNK)]
    if processes == 1:
        for chunk in chunks:
            yield from _chunk(chunk)
        return
    with multiprocessing.get_context("fork").Pool(processes) as pool:
        for batch in pool.imap_unordered(_chunk, chunks):
            yield from batch
        pool.close()
        pool.join()


@dataclass
class Totals:
    """The sums over all seeds."""

    seeds: int = 0
    payments: int = 0
    steps: int = 0
    days: float = 0.0
    twice: int = 0
    never: int = 0
    wrong: int = 0
    holes: int = 0
    orphans: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    breaches: Counter[str] = field(default_factory=Counter)

    def add(self, result: Result) -> None:
        """Count one seed."""
        self.seeds += 1
        for name in ("payments", "steps", "days", "twice", "never", "wrong", "holes", "orphans"):
            setattr(self, name, getattr(self, name) + getattr(result, name))
        self.faults += result.faults
        self.breaches += result.breaches

    def __str__(self) -> str:
        return (
            f"seeds={self.seeds} payments={self.payments} steps={self.steps} days={self.days:.0f} "
            f"faults={self.faults.total()} orphans={self.orphans} holes={self.holes} "
            f"twice={self.twice} never={self.never} wrong={self.wrong}"
        )
