"""The command `audit`: what it leaves behind when it fails, and with which exit code."""

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from stateless_billing.audit import command as audit_command
from stateless_billing.audit.report import publishing
from stateless_billing.commands.options import create_parser
from stateless_billing.sandbox.account import Entry as Row
from stateless_billing.version import VERSION
from tests.audit.test_run import PAID, with_own_wallets
from tests.audit.world import World
from tests.fakes.factories import block

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


class TestVerify:
    """`audit verify` compares everything that was published with what it makes itself."""

    @pytest.fixture
    def folder(self, run: Run, world: World, tmp_path: Path) -> Path:
        """A published report with an exception and an accepted one."""
        forger = world.get_or_add_customer("cus_Forger")
        world.add(forger, *((block(500 + n).time, Row(-500_000, "usd", "gift")) for n in range(2)))
        accepted = tmp_path / "accepted.jsonl"
        accepted.write_text(json.dumps({"fingerprint": "f" * 24, "note": "n"}))
        folder = tmp_path / "report"
        assert run("--deep", "--accepted", accepted, "--out", folder) == audit_command.FINDINGS
        return folder

    @staticmethod
    def sign(folder: Path) -> None:
        """Write the manifest anew, as a forger does."""
        names = [line.split("  ")[1] for line in (folder / "SHA256SUMS").read_text().splitlines()]
        lines = [f"{publishing.sha256_of(folder / name)}  {name}\n" for name in names if (folder / name).exists()]
        (folder / "SHA256SUMS").write_text("".join(lines))

    @staticmethod
    def verify(run: Run, folder: Path) -> tuple[int, str]:
        """Return the exit code and what was printed."""
        output: list[str] = []
        code = run("verify", folder, print_line=output.append)
        return code, "".join(output)

    def test_an_honest_report_is_the_same(self, run: Run, folder: Path) -> None:
        code, output = self.verify(run, folder)
        assert (code, output.split(":")[0]) == (audit_command.CLEAN, "SAME")

    def test_who_made_it_makes_no_difference(self, run: Run, folder: Path) -> None:
        for name in ("report.json", "report.jsonl"):
            text = (folder / name).read_text().replace("node 1 (node.example)", "node 1 (elsewhere.example)")
            (folder / name).write_text(text.replace(f'"{VERSION}"', '"0.0.9"'))
        self.sign(folder)
        assert self.verify(run, folder)[0] == audit_command.CLEAN

    @pytest.mark.parametrize("change", ["deleted", "listed"])
    def test_a_customer_that_never_paid_makes_no_difference(
        self, run: Run, world: World, tmp_path: Path, change: str
    ) -> None:
        world.get_or_add_customer("cus_NeverPaid")
        run("--out", tmp_path / "report")
        if change == "deleted":
            world.stripe.account.by_id["cus_NeverPaid"].deleted = True
        else:
            world.get_or_add_customer("cus_NeverPaid2")
        code, output = self.verify(run, tmp_path / "report")
        was, now = (3, 2) if change == "deleted" else (3, 4)
        assert code == audit_command.CLEAN
        assert output.startswith(f"read differently now: coverage.customers_listed: was {was}, is {now}\nSAME: ")

    @pytest.mark.parametrize(
        "name", ["report.txt", "report.csv", "report.jsonl", "report.json", "dollars.svg", "accepted.jsonl"]
    )
    @pytest.mark.parametrize("change", ["replaced", "extended", "deleted"])
    def test_a_forged_file_with_its_checksum_is_found(self, run: Run, folder: Path, name: str, change: str) -> None:
        content = (folder / name).read_bytes()
        forged = {"replaced": content.replace(b"5", b"6").replace(b"n", b"m"), "extended": content + b"\n"}
        if change == "deleted":
            (folder / name).unlink()
        else:
            (folder / name).write_bytes(forged[change])
        self.sign(folder)
        code, output = self.verify(run, folder)
        assert code in (audit_command.FINDINGS, audit_command.USAGE)
        assert "SAME" not in output

    def test_a_forged_head_is_named(self, run: Run, folder: Path) -> None:
        path = folder / "report.json"
        path.write_text(path.read_text().replace('"clean": false', '"clean": true'))
        self.sign(folder)
        code, output = self.verify(run, folder)
        assert code == audit_command.FINDINGS
        assert "summary.clean: was True, is False\n" in output
        assert "report.json: not what this report is published as\n" in output

    @pytest.mark.parametrize("change", ["fewer", "more", "empty"])
    def test_the_manifest_names_every_file_and_no_other(self, run: Run, folder: Path, change: str) -> None:
        manifest = folder / "SHA256SUMS"
        lines = manifest.read_text().splitlines(keepends=True)
        (folder / "x.txt").write_text("x")
        more = f"{publishing.sha256_of(folder / 'x.txt')}  x.txt\n"
        manifest.write_text("".join({"fewer": lines[1:], "more": [*lines, more], "empty": []}[change]))
        code, output = self.verify(run, folder)
        assert code == audit_command.FINDINGS
        assert "SHA256SUMS: not what" in output

    @pytest.mark.parametrize(
        "content",
        ["[]", "{}", "7", "", '{"inputs": [], "rows": []}', '{"inputs": {}, "rows": [{}]}', "[" * 100_000, "\udcff"],
    )
    @pytest.mark.parametrize("name", ["report.json", "SHA256SUMS"])
    def test_what_is_no_report_is_a_fault_of_the_options(
        self, run: Run, folder: Path, name: str, content: str, world: World
    ) -> None:
        world.stripe_transport.requests.clear()
        (folder / name).write_bytes(content.encode(errors="surrogateescape"))
        code, output = self.verify(run, folder)
        if name == "report.json":
            assert code == audit_command.USAGE
            assert not world.stripe_transport.requests
        else:
            assert code in (audit_command.USAGE, audit_command.FINDINGS)
        assert "SAME" not in output
