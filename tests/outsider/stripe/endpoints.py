"""The endpoints: what each takes, and what it does."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.outsider.stripe import parameters as read
from tests.outsider.stripe.account import Account, require_known_clock, show_customer, show_transaction
from tests.outsider.stripe.pages import cut, show_list
from tests.outsider.stripe.parameters import Specification, within
from tests.outsider.stripe.refusals import invalid
from tests.outsider.stripe.search import find

Action = Callable[[Account, list[str], dict[str, Any]], dict[str, Any]]

_CUSTOMER_EXPANSIONS = ("cash_balance", "default_source", "invoice_credit_balance", "sources", "subscriptions", "tax")
_ENTRY_EXPANSIONS = ("credit_note", "customer", "invoice")
_EXPAND_CUSTOMER = read.expansion(*_CUSTOMER_EXPANSIONS, "test_clock")
_EXPAND_ENTRY = read.expansion(*_ENTRY_EXPANSIONS)
_PAGE: Specification = {
    "limit": read.limit,
    "starting_after": read.text,
    "ending_before": read.text,
    "created": read.time_range,
}
_TEXTS: Specification = {"description": read.unsettable(350), "metadata": read.metadata}
_CUSTOMER: Specification = {
    "description": read.unsettable(5000),
    "metadata": read.metadata,
    "email": read.email,
    "name": read.unsettable(256),
    "phone": read.unsettable(20),
    "balance": read.integer,
    "expand": _EXPAND_CUSTOMER,
}


@dataclass(frozen=True)
class Endpoint:
    """An endpoint. Its `address` is a template; a key needs `permission` if it is restricted."""

    method: str
    address: str
    specification: Specification
    action: Action
    permission: str
    required: tuple[str, ...] = ()

    def match(self, path: str) -> list[str] | None:
        """Return the IDs in a path; None if it is another endpoint's."""
        pattern = re.sub(r":\w+", r"([^/]+)", self.address)
        found = re.fullmatch(pattern, path)
        return list(found.groups()) if found else None


def create_customer(account: Account, _: list[str], given: dict[str, Any]) -> dict[str, Any]:
    expand = given.pop("expand", set())
    require_known_clock(given.pop("test_clock", None))
    return show_customer(account.create_customer(given), account, expand)


def retrieve_customer(account: Account, ids: list[str], given: dict[str, Any]) -> dict[str, Any]:
    customer = account.customers.get(ids[0]) or account.customer(ids[0], "id")
    return show_customer(customer, account, given.get("expand", set()))


def update_customer(account: Account, ids: list[str], given: dict[str, Any]) -> dict[str, Any]:
    customer, expand = account.customer(ids[0], "id"), given.pop("expand", set())
    account.update_customer(customer, given)
    return show_customer(customer, account, expand)


def delete_customer(account: Account, ids: list[str], _: dict[str, Any]) -> dict[str, Any]:
    customer = account.customer(ids[0], "id")
    account.delete_customer(customer)
    return show_customer(customer, account)


def list_customers(account: Account, _: list[str], given: dict[str, Any]) -> dict[str, Any]:
    fitting = [
        customer
        for customer in reversed(account.customers.values())
        if not customer.deleted
        and customer.test_clock == given.get("test_clock")
        and within(customer.created, given.get("created"))
        and given.get("email") in (None, customer.email)
    ]
    page, more = cut(fitting, given, "customer")
    return show_list(
        "/v1/customers", [show_customer(each, account, given.get("expand", set())) for each in page], more=more
    )


def search_customers(account: Account, _: list[str], given: dict[str, Any]) -> dict[str, Any]:
    matches, size, page = find(account, given["query"]), given.get("limit", 10), given.get("page")
    expand = given.get("expand", set())
    if page and not page.isdigit():
        raise invalid("Invalid page.", "page")
    start = int(page or 0)
    end = start + size
    more = end < len(matches)
    return {
        "object": "search_result",
        "url": "/v1/customers/search",
        "has_more": more,
        "data": [show_customer(customer, account, expand) for customer in matches[start:end]],
        "next_page": str(end) if more else None,
    }


def create_entry(account: Account, ids: list[str], given: dict[str, Any]) -> dict[str, Any]:
    customer, expand = account.customer(ids[0]), given.pop("expand", set())
    entry = account.add(customer, given.pop("amount"), given.pop("currency"), **given)
    account.announce("customer.updated", customer)
    return show_transaction(entry, account, expand)


def retrieve_entry(account: Account, ids: list[str], given: dict[str, Any]) -> dict[str, Any]:
    entry = account.entry(account.customer(ids[0]), ids[1])
    return show_transaction(entry, account, given.get("expand", set()))


def update_entry(account: Account, ids: list[str], given: dict[str, Any]) -> dict[str, Any]:
    entry, expand = account.entry(account.customer(ids[0]), ids[1]), given.pop("expand", set())
    if "metadata" in given:
        entry.metadata = read.merge(entry.metadata, given["metadata"])
    if "description" in given:
        entry.description = given["description"]
    return show_transaction(entry, account, expand)


def list_entries(account: Account, ids: list[str], given: dict[str, Any]) -> dict[str, Any]:
    customer, horizon = account.customer(ids[0]), account.clock() - account.ledger_lag
    fitting = [
        entry
        for entry in reversed(customer.ledger)
        if entry.at <= horizon and within(entry.created, given.get("created")) and not given.get("invoice")
    ]
    page, more = cut(fitting, given, "customer balance transaction")
    shown = [show_transaction(entry, account, given.get("expand", set())) for entry in page]
    return show_list(f"/v1/customers/{customer.id}/balance_transactions", shown, more=more)


@dataclass
class _Event:
    id: str
    shown: dict[str, Any]


def list_events(account: Account, _: list[str], given: dict[str, Any]) -> dict[str, Any]:
    kind = (given.get("type") or "*").rstrip("*")
    types = set(given.get("types", {}).values())
    fitting = [
        _Event(event["id"], event)
        for event in reversed(account.events)
        if event["type"].startswith(kind)
        and (not types or event["type"] in types)
        and within(event["created"], given.get("created"))
    ]
    page, more = cut(fitting, given, "event")
    return show_list("/v1/events", [event.shown for event in page], more=more)


_ENTRIES = "/v1/customers/:id/balance_transactions"
_CUSTOMERS, _READ, _WRITE = "customer", "_read", "_write"

ENDPOINTS = (
    Endpoint("POST", "/v1/customers", {**_CUSTOMER, "test_clock": read.text}, create_customer, "rak_customer_write"),
    Endpoint(
        "GET",
        "/v1/customers",
        {
            **_PAGE,
            "email": read.text,
            "test_clock": read.text,
            "expand": read.expansion(*_CUSTOMER_EXPANSIONS, of_list=True),
        },
        list_customers,
        "rak_customer_read",
    ),
    Endpoint(
        "GET",
        "/v1/customers/search",
        {
            "query": read.text,
            "limit": read.limit,
            "page": read.text,
            "expand": read.expansion(*_CUSTOMER_EXPANSIONS, of_list=True),
        },
        search_customers,
        "rak_customer_read",
        ("query",),
    ),
    Endpoint("GET", "/v1/customers/:id", {"expand": _EXPAND_CUSTOMER}, retrieve_customer, "rak_customer_read"),
    Endpoint("POST", "/v1/customers/:id", _CUSTOMER, update_customer, "rak_customer_write"),
    Endpoint("DELETE", "/v1/customers/:id", {}, delete_customer, "rak_customer_write"),
    Endpoint(
        "POST",
        _ENTRIES,
        {**_TEXTS, "amount": read.integer, "currency": read.currency, "expand": _EXPAND_ENTRY},
        create_entry,
        "rak_customer_write",
        ("amount", "currency"),
    ),
    Endpoint(
        "GET",
        _ENTRIES,
        {**_PAGE, "invoice": read.text, "expand": read.expansion(*_ENTRY_EXPANSIONS, of_list=True)},
        list_entries,
        "rak_customer_read",
    ),
    Endpoint("GET", f"{_ENTRIES}/:id", {"expand": _EXPAND_ENTRY}, retrieve_entry, "rak_customer_read"),
    Endpoint("POST", f"{_ENTRIES}/:id", {**_TEXTS, "expand": _EXPAND_ENTRY}, update_entry, "rak_customer_write"),
    Endpoint(
        "GET",
        "/v1/events",
        {**_PAGE, "type": read.text, "types": lambda _, value: value},
        list_events,
        "rak_event_read",
    ),
)
OTHERS = (
    "account",
    "balance",
    "balance_transactions",
    "charges",
    "checkout",
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
"""Resources that Stripe has and the kit does not: a restricted key is refused there."""
