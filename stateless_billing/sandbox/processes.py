"""Starts processes that end with their parent, even if it is killed.

Tests, benchmarks and the demo start everything through `start` and `run`. Each process inherits a mark in its
environment, by which `watchdog` finds it and its descendants after the parent has died. `start` also creates a session,
so that Ctrl-C reaches only the program that knows in which order to stop the others.
"""

import atexit
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).resolve().parents[2]
STOP_SECONDS = 30.0
MARK = "STARTED_BY"
Command = Sequence[str | os.PathLike[str]]
POLL_SECONDS = 0.01
_starting = threading.Lock()
_watched: list[int] = []  # the process that the watchdog watches; a forked child needs its own
_running: list[subprocess.Popen[Any]] = []
popen: type[subprocess.Popen[Any]] = subprocess.Popen  # tests replace it by one that imports once for many processes


def watch() -> None:
    """Start this process's watchdog and set the mark in the environment; later calls do nothing."""
    with _starting:
        if os.getpid() not in _watched:
            os.environ[MARK] = secrets.token_hex(16)
            _start_watchdog(f"{MARK}={os.environ[MARK]}")
            _watched[:], _running[:] = [os.getpid()], []


def _start_watchdog(mark: str) -> None:
    theirs, ours = os.pipe()  # not inherited by children, so only this process keeps it open
    script = str(Path(__file__).with_name("watchdog.py"))
    nothing = os.open(os.devnull, os.O_RDWR)
    watchdog = os.posix_spawn(
        sys.executable,
        [sys.executable, "-I", "-S", script, mark],
        {},
        file_actions=[(os.POSIX_SPAWN_DUP2, source, fd) for fd, source in enumerate((theirs, nothing, nothing))],
        setsid=True,
    )
    os.close(theirs)
    os.close(nothing)
    atexit.register(_release, os.getpid(), ours, watchdog)


def _release(owner: int, pipe: int, watchdog: int) -> None:
    """At exit, wait until the watchdog has ended the remaining processes."""
    if os.getpid() == owner:
        os.close(pipe)
        with suppress(ChildProcessError):
            os.waitpid(watchdog, 0)


def marked(env: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment (or `env`) with the mark, for processes that a library starts."""
    watch()
    return {**(os.environ if env is None else env), MARK: os.environ[MARK]}


def start(
    command: Command,
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdout: int | IO[Any] | None = None,
    stderr: int | IO[Any] | None = None,
    text: bool = False,
) -> subprocess.Popen[Any]:
    """Start a process in its own session."""
    environment = marked(env)
    process = popen(command, cwd=cwd, env=environment, stdout=stdout, stderr=stderr, text=text, start_new_session=True)
    _running.append(process)
    return process


def run(
    command: Command,
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdout: int | IO[Any] | None = subprocess.PIPE,
    stderr: int | IO[Any] | None = subprocess.PIPE,
    timeout: float | None = None,
    check: bool = False,
) -> subprocess.CompletedProcess[str]:
    """Run a command to completion and return its output. Ctrl-C reaches it too."""
    with popen(command, cwd=cwd, env=marked(env), stdout=stdout, stderr=stderr, text=True) as process:
        try:
            printed, errors = process.communicate(timeout=timeout)
        except BaseException:
            process.kill()
            raise
    done = subprocess.CompletedProcess(command, process.returncode, printed, errors)
    if check:
        done.check_returncode()
    return done


def end(process: subprocess.Popen[Any], seconds: float = STOP_SECONDS) -> None:
    """Terminate a process and its session, kill them after `seconds`, and close its pipes."""
    if process.returncode is None:
        _signal(process, signal.SIGTERM, signal.SIGCONT)
        _wait_without_reaping(process, seconds)
        _signal(process, signal.SIGKILL)  # also its children; the ID is not reused until it is reaped
        process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            stream.close()
    if process in _running:
        _running.remove(process)


def _wait_without_reaping(process: subprocess.Popen[Any], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    with suppress(ChildProcessError):  # another thread reaped it
        while not os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG):
            if time.monotonic() > deadline:
                return
            time.sleep(POLL_SECONDS)


def _signal(process: subprocess.Popen[Any], *numbers: signal.Signals) -> None:
    for number in numbers:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)


@contextmanager
def ended_afterwards() -> Iterator[None]:
    """End the processes that the block starts, however it exits."""
    before = set(map(id, _running))
    try:
        yield
    finally:
        for process in [process for process in _running if id(process) not in before]:
            end(process)
