"""Plays every scenario and prints a line for each; ends with 1 if one did not hold."""

import argparse
import os
import shutil
import sys
import time
import traceback
from collections.abc import Callable, Iterable
from types import ModuleType

from tests.outsider import children
from tests.outsider.chain import ROOT
from tests.outsider.scenarios import audits, customers, failing_stripe, integrators, payments, processes, surface
from tests.outsider.world import World, require

Scenario = Callable[[World], str]
HELD, BROKEN = "held        ", "DID NOT HOLD"
# Each has a chain, a Stripe and processes of its own, and all are played at once: mostly they wait for blocks.
WORLDS: dict[str, tuple[ModuleType, ...]] = {
    "payments": (payments, integrators, surface),
    "stripe": (failing_stripe,),
    "customers": (customers, processes),
    "audits": (audits,),
}


def scenarios_of(name: str) -> dict[str, Scenario]:
    """Return a world's scenarios, in their order."""
    found = [pair for module in WORLDS[name] for pair in vars(module).items() if pair[0].startswith("scenario_")]
    return {function.removeprefix("scenario_"): scenario for function, scenario in found}


def scenario_described(world: World) -> str:
    """Every answer that was seen conforms to the description that the service serves."""
    violations = sorted({*world.violations, *(each for service in world.services for each in service.violations)})
    require(not violations, "; ".join(violations[:10]))
    return f"{sum(service.checked for service in world.services)} answers as /openapi.json says"


def play(name: str, scenario: Scenario, world: World) -> bool:
    """Play a scenario, and print its line."""
    began = time.monotonic()
    try:
        line, holds = scenario(world), True
    except Exception as error:  # the scenario did not hold, whatever it met; the others are played
        traceback.print_exc(limit=-3)
        line, holds = f"{type(error).__name__}: {error}", False
    label = HELD if holds else BROKEN
    sys.stdout.write(f"{label} {name.replace('_', ' ')}: {line} ({time.monotonic() - began:.1f} s)\n")
    sys.stdout.flush()
    return holds


def play_world(name: str, only: Iterable[str]) -> bool:
    """Play the scenarios of one world, all or those that are named."""
    world = World()
    results = [play(each, scenario, world) for each, scenario in scenarios_of(name).items() if not only or each in only]
    results.append(play(f"described in {name}", scenario_described, world))
    world.end()
    return all(results)


def play_all(only: set[str]) -> bool:
    """Play each world in a process of its own, and print what they print."""
    running: dict[str, tuple[children.Child, int]] = {}
    for name in WORLDS:
        if chosen := [each for each in scenarios_of(name) if not only or each in only]:
            command = [sys.executable, "-m", "tests.outsider", "--world", name, *(chosen if only else [])]
            log = children.directory_of_logs() / f"{name}.txt"
            running[name] = (children.Child(command, log, os.environ, ROOT), 0)
    counts = {HELD: 0, BROKEN: 0}
    while running:
        time.sleep(0.2)
        for name, (child, printed) in tuple(running.items()):
            ended = child.ended
            whole = child.log.read_text().rpartition("\n")[0].splitlines()
            for line in whole[printed:]:
                sys.stdout.write(f"{line}\n")
                counts |= {label: counts[label] + 1 for label in counts if line.startswith(label)}
            running[name] = (child, len(whole))
            if ended:
                broken = sum(line.startswith(BROKEN) for line in whole)
                counts[BROKEN] += child.stop() != 0 and not broken  # it ended before its first scenario
                del running[name]
        sys.stdout.flush()
    sys.stdout.write(f"outsider: {counts[HELD]} held, {counts[BROKEN]} did not\n")
    return not counts[BROKEN]


def main() -> int:
    """Play what the command line names, or everything."""
    parser = argparse.ArgumentParser(prog="tests.outsider", description=__doc__)
    parser.add_argument("only", nargs="*", metavar="SCENARIO", help="play these alone, such as quoted_payment")
    parser.add_argument("--world", choices=WORLDS, help="play the scenarios of one world, in this process")
    options = parser.parse_args()
    only, known = set(options.only), {each for name in WORLDS for each in scenarios_of(name)}
    if only - known:
        parser.error(f"no such scenario: {', '.join(sorted(only - known))}; there are: {', '.join(sorted(known))}")
    children.end_with_us()
    held = play_world(options.world, only) if options.world else play_all(only)
    if held:
        shutil.rmtree(children.directory_of_logs())
    else:
        sys.stderr.write(f"logs: {children.directory_of_logs()}\n")
    return 0 if held else 1


if __name__ == "__main__":
    raise SystemExit(main())
