"""A Stripe of canned answers behind the real SDK: the nth request gets the nth answer, the last one from then on."""

import json
from collections.abc import Callable, Mapping
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qs

import httpx

from stateless_billing.stripe.client import StripeApi
from stateless_billing.stripe.errors import StripeFailure
from stateless_billing.stripe.rate_limiter import RateLimiter
from tests.fakes.factories import CUSTOMER, START, FakeClock

KEY = "sk_test_sesame"
Says = Callable[[httpx.Request], httpx.Response]


def answer(status: int, body: object, **headers: str) -> Says:
    """An answer with a JSON body, or with text as it is."""
    text = body if isinstance(body, str) else json.dumps(body)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    date = {"date": formatdate(START, usegmt=True), "request-id": "req_1"}
    return lambda _: httpx.Response(status, headers=date | named, text=text)


def error(status: int, type_: str, code: str | None = None, **headers: str) -> Says:
    """An error as Stripe words it."""
    return answer(status, {"error": {"type": type_, "code": code, "message": "What Stripe says"}}, **headers)


def failing(kind: type[httpx.TransportError]) -> Says:
    """A transport that fails."""

    def say(_: httpx.Request) -> httpx.Response:
        raise kind("broken")

    return say


def raw_entry(number: int = 1, **changes: Any) -> dict[str, Any]:
    """A balance transaction in Stripe's words: a credit of 50 dollars."""
    return {
        "id": f"cbtxn_{number}",
        "object": "customer_balance_transaction",
        "amount": -5_000,
        "created": START + number,
        "currency": "usd",
        "customer": CUSTOMER,
        "type": "adjustment",
        "description": "LITKEY payment 0x",
        "ending_balance": -5_000,
        "metadata": {"kind": "payment"},
    } | changes


def raw_customer(**changes: Any) -> dict[str, Any]:
    """A customer in Stripe's words."""
    return {
        "id": CUSTOMER,
        "object": "customer",
        "created": START,
        "email": "a@example.org",
        "currency": "usd",
        "balance": 0,
        "metadata": {},
    } | changes


def raw_list(*data: object, has_more: object = False) -> dict[str, Any]:
    """A page in Stripe's words."""
    return {"object": "list", "data": list(data), "has_more": has_more, "url": "/v1/x"}


class FakeStripe:
    """Answers, and what was asked."""

    def __init__(self, *says: Says) -> None:
        self.says = list(says)
        self.asked: list[httpx.Request] = []
        self.clock = FakeClock()
        self.pacer = RateLimiter(1_000_000, 1)
        self.connections = 0

    def handle(self, request: httpx.Request) -> httpx.Response:
        """Answer the next request."""
        self.asked.append(request)
        return self.says[min(len(self.asked), len(self.says)) - 1](request)

    def _transport(self) -> httpx.MockTransport:
        self.connections += 1
        return httpx.MockTransport(self.handle)

    def ledger(self) -> StripeApi:
        """The service's side of it."""
        return StripeApi(
            key=KEY,
            base="https://stripe.example",
            rate_limiter=self.pacer,
            clock=self.clock,
            transport_factory=self._transport,
        )

    def form(self, number: int = -1) -> Mapping[str, list[str]]:
        """What one request carried, in its query or its body."""
        request = self.asked[number]
        return parse_qs(request.content.decode() or request.url.query.decode(), keep_blank_values=True)


def named(failure: StripeFailure) -> str:
    """The kind of a failure."""
    return type(failure).__name__
