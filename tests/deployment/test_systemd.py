"""The unit for systemd: its words are systemd's, and what it starts, reads and waits for is the program's."""

import re
import shlex
import shutil
import sys
from pathlib import Path

import pytest

from stateless_billing.commands.options import create_parser
from stateless_billing.sandbox import processes
from stateless_billing.sandbox.processes import ROOT
from stateless_billing.web.server import serving

FILE = ROOT / "deployments" / "systemd" / "stateless-billing.service"
DEPLOYING = (ROOT / "docs" / "deploying.md").read_text()


def directives() -> dict[str, list[str]]:
    """Return the values of each directive, in order; sections in systemd never share a directive."""
    values: dict[str, list[str]] = {}
    for line in FILE.read_text().splitlines():
        if line and not line.startswith(("#", "[")):
            name, _, value = line.partition("=")
            values.setdefault(name, []).append(value)
    return values


UNIT = directives()


def test_it_starts_the_program() -> None:
    [started] = UNIT["ExecStart"]
    python, *words = shlex.split(started)
    assert words[:2] == ["-m", "stateless_billing"]
    assert create_parser().parse_args(words[2:]).name == "serve"
    [folder] = UNIT["WorkingDirectory"]
    assert python == f"{folder}/.venv/bin/python"


def test_it_drains_before_it_is_killed_and_always_comes_back() -> None:
    assert UNIT["KillSignal"] == ["SIGTERM"]
    assert int(UNIT["TimeoutStopSec"][0]) > serving._DRAIN_SECONDS
    assert UNIT["Restart"] == ["always"]
    assert UNIT["StartLimitIntervalSec"] == ["0"]


def test_it_runs_as_nobody_and_writes_nowhere() -> None:
    assert UNIT["DynamicUser"] == UNIT["NoNewPrivileges"] == ["yes"]
    assert UNIT["ProtectSystem"] == ["strict"]
    assert UNIT["CapabilityBoundingSet"] == [""]
    assert not [name for name in UNIT if name.startswith(("ReadWrite", "StateDirectory", "CacheDirectory"))]


def test_the_document_installs_it_where_it_looks() -> None:
    [environment] = UNIT["EnvironmentFile"]
    for place in (environment, UNIT["WorkingDirectory"][0], str(FILE.relative_to(ROOT))):
        assert place in DEPLOYING


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="this machine has no systemd-analyze")
def test_systemd_accepts_it(tmp_path: Path) -> None:
    copy = tmp_path / FILE.name
    [started] = UNIT["ExecStart"]
    copy.write_text(FILE.read_text().replace(shlex.split(started)[0], sys.executable))
    done = processes.run(["systemd-analyze", "verify", str(copy)])
    complaints = [line for line in done.stderr.splitlines() if re.search(rf"{FILE.name}", line)]
    assert not complaints
