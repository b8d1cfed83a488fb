"""How fast, and in how much memory, a large account is audited: `python -m tests.bench.audit`.

100,000 payments of 10,000 customers and 1,000,000 unrelated charges, against the Stripe stand-in with 20 times Stripe's
limits and a node in memory; and a twentieth of them at Stripe's own. The floor is what the limits allow for the reads
that were needed; ratios are taken inside one run. `--scale 0.1` runs a tenth.
"""

import argparse
import asyncio
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import httpx

from chain.bulk_reader import BATCH_SIZE, BulkReader, request_many
from chain.decoding import payments as decoded
from chain.payment import Block
from chain.provider import FailoverProvider
from stateless_billing.sandbox import processes
from tests.fakes.factories import CHAIN_ID, GATEWAY, block

LIMIT = 25  # Stripe's reads a second; an audit in a hurry is given so many times as much
TIMES = 20
EVENTS, PER_BLOCK = 60_000, 30
CUSTOMERS, EACH, CHARGES = 10_000, 10, 100


@contextmanager
def stand_in(what: str, **sizes: int) -> Iterator[str]:
    """One of the stand-ins; where it listens."""
    options = [f"--{name.replace('_', '-')}={value}" for name, value in sizes.items()]
    with processes.ended_afterwards():
        command = [sys.executable, "-m", "tests.bench.audit_world", what, *options]
        process = processes.start(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"


def measured(stripe: str, node: str, rate: int, *, deep: bool) -> dict[str, Any]:
    """One audit in a process of its own, with its peak memory."""
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
    """Audits, `deep` or not, against the floor, at so many times Stripe's limits."""
    customers, rate = max(10, round(CUSTOMERS * scale)), LIMIT * times
    sizes = {"customers": customers, "each": EACH, "per_block": 2}
    with ExitStack() as running:
        node = running.enter_context(stand_in("node", **sizes))
        stripe = running.enter_context(stand_in("stripe", charges=CHARGES, times=times, **sizes))
        for deep in modes:
            found = measured(stripe, node, rate, deep=deep)
            floor = (found["reads"] - customers // 100) / rate
            told = (
                f"audit{' --deep' if deep else ''} at {f'{times} times ' if times > 1 else ''}Stripe's limits:",
                f"{found['payments']} payments, {found['reads']} Stripe reads in",
                f"{found['stripe_seconds']} s, floor {floor:.1f} s: {found['stripe_seconds'] / floor:.2f} (goal 1.2);",
                f"in all {found['seconds']} s, {found['cpu_seconds']} s of them computing;",
                f"peak {found['megabytes']} MB (goal 300); exit {found['exit']}",
            )
            print(*told, *found["missing"], flush=True)


def raw_seconds(port: int) -> float:
    """Put the same questions through a bare socket and count the bytes of the answers; how long it took."""
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
    """Ask for the same logs and decode them strictly; how long it took."""
    blocks = [block(100 + number) for number in range(EVENTS // PER_BLOCK)]
    async with httpx.AsyncClient(trust_env=False) as http:
        nodes = FailoverProvider(http, [node], CHAIN_ID)
        begun = time.perf_counter()
        calls = [BulkReader.logs_of(one, GATEWAY) for one in blocks]
        shown = await request_many(nodes.providers[0], calls, lambda value: value)
        found = sum(len(_decoded(logs, one)) for logs, one in zip(shown, blocks, strict=True))
        assert found == EVENTS
        return time.perf_counter() - begun


def _decoded(logs: object, within: Block) -> list[Any]:
    return decoded(logs, chain_id=CHAIN_ID, gateway=GATEWAY, within=within)


def logs(rounds: int = 5) -> None:
    """Reading logs, against a bare socket that is answered the same bytes by the same node."""
    sizes = {"customers": EVENTS // 10, "each": 10, "per_block": PER_BLOCK}
    with stand_in("node", **sizes) as node:
        port = int(node.rpartition(":")[2])
        pairs = [(raw_seconds(port), asyncio.run(read_seconds(node))) for _ in range(rounds)]
    floor, read = min(pairs, key=lambda one: one[1] / one[0])
    print(
        f"logs: raw socket {EVENTS / floor:,.0f} events/s, read and decoded {EVENTS / read:,.0f} events/s:"
        f" {read / floor:.1f} times (goal 4); all rounds {', '.join(f'{two / one:.1f}' for one, two in pairs)}",
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
