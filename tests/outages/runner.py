"""Finds the outages of `outage_*.py` and plays them."""

import importlib
import inspect
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias, cast

from stateless_billing.sandbox import processes
from tests.outages.world import Recovery, World

PREFIX = "outage_"
Outage: TypeAlias = Callable[[World], Recovery]


def outages() -> Iterator[tuple[str, Outage]]:
    """Yield the name of each outage and its function, in the order of their files."""
    for path in sorted(Path(__file__).parent.glob(f"{PREFIX}*.py")):
        module = importlib.import_module(f"tests.outages.{path.stem}")
        for name, function in vars(module).items():
            if name.startswith(PREFIX) and inspect.isfunction(function) and function.__module__ == module.__name__:
                yield name.removeprefix(PREFIX), cast(Outage, function)


def play(outage: Outage, world: World) -> Recovery | str:
    """Play an outage and end every process that it started; its recovery, or the failure's traceback."""
    try:
        with processes.ended_afterwards():
            return outage(world)
    except Exception:
        return traceback.format_exc()
