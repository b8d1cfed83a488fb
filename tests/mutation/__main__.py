"""`python -m tests.mutation [module …]`: the score, and who survives; exit 1 below 95 % or on a new survivor."""

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
LEAST = 95.0  # per cent
SECONDS = 3600


def main() -> int:
    """Both kinds of mutants, in a copy of the tree."""
    started, modules = time.monotonic(), sys.argv[1:] or list(MODULES)
    with tempfile.TemporaryDirectory(prefix="pure-core-") as place:
        tree = Path(place)
        copy_tree(tree / "functions")
        copy_tree(tree / "outside")
        found = functions.run(tree / "functions", tree / "log", SECONDS, modules)
        with ProcessPoolExecutor(2) as pool:
            for one in pool.map(forks.run, [tree / "outside"] * len(modules), [[module] for module in modules]):
                found += one
    return report(found, modules, time.monotonic() - started)


def report(found: list[Mutant], modules: list[str], seconds: float) -> int:
    """Print the score by module and everybody who survived; 1 where that is more than is listed with a reason."""
    known = [one for one in tomllib.loads(LISTED.read_text())["equivalent"] if one["module"] in modules]
    listed = {(one["module"], one["was"], one["becomes"]) for one in known}
    survivors = [one for one in found if not one.killed]
    new = [one for one in survivors if (one.module, one.was, one.becomes) not in listed]
    every, alive = Counter(one.module for one in found), Counter(one.module for one in survivors)
    for module in modules:
        print(f"{module:36} {every[module] - alive[module]:4} of {every[module]:4} killed")
    gone = listed - {(one.module, one.was, one.becomes) for one in survivors}
    for one in gone:
        print(f"\nlisted, but killed: {one[0]}\n  - {one[1]}\n  + {one[2]}")
    for mutant in new:
        print(f"\nsurvived: {mutant.module}\n  - {mutant.was}\n  + {mutant.becomes}")
    score = 100 * (len(found) - len(survivors)) / len(found)
    print(
        f"\nmutants={len(found)} killed={len(found) - len(survivors)} survivors={len(survivors)} "
        f"explained={len(survivors) - len(new)} new={len(new)} score={score:.1f}% seconds={seconds:.0f}"
    )
    return 1 if new or score < LEAST else 0


if __name__ == "__main__":
    sys.exit(main())
