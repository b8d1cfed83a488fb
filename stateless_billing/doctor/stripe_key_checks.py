"""The Stripe key: whose it is, and that it may do what the service needs and nothing else. Writes nothing.

A write to a customer that cannot exist, with values that cannot be valid, is refused either way: with 403 where the key
may not write, with another code where it may. (That permissions come before the look for the object is not documented;
if they did not, a missing one would show at the first write only.) The requests go around the SDK, one after the
other, each to another endpoint, so that no limit of an endpoint is near.
"""

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

_BASE = "https://api.stripe.com"
_UNKNOWN_CUSTOMER = "cus_DoctorAsksForNobody"
_REAL = frozenset({8453})  # chains whose tokens cost money
_DASHBOARD = "Stripe's Dashboard, Developers, API keys"

NEEDED = (
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
TOO_MUCH = (
    *("balance", "balance_transactions", "charges", "checkout/sessions", "disputes", "events", "files", "invoices"),
    *("payment_intents", "payouts", "products", "subscriptions", "transfers", "webhook_endpoints"),
)


@dataclass(frozen=True, slots=True)
class StripeResponse:
    """One answer: its status, and of an error Stripe's sentence, else the object's id."""

    status: int
    message: str
    identifier: str

    @property
    def account(self) -> str | None:
        """The account that an answer is, or that a refusal names."""
        found = re.search(r"\bacct_\w+", self.message or self.identifier)
        return found[0] if found else None

    @property
    def permission(self) -> str:
        """The permission that a refusal asks for, in Stripe's own word."""
        found = re.search(r"\brak_\w+", self.message)
        return f" ({found[0]})" if found else ""


class StripeKeyChecks:
    """Asks Stripe with the settings' key; `accepted` once Stripe has taken it for one."""

    def __init__(self, settings: Settings, transport: httpx.AsyncBaseTransport, clock: Clock) -> None:
        self._settings = settings
        self._connection = Connection(transport, clock)
        self.accepted = False
        self._restricted = settings.stripe_api_key.startswith("rk_")

    async def run(self) -> list[Check]:
        """Account and mode, what it may not do though it has to, what it may do though it need not."""
        found = [await run_check("stripe_key", self._check_account)]
        if self.accepted:
            found.append(await run_check("stripe_permissions", self._check_missing))
            found.append(await run_check("stripe_excess", self._check_excess))
        return found

    async def aclose(self) -> None:
        """Close the connection."""
        await self._connection.aclose()

    async def _request(self, method: str, path: str, values: Mapping[str, str]) -> StripeResponse:
        base = self._settings.stripe_api_base or _BASE
        headers = {"authorization": f"Bearer {self._settings.stripe_api_key}", "stripe-version": API_VERSION}
        encoded = urlencode(values)
        url, body = (f"{base}{path}?{encoded}", None) if method == "GET" else (f"{base}{path}", encoded)
        if body:
            headers["content-type"] = "application/x-www-form-urlencoded"
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
        told = await self._request("GET", "/v1/account", {})
        if told.status == httpx.codes.UNAUTHORIZED:
            raise CheckFailed(
                "Stripe does not accept the key", f"Set STRIPE_API_KEY to one that is valid: {_DASHBOARD}."
            )
        self.accepted = True
        live, chain = self._settings.is_live, self._settings.chain_id
        kind = "restricted" if self._restricted else "secret"
        where = f"account {told.account}" if told.account else "an account that this key may not name"
        found = f"a {kind} key, {'live' if live else 'test'} mode, {where}"
        if live and chain not in _REAL:
            raise CheckFailed(
                f"{found}, but chain {chain} is not Base: worthless tokens would buy real balance",
                "Set STRIPE_API_KEY to a test key, or CHAIN_ID to 8453.",
            )
        if not live and chain in _REAL:
            raise CheckFailed(
                f"{found}, but chain {chain} is Base: real tokens would buy a balance that is worth nothing",
                "Set STRIPE_API_KEY to a live key, or CHAIN_ID to a test chain.",
            )
        return found

    async def _check_missing(self) -> str:
        missing = []
        for name, method, path, values in NEEDED:
            told = await self._request(method, path, values)
            if told.status == httpx.codes.FORBIDDEN:
                missing.append(name + told.permission)
            elif method == "GET" and "balance_transactions" not in path and told.status != httpx.codes.OK:
                missing.append(f"{name}: HTTP {told.status}")
        if missing:
            raise CheckFailed(
                f"the key may not do what the service needs: {', '.join(missing)}", f"Grant it in {_DASHBOARD}."
            )
        return "reads, searches and writes customers and their balance transactions"

    async def _check_excess(self) -> str:
        instead = (
            f"Make a restricted key with Customers and Customer balance transactions: Write alone, in {_DASHBOARD}."
        )
        if not self._restricted:
            fault = "a secret key may do everything, refunds and payouts too"
            raise (
                CheckFailed(fault, instead)
                if self._settings.is_live
                else CheckNoted(fault, f"Before going live: {instead}")
            )
        found = [
            path for path in TOO_MUCH if (await self._request("GET", f"/v1/{path}", _first_segment(path))).status < 300
        ]
        if found:
            raise CheckFailed(f"the key may read more than the service needs: {', '.join(found)}", instead)
        return f"may not read any of {len(TOO_MUCH)} things that are none of the service's business"


def _first_segment(path: str) -> dict[str, str]:
    return {} if path == "balance" else {"limit": "1"}
