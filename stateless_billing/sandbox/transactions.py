"""Customer balance transactions: create, retrieve, update, list (docs.stripe.com/api/customer_balance_transactions).

Rows cannot be deleted, and an update changes only the texts, never amount, currency or customer.
"""

from collections.abc import Callable

from stateless_billing.sandbox.account import Entry, checked_amount, checked_currency
from stateless_billing.sandbox.answers import Json, no_such
from stateless_billing.sandbox.calls import Call, Work
from stateless_billing.sandbox.listing_faults import apply_listing_fault
from stateless_billing.sandbox.paging import SameSecond, page
from stateless_billing.sandbox.records import Customer, Transaction

EXPAND = frozenset({"customer", "invoice", "credit_note"})
EXPAND_LIST = frozenset("data." + name for name in EXPAND)
MAX_DESCRIPTION_LENGTH = 350
KIND = "customer balance transaction"


def create(call: Call) -> Work:
    """POST: `amount` in cents, negative for a credit; sets the customer's currency if it has none."""
    given = call.parameters()
    amount = checked_amount(given.integer("amount", required=True) or 0)
    currency = checked_currency(given.text("currency", required=True) or "")
    description = given.text("description", longest=MAX_DESCRIPTION_LENGTH)
    change, expand = given.metadata(), given.expand(EXPAND)
    given.finish()
    metadata = change.applied({})

    def work(now: float, created: int) -> Json:
        customer = call.account.get_customer(call.ids[0], "customer")
        entry = Entry(amount, currency, description, metadata)
        return _rendered(call.account.add_transaction(customer, entry, now, created), customer, expand)

    return work


def retrieve(call: Call) -> Work:
    """GET one row."""
    given = call.parameters()
    expand = given.expand(EXPAND)
    given.finish()

    def work(now: float, created: int) -> Json:
        customer, row = _find_row(call)
        return _rendered(row, customer, expand)

    return work


def update(call: Call) -> Work:
    """POST to one row: `description` and `metadata` only."""
    given = call.parameters()
    description = given.text("description", longest=MAX_DESCRIPTION_LENGTH, unset=True)
    change, expand = given.metadata(), given.expand(EXPAND)
    given.finish()

    def work(now: float, created: int) -> Json:
        customer, row = _find_row(call)
        row.metadata = change.applied(row.metadata)
        if description is not None:
            row.description = description or None
        return _rendered(row, customer, expand)

    return work


def listing(call: Call) -> Work:
    """GET: newest first, filtered by `created` and `invoice`; a lag hides younger rows.

    Pages falsified by `call.listing_fault` are counted in the account's `lies`.
    """
    given = call.parameters()
    cursor, window, invoice = given.cursor(), given.created(), given.text("invoice")
    expand = frozenset(name.removeprefix("data.") for name in given.expand(EXPAND_LIST))
    given.finish()

    def work(now: float, created: int) -> Json:
        customer = call.account.get_customer(call.ids[0], "customer")
        after = _cursor_row(customer, cursor.starting_after, "starting_after")
        before = _cursor_row(customer, cursor.ending_before, "ending_before")
        moment = now - call.list_lag if call.list_lag else None
        keep, same_second = _filter(invoice, moment), call.listing_fault.same_second or SameSecond.NEWEST_FIRST
        true = page(customer.rows, window, after, before, cursor.limit, keep, same_second)
        rows, more = apply_listing_fault(call.listing_fault, *true, cursor, call.account.rng)
        if (rows, more) != true:
            call.account.lies[call.listing_fault.lie] += 1
        data = [_rendered(row, customer, expand) for row in rows]
        return {"object": "list", "data": data, "has_more": more, "url": call.path}

    return work


def _filter(invoice: str | None, moment: float | None) -> Callable[[Transaction], bool] | None:
    if invoice is None and moment is None:
        return None

    def keep(row: Transaction) -> bool:
        return (invoice is None or row.invoice == invoice) and (moment is None or row.written <= moment)

    return keep


def _find_row(call: Call) -> tuple[Customer, Transaction]:
    customer = call.account.get_customer(call.ids[0], "customer")
    row = customer.by_id.get(call.ids[1])
    if row is None:
        raise no_such(KIND, call.ids[1], "transaction")
    return customer, row


def _cursor_row(customer: Customer, identifier: str | None, param: str) -> Transaction | None:
    if identifier is None:
        return None
    row = customer.by_id.get(identifier)
    if row is None:
        raise no_such(KIND, identifier, param, 400)
    return row


def _rendered(row: Transaction, customer: Customer, expand: frozenset[str]) -> Json:
    rendered = row.rendered()
    if "customer" in expand:
        rendered["customer"] = customer.rendered()
    return rendered
