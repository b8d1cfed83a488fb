"""Customers: create, retrieve, update, delete, list, search (docs.stripe.com/api/customers)."""

import base64
import binascii
from collections.abc import Callable
from dataclasses import replace

from stateless_billing.sandbox.account import INITIAL, MAX_AMOUNT_CENTS, Account
from stateless_billing.sandbox.answers import Json, Refusal, no_such
from stateless_billing.sandbox.calls import Call, Work
from stateless_billing.sandbox.paging import page
from stateless_billing.sandbox.parameters import Parameters, Window
from stateless_billing.sandbox.records import Contact, Customer
from stateless_billing.sandbox.search_query import parse_query

EXPAND = frozenset({"invoice_credit_balance"})
EXPAND_LIST = frozenset({"data.invoice_credit_balance"})
MAX_LENGTHS = {"email": 512, "name": 256, "phone": 20, "description": 5000}


def create(call: Call) -> Work:
    """POST /v1/customers. A starting `balance` makes a row of type `initial`; `test_clock` names an existing one."""
    given = call.parameters()
    texts = _texts(given, unset=False)
    description = texts.pop("description", None)
    change, balance, expand = given.metadata(), _balance(given), given.expand(EXPAND)
    test_clock = given.text("test_clock")
    given.finish()
    metadata = change.applied({})

    def work(now: float, created: int) -> Json:
        contact = Contact(**texts, metadata=metadata)
        customer = call.account.add_customer(now, created, contact, description, test_clock=test_clock)
        if balance is not None:
            call.account.set_balance(customer, balance, INITIAL, now, created)
        return customer.rendered(expand)

    return work


def retrieve(call: Call) -> Work:
    """GET /v1/customers/{customer}. A deleted one answers 200 with `deleted: true`."""
    given = call.parameters()
    expand = given.expand(EXPAND)
    given.finish()

    def work(now: float, created: int) -> Json:
        customer = call.account.by_id.get(call.ids[0])
        if customer is None:
            raise no_such("customer", call.ids[0])
        return customer.rendered(expand)

    return work


def update(call: Call) -> Work:
    """POST /v1/customers/{customer}. Setting `balance` makes a row of type `adjustment` without metadata."""
    given = call.parameters()
    texts = _texts(given, unset=True)
    description = texts.pop("description", None)
    fields = {name: text or None for name, text in texts.items()}
    change, balance, expand = given.metadata(), _balance(given), given.expand(EXPAND)
    given.finish()

    def work(now: float, created: int) -> Json:
        customer = call.account.get_customer(call.ids[0])
        metadata = change.applied(customer.contact.metadata)
        if description is not None:
            customer.description = description or None
        customer.change(now, replace(customer.contact, metadata=metadata, **fields))
        if balance is not None:
            call.account.set_balance(customer, balance, "adjustment", now, created)
        return customer.rendered(expand)

    return work


def delete(call: Call) -> Work:
    """DELETE /v1/customers/{customer}. The ledger becomes unreadable too."""
    call.parameters().finish()

    def work(now: float, created: int) -> Json:
        return call.account.delete(call.ids[0], created).rendered()

    return work


def listing(call: Call) -> Work:
    """GET /v1/customers: newest first, `email` compared case-sensitively, without deleted customers.

    Customers on a test clock are listed only if `test_clock` names theirs.
    """
    given = call.parameters()
    cursor, window, email = given.cursor(), given.created(), given.text("email", longest=512)
    test_clock = given.text("test_clock")
    expand = _inner(given.expand(EXPAND_LIST))
    given.finish()

    def work(now: float, created: int) -> Json:
        after = _cursor_customer(call.account, cursor.starting_after, "starting_after")
        before = _cursor_customer(call.account, cursor.ending_before, "ending_before")
        keep = _listed(email, test_clock, now - call.list_lag)
        rows, more = page(call.account.customers, window, after, before, cursor.limit, keep)
        data = [row.rendered(expand) for row in rows]
        return {"object": "list", "data": data, "has_more": more, "url": call.path}

    return work


def search(call: Call) -> Work:
    """GET /v1/customers/search: the index lags, but the objects in the answer are current (docs.stripe.com/search).

    Customers on a test clock are found too, since nothing documents otherwise.
    """
    given = call.parameters()
    query = parse_query(given.text("query", required=True) or "")
    limit, expand = given.limit(), _inner(given.expand(EXPAND_LIST))
    end = _page_end(given.text("page"))
    given.finish()

    def work(now: float, created: int) -> Json:
        moment = now - call.search_lag

        def keep(customer: Customer) -> bool:
            if customer.deleted or (end is not None and customer.order >= end):
                return False
            contact = customer.indexed_contact(moment)
            return contact is not None and query.matches(contact, customer.created)

        window = Window(end=None if end is None else end[0] + 1)
        rows, more = page(call.account.customers, window, None, None, limit, keep)
        return {
            "object": "search_result",
            "data": [row.rendered(expand) for row in rows],
            "has_more": more,
            "next_page": _page_token(rows[-1].order) if more else None,
            "url": call.path,
        }

    return work


def _texts(given: Parameters, *, unset: bool) -> dict[str, str]:
    texts: dict[str, str] = {}
    for name, longest in MAX_LENGTHS.items():
        text = given.text(name, longest=longest, unset=unset)
        if text is not None:
            texts[name] = text
    email = texts.get("email")
    if email and ("@" not in email.strip("@") or any(character.isspace() for character in email)):
        raise Refusal(400, f"Invalid email address: {email}", param="email", code="email_invalid")
    return texts


def _balance(given: Parameters) -> int | None:
    balance = given.integer("balance")
    if balance is not None and abs(balance) > MAX_AMOUNT_CENTS:
        raise Refusal(400, f"Amount must be no more than {MAX_AMOUNT_CENTS}", param="balance", code="amount_too_large")
    return balance


def _listed(email: str | None, test_clock: str | None, moment: float) -> Callable[[Customer], bool]:
    def keep(customer: Customer) -> bool:
        if customer.deleted or customer.test_clock != test_clock:
            return False
        if email is not None and customer.contact.email != email:
            return False
        return customer.states[0][0] <= moment

    return keep


def _cursor_customer(account: Account, identifier: str | None, param: str) -> Customer | None:
    if identifier is None:
        return None
    customer = account.by_id.get(identifier)
    if customer is None:
        raise no_such("customer", identifier, param, 400)
    return customer


def _inner(expand: frozenset[str]) -> frozenset[str]:
    return frozenset(name.removeprefix("data.") for name in expand)


def _page_token(order: tuple[int, int]) -> str:
    return base64.urlsafe_b64encode(f"{order[0]}.{order[1]}".encode()).decode()


def _page_end(token: str | None) -> tuple[int, int] | None:
    if token is None:
        return None
    try:
        created, number = base64.urlsafe_b64decode(token).decode("ascii").split(".")
        return int(created), int(number)
    except (binascii.Error, ValueError):
        raise Refusal(400, f"Invalid page: {token}", param="page") from None
