"""Prints the mutation score and survivors: `python -m tests.mutation [module …]`.

Exits with 1 below 95 % or on a new survivor.
"""

import sys
import tempfile
import time
import tomllib
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from tests.mutation import forks, functions
from tests.mutation.core import MODULES, Mutant, copy_tree

LISTED = Path(__file__).with_name("survivors.toml")
MINIMUM_SCORE_PERCENT = 95.0  # per cent
SECONDS = 3600


def main() -> int:
    """Run both kinds of mutants in a copy of the tree."""
    started, modules = time.monotonic(), sys.argv[1:] or list(MODULES)
    with tempfile.TemporaryDirectory(prefix="pure-core-") as place:
        tree = Path(place)
        copy_tree(tree / "functions")
        copy_tree(tree / "outside")
        mutants = functions.run(tree / "functions", tree / "log", SECONDS, modules)
        with ProcessPoolExecutor(2) as pool:
            for batch in pool.map(forks.run, [tree / "outside"] * len(modules), [[module] for module in modules]):
                mutants += batch
    return report(mutants, modules, time.monotonic() - started)


def report(mutants: list[Mutant], modules: list[str], seconds: float) -> int:
    """Print the score by module and the survivors; return 1 if any survivor is not listed with a reason."""
    entries = [entry for entry in tomllib.loads(LISTED.read_text())["equivalent"] if entry["module"] in modules]
    listed = {(entry["module"], entry["was"], entry["becomes"]) for entry in entries}
    survivors = [mutant for mutant in mutants if not mutant.killed]
    new = [mutant for mutant in survivors if (mutant.module, mutant.was, mutant.becomes) not in listed]
    every, alive = Counter(mutant.module for mutant in mutants), Counter(mutant.module for mutant in survivors)
    for module in modules:
        print(f"{module:36} {every[module] - alive[module]:4} of {every[module]:4} killed")
    gone = listed - {(mutant.module, mutant.was, mutant.becomes) for mutant in survivors}
    for entry in gone:
        print(f"\nlisted, but killed: {entry[0]}\n  - {entry[1]}\n  + {entry[2]}")
    for mutant in new:
        print(f"\nsurvived: {mutant.module}\n  - {mutant.was}\n  + {mutant.becomes}")
    score = 100 * (len(mutants) - len(survivors)) / len(mutants)
    print(
        f"\nmutants={len(mutants)} killed={len(mutants) - len(survivors)} survivors={len(survivors)} "
        f"explained={len(survivors) - len(new)} new={len(new)} score={score:.1f}% seconds={seconds:.0f}"
    )
    return 1 if new or score < MINIMUM_SCORE_PERCENT else 0


if __name__ == "__main__":
    sys.exit(main())
