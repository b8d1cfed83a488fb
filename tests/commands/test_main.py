"""A process that is told to end while it still imports its code ends at once, also as PID 1 of a container."""

import os
import signal
import subprocess
import sys

import pytest

from stateless_billing.sandbox import processes
from stateless_billing.sandbox.processes import ROOT
from tests.test_settings import COMPLETE

CLI, CONTAINER = "stateless_billing.commands.cli", "stateless_billing.services.container"
SLOW_IMPORT = """
import runpy, sys, time

module = sys.argv.pop(1)

class Slow:
    def find_spec(self, name, *_):
        if name == module:
            print("importing", flush=True)
            time.sleep(60)

sys.meta_path.insert(0, Slow())
runpy.run_module("stateless_billing", run_name="__main__", alter_sys=True)
"""


def run_until_import(module: str, *command: str) -> int:
    """Run a command, send SIGTERM as soon as it imports a module, and return the exit code."""
    environ = {**COMPLETE, "PATH": os.environ["PATH"], "METRICS_PORT": "0", "PORT": "0"}
    script = [sys.executable, "-c", SLOW_IMPORT, module, *command]
    process = processes.start(script, cwd=ROOT, env=environ, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "importing\n"
    process.send_signal(signal.SIGTERM)
    return int(process.wait(20))


@pytest.mark.parametrize(
    ("module", "command", "code"),
    [
        (CLI, ("serve",), 0),
        (CLI, ("sweep",), 0),
        (CONTAINER, ("sweep",), 0),
        (CLI, ("sweep", "--once"), 3),
        (CONTAINER, ("sweep", "--once"), 3),
        (CLI, ("audit",), -signal.SIGTERM),
        (CLI, (), -signal.SIGTERM),
    ],
)
def test_a_start_is_ended_by_the_signal(module: str, command: tuple[str, ...], code: int) -> None:
    assert run_until_import(module, *command) == code
