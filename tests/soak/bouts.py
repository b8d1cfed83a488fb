"""What a soak plays, in which order."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count, cycle, islice

SEEDS = 200  # of one bout: about a minute on two cores
PAYMENTS = 200
SEEDS_BETWEEN = 5  # bouts of seeds before each other one


@dataclass(frozen=True, slots=True)
class Bout:
    """A command that exits with 0 if the service held. `seeds` is how many simulation seeds it plays.

    It usually takes `usual_seconds`; one that is not over after `limit_seconds` has failed.
    """

    kind: str
    module: str
    arguments: tuple[str, ...]
    usual_seconds: int
    limit_seconds: int
    seeds: int = 0

    @property
    def command(self) -> list[str]:
        """The words that start it."""
        return [sys.executable, "-m", self.module, *self.arguments]

    @property
    def replay(self) -> str:
        """The command for people."""
        return " ".join([".venv/bin/python", "-m", self.module, *self.arguments])


def seed_bout(first: int, processes: int) -> Bout:
    """Create the bout of the simulation seeds from `first` on."""
    arguments = ("--first", str(first), "--seeds", str(SEEDS), "--processes", str(processes))
    return Bout("seeds", "tests.simulation", arguments, usual_seconds=60, limit_seconds=1800, seeds=SEEDS)


def other_bouts(start: int, attacks: Sequence[str], outages: Sequence[str]) -> Iterator[Bout]:
    """Yield attacks, chaos and outages in turn, without end; `start` decides where in the lists it begins."""
    chaos_seeds = count(start)
    next_attacks, next_outages = _from(attacks, start), _from(outages, start)
    while True:
        yield Bout("attacks", "tests.attack", (next(next_attacks),), 120, 900)
        seed = str(next(chaos_seeds))
        yield Bout("chaos", "tests.chaos", ("--seed", seed, "--payments", str(PAYMENTS)), 300, 1800)
        yield Bout("outages", "tests.outages", (next(next_outages), "--short"), 180, 900)


def _from(names: Sequence[str], start: int) -> Iterator[str]:
    return islice(cycle(names), start % len(names), None)


class Rota:
    """Hands out the next bout; near the end only what is usually over in time, and seeds otherwise."""

    def __init__(self, start: int, others: Iterator[Bout], processes: int) -> None:
        self.next_seed = start
        self._others = others
        self._processes = processes
        self._since_other = 0
        self._other = next(others)

    def next_bout(self, remaining_seconds: float) -> Bout:
        """Choose the next bout."""
        if self._since_other >= SEEDS_BETWEEN and self._other.usual_seconds <= remaining_seconds:
            bout, self._other, self._since_other = self._other, next(self._others), 0
            return bout
        bout = seed_bout(self.next_seed, self._processes)
        self.next_seed += bout.seeds
        self._since_other += 1
        return bout
