"""Streams over real sockets: a payment is shown in time, slow readers are dropped, and a signal ends all of them."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from stateless_billing.sandbox.stack import Service, Stack
from tests.integration.raw import RawClient, statuses
from tests.integration.shop import Customer, Shop, wait_until

HEADER = "x-ip"
SHOWN_SECONDS = 3
STREAMS = 200
DRAIN_SECONDS = 5  # of the 25 that a stopping process has
OPEN = "GET /api/accounts/{}/events HTTP/1.1\r\nhost: x\r\nx-ip: {}\r\n\r\n"


class Listener:
    """One stream, read in a thread."""

    def __init__(self, service: Service, customer: Customer, origin: str = "192.0.2.1") -> None:
        self.accounts: list[dict[str, Any]] = []
        self.at: list[float] = []
        self.lines: list[str] = []
        self.ended = threading.Event()
        self._url = f"{service.url}/api/accounts/{customer.wallet}/events"
        self._headers = {HEADER: origin}
        threading.Thread(target=self._listen, daemon=True).start()
        wait_until(lambda: bool(self.accounts) or self.ended.is_set())

    def _listen(self) -> None:
        try:
            with httpx.stream("GET", self._url, headers=self._headers, timeout=60, trust_env=False) as answer:
                for line in answer.iter_lines():
                    self.lines.append(line)
                    if line.startswith("data: "):
                        self.at.append(time.monotonic())
                        self.accounts.append(json.loads(line[6:]))
        finally:
            self.ended.set()


def opened(service: Service, customer: Customer, count: int) -> list[RawClient]:
    """Open streams, each of an origin of its own."""
    clients = [RawClient(service.url) for _ in range(count)]
    for number, client in enumerate(clients):
        client.send(OPEN.format(customer.wallet, f"198.51.100.{number}").encode())
    assert all(client.read_until(b"event: account") for client in clients)
    return clients


@contextmanager
def serving(stack: Stack, **settings: str) -> Iterator[Service]:
    """Run a service that takes client addresses from a header."""
    service = stack.serve(CLIENT_IP_HEADER=HEADER, **settings)
    try:
        yield service
    finally:
        service.stop()


def test_a_payment_of_another_client_is_shown_within_three_seconds(shop: Shop, stack: Stack) -> None:
    customer = shop.customer()
    with serving(stack) as service:
        listener = Listener(service, customer)
        quote = shop.quote(service, customer)
        tx_hash = shop.send(quote)
        sent_at = time.monotonic()
        wait_until(lambda: bool(listener.accounts[-1]["payments"]))
        assert listener.at[1] - sent_at <= SHOWN_SECONDS
        shop.deepen()
        shop.claimed(service, tx_hash)
        claimed_at = time.monotonic()
        wait_until(lambda: listener.accounts[-1]["payments"][0]["state"] == "credited")
        assert listener.at[-1] - claimed_at <= SHOWN_SECONDS


def test_a_signal_ends_all_streams_in_time(shop: Shop, stack: Stack) -> None:
    customer = shop.customer()
    with serving(stack) as service:
        watched = Listener(service, customer, "203.0.113.1")
        clients = opened(service, customer, STREAMS - 1)
        assert not watched.ended.is_set()
        started_at = time.monotonic()
        service.process.terminate()
        assert service.process.wait(DRAIN_SECONDS) == 0
        print(f"{STREAMS} open streams, ended {time.monotonic() - started_at:.1f} s after SIGTERM")
        received = [client.closed() for client in clients]
        assert all(statuses(each) == [200] and each.endswith(b"\r\n0\r\n\r\n") for each in received)
        assert watched.lines[-2].startswith("retry: ")
        assert "ERROR" not in service.log()


def test_clients_that_leave_or_do_not_read_free_their_streams(shop: Shop, stack: Stack) -> None:
    customer = shop.customer()
    with serving(stack) as service:
        for client in opened(service, customer, 100):
            client.abort()
        first = Listener(service, customer, "203.0.113.1")
        others = opened(service, customer, STREAMS - 1)
        assert not first.ended.is_set(), "the aborted ones made room at once"
        shop.claimed(service, shop.pay(service, customer))
        assert "ERROR" not in service.log()
    assert all(statuses(client.closed()) == [200] for client in others)
