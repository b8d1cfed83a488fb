"""Mutates functions with mutmut (https://mutmut.readthedocs.io), each mutant in a forked process."""

import ast
import difflib
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from stateless_billing.sandbox import processes
from tests.mutation.core import PYTEST, Mutant, path_of, tests_of

KILLED = {"killed", "timeout", "caught by type check"}


def run(tree: Path, log: Path, timeout: float, modules: Sequence[str]) -> list[Mutant]:
    """Mutate the functions of these modules in `tree`."""
    config = {
        "source_paths": ["chain", "stateless_billing"],
        "only_mutate": [path_of(module) for module in modules],
        "also_copy": ["contracts", "tests", "pyproject.toml"],
        "pytest_add_cli_args": list(PYTEST),
        "pytest_add_cli_args_test_selection": sorted({path for module in modules for path in tests_of(module)}),
        "timeout_multiplier": 4,
        "timeout_constant": 2,
    }
    with (tree / "pyproject.toml").open("a") as file:
        file.write("\n[tool.mutmut]\n" + "".join(f"{name} = {json.dumps(value)}\n" for name, value in config.items()))
    with log.open("w") as file:
        processes.run(
            [*_mutmut(), "run", "--max-children", "2"], cwd=tree, stdout=file, stderr=None, timeout=timeout, check=True
        )
    lines = _ask(tree, "results", "--all", "true").splitlines()
    results = dict(line.strip().split(": ", 1) for line in lines if "__mutmut_" in line)
    unknown = set(results.values()) - KILLED - {"survived", "no tests"}
    assert not unknown, f"mutmut says {unknown}"
    return [
        mutant
        for module in modules
        for mutant in _mutants(tree, module, {name: is_ for name, is_ in results.items() if _module(name) == module})
    ]


def _module(name: str) -> str:
    return name.split("__mutmut_")[0].rpartition(".")[0]


def _mutmut() -> list[str]:
    return [str(Path(sys.executable).parent / "mutmut")]


def _ask(tree: Path, *command: str) -> str:
    return processes.run([*_mutmut(), *command], cwd=tree, check=True).stdout


def _mutants(tree: Path, module: str, results: dict[str, str]) -> list[Mutant]:
    """Read the mutants from `mutants/`, where mutmut puts all versions of a function side by side."""
    source = (tree / "mutants" / path_of(module)).read_text()
    lines = source.splitlines()
    versions = {
        node.name: [
            line.strip().replace(node.name, node.name.split("__mutmut_")[0])
            for line in lines[node.lineno - 1 : node.end_lineno]
        ]
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef)
    }
    mutants = []
    for name, status in results.items():
        changed = versions[name.rpartition(".")[2]]
        original = versions[name.rpartition(".")[2].split("__mutmut_")[0] + "__mutmut_orig"]
        differences = [line for line in difflib.ndiff(original, changed) if line.startswith(("- ", "+ "))]
        was, becomes = (" ".join(line[2:] for line in differences if line.startswith(sign)) for sign in "-+")
        mutants.append(Mutant(module, was, becomes, status in KILLED))
    return mutants
