"""Measures time, CPU and memory of the audit of a large account: `python -m tests.bench.audit`.

Customers with ten payments and a hundred unrelated charges each, against the Stripe stand-in and an in-memory node, at
20 times Stripe's limits and at Stripe's own. The floor is the time that the limits impose on the reads made; a bare
client that sends paced requests to the same stand-in shows that it can be reached. Every figure is the median of five
rounds, and ratios are within one round. `--scale 0.1` runs a tenth.
"""

import argparse
import asyncio
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, aclosing, contextmanager
from typing import Any

from chain.bulk_reader import BATCH_SIZE, LOGS, BulkReader, as_logs, request_many
from chain.decoding import payments as decoded
from chain.failover import FailoverProvider
from chain.payment import Block
from stateless_billing.audit.readers.bulk_http import BulkClient, BulkHost
from stateless_billing.runtime.bounded_http import MAX_BULK_RESPONSE_BYTES
from stateless_billing.sandbox import processes
from stateless_billing.stripe.client import API_VERSION
from tests.bench.figures import Figure, ratios, report
from tests.fakes.factories import CHAIN_ID, GATEWAY, block

LIMIT = 25  # Stripe's reads per second; the fast audit gets TIMES as many
TIMES = 20
EVENTS, PER_BLOCK = 60_000, 30
ROUNDS = 5
CUSTOMERS, EACH, CHARGES = 10_000, 10, 100
MOST_MEGABYTES = 120


@contextmanager
def stand_in(what: str, **sizes: int) -> Iterator[str]:
    """Start a stand-in; yields its address."""
    options = [f"--{name.replace('_', '-')}={value}" for name, value in sizes.items()]
    with processes.ended_afterwards():
        command = [sys.executable, "-m", "tests.bench.audit_world", what, *options]
        process = processes.start(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"


def run_audit(stripe: str, node: str, rate: int, *, deep: bool) -> dict[str, Any]:
    """Run an audit in its own process and return its cost, including peak memory."""
    command = [
        sys.executable,
        "-m",
        "tests.bench.audit_once",
        stripe,
        node,
        GATEWAY,
        str(rate),
        *(["--deep"] if deep else []),
    ]
    done = processes.run(command, stderr=None, check=True)
    cost: dict[str, Any] = json.loads(done.stdout)
    return cost


def compare(scale: float, times: int, *, deep: bool = False) -> None:
    """Compare audits with the floor at `times` Stripe's limits."""
    customers, rate = max(10, round(CUSTOMERS * scale)), LIMIT * times
    sizes = {"customers": customers, "each": EACH, "per_block": 2}
    with ExitStack() as running:
        node = running.enter_context(stand_in("node", **sizes))
        stripe = running.enter_context(stand_in("stripe", charges=CHARGES, times=times, **sizes))
        bare = asyncio.run(paced_seconds(stripe, rate, customers))
        rounds = [run_audit(stripe, node, rate, deep=deep) for _ in range(ROUNDS)]
    cost = rounds[0]
    floor = (cost["reads"] - customers // 100) / rate
    what = f"audit{' --deep' if deep else ''} at {f'{times} times ' if times > 1 else ''}Stripe's limits"

    def figure(name: str, column: str, unit: str = "", **more: Any) -> None:
        report(Figure(name=f"{what}: {name}", rounds=[each[column] for each in rounds], unit=unit, **more))

    note = f"{cost['payments']:,} payments, {cost['reads']:,} Stripe reads, exit {cost['exit']}"
    figure("from the chain's payments to the last ledger", "stripe_seconds", "s", floor=[floor], note=note)
    over = [each["stripe_seconds"] / floor for each in rounds]
    note = f"a bare paced client {bare:.2f}"
    report(Figure(name=f"{what}: times the floor that the limits impose", rounds=over, goal=1.1, note=note))
    figure("CPU of a Stripe page", "page_ms", "ms", goal=1.2)
    figure("CPU in all", "cpu_seconds", "s")
    figure("peak memory", "megabytes", "MB", goal=MOST_MEGABYTES)
    print(*cost["missing"], sep="\n", end="\n" if cost["missing"] else "", flush=True)


async def paced_seconds(stripe: str, rate: int, count: int) -> float:
    """Send `count` paced requests past the audit's own pacing, and return their time over that of the pace."""
    host, loop = BulkHost(stripe, max_connections=30), asyncio.get_running_loop()
    headers = {"authorization": "Bearer sk_test_sandbox", "stripe-version": API_VERSION}
    begun, answered = loop.time(), 0

    async def send(number: int) -> None:
        nonlocal answered
        await asyncio.sleep(begun + number / rate - loop.time())
        path = f"/v1/customers/cus_Bench{number:06d}/balance_transactions?limit=100"
        for attempt in range(100):
            if (await host.request("GET", path, headers)).status_code == 200:
                answered += 1
                return
            await asyncio.sleep((attempt + 1) / rate)  # at exactly the limit, a few come too early, more after a stall

    await asyncio.gather(*(send(number) for number in range(count)))
    seconds = loop.time() - begun
    await host.aclose()
    assert answered == count
    return seconds * rate / count


def raw_seconds(port: int) -> float:
    """Send the same requests over a bare socket, read the answers, and return the seconds."""
    calls = [BulkReader.logs_of(block(100 + number), GATEWAY) for number in range(EVENTS // PER_BLOCK)]
    begun = time.perf_counter()
    with socket.create_connection(("127.0.0.1", port)) as connection, connection.makefile("rb") as stream:
        for start in range(0, len(calls), BATCH_SIZE):
            batch = calls[start : start + BATCH_SIZE]
            asked = [
                {"jsonrpc": "2.0", "id": n, "method": name, "params": some} for n, (name, some) in enumerate(batch)
            ]
            body = json.dumps(asked).encode()
            connection.sendall(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
            length = 0
            while (line := stream.readline()) not in (b"\r\n", b""):
                name, _, value = line.partition(b":")
                length = int(value) if name.lower() == b"content-length" else length
            assert len(stream.read(length)) == length
    return time.perf_counter() - begun


async def read_seconds(node: str) -> tuple[float, float]:
    """Request the same logs, decode them strictly, and return the seconds, and those of CPU."""
    blocks = [block(100 + number) for number in range(EVENTS // PER_BLOCK)]
    async with aclosing(BulkClient(20, MAX_BULK_RESPONSE_BYTES)) as http:
        nodes = FailoverProvider(http, [node], CHAIN_ID)
        begun, computed = time.perf_counter(), time.process_time()
        calls = [BulkReader.logs_of(one, GATEWAY) for one in blocks]
        shown = await request_many(nodes.providers[0], calls, as_logs, LOGS)
        found = sum(len(_decoded(logs, one)) for logs, one in zip(shown, blocks, strict=True))
        assert found == EVENTS
        return time.perf_counter() - begun, time.process_time() - computed


def _decoded(logs: object, within: Block) -> list[Any]:
    return decoded(logs, chain_id=CHAIN_ID, gateway=GATEWAY, within=within)


def logs() -> None:
    """Compare reading logs with a bare socket that reads the same bytes from the same node."""
    sizes = {"customers": EVENTS // 10, "each": 10, "per_block": PER_BLOCK}
    with stand_in("node", **sizes) as node:
        port = int(node.rpartition(":")[2])
        rounds = [(raw_seconds(port), *asyncio.run(read_seconds(node))) for _ in range(ROUNDS)]
    raw, read, cpu = zip(*rounds, strict=True)
    rates = [EVENTS / seconds for seconds in read]
    floor = [EVENTS / seconds for seconds in raw]
    report(Figure(name="logs read and decoded: events a second", rounds=rates, floor=floor))
    report(Figure(name="logs read and decoded: times a raw socket", rounds=ratios(read, raw), goal=4))
    each = [seconds * 1e6 / EVENTS for seconds in cpu]
    report(Figure(name="logs read and decoded: CPU of an event", rounds=each, unit="µs", goal=7))


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--scale", type=float, default=1.0)
    scale = parser.parse_args().scale
    logs()
    compare(scale / 2, TIMES)
    compare(scale / 5, TIMES, deep=True)
    compare(scale / 5 / TIMES, 1)


if __name__ == "__main__":
    main()
