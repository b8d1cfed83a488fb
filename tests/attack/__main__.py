"""`python -m tests.attack [NAME ...] [--nodes 2] [--processes 3] [--twice]`: exits 1 if an attack succeeds.

Prints one line an attack, with its numbers; where attacks are named, their tables too.
"""

import argparse
import sys
import time
import traceback

from tests.attack.runner import Attack, attacks, play, play_apart
from tests.attack.world import World


def main(arguments: list[str]) -> int:
    """Play the named attacks, or all; 0 if the service held."""
    parser = argparse.ArgumentParser(prog="python -m tests.attack", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="attacks to play; all of them otherwise")
    parser.add_argument("--nodes", type=int, default=1, help="nodes in RPC_URLS")
    parser.add_argument("--processes", type=int, default=1, help="processes of serve")
    parser.add_argument("--twice", action="store_true", help="play all of them twice in a row")
    parser.add_argument("--list", action="store_true", help="print the names")
    parser.add_argument("--here", metavar="NAME", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    world = World(options.nodes, options.processes)
    known = dict(attacks())
    if options.here:
        return play_here(known[options.here], world)
    if unknown := set(options.names) - set(known):
        parser.error(f"no such attack: {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    if options.list:
        print("\n".join(known))
        return 0
    names = options.names or list(known)
    results = [report(name, world, whole=bool(options.names)) for _ in range(1 + options.twice) for name in names]
    print(f"{results.count(True)} held, {results.count(False)} did not", flush=True)
    return 0 if all(results) else 1


def play_here(attack: Attack, world: World) -> int:
    """Play one attack in this process; print its numbers or its failure."""
    try:
        print(play(attack, world))
    except AssertionError:
        print(traceback.format_exc())
        return 1
    return 0


def report(name: str, world: World, *, whole: bool) -> bool:
    """Play one attack and print its line; a table below the line only if it is asked for, a failure always."""
    began = time.monotonic()
    held, printed = play_apart(name, world)
    if held and not whole:
        printed = printed.partition("\n")[0]
    print(f"{'held  ' if held else 'FAILED'} {name} ({time.monotonic() - began:.0f} s): {printed}", flush=True)
    return held


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
