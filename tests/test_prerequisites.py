"""A missing prerequisite is reported in one sentence, before anything is downloaded."""

import shutil
import subprocess
from pathlib import Path

import pytest

from stateless_billing.sandbox import processes
from stateless_billing.sandbox.processes import ROOT

PYTHON = '[ "$1" != --version ] || echo Python 3.11.0'
COMPLETE = {"python3": PYTHON, "node": "echo v20.0.0", "npm": "exit 0", "make": "exit 0"}
NO_VENV = '[ "$1" = --version ] && echo Python 3.13.5'
LACKING = {
    "no Python": ({"python3": None}, "Python 3.11 or later with its venv module"),
    "an old Python": ({"python3": "echo Python 3.9.2"}, "Python 3.11 or later (python3 is 3.9.2;"),
    "Python 2": ({"python3": "echo Python 2.7.18 >&2"}, "Python 3.11 or later (python3 is 2.7.18;"),
    "a broken Python": ({"python3": "exit 127"}, "Python 3.11 or later (python3 is not working;"),
    "no venv module": ({"python3": NO_VENV}, "the venv module of python3"),
    "no Node": ({"node": None}, "Node 20 or later ("),
    "Node 18": ({"node": "echo v18.20.4"}, "Node 20 or later (node is 18.20.4;"),
    "a broken Node": (
        {"node": "echo libatomic.so.1: cannot open >&2; exit 127"},
        "Node 20 or later (node is not working;",
    ),
    "no npm": ({"npm": None}, "npm ("),
    "no make": ({"make": None}, "make ("),
}


def machine(folder: Path, **changes: str | None) -> str:
    """Return a PATH with only these programs."""
    folder.mkdir()
    for name, script in {**COMPLETE, **changes}.items():
        if script is not None:
            (folder / name).write_text(f"#!/bin/sh\n{script}\n")
            (folder / name).chmod(0o755)
    (folder / "sed").symlink_to(shutil.which("sed") or "")
    return str(folder)


def examined(path: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run tools/prerequisites with this PATH."""
    return processes.run([ROOT / "tools" / "prerequisites"], env={"PATH": path, **settings})


def test_a_complete_machine_gets_no_output(tmp_path: Path) -> None:
    done = examined(machine(tmp_path / "bin"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(("changes", "named"), LACKING.values(), ids=list(LACKING))
def test_one_sentence_names_what_is_missing(tmp_path: Path, changes: dict[str, str | None], named: str) -> None:
    done = examined(machine(tmp_path / "bin", **changes))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"Please install {named}")
    assert done.stderr.count("\n") == 1
    assert done.stderr.endswith(".\n")


def test_one_sentence_names_all_that_is_missing(tmp_path: Path) -> None:
    done = examined(machine(tmp_path / "bin", python3=None, node="echo v18.0.0", npm=None))
    assert done.stderr.count("\n") == 1
    for named in ("Python 3.11", "Node 20", "npm"):
        assert named in done.stderr


def test_another_python_can_be_named(tmp_path: Path) -> None:
    path = machine(tmp_path / "bin", python3="echo Python 3.9.2")
    (tmp_path / "a python").write_text(f"#!/bin/sh\n{PYTHON}\n")
    (tmp_path / "a python").chmod(0o755)
    assert examined(path, PYTHON=str(tmp_path / "a python")).returncode == 0
    assert "nowhere" not in examined(path, PYTHON="nowhere").stdout


@pytest.mark.parametrize("target", ["demo", "test", "check", "mutation", "fuzz-api"])
def test_make_says_it_before_it_does_anything(tmp_path: Path, target: str) -> None:
    folder = tmp_path / "my clone"
    for name in ("tools", "requirements"):
        shutil.copytree(ROOT / name, folder / name)
    for name in ("Makefile", "requirements.txt", "package.json", "package-lock.json"):
        shutil.copy(ROOT / name, folder)
    before = sorted(folder.rglob("*"))
    done = processes.run(
        [shutil.which("make") or "make", "--no-print-directory", target],
        cwd=folder,
        env={"PATH": machine(tmp_path / "bin", node="echo v18.20.4")},
    )
    sentence, error = done.stderr.splitlines()
    assert sentence.startswith("Please install Node 20 or later (node is 18.20.4;")
    assert error.startswith("make: ***")
    assert (done.returncode, done.stdout) == (2, "")
    assert sorted(folder.rglob("*")) == before
