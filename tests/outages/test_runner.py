"""The outages are collected, and one that breaks its bound or fails makes the run fail."""

import pytest

from stateless_billing.sandbox import processes
from stateless_billing.sandbox.processes import ROOT
from tests.outages.__main__ import main, report
from tests.outages.runner import outages, play
from tests.outages.world import Recovery, World


def recovery(seconds: float) -> Recovery:
    return Recovery(seconds, 5.0, "pending: stripe_down", "ready", note="the log names it")


def never_over(world: World) -> Recovery:
    raise AssertionError("not credited in time")


def test_every_outage_has_a_name_of_its_own() -> None:
    names = [name for name, _ in outages()]
    assert "stripe_503" in names
    assert len(names) == len(set(names))


def test_a_broken_bound_fails_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert report("quick", play(lambda _: recovery(4.9), World()))
    assert not report("slow", play(lambda _: recovery(5.1), World()))
    assert not report("never", play(never_over, World()))
    printed = capsys.readouterr().out
    assert "held   quick" in printed
    assert "the log names it" in printed
    assert "FAILED slow" in printed
    assert "not credited in time" in printed


def test_make_passes_its_choices(capsys: pytest.CaptureFixture[str]) -> None:
    printed = processes.run(["make", "-n", "outages", "ONLY=stripe_503"], cwd=ROOT).stdout
    assert "tests.outages stripe_503" in printed
    assert main(["--list"]) == 0
    with pytest.raises(SystemExit, match="2"):
        main(["nothing"])
    assert "no such outage: nothing" in capsys.readouterr().err
