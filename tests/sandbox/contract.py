"""The contract through the real SDK: the stand-in, or Stripe's test mode if STRIPE_TEST_KEY is set."""

import asyncio
import os
import re
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
import stripe

from stateless_billing.sandbox.effects import Effect
from stateless_billing.sandbox.routes import TRANSACTIONS
from stateless_billing.sandbox.sandbox import Sandbox

REAL_KEY = os.environ.get("STRIPE_TEST_KEY", "")
REAL_BASE = os.environ.get("STRIPE_TEST_BASE", "https://api.stripe.com")
if REAL_KEY and not re.fullmatch(r"[sr]k_test_\w+", REAL_KEY):
    raise ValueError("STRIPE_TEST_KEY is not a key of a test mode or sandbox: nothing is sent with it")
_PACE_SECONDS = 0.06
marks = [
    pytest.mark.anyio,
    # the SDK's own client uses a deprecated way to pass its body to httpx
    pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning"),
]
needs_controls = pytest.mark.skipif(bool(REAL_KEY), reason="Stripe's test mode has no faults and no ageing on demand")


class PacedClient(stripe.HTTPXClient):
    """Stays below the 25 requests a second that a sandbox allows."""

    async def request_async(self, *arguments: Any, **more: Any) -> Any:
        """Send a request after a pause."""
        await asyncio.sleep(_PACE_SECONDS)
        return await super().request_async(*arguments, **more)


@dataclass
class Contract:
    """The SDK's client, and the stand-ins behind it unless it talks to Stripe itself."""

    client: stripe.StripeClient
    sandbox: Sandbox
    base: str
    made: list[str] = field(default_factory=list)

    async def customer(self, **params: Any) -> stripe.Customer:
        """Create a customer with the SDK's random key."""
        customer = await self.client.v1.customers.create_async(params)  # type: ignore[arg-type]
        self.made.append(customer.id)
        return customer

    async def clean_up(self) -> None:
        """Delete every customer that was made, and not deleted by its test."""
        for customer in self.made:
            with suppress(stripe.StripeError):
                await self.client.v1.customers.delete_async(customer)

    async def credit(
        self, customer: str, cents: int = 100, key: str | None = None, **params: Any
    ) -> stripe.CustomerBalanceTransaction:
        """Write a credit (negative, as in Stripe)."""
        return await self.client.v1.customers.balance_transactions.create_async(
            customer,
            {"amount": -cents, "currency": "usd", **params},  # type: ignore[typeddict-item]
            {"idempotency_key": key or str(uuid.uuid4())},
        )

    async def rows(self, customer: str, **params: Any) -> list[stripe.CustomerBalanceTransaction]:
        """Return every row of the ledger over all pages."""
        listing = self.client.v1.customers.balance_transactions.list_async
        listed = await listing(customer, {"limit": 100, **params})  # type: ignore[arg-type]
        return [row async for row in listed.auto_paging_iter()]

    def fail(self, effect: Effect, method: str = "POST") -> None:
        """Make the next request to the ledgers fail."""
        self.sandbox.stripe.faults.add(effect, method=method, template=TRANSACTIONS)


@asynccontextmanager
async def contract_with(sandbox: Sandbox, base: str, key: str) -> AsyncIterator[Contract]:
    """Return a contract with another key."""
    http = PacedClient(timeout=20) if REAL_KEY else stripe.HTTPXClient(timeout=20)
    address = REAL_BASE if REAL_KEY else base
    client = stripe.StripeClient(REAL_KEY or key, base_addresses={"api": address}, http_client=http)
    contract = Contract(client, sandbox, base)
    try:
        yield contract
    finally:
        if REAL_KEY:
            await contract.clean_up()
        await http.close_async()  # type: ignore[no-untyped-call]


def headers_of(answer: Any) -> Any:
    """Return the headers of the answer that contained an object."""
    return answer.last_response.headers


def error_of(caught: pytest.ExceptionInfo[stripe.StripeError]) -> Any:
    """Return the error object of a refusal."""
    assert caught.value.error is not None
    return caught.value.error
