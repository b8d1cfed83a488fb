"""Control commands for the Stripe stand-in; each takes (sandbox, words of the path, JSON body)."""

from typing import Any

from stateless_billing.sandbox.account import DEFAULT_CURRENCY, INITIAL, Entry
from stateless_billing.sandbox.answers import Json
from stateless_billing.sandbox.api_keys import DEFAULT_ACCOUNT, ApiKey
from stateless_billing.sandbox.effects import EFFECTS
from stateless_billing.sandbox.paging import SameSecond
from stateless_billing.sandbox.records import Contact, Customer, Transaction
from stateless_billing.sandbox.sandbox import Sandbox

Payload = dict[str, Any]


def state(sandbox: Sandbox, words: list[str], payload: Payload) -> Json:
    """Return counts per endpoint and the active faults."""
    stripe = sandbox.stripe
    return {
        "counts": dict(stripe.log.counts),
        "reads": stripe.log.reads,
        "writes": stripe.log.writes,
        "keys": len(stripe.account.keys),
        "customers": len(stripe.account.customers),
        "faults": [fault.effect.name for fault in stripe.faults.faults],
        "lies": dict(stripe.account.lies),
        "clock": sandbox.clock(),
        "offset": sandbox.clock.offset,
        "price_calls": sandbox.prices.calls,
        "mails": len(sandbox.mailbox.mails),
    }


def reset(sandbox: Sandbox, words: list[str], payload: Payload) -> Json:
    """Clear counts and rows of the request log."""
    sandbox.stripe.log.reset()
    return {}


def requests(sandbox: Sandbox, words: list[str], payload: Payload) -> list[Json]:
    """Return the latest request rows."""
    last = int(payload.get("last", 100))
    return [row.to_json() for row in list(sandbox.stripe.log.rows)[-last:]]


def add_fault(sandbox: Sandbox, words: list[str], payload: Payload) -> Json:
    """Activate a fault."""
    rest = {name: value for name, value in payload.items() if name not in ("effect", "with")}
    effect = EFFECTS[payload["effect"]](**payload.get("with", {}))
    sandbox.stripe.faults.add(effect, **rest)
    return {"faults": len(sandbox.stripe.faults.faults)}


def clear_faults(sandbox: Sandbox, words: list[str], payload: Payload) -> Json:
    """End every fault of every stand-in."""
    sandbox.stripe.faults.clear()
    sandbox.prices.faults.clear()
    sandbox.mailbox.clear_faults()
    sandbox.refused_connections = 0
    return {}


def age_keys(sandbox: Sandbox, words: list[str], payload: Payload) -> Json:
    """Age the idempotency keys."""
    sandbox.stripe.age_keys(payload["seconds"])
    return {"keys": len(sandbox.stripe.account.keys)}


def age_rows(sandbox: Sandbox, words: list[str], payload: Payload) -> Json:
    """Age a customer's rows."""
    rows = sandbox.stripe.account.age_rows(_customer(sandbox, words[0]), int(payload["seconds"]))
    return {"count": rows}


def settings(sandbox: Sandbox, words: list[str], payload: Payload) -> Json:
    """Set lags, key life, the order within a second, and rate limits."""
    stripe = sandbox.stripe
    stripe.same_second = SameSecond(payload.get("same_second", stripe.same_second))
    stripe.search_lag = payload.get("search_lag", stripe.search_lag)
    stripe.list_lag = payload.get("list_lag", stripe.list_lag)
    if "longest_key_life" in payload:
        stripe.set_key_life(payload["longest_key_life"])
    limits = payload.get("limits")
    if limits is not None:
        stripe.limits.enabled = limits is not False
    if limits:
        stripe.limits.endpoint = limits.get("endpoint", stripe.limits.endpoint)
        stripe.limits.search = limits.get("search", stripe.limits.search)
        stripe.limits.account = limits.get("account", stripe.limits.account)
        stripe.limits.account_in_test_mode = limits.get("account_in_test_mode", stripe.limits.account_in_test_mode)
    return {}


def set_api_key(sandbox: Sandbox, words: list[str], payload: Payload) -> Json:
    """Create or replace an API key; null `permissions` make a full key."""
    permissions = payload.get("permissions")
    key = ApiKey(
        payload["secret"],
        payload.get("account", DEFAULT_ACCOUNT),
        None if permissions is None else frozenset(permissions),
        payload.get("expired", False),
    )
    sandbox.stripe.keys.add(key)
    return {"secret": key.redacted}


def revoke_api_key(sandbox: Sandbox, words: list[str], payload: Payload) -> Json:
    """Revoke an API key."""
    sandbox.stripe.keys.remove(words[0])
    return {}


def add_customer(sandbox: Sandbox, words: list[str], payload: Payload) -> Json:
    """Create a customer at a given time, or on a test clock at its time; a balance makes an `initial` row."""
    contact = Contact(payload.get("email"), payload.get("name"), None, dict(payload.get("metadata", {})))
    now = sandbox.clock()
    created = payload.get("created", int(now))
    account, identifier, test_clock = sandbox.stripe.account, payload.get("id", ""), payload.get("test_clock")
    customer = account.add_customer(min(now, created), created, contact, identifier=identifier, test_clock=test_clock)
    customer.currency = payload.get("currency")
    account.set_balance(customer, payload.get("balance", 0), INITIAL, min(now, created), created)
    return customer.rendered()


def show_customer(sandbox: Sandbox, words: list[str], payload: Payload) -> Json:
    """Return the customer object with balances by currency; not counted as a request to Stripe."""
    return _customer(sandbox, words[0]).rendered({"invoice_credit_balance"})


def edit_customer(sandbox: Sandbox, words: list[str], payload: Payload) -> Json:
    """Replace the metadata, set the currency, or attach a test clock."""
    customer = _customer(sandbox, words[0])
    if "test_clock" in payload:
        sandbox.stripe.account.attach(customer, payload["test_clock"])
    if "metadata" in payload:
        customer.set_metadata(sandbox.clock(), dict(payload["metadata"]))
    customer.currency = payload.get("currency", customer.currency)
    return customer.rendered()


def delete_customer(sandbox: Sandbox, words: list[str], payload: Payload) -> Json:
    """Delete a customer, as in the Dashboard."""
    return sandbox.stripe.account.delete(_customer(sandbox, words[0]).id).rendered()


def set_test_clock(sandbox: Sandbox, words: list[str], payload: Payload) -> Json:
    """Create or advance a test clock."""
    account, identifier = sandbox.stripe.account, payload["id"]
    account.set_test_clock(identifier, int(payload["frozen_time"]))
    return {"id": identifier, "frozen_time": account.frozen_time(identifier)}


def add_rows(sandbox: Sandbox, words: list[str], payload: Payload) -> Json:
    """Write rows as another system would, optionally in the past."""
    customer = _customer(sandbox, words[0])
    account = sandbox.stripe.account
    now = account.test_clocks[customer.test_clock] if customer.test_clock else sandbox.clock()
    entry = Entry(
        payload["amount"],
        payload.get("currency", customer.currency or DEFAULT_CURRENCY),
        payload.get("description"),
        payload.get("metadata"),
        payload.get("type", "adjustment"),
        payload.get("invoice"),
    )
    first = int(payload.get("created", now))
    count, every = payload.get("count", 1), payload.get("every", 1)
    rows = account.add_past(customer, ((first + number * every, entry) for number in range(count)))
    return {"first": rows[0].id, "last": rows[-1].id, "count": len(rows), "balance": customer.balance}


def edit_row(sandbox: Sandbox, words: list[str], payload: Payload) -> Json:
    """Replace the texts of a row."""
    row = _row(sandbox, words[0])
    if "metadata" in payload:
        row.metadata = dict(payload["metadata"] or {})
    row.description = payload.get("description", row.description)
    return row.rendered()


def _customer(sandbox: Sandbox, identifier: str) -> Customer:
    return sandbox.stripe.account.by_id[identifier]


def _row(sandbox: Sandbox, identifier: str) -> Transaction:
    for customer in sandbox.stripe.account.customers:
        if identifier in customer.by_id:
            return customer.by_id[identifier]
    raise KeyError(identifier)
