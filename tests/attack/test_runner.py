"""The attacks are collected, and one that succeeds fails the run."""

import pytest

from stateless_billing.sandbox import processes
from stateless_billing.sandbox.processes import ROOT
from tests.attack.__main__ import main, play_here
from tests.attack.runner import attacks, play
from tests.attack.world import World


def held_by_nodes(world: World) -> str:
    return f"{world.nodes} nodes"


async def held_without_world() -> str:
    return "3 requests"


def lost() -> str:
    raise AssertionError("credited twice")


def test_every_attack_has_a_name_of_its_own() -> None:
    names = [name for name, _ in attacks()]
    assert "request_cpu" in names
    assert len(names) == len(set(names))


def test_attacks_get_the_world_if_they_take_it() -> None:
    assert play(held_by_nodes, World(nodes=2)) == "2 nodes"
    assert play(held_without_world, World()) == "3 requests"


def test_an_attack_that_succeeds_fails_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert play_here(lost, World()) == 1
    assert "credited twice" in capsys.readouterr().out
    assert play_here(held_by_nodes, World()) == 0


def test_make_passes_its_choices(capsys: pytest.CaptureFixture[str]) -> None:
    choices = ["ONLY=request_cpu", "NODES=2", "PROCESSES=3", "TWICE=1"]
    printed = processes.run(["make", "-n", "attack", *choices], cwd=ROOT).stdout
    assert "tests.attack request_cpu --nodes 2 --processes 3 \\ --twice" in " ".join(printed.split())
    assert main(["--list"]) == 0
    with pytest.raises(SystemExit, match="2"):
        main(["nothing"])
    assert "no such attack: nothing" in capsys.readouterr().err
