"""Starts child processes that never outlive the kit: each has a process group, which is ended with it."""

import atexit
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType

# Linux ends the command when its parent dies, also of SIGKILL; a parent that died before is noticed by its ID.
_LAUNCHER = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)
if os.getppid() != int(sys.argv[1]): sys.exit("the kit has ended")
os.execvpe(sys.argv[2], sys.argv[2:], os.environ)
"""
_GRACE_SECONDS = 45  # a process of the service takes 40 at most
_running: list["Child"] = []


class Child:
    """A command in a process group of its own; its output goes to a file."""

    def __init__(self, command: Sequence[str], log: Path, environment: Mapping[str, str], directory: Path) -> None:
        self.log = log
        launched = [sys.executable, "-I", "-S", "-c", _LAUNCHER, str(os.getpid()), *command]
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                launched, stdout=output, stderr=output, stdin=subprocess.DEVNULL, env=dict(environment), cwd=directory,
                start_new_session=True,
            )  # fmt: skip
        _running.append(self)

    @property
    def pid(self) -> int:
        """Its ID, which is its group's as well."""
        return self._process.pid

    @property
    def ended(self) -> bool:
        """Whether it has ended."""
        return self._process.poll() is not None

    def kill(self) -> None:
        """End it and its group at once."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        if self in _running:
            _running.remove(self)

    def stop(self) -> int:
        """Ask it to end, and return its exit code; a group that stays is killed."""
        if not self.ended:
            self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_GRACE_SECONDS)
        self.kill()
        return self._process.returncode


def run(command: Sequence[str], environment: Mapping[str, str], directory: Path, seconds: int = 120) -> tuple[int, str]:
    """Run a command to its end, and return its exit code and output."""
    log = directory_of_logs() / f"{time.monotonic_ns()}.log"
    child = Child(command, log, environment, directory)
    end = time.monotonic() + seconds
    while not child.ended and time.monotonic() < end:
        time.sleep(0.05)
    late = not child.ended
    code = -1 if late else child.stop()
    child.kill()
    return code, log.read_text()


def directory_of_logs() -> Path:
    """Return the directory that the kit's logs go to; it is the system's own for temporary files."""
    path = Path(os.environ.get("TMPDIR", "/tmp")) / f"outsider-{os.getpid()}"  # noqa: S108
    path.mkdir(mode=0o700, exist_ok=True)
    return path


def end_all() -> None:
    """End every child that still runs."""
    for child in tuple(_running):
        child.kill()


def end_with_us() -> None:
    """End all children when this process ends, also by SIGTERM, SIGINT or SIGHUP."""
    atexit.register(end_all)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, _exit)


def _exit(number: int, _: FrameType | None) -> None:
    sys.exit(128 + number)
