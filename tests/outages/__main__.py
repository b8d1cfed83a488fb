"""`python -m tests.outages [NAME ...] [--short]`: exits 1 if an outage breaks its bound.

Prints a table: what payers saw meanwhile, what `/readyz` said, and the seconds to recovery with their bound.
"""

import argparse
import logging
import sys

from tests.outages.runner import outages, play
from tests.outages.world import Recovery, World

HOUR = 3600
ROW = "{:6} {:30} {:>9} {:>7}  {:44} {}"


def main(arguments: list[str]) -> int:
    """Play the named outages, or all; 0 if every bound held."""
    parser = argparse.ArgumentParser(prog="python -m tests.outages", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="outages to play; all of them otherwise")
    parser.add_argument("--short", action="store_true", help="as short as in `make test`")
    parser.add_argument("--list", action="store_true", help="print the names")
    options = parser.parse_args(arguments)
    known = dict(outages())
    if unknown := set(options.names) - set(known):
        parser.error(f"no such outage: {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    if options.list:
        print("\n".join(known))
        return 0
    logging.getLogger("stateless_billing").addHandler(logging.NullHandler())  # of what runs in this process
    print(ROW.format("", "outage", "recovery", "bound", "what payers saw", "/readyz"), flush=True)
    names = options.names or list(known)
    held = [report(name, play(known[name], World(options.short))) for name in names]
    print(f"{held.count(True)} held, {held.count(False)} did not", flush=True)
    return 0 if all(held) else 1


def report(name: str, recovery: Recovery | str) -> bool:
    """Print the row of an outage; whether it held."""
    if isinstance(recovery, str):
        print(f"FAILED {name}: {recovery}", flush=True)
        return False
    seconds, limit = _duration(recovery.seconds), _duration(recovery.limit_seconds)
    verdict = "held" if recovery.holds else "FAILED"
    print(ROW.format(verdict, name, seconds, limit, recovery.payers, recovery.readiness), flush=True)
    for line in (recovery.note, *(f"never said: {words}" for words in recovery.unsaid)):
        if line:
            print(f"{'':7}{line}", flush=True)
    return recovery.holds


def _duration(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < HOUR else f"{seconds / HOUR:.1f} h"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
