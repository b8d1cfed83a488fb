"""Whole services credit claimed payments at Stripe's limits, in virtual time: `python -m tests.bench.scale_service`.

It shows for one, three and ten processes what `tests.bench.scale` computes with a model of a process.
"""

import asyncio
import random

import httpx

from stateless_billing.services.container import Services
from stateless_billing.services.startup import Token
from tests.bench.day import IndexedNode
from tests.bench.scale import JITTER, LATENCY, SEED
from tests.chain.fake_node import FakeNode
from tests.fakes.factories import GATEWAY, payment, tx_hash
from tests.fakes.in_process_service import CREDITS, NOW_BLOCK, LoopClock, NodesLine, StripeLine, Town
from tests.fakes.virtual_time import VirtualLoop

LIMIT, PAYMENTS, DEPTH = 25, 500, 20
KEY = "sk_live_sandbox"


class DistantStripe(StripeLine):
    """Stripe with its usual latency."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer with half of the latency before and half after execution."""
        await asyncio.sleep(LATENCY / 2 + random.expovariate(1 / JITTER))
        answer = await super().handle_async_request(request)
        await asyncio.sleep(LATENCY / 2 + random.expovariate(1 / JITTER))
        return answer


def create_town() -> Town:
    """An account with Stripe's limits and one fresh quoted payment of each customer."""
    payments = [
        payment(
            block=NOW_BLOCK - DEPTH,
            log_index=2 * number + 1,
            tx_hash=tx_hash(number + 1),
            customer_id=f"cus_Scale{number:06d}",
            wallet=f"0x{number + 1:040x}",
            cents=100,
        )
        for number in range(PAYMENTS)
    ]
    town = Town(payments, key=KEY)
    nodes: list[FakeNode] = [IndexedNode(payments)]
    town.nodes = nodes
    town.stripe.limits.enabled = True
    return town


def create_service(town: Town, processes: int) -> Services:
    """One of so many processes that share all of Stripe's limits."""
    settings = town.process(
        STRIPE_RATE=str(LIMIT),
        STRIPE_TOTAL_RATE=str(4 * LIMIT),
        PROCESSES=str(processes),
        MAX_UNFINALIZED_CENTS="10000000000",
    ).settings
    services = Services(settings, LoopClock(), NodesLine(town), lambda: DistantStripe(town))
    services.startup.token = Token(GATEWAY, "LITKEY", 18)
    services.startup.has_passed = True
    return services


async def claim(services: Services, hash_: str) -> None:
    """Claim until the payment is credited, as its page does."""
    while True:
        answer = await services.claims.claim(hash_)
        if answer.state == "credited":
            return
        await asyncio.sleep(max(1, answer.retry_after or 1))


def play(processes: int) -> tuple[float, float, float]:
    """Return credits a second over the limit while there is a queue, calls a credit, and 429s over all calls."""
    random.seed(SEED)
    town = create_town()

    async def scenario() -> None:
        services = [create_service(town, processes) for _ in range(processes)]
        hashes = [tx_hash(number + 1) for number in range(PAYMENTS)]
        await asyncio.gather(*(claim(services[number % processes], hash_) for number, hash_ in enumerate(hashes)))

    loop = VirtualLoop()
    loop.run_until_complete(scenario())
    loop.close()  # without waiting for the threads that decoded long answers: no timer would wake the loop
    rows = town.stripe.log.rows
    written = sorted(row.time for row in rows if row.endpoint == CREDITS and row.status == 200)
    assert len(written) == PAYMENTS
    first, last = PAYMENTS // 10, PAYMENTS * 9 // 10
    rate = (last - first) / (written[last] - written[first])
    return rate / LIMIT, len(rows) / PAYMENTS, sum(row.status == 429 for row in rows) / len(rows)


def main() -> None:
    """Print a line for each number of processes."""
    for processes in (1, 3, 10):
        rate, calls, refused = play(processes)
        figures = (
            f"{100 * rate:.1f} % of {LIMIT} credits a second, {calls:.2f} calls a credit, {100 * refused:.1f} % 429s"
        )
        print(f"{processes} whole services, {PAYMENTS} payments claimed at once: {figures}", flush=True)


if __name__ == "__main__":
    main()
