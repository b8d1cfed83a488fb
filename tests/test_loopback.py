"""Tests reach this machine alone; `make stripe-check` reaches one other host."""

import os
import sys
from pathlib import Path

import pytest

from stateless_billing.sandbox import processes
from stateless_billing.sandbox.processes import ROOT

LOOKUP = "import socket; socket.getaddrinfo({host!r}, 443)"
HERE = "127.0.0.1"


@pytest.mark.parametrize(
    ("allowed", "host", "is_refused"),
    [("", "192.0.2.1", True), ("192.0.2.1", "192.0.2.1", False), (HERE, "192.0.2.2", True)],
)
def test_only_the_named_host_is_let_through(tmp_path: Path, allowed: str, host: str, is_refused: bool) -> None:
    violations = tmp_path / "violations"
    environ = {
        **os.environ,
        "LOOPBACK_VIOLATIONS": str(violations),
        "LOOPBACK_EXCEPT": allowed,
        "PYTHONPATH": str(ROOT / "tests" / "loopback"),
    }
    done = processes.run([sys.executable, "-c", LOOKUP.format(host=host)], env=environ)
    assert (f"a test tried to reach {host}" in done.stderr) == is_refused
    assert violations.exists() == is_refused


def test_the_contract_tests_refuse_a_live_key() -> None:
    environ = {**os.environ, "STRIPE_TEST_KEY": "sk_" + "live_x"}
    done = processes.run([sys.executable, "-c", "import tests.sandbox.contract"], cwd=ROOT, env=environ)
    assert done.returncode == 1
    assert "nothing is sent with it" in done.stderr
