"""`python -m tests.simulation --seeds N --first S`: runs seeds; exits 1 if a guarantee was violated.

A failing seed is shrunk and printed with its history and the command that reproduces it. `--mutant NAME` breaks one
rule and stops at the seed that detects it; `--mutant all` does so for every mutant and prints a table.
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
from tests.simulation.mutants import MUTANTS, SCENE_MUTANTS
from tests.simulation.planner import Planner
from tests.simulation.proof_scenes import OLD_RULES
from tests.simulation.result import Result
from tests.simulation.runner import Totals, play, play_seed, results
from tests.simulation.shrink import shrunk

MAX_HUNT_SECONDS = 120.0  # CPU time in which a mutant must be caught
DIRECTED_FIRST = 2000  # seeds searched for directed ones


def show(seed: int, mutant: str | None = None) -> None:
    """Shrink a failing seed and print it."""
    plan = Planner(seed).plan()
    plan, result = shrunk(plan, play(plan, mutant), lambda smaller: play(smaller, mutant))
    print(f"\nseed {seed} ({plan.theme}) fails; without {sorted(plan.off) or 'nothing'} still so:")
    print("\n".join(f"  {event.at:12.2f} {event.kind} {event.args}" for event in plan.events))
    print("what happened:", *result.history, *result.findings, sep="\n  ")
    print(f"again: python -m tests.simulation --first {seed} --seeds 1{f' --mutant {mutant}' if mutant else ''}\n")


def simulate(first: int, count: int, processes: int, *, faults: bool) -> bool:
    """Run seeds and return whether all guarantees held."""
    started, totals = monotonic(), Totals()
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
        print("assumptions broken:", *(f"{name}={count}" for name, count in sorted(totals.breaches.items())))
        print("never injected:", ", ".join(name for name in FAULTS if not totals.faults[name]) or "none")
    took, used = monotonic() - started, sum(os.times()[:4])
    print(f"{took:.0f} s, {used:.0f} s of CPU: {count / used:.1f} seeds a second of CPU", file=sys.stderr)
    print(totals)
    return not failed


def _themes(name: str) -> Collection[str]:
    """The themes whose seeds are most likely to detect a mutant."""
    if name in OLD_RULES:
        return OLD_RULES[name]
    if name in SCENE_MUTANTS:
        return SCENE_MUTANTS[name][1]
    return SCENES if name in GRANT_MUTANTS else DIRECTED


def hunt(name: str, first: int, count: int) -> bool:
    """Run seeds with one rule broken until one detects it, and print a line of the table.

    Directed seeds run first because they are fast. The limit is CPU time, so that a busy machine does not let a mutant
    survive.
    """
    started = process_time()
    seeds = list(range(first, first + count))
    directed = [seed for seed in seeds[:DIRECTED_FIRST] if Planner(seed).plan().theme in _themes(name)]
    tried = 0
    for seed in dict.fromkeys([*directed, *seeds]):
        result, tried = play_seed(seed, name), tried + 1
        took = process_time() - started
        if result.failed:
            print(f"{name:22} {seed:5} {tried:4} {took:4.0f} s  {result.theme}: {result.findings[0][:90]}", flush=True)
            return True
        if took > MAX_HUNT_SECONDS:
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
    options = parser.parse_args()
    if options.mutant is None:
        return 0 if simulate(options.first, options.seeds, options.processes, faults=options.faults) else 1
    if options.show:
        show(options.first, options.mutant)
        return 1
    names = list(MUTANTS) if options.mutant == "all" else [options.mutant]
    print(f"{'mutant':22} {'seed':>5} {'tried':>5} CPU   what it did")
    caught = [hunt(name, options.first, options.seeds) for name in names]
    print(f"mutants={len(names)} caught={sum(caught)}")
    return 0 if all(caught) else 1


if __name__ == "__main__":
    sys.exit(main())
