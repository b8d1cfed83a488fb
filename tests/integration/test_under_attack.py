"""Whatever clients do, a payer is served: after each attack one pays and is credited, and nothing was unforeseen."""

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
from tests.integration.raw import Raw, statuses
from tests.integration.shop import PATIENCE, Customer, Shop, wait_until
from tests.integration.slow_node import slow_node

HEADER = "x-ip"
GET = "GET {} HTTP/1.1\r\nhost: x\r\nx-ip: {}\r\n"
POST = "POST {} HTTP/1.1\r\nhost: x\r\nx-ip: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n"
FLOODING = 150  # requests under way at a time


@pytest.fixture(scope="module")
def attacked(stack: Stack) -> Service:
    """A service that does not sweep and knows its visitors by a header."""
    return stack.serve(CLIENT_IP_HEADER=HEADER)


@pytest.fixture(autouse=True)
def serves_afterwards(shop: Shop, attacked: Service) -> Iterator[None]:
    """After each test a payer is credited, and the log holds no failure of ours."""
    yield
    tx_hash = shop.pay(attacked, shop.customer())
    shop.claimed(attacked, tx_hash)
    assert "Traceback" not in attacked.log()
    assert "ERROR" not in attacked.log()


def origin(number: int) -> str:
    """One of many addresses."""
    return f"10.{number // 40_000 % 200}.{number // 200 % 200}.{number % 200 + 1}"


def test_clients_that_send_slowly_or_nothing(shop: Shop, attacked: Service) -> None:
    silent = [Raw(attacked.url) for _ in range(60)]
    heads = [Raw(attacked.url) for _ in range(60)]
    bodies = [Raw(attacked.url) for _ in range(60)]
    unread = [Raw(attacked.url) for _ in range(20)]
    for number, one in enumerate(heads):
        one.send(GET.format("/pay", origin(number)).encode())
    for number, one in enumerate(bodies):
        one.send(POST.format("/api/payments", origin(number % 2), 100).encode())
    for number, one in enumerate(unread):
        one.send(POST.format("/nothing", origin(number), 100).encode() + b"{")
    shop.claimed(attacked, shop.pay(attacked, shop.customer()))
    assert shop.stack.http.get(f"{attacked.url}/healthz").is_success
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and any(one.open for one in heads + bodies):
        for one in heads + bodies:
            if one.open:
                one.send(b"a: b\r\n" if one in heads else b" ")
        time.sleep(0.5)
    assert not any(one.open for one in heads + bodies), "each was given up in its time"
    assert {one.closed() for one in silent} == {b""}
    told = Counter(status for one in bodies for status in statuses(one.closed()))
    assert told.keys() <= {408, 429}, "one origin has so many requests under way, and no more"
    assert {status for one in heads for status in statuses(one.closed())} <= {408}
    assert {status for one in unread for status in statuses(one.closed())} <= {404, 408}


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
def test_what_is_malformed_or_too_large(attacked: Service, data: bytes, status: int) -> None:
    client = Raw(attacked.url)
    client.send(data)
    assert statuses(client.closed())[:1] == [status]


def test_garbage_behind_a_request(attacked: Service) -> None:
    good = (GET.format("/healthz", "10.0.0.2") + "\r\n").encode()
    for garbage in (b"\x00\xff\r\n\r\n" * 100, b"GET", good * 3_000, b"HTTP/1.1 200 OK\r\n\r\n"):
        client = Raw(attacked.url)
        client.send(good + garbage)
        said = statuses(client.closed())
        assert said[0] == 200
        assert set(said) <= {200, 408}
        assert len(said) <= 20


def test_endless_bodies(attacked: Service) -> None:
    head = POST.format("/api/payments", "10.0.0.3", 0).replace("content-length: 0", "transfer-encoding: chunked")
    for path in ("/api/payments", "/nothing"):
        client = Raw(attacked.url)
        client.send(head.replace("/api/payments", path).encode())
        sent = 0
        while client.send(b"4000\r\n" + b"a" * 0x4000 + b"\r\n"):
            sent += 0x4000
            assert sent < 64 * 1024 * 1024
        assert set(statuses(client.closed())) <= {413}


def test_more_connections_than_there_is_room_for(shop: Shop, attacked: Service) -> None:
    idle = [Raw(attacked.url) for _ in range(700)]
    try:  # over a connection of its own: one that was kept has made room
        assert httpx.get(f"{attacked.url}/healthz", trust_env=False).is_success
    finally:
        for one in idle:
            one.vanish()


def test_clients_that_go_away_in_the_middle(shop: Shop, attacked: Service) -> None:
    wallet = shop.customer().wallet
    for number in range(120):
        client = Raw(attacked.url)
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
        client.vanish()
    wait_until(lambda: shop.stack.http.get(f"{attacked.url}/healthz").is_success)


class Flood:
    """Claims of hashes that nobody paid, from many origins."""

    def __init__(self, url: str) -> None:
        self._where, self.ended, self.told = urlsplit(url), threading.Event(), Counter[tuple[int, str]]()

    async def run(self) -> None:
        """Ask until told to end."""
        await asyncio.gather(*(self._ask(number) for number in range(FLOODING)))

    async def _ask(self, number: int) -> None:
        reader, writer = await asyncio.open_connection(self._where.hostname, self._where.port)
        while not self.ended.is_set():
            tx_hash, where = "0x" + secrets.token_hex(32), origin(secrets.randbelow(30_000))
            body = json.dumps({"tx_hash": tx_hash})
            asked = (
                POST.format("/api/payments", where, len(body)) + body,
                GET.format(f"/api/payments/{tx_hash}", where) + "\r\n",
                GET.format(f"/receipt/{tx_hash}/0", where) + "\r\n",
            )
            writer.write(asked[number % 3].encode())
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            length = re.search(r"content-length: (\d+)", head)
            assert length, head
            told: dict[str, Any] = json.loads(await reader.readexactly(int(length[1])))
            status = int(head.split()[1])
            assert ("retry-after: " in head) == (status == 503)
            self.told[status, told.get("state") or told["type"].removeprefix("/problems/")] += 1
        writer.close()
        await writer.wait_closed()


@contextmanager
def flooded(service: Service) -> Iterator[Flood]:
    """A flood for as long as the block lasts."""
    flood = Flood(service.url)
    thread = threading.Thread(target=asyncio.run, args=(flood.run(),))
    thread.start()
    try:
        yield flood
    finally:
        flood.ended.set()
        thread.join()


def paid(shop: Shop, service: Service) -> tuple[Customer, str]:
    """A payment that nobody has claimed yet."""
    customer = shop.customer()
    return customer, shop.pay(service, customer)


def test_a_flood_of_claims_spends_no_stripe_and_starves_nobody(shop: Shop, stack: Stack, attacked: Service) -> None:
    customer, tx_hash = paid(shop, attacked)
    with slow_node(stack.chain.url, 0.03) as node:
        service = stack.serve(CLIENT_IP_HEADER=HEADER, RPC_URLS=node.url)
        shop.count_from_zero()
        with flooded(service) as flood:
            wait_until(lambda: flood.told[503, "busy"] > 100 and flood.told[200, "unknown"] > 20)
            assert shop.counts() == {}, "not one call to Stripe"
            # What it may take of the node: six look-ups of two questions at a time each, and who paid lately.
            assert node.most <= 16
            shop.claimed(service, tx_hash)  # each of whose claims must be answered: none is refused
        assert set(flood.told) <= {(200, "unknown"), (503, "busy"), (404, "not_found")}
        assert len(stack.credits(customer.id)) == 1
        assert "Traceback" not in service.log()
        service.stop()


def test_the_sweep_goes_on_in_a_flood(shop: Shop, stack: Stack, attacked: Service) -> None:
    customer, _ = paid(shop, attacked)
    with slow_node(stack.chain.url, 0.03) as node:
        service = stack.serve(CLIENT_IP_HEADER=HEADER, RPC_URLS=node.url, SWEEP="on")
        with flooded(service) as flood:
            wait_until(lambda: flood.told[503, "busy"] > 100)
            shop.finalize()
            wait_until(lambda: len(stack.credits(customer.id)) == 1)
        assert "Traceback" not in service.log()
        service.stop()
