"""`make test` ends with its ten slowest tests, a summary and pytest's closing line."""

import os
import re
import sys

from stateless_billing.sandbox import processes
from stateless_billing.sandbox.processes import ROOT

ONE = "tests/test_documents.py::test_commands_are_recognized"


def test_the_last_lines_say_what_ran_and_how_long_it_took() -> None:
    quick = {"FOUNDRY_MATCH_CONTRACT": "TestTokenTest"}
    command = [sys.executable, "-m", "tests", "-n", "0", ONE]
    done = processes.run(command, cwd=ROOT, env={**os.environ, **quick}, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    contracts, others, closing = done.stdout.splitlines()[-3:]
    assert re.fullmatch(r"contracts \(forge\): Ran 1 test suite in .* [1-9]\d* tests passed, 0 failed.*", contracts)
    assert others == "everything else (pytest):"
    assert re.fullmatch(r"=+ 1 passed in [\d.]+s =+", closing)
    assert "slowest 10 durations" in done.stdout


def test_contracts_that_fail_fail_all_of_it() -> None:
    code = "import sys; from tests import __main__ as all; all.contracts = lambda: (3, ''); sys.exit(all.main([]))"
    assert processes.run([sys.executable, "-c", code], cwd=ROOT).returncode == 3
