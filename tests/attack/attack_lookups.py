"""One origin asks for random wallets all the time, while others pay for the first time."""

import secrets
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

import httpx

from stateless_billing.sandbox.stack import Service, Stack
from tests.attack.world import World
from tests.integration.shop import Customer, Shop

PAYERS = 40
SECONDS_BETWEEN = 0.25
MAX_SECONDS = 5.0  # of a payer's quote
HEADER = "x-ip"
SETTINGS = {"SWEEP": "off", "CLIENT_IP_HEADER": HEADER, "VISITOR_READS_PER_DAY": "1000"}
SEARCHES = "GET /v1/customers/search"


def ask(service: Service, wallet: str, address: str) -> httpx.Response:
    """Ask for a quote from an address."""
    body = {"wallet": wallet, "cents": 5000}
    return httpx.post(f"{service.url}/api/quotes", json=body, headers={HEADER: address}, trust_env=False, timeout=60)


@contextmanager
def flood(services: list[Service]) -> Iterator[Counter[int]]:
    """Ask for random wallets from all addresses of one IPv6 network."""
    answers, ended, numbers = Counter[int](), threading.Event(), count()

    def run() -> None:
        while not ended.is_set():
            number = next(numbers)
            service = services[number % len(services)]
            answers[ask(service, f"0x{secrets.token_hex(20)}", f"2001:db8:bad::{number % 60_000:x}").status_code] += 1

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        yield answers
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def attack_random_wallets(world: World) -> str:
    """Show that the flood spends its own part alone: every first-time payer has a quote, in time."""
    with world.started(settings=SETTINGS, rates=True) as stack:
        shop = Shop(stack)
        services = world.serve_all(stack, PUBLIC_URL="https://pay.example.org")
        stack.control("POST", "settings", {"search_lag": 0})
        customers = [shop.customer() for _ in range(PAYERS)]
        stack.control("DELETE", "state")
        began = time.monotonic()
        with flood(services) as answers:
            times = [first_quote(services[n % len(services)], n, customer) for n, customer in enumerate(customers)]
        seconds = time.monotonic() - began
        reads = searches(stack)
    assert answers[404] + answers[422] > 0, "some were looked up"
    assert answers[503] + answers[429] > 100, "the flood met its limit"
    assert set(answers) <= {404, 422, 429, 503}
    assert max(times) < MAX_SECONDS
    own_part = world.processes * (15 + 0.5 * seconds)
    assert reads <= PAYERS + own_part + world.processes, f"{reads} searches"
    return (
        f"{sum(answers.values())} random wallets of one origin: {reads - PAYERS} searches in Stripe;"
        f" {len(times)} of {PAYERS} first-time payers have a quote (were 5), the slowest after {max(times):.2f} s"
    )


def first_quote(service: Service, number: int, customer: Customer) -> float:
    """Ask for a payer's first quote, which must be given at once; return the seconds it took."""
    time.sleep(SECONDS_BETWEEN)
    began = time.monotonic()
    answer = ask(service, customer.wallet, f"192.0.2.{number + 1}")
    assert answer.status_code == 200, answer.text
    assert answer.json()["registration"]["customer_id"] == customer.id
    return time.monotonic() - began


def searches(stack: Stack) -> int:
    """Return how many searches Stripe has answered."""
    return int(stack.control("GET", "state")["counts"].get(SEARCHES, 0))
