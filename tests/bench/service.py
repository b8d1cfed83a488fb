"""Measures the running service against its floor: `python -m tests.bench.service`.

Each figure has a floor from the same round: an empty Starlette application under the same server, bare calls to the
same stand-in, or Stripe's own limits. Absolute figures depend on the machine as much as on the service.
"""

import argparse
import asyncio
import statistics
import time
from collections import Counter

import httpx

from chain import contracts
from chain.signatures import Quote, Signer
from stateless_billing.sandbox.localchain import encode_call
from stateless_billing.sandbox.stack import KEY, Service, Stack, free_port
from tests.bench.figures import FEWEST_ROUNDS, Figure, ratios, report
from tests.bench.floors import BARE, EMPTY, Server, cpu_of_a_request, peak_megabytes, requests_a_second, serving
from tests.integration.shop import Customer, Shop, wait_until

CREATE = "POST /v1/customers/{customer}/balance_transactions"
WRITE = "POST /v1/customers/{customer}"
HEADERS = {"authorization": f"Bearer {KEY}", "stripe-version": "2026-10-28.endive"}
LATENCY = 0.15
LIMIT = 25  # Stripe's requests a second for an endpoint
CENTS, AMOUNT = 500, 10**20
TOGETHER = 25  # payments in one EVM transaction
REQUESTS = 3_000
PACED_SECONDS = 5
STATUS = "/api/payments/{credited}"


def requests(stack: Stack, shop: Shop) -> None:
    """Measure CPU and pace of requests, round by round beside servers that do nothing."""
    service = stack.serve(SWEEP="off", CLIENT_IP_HEADER="x-origin")
    tx_hash = shop.pay(service, shop.customer(), CENTS)
    shop.claimed(service, tx_hash)
    shop.finalize()
    shop.claimed(service, tx_hash)
    port, pid = int(service.url.rpartition(":")[2]), service.process.pid
    with serving(EMPTY) as empty, serving(BARE) as bare:
        servers = {
            "bare": bare,
            "empty": empty,
            "/healthz": Server(port, pid),
            STATUS: Server(port, pid, f"/api/payments/{tx_hash}"),
        }
        cpu: dict[str, list[float]] = {name: [] for name in servers}
        pace: dict[str, list[float]] = {name: [] for name in servers}
        for number in range(FEWEST_ROUNDS):
            for name, server in servers.items():
                cpu[name].append(cpu_of_a_request(server, REQUESTS, number))
                pace[name].append(asyncio.run(requests_a_second(server, 1.5, number)))
    report(Figure(name="CPU of a request, an empty Starlette", rounds=cpu["empty"], unit="µs", floor=cpu["bare"]))
    report(Figure(name="CPU of a request, /healthz", rounds=cpu["/healthz"], unit="µs", floor=cpu["empty"]))
    report(Figure(name=f"CPU of a request, {STATUS}", rounds=cpu[STATUS], unit="µs", goal=200, floor=cpu["empty"]))
    for name in ("/healthz", STATUS):
        report(Figure(name=f"requests a second, {name}", rounds=pace[name], floor=pace["empty"]))
    report(Figure(name="peak memory of the process that served these", rounds=[peak_megabytes(pid)], unit="MB"))
    _require_a_floor("CPU", cpu["bare"], cpu["empty"])
    _require_a_floor("pace", pace["empty"], pace["bare"])
    service.stop()


def _require_a_floor(name: str, less: list[float], more: list[float]) -> None:
    """Refuse an empty Starlette that is no dearer than a bare protocol: then the clients were measured."""
    if statistics.median(ratios(more, less)) <= 1:
        raise SystemExit(f"{name}: an empty Starlette does as well as a bare protocol, so it is no floor")


def calls_to_stripe(stack: Stack, shop: Shop) -> None:
    """Count the Stripe calls of each step. What seals a payment later is counted by `tests.bench.day`."""

    def counted(step: str, goal: int) -> None:
        rows = stack.control("GET", "requests?last=1000")
        record = sum(row["path"].endswith(stack.settings["SERVICE_CUSTOMER_ID"]) for row in rows)
        counts = Counter(row["endpoint"] for row in rows) - Counter({WRITE: record})
        note = ", ".join(f"{count} {endpoint}" for endpoint, count in sorted(counts.items()))
        report(Figure(name=f"Stripe calls, {step}", rounds=[counts.total()], goal=goal, note=note))
        shop.count_from_zero()

    sweeper = stack.serve(SWEEP="on", SWEEP_SECONDS="1")
    time.sleep(5)  # what a start reads is read
    tx_hash = shop.send(shop.quote(sweeper, shop.customer(), CENTS))
    shop.count_from_zero()
    shop.deepen()
    wait_until(lambda: shop.counts().get(CREATE, 0) == 1)
    counted("a fresh quoted credit", 2)
    for _ in range(20):
        stack.http.get(f"{sweeper.url}/api/payments/{tx_hash}")
    counted("20 status polls of a credited payment", 0)
    time.sleep(30)
    counted("30 idle seconds, without the sweep's record, one a minute for all payments", 0)
    sweeper.stop()
    fresh = stack.serve(SWEEP="off")
    shop.finalize()  # within minutes of its block, a payment's idempotency key alone proves that it is credited
    shop.count_from_zero()
    shop.claimed(fresh, tx_hash)
    counted("a repeated claim by a new process", 1)
    fresh.stop()


def slow(stack: Stack) -> None:
    """Add latency to every further call to Stripe."""
    rule = {"effect": "slow", "with": {"before": LATENCY}, "times": None, "probability": 1.0}
    for method in ("GET", "POST"):
        stack.control("POST", "faults", rule | {"method": method})


def latency(stack: Stack, shop: Shop, rounds: int = 20) -> None:
    """Compare a claim of a fresh quoted payment with two consecutive bare calls to the stand-in."""
    service, took, floor = stack.serve(SWEEP="off"), [], []
    for _ in range(rounds):
        customer = shop.customer()
        tx_hash = shop.pay(service, customer, CENTS)
        began = time.perf_counter()
        answer = shop.claim(service, tx_hash)
        while answer["state"] == "confirming":
            began = time.perf_counter()
            answer = shop.claim(service, tx_hash)
        took.append(time.perf_counter() - began)
        assert answer["state"] == "credited", answer
        began = time.perf_counter()
        for _ in range(2):
            stack.http.get(f"{stack.sandbox}/v1/customers/{customer.id}", headers=HEADERS)
        floor.append(time.perf_counter() - began)
    if min(floor) < 2 * LATENCY:
        raise SystemExit("two bare calls took less than their latency, so they are no floor")
    name = f"claim of a fresh quoted payment, {LATENCY * 1000:.0f} ms a call"
    report(Figure(name=name, rounds=took, unit="s", floor=floor))
    report(Figure(name=f"{name}, times two bare calls", rounds=ratios(took, floor), goal=1.1))
    service.stop()


def burst(stack: Stack, shop: Shop, payments: int, customers: int) -> None:
    """Measure how fast a process credits bursts at Stripe's limits, each after a bare client's paced writes."""
    stack.control("POST", "settings", {"limits": {"endpoint": LIMIT}})
    settings = {"SWEEP": "on", "SWEEP_SECONDS": "1", "STRIPE_RATE": str(LIMIT), "MAX_UNFINALIZED_CENTS": "1000000000"}
    port = free_port()
    service: Service = stack.serve(**settings, METRICS_PORT=str(port))
    if (most := asyncio.run(_paced_writes(stack, shop.customer(), 2 * LIMIT))) > 1.25 * LIMIT:
        raise SystemExit(f"the stand-in accepts {most} writes a second, more than Stripe: its limit is no bound")
    rates, floor = [], []
    each = payments // FEWEST_ROUNDS // customers
    for _ in range(FEWEST_ROUNDS):
        floor.append(asyncio.run(_paced_writes(stack, shop.customer())))
        time.sleep(2)  # the stand-in's allowance is as after any pause
        shop.count_from_zero()
        _pay(stack, [shop.customer() for _ in range(customers)], each)
        wait_until(lambda: shop.counts().get(CREATE, 0) > 0)
        first, began = shop.counts()[CREATE], time.perf_counter()
        wait_until(lambda: shop.counts()[CREATE] >= each * customers, 4 * payments / LIMIT)
        rates.append((each * customers - first) / (time.perf_counter() - began))
    samples = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).text
    refused = sum(
        int(float(line.rpartition(" ")[2]))
        for line in samples.splitlines()
        if line.startswith("billing_stripe_requests_total") and 'outcome="limited"' in line
    )
    name = f"bursts of {each * customers} fresh quoted payments, {LATENCY * 1000:.0f} ms a call"
    report(Figure(name=f"{name}: credits a second", rounds=rates, goal=0.95 * LIMIT, is_least=True, floor=floor))
    report(Figure(name=f"{name}: 429s of its rate limiter", rounds=[refused], goal=0))
    service.stop()


async def _paced_writes(stack: Stack, customer: Customer, pace: int = LIMIT) -> float:
    """Write evenly without any of the service's code; the writes a second that the stand-in accepts."""
    url = f"{stack.sandbox}/v1/customers/{customer.id}/balance_transactions"
    async with httpx.AsyncClient(trust_env=False, headers=HEADERS, timeout=30) as client:

        async def write(number: int) -> bool:
            await asyncio.sleep(number / pace)
            data = {"amount": "-1", "currency": "usd"}
            return (
                await client.post(url, data=data, headers={"idempotency-key": f"{customer.id}-{number}"})
            ).is_success

        accepted = await asyncio.gather(*(write(number) for number in range(PACED_SECONDS * pace)))
    return sum(accepted) / PACED_SECONDS


def _pay(stack: Stack, customers: list[Customer], each: int) -> None:
    """Register and pay for all customers in a few EVM transactions."""
    signer = Signer(stack.settings["SIGNER_KEY"], stack.chain.chain_id)
    gateway, deadline = stack.gateways[0], stack.chain.block()["timestamp"]
    deadline = (int(deadline, 16) if isinstance(deadline, str) else deadline) + 600
    stack.chain.send(
        stack.payer, stack.token, encode_call("approve(address,uint256)", gateway, len(customers) * each * AMOUNT)
    )
    calls = []
    for customer in customers:
        registration = signer.registration(gateway, customer.wallet, customer.id, deadline)
        calls.append(contracts.encode_register(customer.wallet, customer.id, deadline, registration))
    for customer in customers:
        for sequence in range(each):
            quote = Quote(customer.wallet, sequence, AMOUNT, CENTS, deadline)
            calls.append(
                contracts.encode_pay_quoted(customer.wallet, AMOUNT, CENTS, deadline, signer.quote(gateway, quote))
            )
    for place in range(0, len(calls), TOGETHER):
        stack.chain.send(stack.payer, gateway, contracts.encode_multicall(calls[place : place + TOGETHER]))
    stack.chain.mine(1, interval=2)


def main() -> None:
    """Run all measurements."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--payments", type=int, default=1_500)
    parser.add_argument("--customers", type=int, default=100)
    options = parser.parse_args()
    settings = {"CONFIRMATIONS": "10000:1s,100000:safe,finalized"}
    with Stack.start(slots_in_an_epoch=1, settings=settings) as stack:
        shop = Shop(stack)
        calls_to_stripe(stack, shop)
        requests(stack, shop)
        slow(stack)
        latency(stack, shop)
    with Stack.start(slots_in_an_epoch=64, settings=settings, rates=True) as stack:  # none of the burst is final
        slow(stack)
        burst(stack, Shop(stack), options.payments, min(options.customers, options.payments // FEWEST_ROUNDS))


if __name__ == "__main__":
    main()
