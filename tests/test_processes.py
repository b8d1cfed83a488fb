"""Processes end with the test that started them, even if it fails, is interrupted or its worker is killed."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from stateless_billing.sandbox import processes
from stateless_billing.sandbox.processes import ROOT
from tests.browser.one_of_each import ENDING, STARTED
from tests.descendants import Descendant, descendants, survivors
from tests.warm.popen import COLD

FILE = "tests/browser/one_of_each.py"
FIRST = f"{FILE}::test_that_stops_nothing"
KINDS = (" serve", " sweep", "stateless_billing.sandbox ", "anvil", "chromium", "watchdog.py")
SECONDS = 15.0


def nested(ending: str, started: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start a separate pytest, as from a terminal."""
    command = [sys.executable, "-m", "pytest", *arguments]
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    env |= {ENDING: ending, STARTED: str(started), COLD: "1"}  # a forked process has its parent's command line
    return processes.start(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def recorded(path: Path, run: subprocess.Popen[Any]) -> list[Descendant]:
    """Return the processes of the nested test, at least one of each kind."""
    deadline = time.monotonic() + 60
    while not path.exists() and run.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    assert path.exists(), run.communicate()[0]
    started = [Descendant(**process) for process in json.loads(path.read_text())]
    assert [kind for kind in KINDS if not any(kind in process.command for process in started)] == []
    return started


def assert_ended(started: list[Descendant]) -> None:
    """Fail if any process still runs, and kill it."""
    remaining = survivors(started, SECONDS)
    for process in remaining:
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
    assert not remaining


def test_a_failing_test_leaves_no_process(tmp_path: Path) -> None:
    run = nested("failed", tmp_path / "started", "-n", "0", FILE)
    printed = run.communicate(timeout=90)[0]
    assert "1 failed, 1 passed" in printed, printed
    assert_ended(recorded(tmp_path / "started", run))


def test_ctrl_c_leaves_no_process(tmp_path: Path) -> None:
    run = nested("interrupted", tmp_path / "started", "-n", "1", FIRST)
    started = recorded(tmp_path / "started", run)
    os.killpg(run.pid, signal.SIGINT)
    assert run.wait(60) == pytest.ExitCode.INTERRUPTED
    assert_ended(started)


def test_a_killed_worker_leaves_no_process(tmp_path: Path) -> None:
    run = nested("killed", tmp_path / "started", "-n", "1", "--max-worker-restart", "0", FIRST)
    printed = run.communicate(timeout=90)[0]
    assert "crashed" in printed, printed
    assert_ended(recorded(tmp_path / "started", run))


def test_a_killed_demo_leaves_no_process() -> None:
    command = [sys.executable, "-m", "stateless_billing.sandbox.demo"]
    run = processes.start(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert run.stdout
    assert any("the service answers" in line for line in run.stdout)
    started = descendants(run.pid)
    assert [
        kind for kind in (" serve", "anvil", ".sandbox ") if not any(kind in process.command for process in started)
    ] == []
    run.kill()
    assert_ended(started)


def still_running(seconds: float) -> list[str]:
    """Return a command that ignores termination signals."""
    return ["sh", "-c", f"trap '' TERM; echo started; sleep {seconds} & wait; wait"]


@pytest.mark.parametrize("error", [AssertionError, KeyboardInterrupt])
def test_a_block_ends_only_the_processes_it_started(error: type[BaseException]) -> None:
    before = processes.start(["sleep", "60"])
    inside = []

    def block() -> None:
        with processes.ended_afterwards():
            inside.append(processes.start(["sleep", "60"]))
            raise error

    with pytest.raises(error):
        block()
    assert before.poll() is None
    assert inside[0].returncode == -signal.SIGTERM
    processes.end(before)


def test_a_process_that_ignores_sigterm_is_killed_with_its_children() -> None:
    process = processes.start(still_running(60), stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "started\n"
    below = descendants(process.pid)
    processes.end(process, 0.1)
    assert process.returncode == -signal.SIGKILL
    assert_ended(below)
    assert process.stdout.closed


def files_of(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def test_processes_py_starts_every_process() -> None:
    banned = re.compile(r"subprocess\.(run|Popen|call|check_\w+)\(|create_subprocess_\w+\(|posix_spawn\(|os\.system\(")
    files = [*files_of("tests"), *files_of("stateless_billing/sandbox")]
    users = {str(path.relative_to(ROOT)) for path in files if banned.search(path.read_text())}
    outsider = "tests/outsider/children.py"  # the outsider's kit shares no code with the sandbox
    warm = "tests/warm/popen.py"  # starts the parent of processes that `start` starts
    assert users == {"stateless_billing/sandbox/processes.py", outsider, warm}, "use sandbox/processes.py"
