"""The processes below a process, and which of them still run."""

import os
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Descendant:
    """A process. Its ID may be used again, but not with the same start time."""

    pid: int
    started: int
    command: str

    def runs(self) -> bool:
        """Whether it has not ended. A zombie has."""
        try:
            state, *_, started = _stat(self.pid)
        except OSError:
            return False
        return (state != "Z") and int(started) == self.started


def _stat(pid: int) -> tuple[str, str, str]:
    """State, parent and start time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return fields[0], fields[1], fields[19]


def descendants(of: int) -> list[Descendant]:
    """Every process that `of` started, directly or not."""
    children: dict[int, list[Descendant]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                _, parent, started = _stat(int(entry.name))
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue  # it ended meanwhile
            children.setdefault(int(parent), []).append(Descendant(int(entry.name), int(started), command))
    found, parents = [], [of]
    while parents:
        below = children.get(parents.pop(), [])
        found += below
        parents += [one.pid for one in below]
    return found


def survivors(processes: list[Descendant], seconds: float) -> list[Descendant]:
    """Those that still run after at most `seconds`."""
    deadline = time.monotonic() + seconds
    while (left := [one for one in processes if one.runs()]) and time.monotonic() < deadline:
        time.sleep(0.02)
    return left


def own() -> list[Descendant]:
    """The descendants of this process."""
    return descendants(os.getpid())
