"""The two Stripes fail alike: what is answered, what is saved under the key, and what was written."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import pytest

from stateless_billing.sandbox import effects
from stateless_billing.sandbox.api_keys import CUSTOMER_READ, DEFAULT_KEY, ApiKey
from stateless_billing.sandbox.effects import Effect
from stateless_billing.sandbox.routes import TRANSACTIONS
from tests.outsider.stripe.account import Account
from tests.outsider.stripe.desk import Desk, Request
from tests.outsider.stripe.faults import Kind
from tests.sandbox.in_process_client import InProcessClient, SetClock

ENTRIES = "/v1/customers/:id/balance_transactions"
READING = "rk_test_reads"
CREDIT = urlencode({"amount": -100, "currency": "usd"}).encode()
COMPARED = (
    "Stripe-Should-Retry",
    "Stripe-Rate-Limited-Reason",
    "Idempotent-Replayed",
    "Idempotency-Key",
    "Content-Type",
)
PRESENT = ("Request-Id", "Date", "Stripe-Version")

FAULTS: dict[str, tuple[Effect, Kind]] = {
    "lost before": (effects.lost_before(), Kind.LOST_BEFORE),
    "lost after": (effects.lost_after(), Kind.LOST_AFTER),
    "cut": (effects.cut(), Kind.CUT),
    "a saved 500": (effects.error_saved(), Kind.SAVED_500),
    "a 500 that was executed": (effects.error_saved_done(), Kind.EXECUTED_500),
    "the edge's page": (effects.gateway(), Kind.HTML_502),
    "rate limited": (effects.limited(), Kind.RATE_LIMITED),
    "locked": (effects.locked(), Kind.LOCKED),
}


@dataclass(frozen=True)
class Summary:
    """What is comparable of an answer."""

    status: int
    error: tuple[str | None, str | None] | None
    headers: dict[str, str]
    present: tuple[bool, ...]
    arrives: str


def summarize(status: int, headers: dict[str, str], body: bytes, arrives: str) -> Summary | None:
    """Return what is comparable; None if nothing arrives."""
    if arrives == "nothing":
        return None
    is_whole = arrives == "all" and headers["Content-Type"].startswith("application/json")
    error = json.loads(body).get("error") if is_whole else None
    compared = {name: headers[name] for name in COMPARED if name in headers}
    content_type = compared.pop("Content-Type").partition(";")[0]
    told = error and (error["type"], error.get("code"))
    return Summary(
        status, told, compared | {"Content-Type": content_type}, tuple(name in headers for name in PRESENT), arrives
    )


class Sandbox:
    """The sandbox's Stripe."""

    def __init__(self) -> None:
        self.client = InProcessClient(
            keys=(ApiKey(DEFAULT_KEY), ApiKey(READING, permissions=frozenset({CUSTOMER_READ})))
        )
        self.clock = self.client.clock

    def plant(self, name: str) -> None:
        self.client.stripe.faults.add(FAULTS[name][0], method="POST", template=TRANSACTIONS)

    def ask(self, method: str, path: str, headers: dict[str, str], body: bytes = b"") -> Any:
        answer = self.client.stripe.handle(method, path, headers, body)
        arrives = {"lost": "nothing", "cut": "half"}.get(answer.delivery, "all")
        return summarize(answer.status, answer.headers, answer.body, arrives), answer.body


class Kit:
    """The outsider's Stripe."""

    def __init__(self) -> None:
        self.clock = SetClock()
        self.desk = Desk(Account(self.clock), {DEFAULT_KEY: None, READING: {"rak_customer_read"}})

    def plant(self, name: str) -> None:
        self.desk.faults.plant(FAULTS[name][1], "POST", ENTRIES)

    def ask(self, method: str, path: str, headers: dict[str, str], body: bytes = b"") -> Any:
        lower = {name.lower(): value for name, value in headers.items()}
        answer = asyncio.run(self.desk.answer(Request(method, path, lower, body)))
        return summarize(answer.status, answer.headers, answer.body, answer.sent), answer.body


def headers(secret: str = DEFAULT_KEY, **more: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}", "Stripe-Version": "2026-10-28.endive", **more}


def play(stripe: Sandbox | Kit, name: str) -> list[Any]:
    """Credit twice under one key, the first time with a fault; returns both answers and the number of rows."""
    path = f"/v1/customers/{json.loads(stripe.ask('POST', '/v1/customers', headers())[1])['id']}/balance_transactions"
    stripe.plant(name)
    keyed = headers() | {"Idempotency-Key": "k"}
    answers = [stripe.ask("POST", path, keyed, CREDIT)[0] for _ in range(2)]
    stripe.clock.now += 2
    return [*answers, len(json.loads(stripe.ask("GET", path, headers())[1])["data"])]


@pytest.mark.parametrize("name", FAULTS)
def test_both_fail_alike(name: str) -> None:
    assert play(Sandbox(), name) == play(Kit(), name)


REFUSED: dict[str, tuple[str, str, dict[str, str]]] = {
    "no key": ("GET", "/v1/customers", {}),
    "an unknown key": ("GET", "/v1/customers", headers("sk_test_nobody")),
    "a key that only reads": ("POST", "/v1/customers", headers(READING)),
    "another resource": ("GET", "/v1/charges", headers(READING)),
    "a malformed version": ("GET", "/v1/customers", headers() | {"Stripe-Version": "yesterday"}),
    "an unknown address": ("GET", "/v1/nothing", headers()),
}


@pytest.mark.parametrize("request_", REFUSED.values(), ids=REFUSED)
def test_both_refuse_alike(request_: tuple[str, str, dict[str, str]]) -> None:
    assert Sandbox().ask(*request_)[0] == Kit().ask(*request_)[0]


@pytest.mark.parametrize(("path", "limit"), [("/v1/customers", 25), ("/v1/customers/search?query=created%3E0", 20)])
def test_both_limit_alike(path: str, limit: int) -> None:
    ours, theirs = Sandbox(), Kit()
    ours.client.stripe.limits.enabled = True
    for number in range(limit + 2):
        first, second = ours.ask("GET", path, headers())[0], theirs.ask("GET", path, headers())[0]
        assert first == second
        assert first.status == (200 if number < limit else 429)
