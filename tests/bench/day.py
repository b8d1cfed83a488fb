"""A day of 100,000 payments in one process and in virtual time: `python -m tests.bench.day [--payments N]`.

The whole service sweeps and answers claims as it does in production; a node and Stripe's stand-in answer at once or
after their usual latency, Stripe with its own limits. A smaller N is a shorter time at the same pace, never a slower
one. What is told in seconds of the day is virtual; what is told of computing and memory is this process's own.
"""

import argparse
import asyncio
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
from tests.chain.fake_node import FakeNode, event_customer, raw_log
from tests.fakes.factories import BLOCK_SECONDS, payment, tx_hash
from tests.fakes.in_process_service import FINALITY, HOUR, LoopClock, NodesLine, StripeLine, Town
from tests.fakes.virtual_time import run_virtually

DAY_PAYMENTS, DAY = 100_000, 24 * 3600
CUSTOMERS = 5_000
LATENCY = 0.15
PLAIN = 10  # one in so many payments carries no quote
CLAIMED = 10  # of one in so many the payer's page stays open
FIRST = 2 * HOUR // BLOCK_SECONDS + 30  # the block of the first payment
SEED = 1
LIMIT = 25


class IndexedNode(FakeNode):
    """A node that holds a day's payments and shows those up to its head."""

    def __init__(self, payments: list[Payment]) -> None:
        super().__init__(payments)
        self._blocks = [one.block for one in payments]
        self._mine: dict[bytes, list[int]] = defaultdict(list)
        self._in_block: dict[str, list[Payment]] = defaultdict(list)
        self._in_transaction = {one.tx_hash: [one] for one in payments}
        for one in payments:
            self._mine[event_customer(one)].append(one.block)
            self._in_block[one.block_hash].append(one)

    def answer(self, method: str, params: Any) -> Any:
        """Without the log of questions, which a day would fill."""
        self.asked.clear()
        self.viewed.clear()
        return super().answer(method, params)

    def _eth_getLogs(self, wanted: dict[str, Any]) -> list[dict[str, Any]]:  # noqa: N802 # the method's own name
        return [raw_log(one) for one in self._in_block[wanted["blockHash"]]]

    def _eth_getTransactionReceipt(self, hash_: str) -> dict[str, Any] | None:  # noqa: N802
        found = [one for one in self._in_transaction[hash_] if one.block <= self.tags["latest"]]
        shown = {"status": "0x1", "logs": [raw_log(one) for one in found], "transactionHash": hash_}
        return shown | {"blockNumber": hex(found[0].block), "blockHash": found[0].block_hash} if found else None

    def _view(self, gateway: str, function: str, words: list[bytes]) -> int | list[int]:
        if not function.startswith(("total", "paymentBlocks", "paymentCount")):
            return super()._view(gateway, function, words)
        everybody = function in ("totalPayments", "paymentBlocks")
        blocks = self._blocks if everybody else self._mine[words[0]]
        count = bisect_right(blocks, self.tags["latest"])
        if function in ("totalPayments", "paymentCount"):
            return count
        start, stop = (int.from_bytes(one) for one in words[-2:])
        assert stop <= count
        return blocks[start:stop]


class DistantStripe(StripeLine):
    """Stripe as far away as it usually is."""

    def __init__(self, day: "Day") -> None:
        super().__init__(day.town)
        self._day = day

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Half of the latency before, half behind."""
        await asyncio.sleep(LATENCY / 2)
        answer = await super().handle_async_request(request)
        self._day.refused += answer.status_code == httpx.codes.TOO_MANY_REQUESTS
        await asyncio.sleep(LATENCY / 2)
        return answer


class CountedNodes(NodesLine):
    """The way to the node, which counts by method."""

    def __init__(self, town: Town) -> None:
        super().__init__(town)
        self.calls = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer after a node's usual time."""
        self.calls += request.url.host.startswith("node")
        await asyncio.sleep(0.03)
        return await super().handle_async_request(request)


def made(count: int) -> list[Payment]:
    """Payments at random moments, as many a second as `DAY_PAYMENTS` are in a day."""
    chance = random.Random(SEED)
    blocks = sorted(FIRST + chance.randrange(count * DAY // DAY_PAYMENTS // BLOCK_SECONDS) for _ in range(count))
    found: list[Payment] = []
    sequences: Counter[int] = Counter()
    log_index = 0
    for number, block in enumerate(blocks):
        log_index = log_index + 2 if found and found[-1].block == block else 1
        customer = chance.randrange(CUSTOMERS)
        cents = 0 if chance.randrange(PLAIN) == 0 else chance.randrange(500, 3_000)
        found.append(
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
    return found


class Day:
    """The town on that day, and one process of the service in it."""

    def __init__(self, count: int) -> None:
        self.payments = made(count)
        self.town = Town(self.payments)
        self.town.nodes = [IndexedNode(self.payments)]
        limits = self.town.stripe.limits
        limits.enabled, limits.endpoint = True, LIMIT
        self.refused = 0
        self.counted = CountedNodes(self.town)
        self.end = (self.payments[-1].block + FINALITY) * BLOCK_SECONDS - 2 * HOUR + 300

    def service(self) -> Services:
        """One process with the settings of a busy shop."""
        shop = self.town.process(
            STRIPE_RATE=str(LIMIT), MAX_UNFINALIZED_CENTS="10000000000", MAX_PAYMENT_CENTS="100000000"
        ).settings
        return Services(shop, LoopClock(), self.counted, self._stripe)

    def _stripe(self) -> httpx.AsyncBaseTransport:
        return DistantStripe(self)

    async def run(self) -> None:
        """From the first payment to the last one's finality."""
        services = self.service()
        services.sweeper.start(await services.records.load())
        begun = asyncio.get_running_loop().time()
        work = [
            asyncio.create_task(services.sweeper.run(services.settings.sweep_seconds, 15)),
            asyncio.create_task(self._pages(services)),
        ]
        await asyncio.sleep(self.end - begun)
        for one in work:
            one.cancel()
        await asyncio.gather(*work, return_exceptions=True)
        await services.sweeper.run_once(force=True)

    async def _pages(self, services: Services) -> None:
        """Every so many payers keep the page open: it claims until it hears of the credit."""
        pages = set()
        for one in self.payments[::CLAIMED]:
            await asyncio.sleep(max(0.0, one.time + 2 - LoopClock().wall()))
            page = asyncio.create_task(self._page(services, one))
            pages.add(page)
            page.add_done_callback(pages.discard)
        await asyncio.gather(*pages)

    @staticmethod
    async def _page(services: Services, one: Payment) -> None:
        for _ in range(20):
            answer = await services.claims.claim(one.tx_hash)
            if answer.state == "credited":
                return
            await asyncio.sleep(max(2, answer.retry_after or 2))


def told(day: Day, seconds: float) -> list[str]:
    """What the day was like, a line each. Raises where a payment has not exactly one credit."""
    count, hours = len(day.payments), round(day.payments[-1].time - day.payments[0].time) / HOUR
    paid = {one.identity: one for one in day.payments}
    waits: dict[bool, list[int]] = {True: [], False: []}
    times: Counter[str] = Counter()
    for customer in {one.customer_id for one in day.payments if one.customer_id}:
        for row in day.town.rows(customer):
            one = paid[row.metadata["payment"]]
            times[one.identity] += 1
            waits[one.quoted].append(row.created - one.time)
    assert times.keys() == paid.keys(), f"{len(paid.keys() - times.keys())} payments have no credit"
    assert set(times.values()) == {1}, "a payment has two credits"
    calls = day.town.stripe.log.counts
    swept, still_open = day.town.record()
    shown = ", ".join(f"{number / count:.2f} {name}" for name, number in sorted(calls.items()))
    told = f"a day's pace, {count} payments in {hours:.1f} h, {CUSTOMERS} customers, one in {PLAIN} plain, "
    told += f"one in {CLAIMED} with its page open: each credited once, swept {swept}, {len(still_open)} open"
    cost = f"computing: {seconds:.0f} s, {100 * seconds / hours / HOUR:.1f} % of one core; peak memory {peak()} MB; "
    return [
        told,
        f"from a quoted payment's block to its credit: {_seconds(waits[True])} (15 s of depth in it)",
        f"from a plain payment's block to its credit: {_seconds(waits[False])} (20 min of finality in it)",
        f"Stripe calls a payment: {sum(calls.values()) / count:.2f}: {shown}; {day.refused} 429s (goal 0)",
        f"calls to nodes: {day.counted.calls / count:.1f} a payment, {day.counted.calls / hours / HOUR:.1f} a second",
        cost + "the stand-ins' included",
    ]


def _seconds(waits: list[int]) -> str:
    ordered = sorted(waits)
    most = ordered[len(ordered) * 99 // 100]
    return f"median {statistics.median(ordered):.0f} s, 99 % within {most} s, all {ordered[-1]} s"


def main() -> None:
    """One day, or a part of it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--payments", type=int, default=DAY_PAYMENTS)
    day = Day(parser.parse_args().payments)
    begun = time.process_time()
    run_virtually(day.run())
    print("\n".join(told(day, time.process_time() - begun)), flush=True)


if __name__ == "__main__":
    main()
