"""A test account of Stripe: raw requests, and everything made in it is deleted at the end."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx

from stateless_billing.stripe.client import API_VERSION

STRIPE = "https://api.stripe.com"
_ATTEMPTS = 8
_CLOCKS = "/v1/test_helpers/test_clocks"


class TestAccount:
    """Sends requests and remembers what they made."""

    __test__ = False  # no class of tests, in spite of its name

    def __init__(self, http: httpx.AsyncClient, restricted_key: str) -> None:
        self._http = http
        self.restricted_key = restricted_key
        self._made: list[str] = []

    async def send(
        self, method: str, path: str, fields: Mapping[str, str] | None = None, *, key: str = "", secret: str = ""
    ) -> httpx.Response:
        """Send one request, once. `key` is its idempotency key, `secret` another API key."""
        headers = {"idempotency-key": key} if key else {}
        if secret:
            headers["authorization"] = f"Bearer {secret}"
        query, body = (fields, None) if method == "GET" else (None, fields)
        return await self._http.request(method, path, params=query, data=body, headers=headers)

    async def patiently(self, method: str, path: str, fields: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Send a request until it is not rate-limited, and return the object. Raises: httpx.HTTPStatusError."""
        key = str(uuid.uuid4()) if method == "POST" else ""
        answer = await self.send(method, path, fields, key=key)
        for _ in range(_ATTEMPTS):
            if answer.status_code != httpx.codes.TOO_MANY_REQUESTS:
                break
            await asyncio.sleep(1)
            answer = await self.send(method, path, fields, key=key)
        return dict(answer.raise_for_status().json())

    async def customer(self, **fields: str) -> str:
        """Create a customer, to be deleted at the end."""
        made = await self.patiently("POST", "/v1/customers", {"description": "stripe-check: delete me", **fields})
        self._made.append(f"/v1/customers/{made['id']}")
        return str(made["id"])

    async def test_clock(self, frozen_time: int) -> str:
        """Create a test clock, to be deleted at the end with its customers."""
        made = await self.patiently("POST", _CLOCKS, {"frozen_time": str(frozen_time), "name": "stripe-check"})
        self._made.append(f"{_CLOCKS}/{made['id']}")
        return str(made["id"])

    async def credit(self, customer: str, cents: int = 1) -> dict[str, Any]:
        """Write a credit."""
        return await self.patiently("POST", ledger(customer), {"amount": str(-cents), "currency": "usd"})

    async def entries(self, customer: str, **filters: str) -> list[dict[str, Any]]:
        """List a ledger, with pages of two entries."""
        entries: list[dict[str, Any]] = []
        cursor: dict[str, str] = {}
        more = True
        while more:
            page = await self.patiently("GET", ledger(customer), {"limit": "2", **filters, **cursor})
            entries += page["data"]
            more = page["has_more"] and bool(page["data"])
            cursor = {"starting_after": page["data"][-1]["id"]} if page["data"] else {}
        return entries

    async def clean_up(self) -> list[str]:
        """Delete everything that was made; return the paths of what is still there."""
        remaining = []
        for path in reversed(self._made):
            try:
                await self.patiently("DELETE", path)
            except httpx.HTTPStatusError as error:
                if error.response.status_code != httpx.codes.NOT_FOUND:  # deleted by its question, or with its clock
                    remaining.append(path)
            except httpx.HTTPError:
                remaining.append(path)
        return remaining


def ledger(customer: str) -> str:
    """Return the path of a customer's entries."""
    return f"/v1/customers/{customer}/balance_transactions"


@asynccontextmanager
async def opened(secret: str, base: str = STRIPE, restricted_key: str = "") -> AsyncIterator[TestAccount]:
    """Open the account that a key of a test mode or sandbox belongs to."""
    headers = {"authorization": f"Bearer {secret}", "stripe-version": API_VERSION}
    async with httpx.AsyncClient(base_url=base, headers=headers, timeout=30) as http:
        yield TestAccount(http, restricted_key)
