"""Finds the attacks of `attack_*.py` and plays each in a fresh Python process."""

import asyncio
import importlib
import inspect
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import cast

from stateless_billing.sandbox import processes
from stateless_billing.sandbox.processes import ROOT
from tests.attack.world import World

PREFIX = "attack_"
MAX_SECONDS = 600.0
Attack = Callable[..., str | Awaitable[str]]


def attacks() -> Iterator[tuple[str, Attack]]:
    """Yield the name of each attack and its function, in the order of their files."""
    for path in sorted(Path(__file__).parent.glob(f"{PREFIX}*.py")):
        module = importlib.import_module(f"tests.attack.{path.stem}")
        for name, function in vars(module).items():
            if name.startswith(PREFIX) and inspect.isfunction(function) and function.__module__ == module.__name__:
                yield name.removeprefix(PREFIX), cast(Attack, function)


def play(attack: Attack, world: World) -> str:
    """Play one attack in this process and return its line of numbers."""
    result = attack(world) if "world" in inspect.signature(attack).parameters else attack()
    return result if isinstance(result, str) else asyncio.run(_awaited(result))


async def _awaited(result: Awaitable[str]) -> str:
    return await result


def play_apart(name: str, world: World) -> tuple[bool, str]:
    """Play one attack in a process of its own; return whether the service held, and what was printed."""
    command = [sys.executable, "-m", "tests.attack", "--here", name]
    command += ["--nodes", str(world.nodes), "--processes", str(world.processes)]
    with processes.ended_afterwards():
        run = processes.start(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            printed, errors = run.communicate(timeout=MAX_SECONDS)
        except subprocess.TimeoutExpired:
            return False, f"not over after {MAX_SECONDS:.0f} s"
    return run.returncode == 0, printed.strip() if run.returncode == 0 else f"{printed}{errors}".strip()
