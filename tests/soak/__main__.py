"""`python -m tests.soak [--hours 8] [--start N] [--log FILE]`: exits 1 at the first failure, with its replay command.

Writes a line at the start, after each hour and at the end, to standard output and to a file.
"""

import argparse
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic

from stateless_billing.sandbox.processes import ROOT
from tests.soak.bouts import Bout, Rota, other_bouts
from tests.soak.runner import Verdict, names_of, peak_mebibytes, play

HOUR = 3600
MAX_HOURS = 168.0
SEEDS_A_DAY = 1_000_000  # more than two cores play in a day
INTERRUPTED = 130
_MAX_LOG_BYTES = 1024 * 1024


def start_of(moment: datetime) -> int:
    """Return the first seed of a day, so that every night plays seeds that none did before."""
    return moment.date().toordinal() * SEEDS_A_DAY


class Journal:
    """Writes lines to standard output and to the end of a file, which is begun anew when it is large."""

    def __init__(self, path: Path, now: Callable[[], datetime]) -> None:
        self._path = path
        self._now = now

    def write(self, line: str) -> None:
        """Write a line with its time."""
        line = f"{self._now():%Y-%m-%dT%H:%M:%SZ} {line}"
        print(line, flush=True)
        is_large = self._path.exists() and self._path.stat().st_size > _MAX_LOG_BYTES
        with self._path.open("w" if is_large else "a") as file:
            file.write(line + "\n")


class Soak:
    """Plays bouts until its time is over or one fails."""

    def __init__(
        self,
        rota: Rota,
        journal: Journal,
        play: Callable[[Bout], Verdict] = play,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._rota = rota
        self._journal = journal
        self._play = play
        self._clock = clock
        self._began = clock()
        self._played: Counter[str] = Counter()

    def run(self, hours: float) -> bool:
        """Whether every bout held. None begins after `hours`."""
        deadline, reported = self._began + hours * HOUR, 0
        while (now := self._clock()) < deadline:
            bout = self._rota.next_bout(deadline - now)
            verdict = self._play(bout)
            if verdict.fault:
                self.report("FAILED")
                self._journal.write(f"{bout.kind}: {verdict.fault}; again: {bout.replay}\n{verdict.tail}")
                return False
            self._played[bout.kind] += bout.seeds or 1
            passed = int(self._clock() - self._began) // HOUR
            if passed > reported:
                reported = passed
                self.report("goes on")
        self.report("held")
        return True

    def report(self, state: str) -> None:
        """Write a line of numbers."""
        hours = (self._clock() - self._began) / HOUR
        counts = " ".join(f"{kind}={self._played[kind]}" for kind in ("seeds", "chaos", "attacks", "outages"))
        rest = f"next_seed={self._rota.next_seed} peak={peak_mebibytes()} MiB load={os.getloadavg()[0]:.1f}"
        self._journal.write(f"soak {state} after {hours:.2f} h: {counts} {rest}")


def _hours(text: str) -> float:
    hours = float(text)
    if not 0 < hours <= MAX_HOURS:
        raise ValueError
    return hours


def main(arguments: list[str]) -> int:
    """Play for some hours; 0 if everything held."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--hours", type=_hours, default=8.0, help=f"up to {MAX_HOURS:.0f}; 0.05 for a trial")
    parser.add_argument("--start", type=int, help="the first seed; by default from the date")
    parser.add_argument("--processes", type=int, default=2, help="of the simulation")
    parser.add_argument("--log", type=Path, default=ROOT / "soak.log")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that a service manager's stop ends all processes
    start = start_of(datetime.now(UTC)) if options.start is None else options.start
    journal = Journal(options.log, lambda: datetime.now(UTC))
    journal.write(f"soak of {options.hours} h from seed {start}; again: --start {start} --hours {options.hours}")
    rota = Rota(start, other_bouts(start, names_of("tests.attack"), names_of("tests.outages")), options.processes)
    soak = Soak(rota, journal)
    try:
        return 0 if soak.run(options.hours) else 1
    except KeyboardInterrupt:
        soak.report("interrupted")
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
