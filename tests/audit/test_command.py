"""The command `audit`: what it leaves behind when it fails, and with which exit code."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from stateless_billing.audit import command as audit_command
from stateless_billing.audit.report import publishing
from stateless_billing.commands.options import create_parser
from tests.audit.test_run import PAID, with_own_wallets
from tests.audit.world import World

Run = Callable[..., int]


@pytest.fixture
def world() -> World:
    """A settled world."""
    return World(with_own_wallets(PAID))


@pytest.fixture
def run(world: World, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command against the world."""
    monkeypatch.setattr(audit_command, "Auditor", lambda **_: world.create_auditor())
    loaded = world.settings()
    monkeypatch.setattr(audit_command, "settings", SimpleNamespace(load=lambda _: loaded, AUDIT=None))

    def run_command(*words: object, print_line: Callable[[str], object] = lambda _: None) -> int:
        command = create_parser().parse_args(["audit", "--progress", "none", *map(str, words)])
        return audit_command.run(command, lambda _: None, print_line, cast("Any", None))

    return run_command


def no_space(*_: object, **__: object) -> int:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_the_spool_is_removed_once_everything_is_written(run: Run, tmp_path: Path) -> None:
    assert run("--deep", "--spool", tmp_path / "s", "--out", tmp_path / "out") == audit_command.CLEAN
    assert {path.name for path in tmp_path.iterdir()} == {"out"}
    assert len(list((tmp_path / "out").iterdir())) == 10


@pytest.mark.parametrize("where", ["print", "publish"])
def test_the_spool_stays_if_the_report_cannot_be_written(
    run: Run, tmp_path: Path, where: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spool = tmp_path / "s"
    printing = no_space if where == "print" else lambda _: None
    with monkeypatch.context() as full:
        if where == "publish":
            full.setattr(publishing, "publish", no_space)
        code = run("--deep", "--spool", spool, "--out", tmp_path / "out", print_line=printing)
    assert code == audit_command.UNREAD
    assert f"No space left on device; the same command goes on from {spool}" in capsys.readouterr().err
    assert run("--deep", "--spool", spool, "--out", tmp_path / "out") == audit_command.CLEAN
    assert not spool.exists()


def test_a_spool_that_cannot_be_written_is_no_fault_of_the_options(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spool = tmp_path / "s"
    with monkeypatch.context() as full:
        full.setattr(os, "pwrite", no_space)
        assert run("--deep", "--spool", spool) == audit_command.UNREAD
    assert f"goes on from {spool}" in capsys.readouterr().err
    assert run("--deep", "--spool", spool) == audit_command.CLEAN


def test_a_folder_that_cannot_be_written_is_refused_before_anything_is_read(
    run: Run, world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("x")
    for out in (tmp_path / "file", tmp_path / "file" / "folder"):
        assert run("--spool", tmp_path / "s", "--out", out) == audit_command.USAGE
        assert capsys.readouterr().err.startswith("stateless_billing: --out: ")
    assert (world.stripe_transport.requests, world.node.asked) == ([], [])


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        (("--accepted", "{missing}"), "--accepted: "),
        (("--spool", "{folder}"), "--spool: "),
        (("verify", "{missing}"), "holds no published report"),
    ],
)
def test_a_path_that_is_wrong_is_a_fault_of_the_options(
    run: Run, tmp_path: Path, words: tuple[str, str], cause: str, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = {"missing": tmp_path / "missing", "folder": tmp_path}
    assert run(*(word.format(**paths) for word in words)) == audit_command.USAGE
    assert cause in capsys.readouterr().err


def test_a_fault_of_ours_is_not_called_one_of_the_options(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise KeyError("ours")

    monkeypatch.setattr(audit_command, "_options", fail)
    with pytest.raises(KeyError):
        run()
