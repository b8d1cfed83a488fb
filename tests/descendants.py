"""Finds the descendants of a process and those still running."""

import os
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Descendant:
    """A process, identified by ID and start time, since IDs are reused."""

    pid: int
    started: int
    command: str

    def runs(self) -> bool:
        """Whether it still runs; a zombie does not."""
        try:
            state, *_, started = _stat(self.pid)
        except OSError:
            return False
        return (state != "Z") and int(started) == self.started


def _stat(pid: int) -> tuple[str, str, str]:
    """Return state, parent and start time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return fields[0], fields[1], fields[19]


def descendants(pid: int) -> list[Descendant]:
    """Return every descendant of a process."""
    children: dict[int, list[Descendant]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                _, parent, started = _stat(int(entry.name))
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue  # it ended meanwhile
            children.setdefault(int(parent), []).append(Descendant(int(entry.name), int(started), command))
    processes, parents = [], [pid]
    while parents:
        below = children.get(parents.pop(), [])
        processes += below
        parents += [process.pid for process in below]
    return processes


def survivors(processes: list[Descendant], seconds: float) -> list[Descendant]:
    """Return those still running after at most `seconds`."""
    deadline = time.monotonic() + seconds
    while (running := [process for process in processes if process.runs()]) and time.monotonic() < deadline:
        time.sleep(0.02)
    return running


def own() -> list[Descendant]:
    """Return the descendants of this process."""
    return descendants(os.getpid())
