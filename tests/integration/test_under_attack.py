"""Payers are served during attacks: after each, one pays and is credited, without unexpected errors."""

import asyncio
import json
import re
import secrets
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from stateless_billing.sandbox.stack import Service, Stack
from tests.integration.raw import RawClient, statuses
from tests.integration.shop import PATIENCE, Customer, Shop, wait_until
from tests.integration.slow_node import slow_node

HEADER = "x-ip"
GET = "GET {} HTTP/1.1\r\nhost: x\r\nx-ip: {}\r\n"
POST = "POST {} HTTP/1.1\r\nhost: x\r\nx-ip: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n"
FLOODING = 150  # concurrent requests


@pytest.fixture(scope="module")
def attacked(stack: Stack) -> Service:
    """Start a service that does not sweep and takes client addresses from a header."""
    return stack.serve(CLIENT_IP_HEADER=HEADER)


@pytest.fixture(autouse=True)
def serves_afterwards(shop: Shop, attacked: Service) -> Iterator[None]:
    """After each test, check that a payer is credited and the log has no unexpected error."""
    yield
    tx_hash = shop.pay(attacked, shop.customer())
    shop.claimed(attacked, tx_hash)
    assert "Traceback" not in attacked.log()
    assert "ERROR" not in attacked.log()


def origin(number: int) -> str:
    """Return one of many addresses."""
    return f"10.{number // 40_000 % 200}.{number // 200 % 200}.{number % 200 + 1}"


def test_clients_that_send_slowly_or_nothing(shop: Shop, attacked: Service) -> None:
    silent = [RawClient(attacked.url) for _ in range(60)]
    heads = [RawClient(attacked.url) for _ in range(60)]
    bodies = [RawClient(attacked.url) for _ in range(60)]
    unread = [RawClient(attacked.url) for _ in range(20)]
    for number, client in enumerate(heads):
        client.send(GET.format("/pay", origin(number)).encode())
    for number, client in enumerate(bodies):
        client.send(POST.format("/api/payments", origin(number % 2), 100).encode())
    for number, client in enumerate(unread):
        client.send(POST.format("/nothing", origin(number), 100).encode() + b"{")
    shop.claimed(attacked, shop.pay(attacked, shop.customer()))
    assert shop.stack.http.get(f"{attacked.url}/healthz").is_success
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and any(client.open for client in heads + bodies):
        for client in heads + bodies:
            if client.open:
                client.send(b"a: b\r\n" if client in heads else b" ")
        time.sleep(0.5)
    assert not any(client.open for client in heads + bodies), "each was closed on time"
    assert {client.closed() for client in silent} == {b""}
    counts = Counter(status for client in bodies for status in statuses(client.closed()))
    assert counts.keys() <= {408, 429}, "concurrent requests per address are limited"
    assert {status for client in heads for status in statuses(client.closed())} <= {408}
    assert {status for client in unread for status in statuses(client.closed())} <= {404, 408}


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)), 400),
        (b"GET / HTTP/1.1\r\nhost: x\r\nbad header: 1\r\n\r\n", 400),
        (b"GET /\xff\xfe HTTP/1.1\r\nhost: x\r\n\r\n", 400),
        (b"CONNECT x:443 HTTP/1.1\r\nhost: x\r\n\r\n", 400),
        (b"POST /api/payments HTTP/1.1\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"POST /api/payments HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", 400),
        (b"GET / HTTP/1.1\r\nhost: x\r\na: " + b"a" * 200_000 + b"\r\n\r\n", 431),
        (b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nhost: x\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 20_000 + b"\r\n", 431),
        (b"\r\n" * 50_000, 431),
        (POST.format("/api/payments", "10.0.0.1", 10**12).encode() + b"{", 413),
        (POST.format("/api/payments", "10.0.0.1", 10**30).encode() + b"{", 400),
    ],
)
def test_malformed_and_oversized_requests(attacked: Service, data: bytes, status: int) -> None:
    client = RawClient(attacked.url)
    client.send(data)
    assert statuses(client.closed())[:1] == [status]


def test_garbage_behind_a_request(attacked: Service) -> None:
    good = (GET.format("/healthz", "10.0.0.2") + "\r\n").encode()
    for garbage in (b"\x00\xff\r\n\r\n" * 100, b"GET", good * 3_000, b"HTTP/1.1 200 OK\r\n\r\n"):
        client = RawClient(attacked.url)
        client.send(good + garbage)
        codes = statuses(client.closed())
        assert codes[0] == 200
        assert set(codes) <= {200, 408}
        assert len(codes) <= 20


def test_endless_bodies(attacked: Service) -> None:
    head = POST.format("/api/payments", "10.0.0.3", 0).replace("content-length: 0", "transfer-encoding: chunked")
    for path in ("/api/payments", "/nothing"):
        client = RawClient(attacked.url)
        client.send(head.replace("/api/payments", path).encode())
        sent = 0
        while client.send(b"4000\r\n" + b"a" * 0x4000 + b"\r\n"):
            sent += 0x4000
            assert sent < 64 * 1024 * 1024
        assert set(statuses(client.closed())) <= {413}


def test_more_connections_than_the_limit(shop: Shop, attacked: Service) -> None:
    idle = [RawClient(attacked.url) for _ in range(700)]
    try:  # over a new connection: a pooled one may have been closed to make room
        assert httpx.get(f"{attacked.url}/healthz", trust_env=False).is_success
    finally:
        for client in idle:
            client.abort()


def test_clients_that_disconnect_during_a_request(shop: Shop, attacked: Service) -> None:
    wallet = shop.customer().wallet
    for number in range(120):
        client = RawClient(attacked.url)
        where = origin(number)
        halves = (
            GET.format("/pay", where),
            POST.format("/api/payments", where, 100) + "{",
            GET.format(f"/pay?wallet={wallet}", where) + "\r\n",
            GET.format(f"/api/accounts/{wallet}", where) + "\r\n",
            GET.format(f"/api/payments/0x{secrets.token_hex(32)}", where) + "\r\n",
        )
        client.send(halves[number % len(halves)].encode())
        if number % 3:
            time.sleep(0.01)
        client.abort()
    wait_until(lambda: shop.stack.http.get(f"{attacked.url}/healthz").is_success)


class Flood:
    """Claims of hashes without payments, from many addresses."""

    def __init__(self, url: str) -> None:
        self._where, self.ended, self.results = urlsplit(url), threading.Event(), Counter[tuple[int, str]]()

    async def run(self) -> None:
        """Send requests until stopped."""
        await asyncio.gather(*(self._ask(number) for number in range(FLOODING)))

    async def _ask(self, number: int) -> None:
        reader, writer = await asyncio.open_connection(self._where.hostname, self._where.port)
        while not self.ended.is_set():
            tx_hash, where = "0x" + secrets.token_hex(32), origin(secrets.randbelow(30_000))
            body = json.dumps({"tx_hash": tx_hash})
            requests = (
                POST.format("/api/payments", where, len(body)) + body,
                GET.format(f"/api/payments/{tx_hash}", where) + "\r\n",
                GET.format(f"/receipt/{tx_hash}/0", where) + "\r\n",
            )
            writer.write(requests[number % 3].encode())
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            length = re.search(r"content-length: (\d+)", head)
            assert length, head
            answer_body: dict[str, Any] = json.loads(await reader.readexactly(int(length[1])))
            status = int(head.split()[1])
            assert ("retry-after: " in head) == (status == 503)
            self.results[status, answer_body.get("state") or answer_body["type"].removeprefix("/problems/")] += 1
        writer.close()
        await writer.wait_closed()


@contextmanager
def flooded(service: Service) -> Iterator[Flood]:
    """Run a flood for the duration of the block."""
    flood = Flood(service.url)
    thread = threading.Thread(target=asyncio.run, args=(flood.run(),))
    thread.start()
    try:
        yield flood
    finally:
        flood.ended.set()
        thread.join()


def paid(shop: Shop, service: Service) -> tuple[Customer, str]:
    """Make an unclaimed payment."""
    customer = shop.customer()
    return customer, shop.pay(service, customer)


def test_a_flood_of_claims_sends_nothing_to_stripe_and_starves_nobody(
    shop: Shop, stack: Stack, attacked: Service
) -> None:
    customer, tx_hash = paid(shop, attacked)
    with slow_node(stack.chain.url, 0.03) as node:
        service = stack.serve(CLIENT_IP_HEADER=HEADER, RPC_URLS=node.url)
        shop.count_from_zero()
        with flooded(service) as flood:
            wait_until(lambda: flood.results[503, "busy"] > 100 and flood.results[200, "unknown"] > 20)
            assert shop.counts() == {}, "not one call to Stripe"
            # Concurrent node requests are bounded: six lookups of two calls each, and recent payers.
            assert node.most <= 16
            shop.claimed(service, tx_hash)  # every claim must be answered, none rejected
        assert set(flood.results) <= {(200, "unknown"), (503, "busy"), (404, "not_found")}
        assert len(stack.credits(customer.id)) == 1
        assert "Traceback" not in service.log()
        service.stop()


def test_the_sweep_continues_during_a_flood(shop: Shop, stack: Stack, attacked: Service) -> None:
    customer, _ = paid(shop, attacked)
    with slow_node(stack.chain.url, 0.03) as node:
        service = stack.serve(CLIENT_IP_HEADER=HEADER, RPC_URLS=node.url, SWEEP="on")
        with flooded(service) as flood:
            wait_until(lambda: flood.results[503, "busy"] > 100)
            shop.finalize()
            wait_until(lambda: len(stack.credits(customer.id)) == 1)
        assert "Traceback" not in service.log()
        service.stop()
