"""Runs all benchmarks and writes docs/benchmarks.md: `python -m tests.bench`."""

import argparse
import os
import platform
import subprocess
import sys
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from stateless_billing.sandbox import processes
from tests.bench.figures import MISS, section

MOST_MINUTES = 15
ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "benchmarks.md"
PACKAGES = ("starlette", "uvicorn", "httptools", "stripe", "httpx", "prometheus_client")
HEAD = """# Benchmarks

`make bench` writes this page. Everything runs on one machine over 127.0.0.1, against the sandbox's stand-ins with
Stripe's limits. A figure is the median of its rounds, whose number and spread are in the last column, and each round
measures the floor beside it: compare with the floor, not with another machine. What misses a goal that stands beside
it says so. A day is simulated in virtual time, one hour of it or more; `python -m tests.bench.day` takes all of it.

{machine} The run took {minutes:.0f} minutes.

"""


def lines(module: str, *options: str) -> list[str]:
    """Run a benchmark, echo its output and return the lines."""
    printed = []
    with processes.ended_afterwards():
        run = processes.start([sys.executable, "-m", module, *options], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert run.stdout
        for line in run.stdout:
            print(line, end="", flush=True)
            printed.append(line.strip())
        run.wait()
    if run.returncode:
        raise SystemExit(f"{module} failed")
    return printed


def machine() -> str:
    """Describe the machine, versions and date."""
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    load = "/".join(f"{average:.1f}" for average in os.getloadavg())
    day = datetime.now(UTC).strftime("%Y-%m-%d")
    cores = f"{os.cpu_count()} cores ({platform.machine()}), load before {load}"
    return f"{day}, {cores}, Python {platform.python_version()}, {packages}."


def sections(scale: float) -> list[tuple[str, str, list[str]]]:
    """Return title, module and options of each part."""
    return [
        ("The start", "tests.bench.start", []),
        ("The service", "tests.bench.service", [f"--payments={max(500, round(1_500 * scale))}"]),
        ("A day of 100,000 payments", "tests.bench.day", [f"--payments={max(500, round(5_000 * scale))}"]),
        ("One customer's many payments", "tests.bench.busy_customer", []),
        ("One customer's many debits", "tests.bench.busy_ledger", []),
        ("The sweep as it grows", "tests.bench.growth_sweep", []),
        ("The audit", "tests.bench.audit", [f"--scale={scale}"]),
        ("The audit as it grows", "tests.bench.growth_audit", []),
        ("Many processes", "tests.bench.scale", []),
    ]


def main() -> None:
    """Run the benchmarks and write the page."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--scale", type=float, default=1.0)
    described, began, parts, missed = machine(), time.monotonic(), [], 0
    for title, module, options in sections(parser.parse_args().scale):
        print(f"\n{title}", flush=True)
        started = time.monotonic()
        printed = lines(module, *options)
        print(f"({time.monotonic() - started:.0f} s)", flush=True)
        parts.append(section(title, printed))
        missed += sum(line.count(MISS) for line in printed)
    minutes = (time.monotonic() - began) / 60
    PAGE.write_text(HEAD.format(machine=described, minutes=minutes) + "\n\n".join(parts) + "\n")
    print(f"\n{missed} figures miss their goals; {minutes:.1f} minutes (goal {MOST_MINUTES})")


if __name__ == "__main__":
    main()
