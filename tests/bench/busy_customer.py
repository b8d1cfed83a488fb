"""Measures what the tenth and the thousandth payment of one customer cost: `python -m tests.bench.busy_customer`.

The whole service runs in virtual time with a fake node and the Stripe stand-in. One payment becomes final every two
seconds and is credited by the sweep. The figures are means over 30 payments: a long listing is read once a minute.
"""

import argparse
import asyncio
import gc
import logging
import time
from collections.abc import Callable
from statistics import mean
from typing import Any, NamedTuple

from tests.fakes.factories import payment, tx_hash
from tests.fakes.in_process_service import Town

BUSY = "cus_Busy"
TENTH = 10
SPAN = 30  # payments


class Cost(NamedTuple):
    """What one payment used, without the CPU of the fake node and of the stand-in."""

    node_calls: float
    stripe_requests: float
    cpu: float


class Stopwatch:
    """Measures the CPU of some functions."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def watch(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function, measured."""

        def measured(*arguments: object) -> Any:
            began = time.process_time()
            try:
                return call(*arguments)
            finally:
                self.seconds += time.process_time() - began

        return measured


def measure(count: int) -> list[Cost]:
    """Credit payments one after the other."""
    town = Town([])
    town.add(BUSY)
    costs: list[Cost] = []
    others = Stopwatch()
    town.nodes[0].answer = others.watch(town.nodes[0].answer)  # type: ignore[method-assign]
    town.stripe.handle = others.watch(town.stripe.handle)  # type: ignore[method-assign]

    async def scenario() -> None:
        services = await town.started()
        for number in range(count):
            made = payment(customer_id=BUSY, sequence=number, block=100 + number, tx_hash=tx_hash(number), cents=100)
            town.nodes[0].payments.append(made)
            asked, requests = len(town.nodes[0].asked), town.stripe.log.counts.total()
            began = time.process_time() - others.seconds
            await services.sweeper.run_once(force=True)
            cpu = (time.process_time() - others.seconds - began) * 1_000
            costs.append(Cost(len(town.nodes[0].asked) - asked, town.stripe.log.counts.total() - requests, cpu))
            await asyncio.sleep(2)

    gc.disable()
    town.run(scenario())
    gc.enable()
    assert len(town.rows(BUSY)) == count
    return costs


def average(costs: list[Cost]) -> Cost:
    """Return the means."""
    return Cost(*(mean(figures) for figures in zip(*costs, strict=True)))


def report(name: str, cost: Cost) -> str:
    """Describe a payment's cost in a line."""
    calls = f"{cost.node_calls:.1f} node calls, {cost.stripe_requests:.1f} Stripe requests"
    return f"{name}: {calls}, {cost.cpu:.1f} ms of CPU"


def main() -> None:
    """Print both."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--payments", type=int, default=1_000)
    count = parser.parse_args().payments
    logging.disable(logging.CRITICAL)
    costs = measure(count)
    print(report("the 10th payment of a customer", average(costs[TENTH - 1 : TENTH - 1 + SPAN])))
    print(report(f"the {count:,}th", average(costs[-SPAN:])))


if __name__ == "__main__":
    main()
