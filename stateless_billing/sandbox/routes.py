"""The route table of the Stripe stand-in; any other URL gets Stripe's 404 for unknown URLs."""

from urllib.parse import unquote

from stateless_billing.sandbox import customers, events, other_lists, transactions
from stateless_billing.sandbox.answers import Json, Refusal
from stateless_billing.sandbox.api_keys import (
    ACCOUNT_READ,
    BALANCE_READ,
    BALANCE_WRITE,
    CUSTOMER_READ,
    CUSTOMER_WRITE,
)
from stateless_billing.sandbox.calls import Call, Endpoint, Work

CUSTOMERS = "/v1/customers"
CUSTOMER = "/v1/customers/{customer}"
SEARCH = "/v1/customers/search"
TRANSACTIONS = "/v1/customers/{customer}/balance_transactions"
TRANSACTION = "/v1/customers/{customer}/balance_transactions/{transaction}"


def account(call: Call) -> Work:
    """GET /v1/account: the account of the key (docs.stripe.com/api/accounts)."""
    call.parameters().finish()

    def work(now: float, created: int) -> Json:
        return {
            "id": call.account.id,
            "object": "account",
            "business_profile": {"name": "Sandbox", "url": None},
            "charges_enabled": True,
            "country": "US",
            "default_currency": "usd",
            "details_submitted": True,
            "email": "owner@example.org",
            "payouts_enabled": True,
            "type": "standard",
        }

    return work


ENDPOINTS = (
    Endpoint("GET", "/v1/account", ACCOUNT_READ, account),
    Endpoint("GET", CUSTOMERS, CUSTOMER_READ, customers.listing),
    Endpoint("POST", CUSTOMERS, CUSTOMER_WRITE, customers.create),
    Endpoint("GET", SEARCH, CUSTOMER_READ, customers.search),
    Endpoint("GET", CUSTOMER, CUSTOMER_READ, customers.retrieve),
    Endpoint("POST", CUSTOMER, CUSTOMER_WRITE, customers.update),
    Endpoint("DELETE", CUSTOMER, CUSTOMER_WRITE, customers.delete),
    Endpoint("GET", TRANSACTIONS, BALANCE_READ, transactions.listing),
    Endpoint("POST", TRANSACTIONS, BALANCE_WRITE, transactions.create),
    Endpoint("GET", TRANSACTION, BALANCE_READ, transactions.retrieve),
    Endpoint("POST", TRANSACTION, BALANCE_WRITE, transactions.update),
    *events.ENDPOINTS,
    *other_lists.ENDPOINTS,
)

_TABLE = [(endpoint, endpoint.template.split("/")) for endpoint in ENDPOINTS]


def find_endpoint(method: str, path: str) -> tuple[Endpoint | None, tuple[str, ...]]:
    """Return the endpoint of a request, or None if the URL is unknown, and the ids in its path."""
    parts = path.split("/")
    for endpoint, pattern in _TABLE:
        if endpoint.method != method or len(pattern) != len(parts):
            continue
        ids: list[str] = []
        for segment, part in zip(pattern, parts, strict=True):
            if segment[:1] == "{" and part:
                ids.append(unquote(part))
            elif segment != part:
                break
        else:
            return endpoint, tuple(ids)
    return None, ()


def unrecognized(method: str, path: str) -> Refusal:
    """Return the refusal for an unknown URL."""
    hint = " If you are trying to list objects, remove the trailing slash." if path.endswith("/") else ""
    return Refusal(404, f"Unrecognized request URL ({method}: {path}).{hint} Please see https://docs.stripe.com/api.")
