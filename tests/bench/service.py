"""Measures the running service against its floor: `python -m tests.bench.service`.

Each figure has a floor from the same run: an empty Starlette application under the same server, bare calls to the same
stand-in, or Stripe's own limits. Absolute figures depend on the machine as much as on the service.
"""

import argparse
import asyncio
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from chain import contracts
from chain.signatures import Quote, Signer
from stateless_billing.sandbox import processes
from stateless_billing.sandbox.localchain import ROOT, encode_call
from stateless_billing.sandbox.stack import KEY, Service, Stack, free_port
from tests.deployment.image import Container, Image
from tests.integration.shop import Shop, wait_until

CREATE = "POST /v1/customers/{customer}/balance_transactions"
WRITE = "POST /v1/customers/{customer}"
LATENCY = 0.15
LIMIT = 25  # Stripe's requests a second for an endpoint
CENTS, AMOUNT = 500, 10**20
TOGETHER = 25  # payments in one EVM transaction
ROUNDS = 11
HERE = {"HOST": "127.0.0.1", "SWEEP": "off"}
EMPTY = """
import sys, uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route
async def ok(request): return JSONResponse({"ok": True})
app = Starlette(routes=[Route("/healthz", ok)])
uvicorn.run(app, port=int(sys.argv[1]), log_config=None, access_log=False, lifespan="off", ws="none")
"""


def report(name: str, figure: str) -> None:
    """Print one line of the report."""
    print(f"{name}: {figure}", flush=True)


@contextmanager
def empty() -> Iterator[str]:
    """Serve an empty Starlette application; yields its address."""
    port = free_port()
    with processes.ended_afterwards():
        processes.start([sys.executable, "-c", EMPTY, str(port)], cwd=ROOT)
        _first_answer(f"http://127.0.0.1:{port}")
        yield f"http://127.0.0.1:{port}"


def _first_answer(url: str) -> None:
    while True:
        try:
            if httpx.get(f"{url}/healthz", trust_env=False).is_success:
                return
        except httpx.TransportError:
            time.sleep(0.005)


def start(stack: Stack) -> None:
    """Measure process start to first answer, alternating, both inside the image."""
    image = Image()

    def seconds(words: list[str], settings: dict[str, str]) -> float:
        port = str(free_port())
        begun = time.perf_counter()
        process = Container(image, [*words, *([port] if "-c" in words else [])], settings | {"PORT": port})
        _first_answer(f"http://127.0.0.1:{port}")
        took = time.perf_counter() - begun
        process.stop()
        return took

    ours, floor = [], []
    for _ in range(ROUNDS):
        floor.append(seconds(["python", "-c", EMPTY], {}))
        ours.append(seconds(["python", "-m", "stateless_billing", "serve"], stack.settings | HERE))
    image.remove()
    ratio = statistics.median(ours) / statistics.median(floor)
    figures = f"{statistics.median(ours) * 1000:.0f} ms, empty Starlette {statistics.median(floor) * 1000:.0f} ms"
    report("start to the first answer, in the image", f"{figures}: {ratio:.2f} times (goal 2)")


async def _load(url: str, path: str, seconds: float, connections: int = 16) -> float:
    """Return requests per second over bare sockets, each connection with its own client address."""
    host, port = url.removeprefix("http://").split(":")
    end, done = time.perf_counter() + seconds, 0

    async def client(number: int) -> None:
        nonlocal done
        reader, writer = await asyncio.open_connection(host, int(port))
        count = 0
        while time.perf_counter() < end:
            origin = f"10.{number}.{count // 200 % 250}.{count // 50000 + 1}"
            writer.write(f"GET {path} HTTP/1.1\r\nhost: x\r\nx-origin: {origin}\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            assert b" 200 " in head[:16], head
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
            count += 1
            done += 1
        writer.close()

    begun = time.perf_counter()
    await asyncio.gather(*(client(number) for number in range(connections)))
    return done / (time.perf_counter() - begun)


def requests(stack: Stack, shop: Shop) -> None:
    """Measure requests per second, alternating with the empty application, next to the load's own process."""
    service = stack.serve(SWEEP="off", CLIENT_IP_HEADER="x-origin")
    tx_hash = shop.pay(service, shop.customer(), CENTS)
    shop.claimed(service, tx_hash)
    shop.finalize()
    paths = ("/healthz", f"/api/payments/{tx_hash}")
    measured: dict[str, list[float]] = {"empty": [], **{path: [] for path in paths}}
    with empty() as floor:
        for _ in range(3):
            measured["empty"].append(asyncio.run(_load(floor, "/healthz", 3)))
            for path in paths:
                measured[path].append(asyncio.run(_load(service.url, path, 3)))
    base = statistics.median(measured.pop("empty"))
    report("requests/s, empty Starlette", f"{base:.0f}")
    for name, rates in zip(("/healthz", "/api/payments/{credited}"), measured.values(), strict=True):
        report(f"requests/s, {name}", f"{statistics.median(rates):.0f}: {statistics.median(rates) / base:.2f} of it")
    peak = next(
        line for line in Path(f"/proc/{service.process.pid}/status").read_text().splitlines() if "VmHWM" in line
    )
    report("peak memory of the process that served these", f"{int(peak.split()[1]) // 1024} MB")
    service.stop()


def calls_to_stripe(stack: Stack, shop: Shop) -> None:
    """Count the Stripe calls of each step."""

    def counted(step: str, goal: int) -> None:
        rows = stack.control("GET", "requests?last=1000")
        record = sum(row["path"].endswith(stack.settings["SERVICE_CUSTOMER_ID"]) for row in rows)
        counts = Counter(row["endpoint"] for row in rows) - Counter({WRITE: record})
        breakdown = ", ".join(f"{count} {endpoint}" for endpoint, count in sorted(counts.items()))
        more = f"; and {record} of the sweep's record, which is one a minute for all payments" if record else ""
        report(f"Stripe calls, {step}", f"{counts.total()} (goal {goal}) {breakdown}{more}".strip())
        shop.count_from_zero()

    sweeper = stack.serve(SWEEP="on", SWEEP_SECONDS="1")
    shop.finalize()
    time.sleep(75)  # earlier payments are finalized and the record is written
    tx_hash = shop.send(shop.quote(sweeper, shop.customer(), CENTS))
    shop.count_from_zero()
    shop.deepen()
    wait_until(lambda: shop.counts().get(CREATE, 0) == 1)
    counted("a fresh quoted credit", 2)
    for _ in range(20):
        stack.http.get(f"{sweeper.url}/api/payments/{tx_hash}")
    counted("20 status polls of a credited payment", 0)
    shop.finalize()
    wait_until(lambda: sum(shop.counts().values()) >= 2)
    time.sleep(5)
    time.sleep(60)
    counted("to finalise it", 2)
    time.sleep(30)
    counted("30 idle seconds", 0)
    sweeper.stop()
    fresh = stack.serve(SWEEP="off")
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
    headers = {"authorization": f"Bearer {KEY}", "stripe-version": "2026-10-28.endive"}
    for _ in range(rounds):
        customer = shop.customer()
        tx_hash = shop.pay(service, customer, CENTS)
        begun = time.perf_counter()
        answer = shop.claim(service, tx_hash)
        while answer["state"] == "confirming":
            begun = time.perf_counter()
            answer = shop.claim(service, tx_hash)
        took.append(time.perf_counter() - begun)
        assert answer["state"] == "credited", answer
        begun = time.perf_counter()
        for _ in range(2):
            stack.http.get(f"{stack.sandbox}/v1/customers/{customer.id}", headers=headers)
        floor.append(time.perf_counter() - begun)
    ours, least = statistics.median(took), statistics.median(floor)
    report(
        f"claim of a fresh quoted payment, {LATENCY * 1000:.0f} ms a call",
        f"median {ours * 1000:.0f} ms, two bare calls {least * 1000:.0f} ms: {ours / least:.2f} times (goal 1.1)",
    )
    service.stop()


def burst(stack: Stack, shop: Shop, payments: int, customers: int) -> None:
    """Measure how fast one sweeping process credits a burst of many customers at Stripe's limits."""
    _pay(stack, [shop.customer() for _ in range(customers)], payments // customers)
    stack.control("POST", "settings", {"limits": {"endpoint": LIMIT}})
    shop.count_from_zero()
    settings = {"SWEEP": "on", "SWEEP_SECONDS": "1", "STRIPE_RATE": str(LIMIT), "MAX_UNFINALIZED_CENTS": "1000000000"}
    port = free_port()
    service: Service = stack.serve(**settings, METRICS_PORT=str(port))
    wait_until(lambda: shop.counts().get(CREATE, 0) > 0)
    first, begun = shop.counts()[CREATE], time.perf_counter()
    wait_until(lambda: shop.counts()[CREATE] >= payments, 4 * payments / LIMIT)
    seconds = time.perf_counter() - begun
    rate = (payments - first) / seconds
    samples = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).text
    refused = sum(
        int(float(line.rpartition(" ")[2]))
        for line in samples.splitlines()
        if line.startswith("billing_stripe_requests_total") and 'outcome="limited"' in line
    )
    report(
        f"burst of {payments} fresh quoted payments, {LATENCY * 1000:.0f} ms a call",
        f"{rate:.1f} credits/s of {LIMIT} that Stripe allows: {rate / LIMIT:.2f} (goal 0.95); {refused} 429s of"
        " its rate limiter (goal 0)",
    )
    service.stop()


def _pay(stack: Stack, customers: list, each: int) -> None:  # type: ignore[type-arg]
    """Register and pay for all customers in a few EVM transactions."""
    signer = Signer(stack.settings["SIGNER_KEY"], stack.chain.chain_id)
    gateway, deadline = stack.gateways[0], stack.chain.block()["timestamp"]
    deadline = (int(deadline, 16) if isinstance(deadline, str) else deadline) + 600
    stack.chain.send(
        stack.payer, stack.token, encode_call("approve(address,uint256)", gateway, len(customers) * each * AMOUNT)
    )
    wanted = []
    for one in customers:
        registration = signer.registration(gateway, one.wallet, one.id, deadline)
        wanted.append(contracts.encode_register(one.wallet, one.id, deadline, registration))
    for one in customers:
        for sequence in range(each):
            quote = Quote(one.wallet, sequence, AMOUNT, CENTS, deadline)
            wanted.append(
                contracts.encode_pay_quoted(one.wallet, AMOUNT, CENTS, deadline, signer.quote(gateway, quote))
            )
    for place in range(0, len(wanted), TOGETHER):
        stack.chain.send(stack.payer, gateway, contracts.encode_multicall(wanted[place : place + TOGETHER]))
    stack.chain.mine(1, interval=2)


def main() -> None:
    """Run all measurements."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--payments", type=int, default=2_000)
    parser.add_argument("--customers", type=int, default=200)
    options = parser.parse_args()
    settings = {"CONFIRMATIONS": "10000:1s,100000:safe,finalized"}
    with Stack.start(slots_in_an_epoch=1, settings=settings) as stack:
        shop = Shop(stack)
        start(stack)
        requests(stack, shop)
        calls_to_stripe(stack, shop)
        slow(stack)
        latency(stack, shop)
    with Stack.start(slots_in_an_epoch=64, settings=settings, rates=True) as stack:  # none of the burst is final
        slow(stack)
        burst(stack, Shop(stack), options.payments, options.customers)


if __name__ == "__main__":
    main()
