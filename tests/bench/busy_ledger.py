"""Measures a plain credit and its sealing for a customer with many debits: `python -m tests.bench.busy_ledger`.

The customer's ledger shows 20,000 debits of a cent in the half hour before the payment becomes final. Meanwhile other
customers pay, whose credits must not wait for it. The whole service runs in virtual time at Stripe's own pace,
with the latency of Stripe and of a node. A list is read from Stripe in pages of 100 entries.
"""

import argparse
import asyncio
import logging
from collections import Counter
from itertools import pairwise
from statistics import median
from typing import Any, NamedTuple

import httpx

from chain.payment import Payment
from stateless_billing.sandbox.account import Entry
from stateless_billing.services.container import Services
from tests.bench.figures import Figure
from tests.fakes.factories import BLOCK_SECONDS, payment, tx_hash
from tests.fakes.in_process_service import BEGIN, FINALITY, LISTS, NOW_BLOCK, LoopClock, NodesLine, StripeLine, Town
from tests.fakes.virtual_time import run_virtually

BUSY = "cus_Busy"
DEBITS, SPAN = 20_000, 1_800
PAGE = 100
LATENCY = 0.07  # seconds of one request to Stripe
OTHERS = 60  # customers who pay meanwhile, one every `EVERY` seconds
EVERY = 20


class Bill(NamedTuple):
    """What the busy customer's credit and sealing cost, and how long the others' fresh credits took."""

    lists: int
    seconds: float
    sealed: bool
    waits: list[float]
    fresh_calls: float


class DistantStripe(StripeLine):
    """Stripe with its usual latency; counts the lists of the busy customer and how long they take."""

    def __init__(self, town: Town, calls: Counter[str], times: list[float]) -> None:
        super().__init__(town)
        self._calls = calls
        self._times = times

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer late."""
        path, busy = request.url.path, f"/{BUSY}/" in request.url.path
        self._calls[LISTS if busy and request.method == "GET" else path.split("/")[3]] += 1
        if busy:
            self._times.append(asyncio.get_running_loop().time())
        await asyncio.sleep(LATENCY)
        return await super().handle_async_request(request)


def others() -> list[Payment]:
    """Fresh quoted payments of other customers, one after the other."""
    return [
        payment(
            customer_id=f"cus_Other{number}",
            block=NOW_BLOCK + 5 + number * EVERY // BLOCK_SECONDS,
            tx_hash=tx_hash(number + 2),
            cents=700,
        )
        for number in range(OTHERS)
    ]


async def run(town: Town, services: Services, plain: Payment, made: list[Payment], seconds: int) -> None:
    """Sweep while the others pay; the busy customer is charged a cent at an even pace."""

    async def pay() -> None:
        for entry in made:
            await asyncio.sleep(max(0.0, entry.time - LoopClock().wall()))
            town.nodes[0].payments.append(entry)

    work = [asyncio.create_task(services.sweeper.run(3, 15)), asyncio.create_task(pay())]
    await asyncio.sleep(seconds)
    for task in work:
        task.cancel()
    await asyncio.gather(*work, return_exceptions=True)
    await services.sweeper.run_once(force=True)
    assert town.record()[0] == str(1 + len(made)), town.record()


def measure(debits: int) -> Bill:
    """Credit and seal one plain payment of the busy customer, and the others' payments."""
    plain = payment(customer_id=BUSY, block=NOW_BLOCK - FINALITY + 20, cents=0)
    made = others()
    town = Town([plain])
    for entry in made:
        town.add(entry.customer_id or "")
    calls: Counter[str] = Counter()
    times: list[float] = []
    begin = BEGIN - SPAN
    rows = [(begin + number * SPAN // debits, Entry(1, "usd", description="Usage")) for number in range(debits)]

    async def scenario() -> None:
        town.stripe.account.add_past(town.customer(BUSY), rows)
        settings = town.process(STRIPE_RATE="15", STRIPE_TOTAL_RATE="60").settings
        services = Services(settings, LoopClock(), SlowNodes(town), lambda: DistantStripe(town, calls, times))
        services.sweeper.start(await services.records.load())
        await run(town, services, plain, made, OTHERS * EVERY + FINALITY * BLOCK_SECONDS + 2 * SPAN)

    run_virtually(scenario())
    waits = [float(town.rows(entry.customer_id or "")[-1].created - entry.time) for entry in made]
    spans = sum(later - earlier for earlier, later in pairwise(times) if later - earlier < 2)
    fresh = sum(number for name, number in calls.items() if name.startswith("cus_Other")) / len(made)
    return Bill(calls[LISTS], spans, town.cursor(BUSY) is not None, waits, fresh)


class SlowNodes(NodesLine):
    """Nodes with their usual latency."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer late."""
        await asyncio.sleep(0.03)
        return await super().handle_async_request(request)


def report_lines(bill: Bill, debits: int) -> list[str]:
    """Describe what was measured, each figure beside its goal."""
    assert bill.sealed, "the busy customer has no cursor"
    name = f"a plain credit and its sealing beside {debits:,} debits: list calls"
    goal = -(-debits // PAGE) + 1  # each page once, and after the credit the newest with it
    note = f"{bill.seconds:.1f} s in them"
    others = (
        f"median {median(bill.waits):.0f} s, all within {max(bill.waits):.0f} s; {bill.fresh_calls:.1f} Stripe calls"
    )
    return [
        Figure(name=name, rounds=[bill.lists], goal=goal, note=note).row(),
        f"others' fresh credits meanwhile: {others} each, their sealing included",
    ]


def main() -> None:
    """Print both lines."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--debits", type=int, default=DEBITS)
    debits: Any = parser.parse_args().debits
    logging.disable(logging.CRITICAL)
    print("\n".join(report_lines(measure(debits), debits)), flush=True)


if __name__ == "__main__":
    main()
