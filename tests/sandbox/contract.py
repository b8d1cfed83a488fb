"""The service under contract, through the real SDK: the stand-in, or Stripe's test mode with STRIPE_TEST_KEY set."""

import os
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import stripe

from stateless_billing.sandbox.effects import Effect
from stateless_billing.sandbox.routes import TRANSACTIONS
from stateless_billing.sandbox.sandbox import Sandbox

REAL_KEY = os.environ.get("STRIPE_TEST_KEY", "")
marks = [
    pytest.mark.anyio,
    # the SDK's own client still hands its body to httpx the old way
    pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning"),
]
needs_controls = pytest.mark.skipif(bool(REAL_KEY), reason="Stripe's test mode has no faults and no ageing on demand")


@dataclass
class Contract:
    """The service under contract: the SDK's client, and the stand-ins behind it unless it is the real Stripe."""

    client: stripe.StripeClient
    sandbox: Sandbox
    base: str

    async def customer(self, **params: Any) -> stripe.Customer:
        """A new customer, with a random key of the SDK's."""
        return await self.client.v1.customers.create_async(params)  # type: ignore[arg-type]

    async def credit(
        self, customer: str, cents: int = 100, key: str | None = None, **params: Any
    ) -> stripe.CustomerBalanceTransaction:
        """A credit of so many cents; Stripe's sign makes it negative."""
        return await self.client.v1.customers.balance_transactions.create_async(
            customer,
            {"amount": -cents, "currency": "usd", **params},  # type: ignore[typeddict-item]
            {"idempotency_key": key or str(uuid.uuid4())},
        )

    async def rows(self, customer: str, **params: Any) -> list[stripe.CustomerBalanceTransaction]:
        """Every row of the ledger, all pages."""
        listing = self.client.v1.customers.balance_transactions.list_async
        listed = await listing(customer, {"limit": 100, **params})  # type: ignore[arg-type]
        return [row async for row in listed.auto_paging_iter()]

    def fail(self, effect: Effect, method: str = "POST") -> None:
        """Make the next request to the ledgers fail."""
        self.sandbox.stripe.faults.add(effect, method=method, template=TRANSACTIONS)


@asynccontextmanager
async def contract_with(sandbox: Sandbox, base: str, key: str) -> AsyncIterator[Contract]:
    """A contract under another key."""
    http = stripe.HTTPXClient(timeout=20)
    address = "https://api.stripe.com" if REAL_KEY else base
    client = stripe.StripeClient(REAL_KEY or key, base_addresses={"api": address}, http_client=http)
    try:
        yield Contract(client, sandbox, base)
    finally:
        await http.close_async()  # type: ignore[no-untyped-call]


def headers_of(answer: Any) -> Any:
    """The headers of the answer an object came from."""
    return answer.last_response.headers


def error_of(caught: pytest.ExceptionInfo[stripe.StripeError]) -> Any:
    """The error object of a refusal."""
    assert caught.value.error is not None
    return caught.value.error
