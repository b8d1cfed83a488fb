"""How the sweep grows: `python -m tests.bench.growth_sweep [--scale N]` prints Markdown tables.

The whole service sweeps in one process and virtual time, over a chain whose payments are computed when asked for. CPU
is that of the service alone, without the stand-ins of the nodes and of Stripe. The last lines of each table have the
exponents of the power laws, fitted to all sizes and to the last two: what is above 1 grows faster than the payments.
"""

import argparse
import asyncio
import gc
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from typing import Any, NamedTuple

import httpx

from chain.payment import Payment, customer_id_to_bytes32
from stateless_billing.domain import ledger
from stateless_billing.services.container import Services
from stateless_billing.sweep.checkpoint import SEAL_SECONDS
from tests.bench.busy_customer import Stopwatch
from tests.bench.figures import LINEAR, exponent, marked
from tests.chain.fake_node import FakeNode, raw_log
from tests.fakes.factories import BLOCK_SECONDS, CHAIN_ID, GATEWAY, payment, tx_hash
from tests.fakes.in_process_service import FINALITY, NOW_BLOCK, SHORT, LoopClock, NodesLine, StripeLine, Town
from tests.fakes.virtual_time import run_virtually

UNFINALIZED = (10, 1_000, 10_000)
INDEXED = (10_000, 100_000, 1_000_000)
LOST = (1_000, 4_000, 16_000)
MANY = 10  # payments of one customer, where customers grow with the payments
FIXED = 100  # customers, where they do not
DEEP, SPAN = 20, 280  # blocks above the newest unfinalized payment, and with unfinalized payments
FIRST = NOW_BLOCK  # the block of the first payment of a long index
STEADY = 5  # rounds
PAUSE = 7  # seconds between two: longer than a reading of the unfinalized payments is shared
GIVEN = {"STRIPE_RATE": "1000", "STRIPE_TOTAL_RATE": "4000"}
GIVEN |= {"MAX_UNFINALIZED_CENTS": "10000000000", "MAX_PAYMENT_CENTS": "100000000"}


class Cost(NamedTuple):
    """What a piece of work used."""

    cpu: float  # milliseconds
    node_calls: float
    node_bytes: float
    stripe_requests: float


class EvenNode(FakeNode):
    """A node with payments evenly over some blocks, of customers in turn. It keeps none of them."""

    def __init__(self, count: int, customers: int, first: int, span: int) -> None:
        super().__init__()
        self.count, self.customers, self.first, self.span = count, customers, first, span
        self._customers = {customer_id_to_bytes32(customer(number)): number for number in range(customers)}

    def answer(self, method: str, params: Any) -> Any:
        """Answer without logging the request."""
        self.asked.clear()
        self.viewed.clear()
        return super().answer(method, params)

    def payment(self, index: int) -> Payment:
        """Return the payment at a place in the index."""
        number = self._block(index)
        return payment(
            block=number,
            log_index=1 + 2 * (index - self._begin(number)),
            tx_hash=tx_hash(index),
            customer_id=customer(index % self.customers),
            sequence=index // self.customers,
            cents=500,
        )

    def _block(self, index: int) -> int:
        return self.first + index * self.span // self.count

    def _begin(self, number: int) -> int:
        """Return the first place in the index of a block or of what comes after it."""
        return min(self.count, max(0, -((self.first - number) * self.count // self.span)))

    def _eth_getLogs(self, wanted: dict[str, Any]) -> list[dict[str, Any]]:  # noqa: N802 # the method's own name
        number = int(wanted["blockHash"][4:], 16)
        return [raw_log(self.payment(index)) for index in range(self._begin(number), self._begin(number + 1))]

    def _eth_getTransactionReceipt(self, hash_: str) -> dict[str, Any] | None:  # noqa: N802
        made = self.payment(int(hash_[4:], 16))
        place = {"blockNumber": hex(made.block), "blockHash": made.block_hash}
        return {"status": "0x1", "logs": [raw_log(made)], "transactionHash": hash_} | place

    def _view(self, gateway: str, function: str, words: list[bytes]) -> int | list[int]:
        if not function.startswith(("total", "paymentBlocks", "paymentCount")):
            return super()._view(gateway, function, words)
        own = self._customers[words[0]] if function in ("paymentCount", "paymentBlocksOf") else None
        places = range(self.count) if own is None else range(own, self.count, self.customers)
        if function in ("totalPayments", "paymentCount"):
            return len(places)
        start, stop = (int.from_bytes(word) for word in words[-2:])
        assert stop <= len(places)
        return [self._block(index) for index in places[start:stop]]


class MeasuredNodes(NodesLine):
    """Counts requests and the bytes of their answers, and measures the CPU that answering takes."""

    def __init__(self, town: Town) -> None:
        super().__init__(town)
        self.requests = self.bytes = 0
        self.seconds = 0.0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer without delay."""
        began = time.process_time()
        answer = await super().handle_async_request(request)
        self.requests += 1
        self.bytes += len(answer.content)
        self.seconds += time.process_time() - began
        return answer


class World:
    """A chain with payments, their customers at Stripe, and the meters of one process."""

    def __init__(self, count: int, *, customers: int, first: int, span: int, **record: str) -> None:
        self.node = EvenNode(count, customers, first, span)
        self.town = Town([], **record)
        self.town.nodes = [self.node]
        for number in range(customers):
            self.town.add(customer(number))
        self.nodes = MeasuredNodes(self.town)
        self.stripe = Stopwatch()
        self.town.stripe.handle = self.stripe.watch(self.town.stripe.handle)  # type: ignore[method-assign]

    def seal_all(self) -> None:
        """Write every customer's cursor behind its last payment, as if all were credited and sealed."""
        count, customers = self.node.count, self.node.customers
        for number in range(customers):
            places = range(number, count, customers)
            cursor = ledger.Cursor(len(places), tx_hash(places[-1]))
            self.town.set_metadata(customer(number), {ledger.cursor_key(CHAIN_ID, GATEWAY): str(cursor)})

    def process(self) -> Services:
        """Create a process of the service."""
        return Services(self.town.process(**GIVEN).settings, LoopClock(), self.nodes, lambda: StripeLine(self.town))

    async def cost(self, work: Awaitable[Any]) -> Cost:
        """Do some work and return what it used."""
        before = self._meters()
        await work
        return Cost(*(after - start for after, start in zip(self._meters(), before, strict=True)))

    def _meters(self) -> Cost:
        seconds = time.process_time() - self.nodes.seconds - self.stripe.seconds
        return Cost(seconds * 1_000, self.nodes.requests, self.nodes.bytes, self.town.stripe.log.counts.total())


def customer(number: int) -> str:
    """Return the ID of a customer."""
    return f"cus_Growth{number:06d}"


def mean(costs: Sequence[Cost]) -> Cost:
    """Return the mean cost of some rounds."""
    return Cost(*(sum(figures) / len(costs) for figures in zip(*costs, strict=True)))


def unfinalized(count: int) -> list[Cost]:
    """Credit so many payments, none final, in a first round, and look at them again in steady ones."""
    world = World(count, customers=max(1, count // MANY), first=NOW_BLOCK - DEEP - SPAN, span=SPAN)
    costs: list[Cost] = []

    async def scenario() -> None:
        services = world.process()
        services.sweeper.start(await services.records.load())
        costs.append(await world.cost(services.sweeper.run_once()))
        steady = []
        for _ in range(STEADY):
            await asyncio.sleep(PAUSE)
            steady.append(await world.cost(services.sweeper.run_once()))
        costs.append(mean(steady))

    measured(scenario())
    credited = sum(len(world.town.rows(customer(number))) for number in range(world.node.customers))
    assert credited == count, f"{credited} credits of {count} payments"
    return costs


def indexed(count: int) -> list[Cost]:
    """Start with the record at the end of the index, and sweep."""
    world = World(count, customers=FIXED, first=FIRST, span=count, **{f"swept__{CHAIN_ID}__{SHORT}": str(count)})
    world.seal_all()
    costs: list[Cost] = []

    async def scenario() -> None:
        await asyncio.sleep(time_of(count))
        services = world.process()

        async def start() -> None:
            services.sweeper.start(await services.records.load())

        costs.append(await world.cost(start()))
        costs.append(await world.cost(services.sweeper.run_once()))
        await asyncio.sleep(PAUSE)
        costs.append(await world.cost(services.sweeper.run_once()))
        assert services.sweeper.swept() == {GATEWAY: count}

    measured(scenario())
    return costs


def lost(count: int, customers: int | None) -> list[Cost]:
    """Start without a record: all payments are final and behind their customers' cursors."""
    world = World(count, customers=customers or count // MANY, first=FIRST, span=count)
    world.seal_all()
    costs: list[Cost] = []

    async def scenario() -> None:
        await asyncio.sleep(time_of(count))
        services = world.process()
        services.sweeper.start(await services.records.load())
        costs.append(await world.cost(services.sweeper.run_once()))
        assert services.sweeper.swept() == {GATEWAY: count}

    measured(scenario())
    return costs


def time_of(count: int) -> int:
    """When so many payments, one a block, are final and old enough to be sealed: seconds from the beginning."""
    return (FIRST - NOW_BLOCK + count + 2 * FINALITY) * BLOCK_SECONDS + SEAL_SECONDS


def measured(scenario: Coroutine[Any, Any, None]) -> None:
    """Run in virtual time without the garbage collector's pauses."""
    gc.collect()
    gc.disable()
    run_virtually(scenario)
    gc.enable()


def table(what: str, rows: Sequence[str], sizes: Sequence[int], measure: Callable[[int], list[Cost]]) -> None:
    """Print what is measured, and a table with a group of columns for each of `rows`."""
    names = [f"{row}: {unit}" for row in rows for unit in ("CPU ms", "node calls", "kB of answers", "Stripe requests")]
    print(what, f"| payments | {' | '.join(names)} |", "|" + "---|" * (len(names) + 1), sep="\n", flush=True)
    values: list[list[float]] = []
    for size in sizes:
        costs = [cost._replace(node_bytes=cost.node_bytes / 1_000) for cost in measure(size)]
        values.append([figure for cost in costs for figure in cost])
        print(f"| {size:,} | {' | '.join(digits(figure) for figure in values[-1])} |", flush=True)
    columns = list(zip(*values, strict=True))
    print(f"| exponent (goal {LINEAR} at most) |", *(f"{law(sizes, column)} |" for column in columns), flush=True)
    print("| of the last step |", *(f"{law(sizes[-2:], column[-2:])} |" for column in columns), flush=True)


def law(sizes: Sequence[int], column: Sequence[float]) -> str:
    """Return the exponent of a column, and whether it misses its goal; nothing for one with zeros."""
    if min(column) == 0:
        return ""
    power = exponent(sizes, column)
    return marked(f"{power:.2f}", is_missed=round(power, 2) > LINEAR)


def digits(figure: float) -> str:
    """Three digits, and no fewer than those before the point."""
    return f"{figure:,.0f}" if figure >= 100 else f"{figure:.3g}"


def main() -> None:
    """Measure every size and print the tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--scale", type=float, default=1.0)
    scale = parser.parse_args().scale
    logging.disable(logging.CRITICAL)

    def scaled(sizes: Sequence[int]) -> list[int]:
        return [max(10, round(size * scale)) for size in sizes]

    what = f"Unfinalized payments in {SPAN} blocks, {MANY} a customer; a steady round finds nothing new"
    table(what, ("first round", "steady round"), scaled(UNFINALIZED), unfinalized)
    what = "All payments final, one a block, the record at the end of the index"
    table(what, ("start", "first round", "steady round"), scaled(INDEXED), indexed)
    for each, customers in ((f"{MANY} a customer", None), (f"of {FIXED} customers", FIXED)):
        what = f"All payments {each} final and behind the cursors, one a block, the service's record lost"
        table(what, ("first round",), scaled(LOST), partial(lost, customers=customers))


if __name__ == "__main__":
    main()
