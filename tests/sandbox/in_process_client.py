"""Calls the Stripe stand-in in process, with a clock that only tests advance."""

import json
import random
from typing import Any, NamedTuple
from urllib.parse import urlencode

from stateless_billing.sandbox.answers import Answer
from stateless_billing.sandbox.api_keys import DEFAULT_KEY
from stateless_billing.sandbox.stripe_api import API_VERSION, StripeStandIn

START = 1_790_000_000


class SetClock:
    """A clock in Unix seconds that shows the value it was set to."""

    def __init__(self, now: float = START) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class ParsedAnswer(NamedTuple):
    """A parsed answer."""

    status: int
    body: Any
    headers: dict[str, str]

    @property
    def error(self) -> dict[str, Any]:
        """The error object."""
        error: dict[str, Any] = self.body["error"]
        return error


class InProcessClient:
    """A stand-in and its caller. Forms are flat: `{"metadata[a]": "b"}`."""

    def __init__(self, **settings: Any) -> None:
        self.clock = SetClock()
        self.stripe = StripeStandIn(self.clock, random.Random(1), **settings)
        self.stripe.limits.enabled = False

    def headers(self, key: str | None = None, secret: str = DEFAULT_KEY) -> dict[str, str]:
        """Return the headers of an ordinary request."""
        named = {"Authorization": f"Bearer {secret}", "Stripe-Version": API_VERSION}
        return named if key is None else {**named, "Idempotency-Key": key}

    def answer(
        self,
        method: str,
        path: str,
        form: dict[str, Any] | None = None,
        key: str | None = None,
        secret: str = DEFAULT_KEY,
    ) -> Answer:
        """Send a request and return the raw answer."""
        text = urlencode(form or {})
        if method != "POST" and text:
            path = f"{path}?{text}"
        body = text.encode() if method == "POST" else b""
        return self.stripe.handle(method, path, self.headers(key, secret), body)

    def __call__(
        self,
        method: str,
        path: str,
        form: dict[str, Any] | None = None,
        key: str | None = None,
        secret: str = DEFAULT_KEY,
    ) -> ParsedAnswer:
        """Send a request and return the parsed answer."""
        answer = self.answer(method, path, form, key, secret)
        return ParsedAnswer(answer.status, json.loads(answer.body), answer.headers)

    def customer(self, **form: Any) -> str:
        """Create a customer and return its id."""
        identifier: str = self("POST", "/v1/customers", form).body["id"]
        return identifier

    def credit(self, customer: str, cents: int = 100, key: str | None = None, **form: Any) -> ParsedAnswer:
        """Credit a customer (the amount sent is negative, as in Stripe)."""
        return self("POST", rows_path(customer), {"amount": -cents, "currency": "usd", **form}, key)

    def rows(self, customer: str, **form: Any) -> list[dict[str, Any]]:
        """Return one page of the ledger."""
        rows: list[dict[str, Any]] = self("GET", rows_path(customer), {"limit": 100, **form}).body["data"]
        return rows


def rows_path(customer: str) -> str:
    """Return the path of a customer's balance transactions."""
    return f"/v1/customers/{customer}/balance_transactions"
