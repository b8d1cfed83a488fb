"""`python -m tests.simulation --seeds N --first S`: plays seeds; exit 1 where a promise was broken.

A failing seed is shrunk, and shown with its history and the command that plays it again. `--mutant NAME` breaks one
rule and stops at the seed that shows it; `--mutant all` does so with every mutant and prints a table.
"""

import argparse
import gc
import os
import sys
from collections.abc import Collection
from time import monotonic, process_time

from tests.simulation.directed import DIRECTED
from tests.simulation.faults import FAULTS, table
from tests.simulation.grant_mutants import GRANT_MUTANTS
from tests.simulation.grant_plans import SCENES
from tests.simulation.mutants import MUTANTS
from tests.simulation.orders_mutants import ORDERS_MUTANTS
from tests.simulation.planner import Planner
from tests.simulation.proof_scenes import OLD_RULES
from tests.simulation.result import Result
from tests.simulation.runner import Totals, play, play_seed, results
from tests.simulation.shrink import shrunk

LONGEST_HUNT = 120.0  # seconds in which a mutant must be caught
DIRECTED_FIRST = 2000  # so many seeds are searched for directed ones


def show(seed: int, mutant: str | None = None) -> None:
    """A failing seed, as small as it gets."""
    plan = Planner(seed).plan()
    plan, result = shrunk(plan, play(plan, mutant), lambda smaller: play(smaller, mutant))
    print(f"\nseed {seed} ({plan.theme}) fails; without {sorted(plan.off) or 'nothing'} still so:")
    print("\n".join(f"  {event.at:12.2f} {event.kind} {event.args}" for event in plan.events))
    print("what happened:", *result.history, *result.findings, sep="\n  ")
    print(f"again: python -m tests.simulation --first {seed} --seeds 1{f' --mutant {mutant}' if mutant else ''}\n")


def simulate(first: int, count: int, processes: int, *, faults: bool) -> bool:
    """Play seeds; whether all promises were kept."""
    begun, totals = monotonic(), Totals()
    failed: list[Result] = []
    for result in results(first, count, processes):
        totals.add(result)
        if result.failed:
            failed.append(result)
            print(f"seed {result.seed} ({result.theme}): {'; '.join(result.findings)}", flush=True)
    if failed:
        show(min(result.seed for result in failed))
    if faults:
        print(table(totals.faults))
        print("never injected:", ", ".join(name for name in FAULTS if not totals.faults[name]) or "none")
    took, used = monotonic() - begun, sum(os.times()[:4])
    print(f"{took:.0f} s, {used:.0f} s of CPU: {count / used:.1f} seeds a second of CPU", file=sys.stderr)
    print(totals)
    return not failed


def _themes(name: str) -> Collection[str]:
    """The themes whose seeds are most likely to show a mutant."""
    if name in OLD_RULES:
        return OLD_RULES[name]
    if name in ORDERS_MUTANTS:
        return ORDERS_MUTANTS[name][1]
    return SCENES if name in GRANT_MUTANTS else DIRECTED


def hunt(name: str, first: int, count: int) -> bool:
    """Play seeds with one rule broken until one shows it; a line of the table. Directed seeds are fast and come first.

    The limit is in seconds of CPU, so that a busy machine does not let a mutant get away.
    """
    begun = process_time()
    seeds = list(range(first, first + count))
    directed = [seed for seed in seeds[:DIRECTED_FIRST] if Planner(seed).plan().theme in _themes(name)]
    tried = 0
    for seed in dict.fromkeys([*directed, *seeds]):
        result, tried = play_seed(seed, name), tried + 1
        took = process_time() - begun
        if result.failed:
            print(f"{name:22} {seed:5} {tried:4} {took:4.0f} s  {result.theme}: {result.findings[0][:90]}", flush=True)
            return True
        if took > LONGEST_HUNT:
            break
        if tried % 20 == 0:
            gc.collect()
    print(f"{name:22} SURVIVED {tried} seeds", flush=True)
    return False


def main() -> int:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=400, metavar="N")
    parser.add_argument("--first", type=int, default=0, metavar="S")
    parser.add_argument("--processes", type=int, default=1, metavar="P")
    parser.add_argument("--faults", action="store_true", help="how often each fault was injected")
    parser.add_argument("--mutant", choices=["all", *MUTANTS])
    parser.add_argument("--show", action="store_true", help="with --mutant: the shrunk history too")
    given = parser.parse_args()
    if given.mutant is None:
        return 0 if simulate(given.first, given.seeds, given.processes, faults=given.faults) else 1
    if given.show:
        show(given.first, given.mutant)
        return 1
    names = list(MUTANTS) if given.mutant == "all" else [given.mutant]
    print(f"{'mutant':22} {'seed':>5} {'tried':>5} CPU   what it did")
    caught = [hunt(name, given.first, given.seeds) for name in names]
    print(f"mutants={len(names)} caught={sum(caught)}")
    return 0 if all(caught) else 1


if __name__ == "__main__":
    sys.exit(main())
