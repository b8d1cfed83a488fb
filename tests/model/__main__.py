"""`python -m tests.model`: explores every scene completely, then removes each rule; exits 1 if a promise fails.

`--quick` explores one payment only. `--stories` prints docs/counterexamples.md.
"""

import argparse
import gc
import multiprocessing
import sys
import time

from tests.model.explorer import Result, explore
from tests.model.scene import Scene
from tests.model.scenes import SMALL, everything
from tests.model.stories import counterexamples, page


def _timed(scene: Scene) -> tuple[Result, float]:
    gc.disable()  # states form no cycles
    started = time.process_time()
    result = explore(scene)
    gc.enable()
    return result, time.process_time() - started


def explore_all(scenes: list[Scene], processes: int) -> list[Result]:
    """Explore scenes, the largest first, and print a line each."""
    results = []
    print(f"{'states':>9} {'steps':>9}  CPU  scene")
    with multiprocessing.get_context("fork").Pool(processes, maxtasksperchild=1) as pool:
        for result, seconds in pool.imap(_timed, scenes, chunksize=1):
            print(f"{result.states:9} {result.steps:9} {seconds:3.0f} s {result.scene.name}", flush=True)
            print(*result.story, sep="\n      ", end="\n" if result.story else "")
            results.append(result)
    return results


def main() -> int:
    """Explore, then remove each rule."""
    parser = argparse.ArgumentParser(prog="python -m tests.model", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one payment, two processes, one fault at a time")
    parser.add_argument("--stories", action="store_true", help="print docs/counterexamples.md and nothing else")
    parser.add_argument("--processes", type=int, default=2, metavar="P")
    options = parser.parse_args()
    if options.stories:
        print(page(), end="")
        return 0
    started = time.monotonic()
    results = explore_all(list(SMALL) if options.quick else everything(), options.processes)
    broken = counterexamples()
    print("\nsteps to harm, without the rule")
    for rule, result in broken.items():
        print(f"{len(result.story) - 1 if result.story else 'NONE':>6} {rule.value}")
    wrong = [result for result in results if not result.holds]
    harmless = [rule for rule, result in broken.items() if result.holds]
    print(
        f"scenes={len(results)} states={sum(result.states for result in results)} "
        f"steps={sum(result.steps for result in results)} violations={len(wrong)} "
        f"rules={len(broken)} counterexamples={len(broken) - len(harmless)} seconds={time.monotonic() - started:.0f}"
    )
    return 1 if wrong or harmless else 0


if __name__ == "__main__":
    sys.exit(main())
