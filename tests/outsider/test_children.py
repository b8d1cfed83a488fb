"""No child of the kit outlives it."""

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.outsider import children

ROOT = Path(__file__).parents[2]
PARENT = """
import sys, time
from pathlib import Path
from tests.outsider import children
children.end_with_us()
child = children.Child(["sleep", "60"], Path(sys.argv[1]), {"PATH": "/usr/bin:/bin"}, Path("/"))
Path(sys.argv[2]).write_text(str(child.pid))
time.sleep(60)
"""


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until(condition: Callable[[], object], seconds: int = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_child_ends_with_the_kit(tmp_path: Path, number: signal.Signals) -> None:
    written = tmp_path / "pid"
    command = [sys.executable, "-c", PARENT, str(tmp_path / "log"), str(written)]
    parent = children.Child(command, tmp_path / "out", {**os.environ, "PYTHONPATH": str(ROOT)}, ROOT)
    try:
        wait_until(lambda: written.exists() and written.read_text())
        below = int(written.read_text())
        assert runs(below)
        os.kill(parent.pid, number)
        wait_until(lambda: parent.ended and not runs(below))
    finally:
        parent.kill()


def test_a_command_tells_its_code_and_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert children.run(["sh", "-c", "echo told; exit 3"], os.environ, ROOT) == (3, "told\n")
    assert children.run(["sleep", "60"], os.environ, ROOT, seconds=1)[0] == -1
