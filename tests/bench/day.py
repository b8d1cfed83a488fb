"""Simulates a day of 100,000 payments in one process and virtual time: `python -m tests.bench.day [--payments N]`.

The whole service sweeps and answers claims as in production. The stand-ins of the node and of Stripe answer after their
usual latency, Stripe with its own limits. A smaller N shortens the day at the same pace. Latencies are in virtual
seconds; computing time and memory are those of this process.
"""

import argparse
import asyncio
import json
import random
import statistics
import time
from bisect import bisect_right
from collections import Counter, defaultdict
from typing import Any

import httpx

from chain.payment import Payment
from stateless_billing.services.container import Services
from tests.bench.audit_once import peak
from tests.bench.figures import Figure
from tests.chain.fake_node import FakeNode, event_customer, raw_log
from tests.fakes.factories import BLOCK_SECONDS, payment, tx_hash
from tests.fakes.in_process_service import FINALITY, HOUR, LoopClock, NodesLine, StripeLine, Town
from tests.fakes.virtual_time import run_virtually

DAY_PAYMENTS, DAY = 100_000, 24 * 3600
PER_CUSTOMER = 10  # payments of one customer
LATENCY = 0.15
PLAIN = 10  # one in PLAIN customers pays without quotes
NODE_GOAL, QUOTED_GOAL, PLAIN_GOAL = 8, 2.3, 3.5  # calls a payment
CLAIMED = 10  # one in CLAIMED payers keeps the page open
FIRST = 2 * HOUR // BLOCK_SECONDS + 30  # the block of the first payment
SEED = 1
LIMIT = 25


class IndexedNode(FakeNode):
    """A node with a day's payments that shows those up to its head."""

    def __init__(self, payments: list[Payment]) -> None:
        super().__init__(payments)
        self._blocks = [entry.block for entry in payments]
        self._mine: dict[bytes, list[int]] = defaultdict(list)
        self._in_block: dict[str, list[Payment]] = defaultdict(list)
        self._in_transaction = {entry.tx_hash: [entry] for entry in payments}
        for entry in payments:
            self._mine[event_customer(entry)].append(entry.block)
            self._in_block[entry.block_hash].append(entry)

    def answer(self, method: str, params: Any) -> Any:
        """Answer without logging the request: a day's log would be too large."""
        self.asked.clear()
        self.viewed.clear()
        return super().answer(method, params)

    def _eth_getLogs(self, filters: dict[str, Any]) -> list[dict[str, Any]]:  # noqa: N802 # the method's own name
        return [raw_log(entry) for entry in self._in_block[filters["blockHash"]]]

    def _eth_getTransactionReceipt(self, hash_: str) -> dict[str, Any] | None:  # noqa: N802
        mined = [entry for entry in self._in_transaction[hash_] if entry.block <= self.tags["latest"]]
        receipt = {"status": "0x1", "logs": [raw_log(entry) for entry in mined], "transactionHash": hash_}
        return receipt | {"blockNumber": hex(mined[0].block), "blockHash": mined[0].block_hash} if mined else None

    def _view(self, gateway: str, function: str, words: list[bytes]) -> int | list[int]:
        if not function.startswith(("total", "paymentBlocks", "paymentCount")):
            return super()._view(gateway, function, words)
        everybody = function in ("totalPayments", "paymentBlocks")
        blocks = self._blocks if everybody else self._mine[words[0]]
        count = bisect_right(blocks, self.tags["latest"])
        if function in ("totalPayments", "paymentCount"):
            return count
        start, stop = (int.from_bytes(word) for word in words[-2:])
        assert stop <= count
        return blocks[start:stop]


class DistantStripe(StripeLine):
    """Stripe with its usual latency."""

    def __init__(self, day: "Day") -> None:
        super().__init__(day.town)
        self._day = day

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer with half of the latency before and half after execution."""
        self._day.stripe_calls[kind_of(request)] += 1
        await asyncio.sleep(LATENCY / 2)
        answer = await super().handle_async_request(request)
        self._day.refused += answer.status_code == httpx.codes.TOO_MANY_REQUESTS
        await asyncio.sleep(LATENCY / 2)
        return answer


class CountedNodes(NodesLine):
    """Counts the calls to the node by method."""

    def __init__(self, town: Town) -> None:
        super().__init__(town)
        self.calls: Counter[str] = Counter()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer after a node's usual latency."""
        if request.url.host.startswith("node"):
            asked = json.loads(request.content)
            self.calls["batch" if isinstance(asked, list) else asked["method"].removeprefix("eth_")] += 1
        await asyncio.sleep(0.03)
        return await super().handle_async_request(request)


def kind_of(request: httpx.Request) -> str:
    """Whether a request is about a customer that pays with quotes, one that does not, orders, or the position."""
    customer = request.url.path.split("/")[3]
    if not customer.startswith("cus_Day"):
        return "orders" if request.method == "GET" else "position"
    return "plain" if is_plain(int(customer.removeprefix("cus_Day"))) else "quoted"


def is_plain(customer: int) -> bool:
    """Whether a customer pays without quotes."""
    return customer % PLAIN == 0


def generate_payments(count: int) -> list[Payment]:
    """Return payments at random times, at the pace of `DAY_PAYMENTS` a day."""
    chance = random.Random(SEED)
    blocks = sorted(FIRST + chance.randrange(count * DAY // DAY_PAYMENTS // BLOCK_SECONDS) for _ in range(count))
    payers = [number // PER_CUSTOMER for number in range(count)]
    chance.shuffle(payers)
    payments: list[Payment] = []
    sequences: Counter[int] = Counter()
    log_index = 0
    for number, block in enumerate(blocks):
        log_index = log_index + 2 if payments and payments[-1].block == block else 1
        customer = payers[number]
        cents = 0 if is_plain(customer) else chance.randrange(500, 1_000)  # all of a customer's: below the first tier
        payments.append(
            payment(
                block=block,
                log_index=log_index,
                tx_hash=tx_hash(number + 1),
                customer_id=f"cus_Day{customer:06d}",
                wallet=f"0x{customer + 1:040x}",
                sequence=sequences[customer],
                cents=cents,
            )
        )
        sequences[customer] += 1
    return payments


class Day:
    """The simulated world on that day, with one process of the service."""

    def __init__(self, count: int) -> None:
        self.payments = generate_payments(count)
        self.town = Town(self.payments, key="sk_live_sandbox")  # a test key has fewer requests
        self.town.nodes = [IndexedNode(self.payments)]
        limits = self.town.stripe.limits
        limits.enabled, limits.endpoint = True, LIMIT
        self.refused = 0
        self.stripe_calls: Counter[str] = Counter()
        self.counted = CountedNodes(self.town)
        self.end = (self.payments[-1].block + FINALITY) * BLOCK_SECONDS - 2 * HOUR + 300

    def service(self) -> Services:
        """Create a process with the settings of a busy deployment."""
        shop = self.town.process(
            STRIPE_RATE=str(LIMIT),
            STRIPE_TOTAL_RATE=str(4 * LIMIT),
            MAX_UNFINALIZED_CENTS="10000000000",
            MAX_PAYMENT_CENTS="100000000",
        ).settings
        return Services(shop, LoopClock(), self.counted, self._stripe)

    def _stripe(self) -> httpx.AsyncBaseTransport:
        return DistantStripe(self)

    async def run(self) -> None:
        """Run from the first payment to the finality of the last."""
        services = self.service()
        services.sweeper.start(await services.records.load())
        begun = asyncio.get_running_loop().time()
        work = [
            asyncio.create_task(services.sweeper.run(services.settings.sweep_seconds, 15)),
            asyncio.create_task(self._pages(services)),
        ]
        await asyncio.sleep(self.end - begun)
        for task in work:
            task.cancel()
        await asyncio.gather(*work, return_exceptions=True)
        await services.sweeper.run_once(force=True)

    async def _pages(self, services: Services) -> None:
        """Claim on behalf of the payers who keep the page open, until each is credited."""
        pages = set()
        for entry in self.payments[::CLAIMED]:
            await asyncio.sleep(max(0.0, entry.time + 2 - LoopClock().wall()))
            page = asyncio.create_task(self._page(services, entry))
            pages.add(page)
            page.add_done_callback(pages.discard)
        await asyncio.gather(*pages)

    @staticmethod
    async def _page(services: Services, payment: Payment) -> None:
        for _ in range(20):
            answer = await services.claims.claim(payment.tx_hash)
            if answer.state == "credited":
                return
            await asyncio.sleep(max(2, answer.retry_after or 2))


def report_lines(day: Day, seconds: float) -> list[str]:
    """Return the results, one line each. Raises: AssertionError unless every payment has exactly one credit."""
    count, hours = len(day.payments), round(day.payments[-1].time - day.payments[0].time) / HOUR
    paid = {entry.identity: entry for entry in day.payments}
    waits: dict[bool, list[int]] = {True: [], False: []}
    times: Counter[str] = Counter()
    for customer in {entry.customer_id for entry in day.payments if entry.customer_id}:
        for row in day.town.rows(customer):
            payment = paid[row.metadata["payment"]]
            times[payment.identity] += 1
            waits[payment.quoted].append(row.created - payment.time)
    assert times.keys() == paid.keys(), f"{len(paid.keys() - times.keys())} payments have no credit"
    assert set(times.values()) == {1}, "a payment has two credits"
    swept, still_open = day.town.record()
    summary = f"a day's pace, {count} payments in {hours:.1f} h, {PER_CUSTOMER} a customer, one customer in {PLAIN} "
    summary += f"plain, one payer in {CLAIMED} with the page open: "
    summary += f"each credited once, swept {swept}, {len(still_open)} open"
    cost = f"computing: {seconds:.0f} s, {100 * seconds / hours / HOUR:.1f} % of one core; peak memory {peak()} MB; "
    return [
        summary,
        f"from a quoted payment's block to its credit: {_seconds(waits[True])} (15 s of depth in it)",
        f"from a plain payment's block to its credit: {_seconds(waits[False])} (20 min of finality in it)",
        cost + "the stand-ins' included",
        *_call_rows(day),
    ]


def _call_rows(day: Day) -> list[str]:
    """What the payments of each kind cost at Stripe, sealing included, and at the nodes."""
    calls, quoted = day.stripe_calls, sum(entry.quoted for entry in day.payments)
    plain, count = len(day.payments) - quoted, len(day.payments)
    per_quoted, per_plain = calls["quoted"] / quoted, (calls["plain"] + calls["orders"]) / plain

    def row(name: str, figure: float, goal: float | None = None, note: str = "") -> str:
        return Figure(name=name, rounds=[figure], goal=goal, note=note).row()

    def each(counts: Counter[str]) -> str:
        return ", ".join(f"{number / count:.2f} {name}" for name, number in counts.most_common())

    writes = f"of these {calls['position']} writes of the sweep's position, at most one a minute"
    nodes = day.counted.calls
    return [
        row("Stripe calls a quoted payment, its sealing included", per_quoted, QUOTED_GOAL),
        row("Stripe calls a plain payment, its sealing and the orders included", per_plain, PLAIN_GOAL),
        row("Stripe calls a payment", calls.total() / count, None, f"{each(day.town.stripe.log.counts)}; {writes}"),
        row("429s of Stripe", day.refused, 0),
        row("calls to nodes a payment", nodes.total() / count, NODE_GOAL, each(nodes)),
    ]


def _seconds(waits: list[int]) -> str:
    ordered = sorted(waits)
    most = ordered[len(ordered) * 99 // 100]
    return f"median {statistics.median(ordered):.0f} s, 99 % within {most} s, all {ordered[-1]} s"


def main() -> None:
    """Simulate a day, or a part of it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--payments", type=int, default=DAY_PAYMENTS)
    day = Day(parser.parse_args().payments)
    begun = time.process_time()
    run_virtually(day.run())
    print("\n".join(report_lines(day, time.process_time() - begun)), flush=True)


if __name__ == "__main__":
    main()
