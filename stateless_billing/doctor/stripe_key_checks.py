"""Checks the Stripe key: its account, and that it has the permissions the service needs and no others. Read-only.

To test a write permission, it sends an invalid write to a customer that cannot exist. Stripe rejects it either way:
with 403 if the key may not write, with another code if it may. (Stripe does not document that it checks permissions
before it looks up the object; if it did not, a missing permission would show only at the first write.) The requests
bypass the SDK, in sequence and each to a different endpoint, to stay clear of the per-endpoint rate limits.
"""

import asyncio
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import httpx

from stateless_billing.doctor.checks import Check, CheckFailed, CheckNoted, CheckSkipped, run_check
from stateless_billing.runtime.clock import Clock
from stateless_billing.settings import Settings
from stateless_billing.stripe.client import API_VERSION
from stateless_billing.stripe.connection import Connection, ConnectionFailed
from stateless_billing.stripe.errors import NotSent

_BASE = "https://api.stripe.com"
_UNKNOWN_CUSTOMER = "cus_DoctorAsksForNobody"
_REAL_CHAINS = frozenset({8453})  # chains whose tokens have value
_CONNECTION_ATTEMPTS = 3
_CLOSE_SECONDS = 0.3  # in which the end of a closed connection arrives
_DASHBOARD = "Stripe's Dashboard, Developers, API keys"

NEEDED_PERMISSIONS = (
    ("Customers: Read", "GET", "/v1/customers", {"limit": "1"}),
    ("Customers: Read (search)", "GET", "/v1/customers/search", {"query": 'metadata["stateless_billing"]:"service"'}),
    ("Customers: Write", "POST", f"/v1/customers/{_UNKNOWN_CUSTOMER}", {"metadata[doctor]": ""}),
    (
        "Customer balance transactions: Read",
        "GET",
        f"/v1/customers/{_UNKNOWN_CUSTOMER}/balance_transactions",
        {"limit": "1"},
    ),
    (
        "Customer balance transactions: Write",
        "POST",
        f"/v1/customers/{_UNKNOWN_CUSTOMER}/balance_transactions",
        {"amount": "-1", "currency": "zzz"},
    ),
)
EXCESS_ENDPOINTS = (
    "balance",
    "balance_transactions",
    "charges",
    "checkout/sessions",
    "disputes",
    "files",
    "invoices",
    "payment_intents",
    "payouts",
    "products",
    "subscriptions",
    "transfers",
    "webhook_endpoints",
)


@dataclass(frozen=True, slots=True)
class StripeResponse:
    """A response: its status, Stripe's message if it is an error, else the object's ID."""

    status: int
    message: str
    identifier: str

    @property
    def account(self) -> str | None:
        """The account that the response is, or that its error message names."""
        match = re.search(r"\bacct_\w+", self.message or self.identifier)
        return match[0] if match else None

    @property
    def permission(self) -> str:
        """The missing permission that an error message names, in parentheses."""
        match = re.search(r"\brak_\w+", self.message)
        return f" ({match[0]})" if match else ""


class StripeKeyChecks:
    """Tests the configured key against Stripe. `accepted` is set once Stripe has accepted it."""

    def __init__(self, settings: Settings, transport: httpx.AsyncBaseTransport, clock: Clock) -> None:
        self._settings = settings
        self._connection = Connection(transport, clock)
        self.accepted = False
        self._restricted = settings.stripe_api_key.startswith("rk_")

    async def run(self) -> list[Check]:
        """Check account and mode, that connections stay open, missing permissions, and excess permissions."""
        checks = [await run_check("stripe_key", self._check_account)]
        if self.accepted:
            checks.append(await run_check("stripe_connection", self._check_connection))
            checks.append(await run_check("stripe_permissions", self._check_missing))
            checks.append(await run_check("stripe_excess", self._check_excess))
        return checks

    async def aclose(self) -> None:
        """Close the connection."""
        await self._connection.aclose()

    async def _request(
        self, method: str, path: str, values: Mapping[str, str], *, same_connection: bool = False
    ) -> StripeResponse:
        base = self._settings.stripe_api_base or _BASE
        headers = {"authorization": f"Bearer {self._settings.stripe_api_key}", "stripe-version": API_VERSION}
        encoded = urlencode(values)
        url, body = (f"{base}{path}?{encoded}", None) if method == "GET" else (f"{base}{path}", encoded)
        if body:
            headers["content-type"] = "application/x-www-form-urlencoded"
        if not same_connection:
            self._connection.start_session()
        try:
            content, status, _ = await self._connection.request(method, url, headers, body)
        except ConnectionFailed as error:
            raise CheckSkipped(f"Stripe was not reached: {error}", "Check STRIPE_API_BASE and the network.") from error
        if status == httpx.codes.TOO_MANY_REQUESTS or status >= httpx.codes.INTERNAL_SERVER_ERROR:
            raise CheckSkipped(f"Stripe answered HTTP {status} to {method} {path}", "Try again.")
        raw: Any = json.loads(content)
        if status >= httpx.codes.BAD_REQUEST:
            return StripeResponse(status, str(raw["error"].get("message", "")), "")
        return StripeResponse(status, "", str(raw.get("id", "")))

    async def _check_account(self) -> str:
        response = await self._request("GET", "/v1/account", {})
        if response.status == httpx.codes.UNAUTHORIZED:
            raise CheckFailed("Stripe does not accept the key", f"Set STRIPE_API_KEY to a valid key: {_DASHBOARD}.")
        self.accepted = True
        live, chain = self._settings.is_live, self._settings.chain_id
        kind = "restricted" if self._restricted else "secret"
        account = f"account {response.account}" if response.account else "an account that this key may not read"
        detail = f"a {kind} key, {'live' if live else 'test'} mode, {account}"
        if live and chain not in _REAL_CHAINS:
            raise CheckFailed(
                f"{detail}, but chain {chain} is not Base: worthless tokens would buy real balance",
                "Set STRIPE_API_KEY to a test key, or CHAIN_ID to 8453.",
            )
        if not live and chain in _REAL_CHAINS:
            raise CheckFailed(
                f"{detail}, but chain {chain} is Base: real tokens would buy a balance that is worth nothing",
                "Set STRIPE_API_KEY to a live key, or CHAIN_ID to a test chain.",
            )
        return detail

    async def _check_connection(self) -> str:
        """Read twice over one connection, as each credit does before its write."""
        fault = ""
        for _ in range(_CONNECTION_ATTEMPTS):
            await self._request("GET", "/v1/customers", {"limit": "1"})
            await asyncio.sleep(_CLOSE_SECONDS)
            try:
                await self._request("GET", "/v1/customers", {"limit": "1"}, same_connection=True)
            except NotSent as error:
                fault = str(error)
            else:
                return "two reads went over one connection"
        raise CheckFailed(
            fault, "Reach Stripe without a proxy, or let it keep connections open (HTTP/1.1, 60 seconds when idle)."
        )

    async def _check_missing(self) -> str:
        missing = []
        for name, method, path, values in NEEDED_PERMISSIONS:
            response = await self._request(method, path, values)
            if response.status == httpx.codes.FORBIDDEN:
                missing.append(name + response.permission)
            elif method == "GET" and "balance_transactions" not in path and response.status != httpx.codes.OK:
                missing.append(f"{name}: HTTP {response.status}")
        if missing:
            raise CheckFailed(
                f"the key lacks permissions that the service needs: {', '.join(missing)}", f"Grant it in {_DASHBOARD}."
            )
        return "reads, searches and writes customers and their balance transactions"

    async def _check_excess(self) -> str:
        fix = (
            f"Create a restricted key with Customers: Write and Customer balance transactions: Write, in {_DASHBOARD}."
        )
        if not self._restricted:
            fault = "a secret key may do everything, including refunds and payouts"
            if self._settings.is_live:
                raise CheckFailed(fault, fix)
            raise CheckNoted(fault, f"Before going live: {fix}")
        readable = []
        for path in EXCESS_ENDPOINTS:
            params = {} if path == "balance" else {"limit": "1"}
            if (await self._request("GET", f"/v1/{path}", params)).status < httpx.codes.MULTIPLE_CHOICES:
                readable.append(path)
        if readable:
            raise CheckFailed(f"the key may read more than the service needs: {', '.join(readable)}", fix)
        return f"cannot read any of {len(EXCESS_ENDPOINTS)} kinds of objects that the service does not need"
