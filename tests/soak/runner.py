"""Plays one bout in processes of its own, with bounded time and output."""

import resource
import subprocess
import threading
from collections import deque
from dataclasses import dataclass
from time import monotonic
from typing import IO

from stateless_billing.sandbox import processes
from stateless_billing.sandbox.processes import ROOT
from tests.soak.bouts import Bout

MAX_LINES, MAX_LINE = 400, 500
"""So many of the last lines of a bout are remembered, each so long at most."""
MAX_MEBIBYTES = 4096
_READ_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a bout ended: `fault` is empty if the service held. `tail` are its last lines."""

    fault: str
    seconds: float
    tail: str


class Tail:
    """The last lines of an output."""

    def __init__(self) -> None:
        self._lines: deque[str] = deque(maxlen=MAX_LINES)
        self._rest = ""

    def add(self, text: str) -> None:
        """Take the next part of the output."""
        *lines, rest = (self._rest + text).split("\n")
        self._lines.extend(line[:MAX_LINE] for line in lines)
        self._rest = rest[:MAX_LINE]

    def __str__(self) -> str:
        return "\n".join([*self._lines, *filter(None, [self._rest])])


def play(bout: Bout) -> Verdict:
    """Run a bout to its end, or end it."""
    began, tail = monotonic(), Tail()
    with processes.ended_afterwards():
        run = processes.start(bout.command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert run.stdout
        reader = threading.Thread(target=_read, args=(run.stdout, tail), daemon=True)
        reader.start()
        try:
            code = run.wait(bout.limit_seconds)
            fault = f"exit code {code}" if code else ""
        except subprocess.TimeoutExpired:
            fault = f"not over after {bout.limit_seconds} s"
        if fault.startswith("not over"):
            processes.end(run, seconds=5)
        reader.join(5)  # something that the bout started may hold its output open
    if not fault and peak_mebibytes() > MAX_MEBIBYTES:
        fault = f"a process took {peak_mebibytes()} MiB of memory, more than {MAX_MEBIBYTES}"
    return Verdict(fault, monotonic() - began, str(tail))


def _read(stream: IO[bytes], tail: Tail) -> None:
    try:
        while part := stream.read1(_READ_BYTES):  # type: ignore[attr-defined]
            tail.add(part.decode(errors="replace"))
    except ValueError:
        return  # closed from the other side


def peak_mebibytes() -> int:
    """Return the most memory that any process so far has used."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024


def names_of(module: str) -> list[str]:
    """Return the names that a module lists."""
    listed = processes.run(Bout("", module, ("--list",), 0, 0).command, cwd=ROOT, timeout=120, check=True)
    return listed.stdout.split()
