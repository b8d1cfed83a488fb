"""Ends the processes of a parent that has died; `processes` starts one watchdog per parent.

Run as a script with the mark of the parent's processes as its argument. Standard input is a pipe whose other end only
the parent holds: end of file means that the parent has died. Every process with the mark in its environment is then
terminated, and killed if it outlives the grace period.
"""

import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

GRACE_SECONDS = 1.0
POLL_SECONDS = 0.02
ROUNDS = 100


def marked(mark: str) -> list[int]:
    """Return the other processes with the mark in their environment."""
    entry_mark = mark.encode()
    pids = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and int(entry.name) != os.getpid():
            with suppress(OSError):  # it ended meanwhile, or belongs to another user
                if entry_mark in (entry / "environ").read_bytes().split(b"\0"):
                    pids.append(int(entry.name))
    return pids


def end(mark: str) -> None:
    """End every marked process; repeat, because a process may start another while it ends."""
    _signal(marked(mark), signal.SIGTERM)
    deadline = time.monotonic() + GRACE_SECONDS
    while marked(mark) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    for _ in range(ROUNDS):
        if not (remaining := marked(mark)):
            return
        _signal(remaining, signal.SIGKILL)
        time.sleep(POLL_SECONDS)


def _signal(processes: list[int], number: signal.Signals) -> None:
    for process in processes:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(process, number)


def main() -> None:
    """Wait for the parent's death, then end its processes."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    while os.read(0, 1024):
        pass
    end(sys.argv[1])


if __name__ == "__main__":
    main()
