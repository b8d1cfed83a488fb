"""Measures time and memory of the audit of a large account: `python -m tests.bench.audit`.

100,000 payments of 10,000 customers and 1,000,000 unrelated charges, against the Stripe stand-in with 20 times Stripe's
limits and an in-memory node; and a twentieth of that at Stripe's own limits. The floor is the time that the limits
impose on the reads made; ratios are within one run. `--scale 0.1` runs a tenth.
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
from stateless_billing.audit.readers.bulk_http import BulkClient
from stateless_billing.runtime.bounded_http import MAX_BULK_RESPONSE_BYTES
from stateless_billing.sandbox import processes
from tests.fakes.factories import CHAIN_ID, GATEWAY, block

LIMIT = 25  # Stripe's reads per second; the fast audit gets TIMES as many
TIMES = 20
EVENTS, PER_BLOCK = 60_000, 30
CUSTOMERS, EACH, CHARGES = 10_000, 10, 100


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


def compare(scale: float, times: int, *modes: bool) -> None:
    """Compare audits with the floor at `times` Stripe's limits; each of `modes` says whether it is deep."""
    customers, rate = max(10, round(CUSTOMERS * scale)), LIMIT * times
    sizes = {"customers": customers, "each": EACH, "per_block": 2}
    with ExitStack() as running:
        node = running.enter_context(stand_in("node", **sizes))
        stripe = running.enter_context(stand_in("stripe", charges=CHARGES, times=times, **sizes))
        for deep in modes:
            cost = run_audit(stripe, node, rate, deep=deep)
            floor = (cost["reads"] - customers // 100) / rate
            parts = (
                f"audit{' --deep' if deep else ''} at {f'{times} times ' if times > 1 else ''}Stripe's limits:",
                f"{cost['payments']} payments, {cost['reads']} Stripe reads in",
                f"{cost['stripe_seconds']} s, floor {floor:.1f} s: {cost['stripe_seconds'] / floor:.2f} (goal 1.2);",
                f"in all {cost['seconds']} s, {cost['cpu_seconds']} s of them computing;",
                f"peak {cost['megabytes']} MB (goal 300); exit {cost['exit']}",
            )
            print(*parts, *cost["missing"], flush=True)


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


async def read_seconds(node: str) -> float:
    """Request the same logs, decode them strictly, and return the seconds."""
    blocks = [block(100 + number) for number in range(EVENTS // PER_BLOCK)]
    async with aclosing(BulkClient(20, MAX_BULK_RESPONSE_BYTES)) as http:
        nodes = FailoverProvider(http, [node], CHAIN_ID)
        begun = time.perf_counter()
        calls = [BulkReader.logs_of(one, GATEWAY) for one in blocks]
        shown = await request_many(nodes.providers[0], calls, as_logs, LOGS)
        found = sum(len(_decoded(logs, one)) for logs, one in zip(shown, blocks, strict=True))
        assert found == EVENTS
        return time.perf_counter() - begun


def _decoded(logs: object, within: Block) -> list[Any]:
    return decoded(logs, chain_id=CHAIN_ID, gateway=GATEWAY, within=within)


def logs(rounds: int = 5) -> None:
    """Compare reading logs with a bare socket that reads the same bytes from the same node."""
    sizes = {"customers": EVENTS // 10, "each": 10, "per_block": PER_BLOCK}
    with stand_in("node", **sizes) as node:
        port = int(node.rpartition(":")[2])
        pairs = [(raw_seconds(port), asyncio.run(read_seconds(node))) for _ in range(rounds)]
    floor, read = min(pairs, key=lambda pair: pair[1] / pair[0])
    ratios = ", ".join(f"{decoded_seconds / raw:.1f}" for raw, decoded_seconds in pairs)
    print(
        f"logs: raw socket {EVENTS / floor:,.0f} events/s, read and decoded {EVENTS / read:,.0f} events/s:"
        f" {read / floor:.1f} times (goal 4); all rounds {ratios}",
        flush=True,
    )


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--scale", type=float, default=1.0)
    scale = parser.parse_args().scale
    logs()
    compare(scale, TIMES, False, True)
    compare(scale / TIMES, 1, False)


if __name__ == "__main__":
    main()
