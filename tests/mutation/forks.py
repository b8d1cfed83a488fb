"""Runs the tests of a mutated module in a forked process that already has the slow imports."""

import importlib
import os
import signal
import sys
import types
from pathlib import Path

import pytest

from tests.mutation.core import PYTEST, Mutant, path_of, tests_of
from tests.mutation.outside import mutants

SLOW = ("eth_abi.abi", "eth_utils.crypto", "hypothesis.strategies", "xdist")
PRELOADED = ("-W", "ignore::pytest.PytestAssertRewriteWarning")
OURS = ("chain", "stateless_billing", "tests")


def run(tree: Path, modules: list[str], seconds: int = 60) -> list[Mutant]:
    """Mutate code outside of functions and run the tests in `tree`."""
    for name in SLOW:
        importlib.import_module(name)
    results = []
    for module in modules:
        assert _survives(tree, module, (tree / path_of(module)).read_text(), seconds), f"{module}: the tests fail"
        for was, becomes, source in mutants((tree / path_of(module)).read_text()):
            results.append(Mutant(module, was, becomes, not _survives(tree, module, source, seconds)))
    return results


def _survives(tree: Path, module: str, source: str, seconds: int) -> bool:
    child = os.fork()
    if child == 0:
        _in_child(tree, module, source, seconds)
    return os.waitpid(child, 0)[1] == 0


def _in_child(tree: Path, module: str, source: str, seconds: int) -> None:
    failed = 1
    try:
        signal.alarm(seconds)
        with open(os.devnull, "w") as nothing:
            os.dup2(nothing.fileno(), 1)
            os.dup2(nothing.fileno(), 2)
        os.chdir(tree)
        for name in [name for name in sys.modules if name.split(".")[0] in OURS]:
            del sys.modules[name]
        sys.path[0:0] = [str(tree)]
        _install(module, source, tree)
        failed = int(pytest.main([*PYTEST, *PRELOADED, *tests_of(module)]))
    finally:
        os._exit(failed)


def _install(module: str, source: str, tree: Path) -> None:
    made = types.ModuleType(module)
    made.__file__ = str(tree / path_of(module))
    package = importlib.import_module(module.rpartition(".")[0])
    sys.modules[module] = made
    setattr(package, module.rpartition(".")[2], made)
    exec(compile(source, made.__file__, "exec"), made.__dict__)  # noqa: S102 # a mutant is source that was just made
