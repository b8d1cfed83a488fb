"""How the audit grows with the payments: `python -m tests.bench.growth_audit` prints a Markdown table.

At 60 times Stripe's limits, so that computing bounds it and not the pace. The last line has the exponents of the fitted
power laws: 1 is linear, and what is above it grows faster than the account.
"""

import argparse
from contextlib import ExitStack
from typing import Any

from tests.bench.audit import EACH, LIMIT, MOST_MEGABYTES, run_audit, stand_in
from tests.bench.figures import LINEAR, exponent, marked

SIZES = (1_000, 10_000, 100_000, 300_000)
TIMES = 60
CHARGES = 10
COLUMNS = ("seconds", "cpu_seconds", "megabytes")


def measure(payments: int) -> dict[str, Any]:
    """Audit an account with so many payments."""
    sizes = {"customers": payments // EACH, "each": EACH, "per_block": 2}
    with ExitStack() as running:
        node = running.enter_context(stand_in("node", **sizes))
        stripe = running.enter_context(stand_in("stripe", charges=CHARGES, times=TIMES, **sizes))
        return run_audit(stripe, node, LIMIT * TIMES, deep=False)


def main() -> None:
    """Measure every size and print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--scale", type=float, default=1.0)
    scale = parser.parse_args().scale
    sizes = [max(100, round(size * scale)) for size in SIZES]
    head = f"| payments | seconds | CPU seconds | peak MB (goal {MOST_MEGABYTES}) |"
    print(head, "|---|---|---|---|", sep="\n", flush=True)
    costs = []
    for size in sizes:
        costs.append(measure(size))
        seconds, cpu, megabytes = (costs[-1][name] for name in COLUMNS)
        peak = marked(f"{megabytes}", is_missed=megabytes > MOST_MEGABYTES)
        print(f"| {size:,} | {seconds} | {cpu} | {peak} |", flush=True)
    laws = [exponent(sizes, [cost[name] for cost in costs]) for name in COLUMNS]
    print(f"| exponent (goal {LINEAR} at most) |", *(f"{law:.2f} |" for law in laws), flush=True)
    if max(laws) > LINEAR:
        raise SystemExit("the audit grows faster than the account")


if __name__ == "__main__":
    main()
