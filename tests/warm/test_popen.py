"""What a warm start does is what a cold one does, but for the imports."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from stateless_billing.sandbox import processes
from tests.warm.popen import COLD, is_warm

SERVICE = [sys.executable, "-m", "stateless_billing"]
STANDINS = [sys.executable, "-m", "stateless_billing.sandbox", "--port", "0"]
COMMANDS = {  # arguments, the exit code, and what is printed
    "help": (["--help"], 0, "usage: "),
    "usage": (["audits"], 2, "invalid choice: 'audits'"),
    "settings": (["serve"], 2, "STRIPE_API_KEY"),
}
COLD_START = {COLD: "1"}


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONWARNINGS": "error", "PORT": "http", **more}


def is_forked(process: subprocess.Popen[str]) -> bool:
    return b"tests.warm.parent" in Path(f"/proc/{process.pid}/cmdline").read_bytes()


@pytest.mark.parametrize(("arguments", "code", "printed"), COMMANDS.values(), ids=COMMANDS)
def test_a_command_prints_and_ends_as_from_a_cold_start(arguments: list[str], code: int, printed: str) -> None:
    warm = processes.run([*SERVICE, *arguments], env=environment())
    cold = processes.run([*SERVICE, *arguments], env=environment(**COLD_START))
    assert warm.returncode == code
    assert printed in warm.stdout + warm.stderr
    assert (warm.returncode, warm.stdout, warm.stderr) == (cold.returncode, cold.stdout, cold.stderr)


@pytest.mark.parametrize("more", [{}, COLD_START], ids=["warm", "cold"])
def test_a_process_is_a_child_with_three_files_and_ends_by_signals(more: dict[str, str], tmp_path: Path) -> None:
    kept = (tmp_path / "kept").open("w")
    process = processes.start(STANDINS, env=environment(**more), stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline().startswith("sandbox http://127.0.0.1:")
    assert is_forked(process) == (not more)
    assert os.getsid(process.pid) == process.pid
    files = [os.readlink(file) for file in Path(f"/proc/{process.pid}/fd").iterdir()]
    assert not [file for file in files if "kept" in file or file.startswith("/proc")]
    process.send_signal(signal.SIGKILL)
    assert process.wait(10) == -signal.SIGKILL
    process.stdout.close()
    kept.close()


def test_only_what_may_start_alike_is_forked() -> None:
    env = environment()
    assert is_warm([*SERVICE, "serve"], env)
    assert is_warm(STANDINS, env)
    assert not is_warm([*SERVICE, "serve"], env | COLD_START)
    assert not is_warm([*SERVICE, "serve"], env | {"PYTHONWARNINGS": "ignore"})
    assert not is_warm([*SERVICE, "serve"], env | {"PYTHONOPTIMIZE": "2"})
    assert not is_warm([*SERVICE, "serve"], None)
    assert not is_warm([sys.executable, "-m", "stateless_billing.sandbox.demo"], env)
    assert not is_warm(["python", "-m", "stateless_billing", "serve"], env)
