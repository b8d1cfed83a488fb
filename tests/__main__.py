"""Runs the contracts' tests, then all others, and prints a summary: `make test`.

Arguments are passed to pytest.
"""

import os
import re
import signal
import subprocess
import sys

from stateless_billing.sandbox import processes
from stateless_billing.sandbox.processes import ROOT
from tests.conftest import CONTRACTS


def contracts() -> tuple[int, str]:
    """Run forge's tests and echo their output; return the exit code and the summary line."""
    color = "always" if sys.stdout.isatty() else "never"
    closing = "nothing ran"
    with processes.ended_afterwards():
        run = processes.start(
            [ROOT / "tools" / "forge", "test", "--color", color], stdout=subprocess.PIPE, stderr=None, text=True
        )
        assert run.stdout
        for line in run.stdout:
            print(line, end="", flush=True)
            if re.match(r"Ran \d+ test suites? in ", line):
                closing = line.strip()
        return run.wait(), closing


def others(arguments: list[str], closing: str) -> int:
    """Run pytest, which handles Ctrl-C itself."""
    signal.signal(signal.SIGINT, lambda *_: None)
    command = [sys.executable, "-m", "pytest", "--durations=10", *arguments]
    return processes.run(command, cwd=ROOT, stdout=None, stderr=None, env={**os.environ, CONTRACTS: closing}).returncode


def main(arguments: list[str]) -> int:
    """Run both and return the exit code of the first that fails."""
    try:
        code, closing = contracts()
    except KeyboardInterrupt:
        return 130
    if code:
        return code
    return others(arguments, closing)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
