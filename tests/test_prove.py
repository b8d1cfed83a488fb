"""The proofs of the contracts: what counts as proven, and that nothing which can change a state is missing."""

import importlib.util
import json
import re
import sys
import tomllib
from typing import Any

import pytest

from stateless_billing.sandbox.processes import ROOT

PATH = ROOT / "tools" / "prove.py"
SYMBOLIC = ROOT / "contracts" / "test" / "symbolic"
ANSWER = {"exitcode": 0, "num_paths": [7, 5, 0], "num_bounded_loops": 0}


@pytest.fixture(scope="module")
def prove() -> Any:
    spec = importlib.util.spec_from_file_location("tools_prove", PATH)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("results", "decision", "reason"),
    [
        ([ANSWER], "proven", ""),
        ([{**ANSWER, "exitcode": 1}], "REFUTED", "counterexample"),
        ([{**ANSWER, "exitcode": 4}], "REFUTED", "always reverts"),
        ([{**ANSWER, "num_bounded_loops": 1}], "UNDECIDED", "a loop was cut"),
        ([{**ANSWER, "exitcode": 2}], "UNDECIDED", "ran out of time"),
        ([{**ANSWER, "exitcode": 3}], "UNDECIDED", "ended unexpectedly"),
        ([{**ANSWER, "exitcode": 9}], "UNDECIDED", "unknown reason"),
        ([{**ANSWER, "exitcode": 5, "num_paths": None}], "UNDECIDED", "prover failed"),
        ([], "UNDECIDED", "no answer"),
        ([ANSWER, ANSWER], "UNDECIDED", "no answer"),
    ],
)
def test_only_a_complete_answer_is_a_proof(prove: Any, results: list[Any], decision: str, reason: str) -> None:
    given = prove.meaning(prove.Check("PaymentsProof", "check_pay"), results, 1.5)
    assert given.decision == decision
    assert reason in given.reason
    assert bool(given.reason) == bool(reason)


def test_a_prover_that_is_too_slow_decides_nothing(prove: Any, tmp_path: Any) -> None:
    check = prove.Check("PaymentsProof", "check_pay")
    slow = [sys.executable, "-c", "import time; time.sleep(60)"]
    prove.command, usual = lambda *_: slow, prove.command
    try:
        given = prove.decide(tmp_path, check, 0.2)
    finally:
        prove.command = usual
    assert (given.decision, given.reason) == ("UNDECIDED", "not done after 0 s")


@pytest.mark.parametrize(("failures", "decision"), [(0, "proven"), (2, "proven"), (3, "UNDECIDED")])
def test_a_prover_that_failed_is_asked_again(prove: Any, tmp_path: Any, failures: int, decision: str) -> None:
    check = prove.Check("PaymentsProof", "check_pay")
    program = (
        "import json, pathlib, sys; calls = pathlib.Path(sys.argv[1]); calls.write_text(calls.read_text() + '.');"
        f"code = 5 if len(calls.read_text()) <= {failures} else 0;"
        "answer = {'exitcode': code, 'num_paths': [7], 'num_bounded_loops': 0};"
        "pathlib.Path(sys.argv[2]).write_text(json.dumps({'test_results': {'suite': [answer]}}))"
    )
    (tmp_path / "calls").write_text("")
    prove.command, usual = (
        lambda _, __, answer: [sys.executable, "-c", program, tmp_path / "calls", answer],
        prove.command,
    )
    try:
        given = prove.decide(tmp_path, check, 60)
    finally:
        prove.command = usual
    assert given.decision == decision
    assert len((tmp_path / "calls").read_text()) == min(failures + 1, 3)


def test_checks_come_from_what_was_built(prove: Any, tmp_path: Any) -> None:
    folder = tmp_path / "contracts" / "cache" / "prove" / "out" / "Order.t.sol"
    folder.mkdir(parents=True)
    identifiers = {"setUp()": "", "check_second(address)": "", "check_first()": ""}
    (folder / "OrderProof.json").write_text(json.dumps({"methodIdentifiers": identifiers}))
    (folder / "Other.json").write_text(json.dumps({"methodIdentifiers": identifiers}))
    assert [check.name for check in prove.checks(tmp_path, [])] == ["OrderProof.check_first", "OrderProof.check_second"]
    assert [check.name for check in prove.checks(tmp_path, ["second"])] == ["OrderProof.check_second"]


def test_any_call_makes_every_call_that_changes_a_state() -> None:
    abi = json.loads((ROOT / "chain" / "abi" / "PaymentGateway.json").read_text())
    changing = {
        item["name"] for item in abi if item["type"] == "function" and item["stateMutability"] not in ("view", "pure")
    }
    made = set(re.findall(r"gateway\.(\w+),", (SYMBOLIC / "AnyCall.sol").read_text()))
    assert made == changing - {"multicall"}, "AnyCall.sol makes them all; multicall has its own check"


def test_each_mutant_names_a_check() -> None:
    checks = {
        f"{contract}.{name}"
        for path in SYMBOLIC.glob("*.t.sol")
        for contract in re.findall(r"^contract (\w+)", path.read_text(), re.MULTILINE)
        for name in re.findall(r"function (check_\w+)", path.read_text())
    }
    mutants = tomllib.loads((ROOT / "contracts" / "mutants.toml").read_text())["mutant"]
    assert {mutant["proof"] for mutant in mutants} <= checks


def test_every_check_is_documented() -> None:
    names = {
        name for path in SYMBOLIC.glob("*.t.sol") for name in re.findall(r"function (check_\w+)", path.read_text())
    }
    documented = set(re.findall(r"`(check_\w+)`", (ROOT / "docs" / "contracts.md").read_text()))
    assert documented == names
