"""Runs all benchmarks and writes docs/benchmarks.md: `python -m tests.bench`."""

import argparse
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from stateless_billing.sandbox import processes

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "benchmarks.md"
PACKAGES = ("starlette", "uvicorn", "httptools", "stripe", "httpx", "prometheus_client")
HEAD = """# Benchmarks

`make bench` writes this page. Everything runs on one machine over 127.0.0.1, against the sandbox's stand-ins with
Stripe's limits. Each figure is shown with its floor from the same run: compare the ratios, not the absolute figures.
The day is simulated in virtual time, at least one hour of it; `python -m tests.bench.day` simulates all of it.

{machine}

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


def main() -> None:
    """Run the benchmarks and write the page."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--scale", type=float, default=1.0)
    scale = parser.parse_args().scale
    head = HEAD.format(machine=machine())
    parts = [
        ("The service", lines("tests.bench.service", f"--payments={max(100, round(2_000 * scale))}")),
        ("A day of 100,000 payments", lines("tests.bench.day", f"--payments={max(500, round(5_000 * scale))}")),
        ("One customer's many payments", lines("tests.bench.busy_customer")),
        ("The audit", lines("tests.bench.audit", f"--scale={scale}")),
    ]
    sections = "\n\n".join(
        "\n".join([f"## {title}", "", *(f"- {line}" for line in results)]) for title, results in parts
    )
    PAGE.write_text(f"{head}{sections}\n")


if __name__ == "__main__":
    main()
