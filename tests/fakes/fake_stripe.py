"""A Stripe with canned responses behind the real SDK.

The nth request gets the nth response; further requests get the last one.
"""

import json
from collections.abc import Callable, Mapping
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qs

import httpx

from stateless_billing.assumptions.ledger_watch import LedgerWatch
from stateless_billing.stripe.client import StripeApi
from stateless_billing.stripe.errors import StripeFailure
from stateless_billing.stripe.rate_limiter import RateLimiter
from tests.fakes.factories import CUSTOMER, START, FakeClock

KEY = "sk_test_sesame"
Respond = Callable[[httpx.Request], httpx.Response]


def respond(status: int, body: object, **headers: str) -> Respond:
    """Respond with a JSON body, or with text unchanged."""
    text = body if isinstance(body, str) else json.dumps(body)
    extra = {name.replace("_", "-"): value for name, value in headers.items()}
    date = {"date": formatdate(START, usegmt=True), "request-id": "req_1"}
    return lambda _: httpx.Response(status, headers=date | extra, text=text)


def respond_error(status: int, type_: str, code: str | None = None, **headers: str) -> Respond:
    """Respond with an error in Stripe's format."""
    return respond(status, {"error": {"type": type_, "code": code, "message": "What Stripe says"}}, **headers)


def respond_failure(kind: type[httpx.TransportError]) -> Respond:
    """Fail in the transport."""

    def fail(_: httpx.Request) -> httpx.Response:
        raise kind("broken")

    return fail


def raw_entry(number: int = 1, **changes: Any) -> dict[str, Any]:
    """Create a balance transaction in Stripe's format: a credit of $50."""
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
    """Create a customer in Stripe's format."""
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
    """Create a page in Stripe's format."""
    return {"object": "list", "data": list(data), "has_more": has_more, "url": "/v1/x"}


class FakeStripe:
    """Canned responses, and the requests received."""

    def __init__(self, *responses: Respond) -> None:
        self.responses = list(responses)
        self.requests: list[httpx.Request] = []
        self.clock = FakeClock()
        self.rate_limiter = RateLimiter(rate=1_000_000, total_rate=4000000, processes=1)
        self.connections = 0

    def handle(self, request: httpx.Request) -> httpx.Response:
        """Respond to the next request."""
        self.requests.append(request)
        return self.responses[min(len(self.requests), len(self.responses)) - 1](request)

    def _transport(self) -> httpx.MockTransport:
        self.connections += 1
        return httpx.MockTransport(self.handle)

    def api(self, watch: LedgerWatch | None = None) -> StripeApi:
        """Create a client of this Stripe."""
        return StripeApi(
            key=KEY,
            base="https://stripe.example",
            rate_limiter=self.rate_limiter,
            clock=self.clock,
            transport_factory=self._transport,
            watch=watch,
        )

    def sent_form(self, number: int = -1) -> Mapping[str, list[str]]:
        """Return the parameters of a request, from its query or its body."""
        request = self.requests[number]
        return parse_qs(request.content.decode() or request.url.query.decode(), keep_blank_values=True)


def class_name(failure: StripeFailure) -> str:
    """Return the name of a failure's class."""
    return type(failure).__name__
