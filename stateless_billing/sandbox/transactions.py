"""Customer balance transactions: create, retrieve, update, list (docs.stripe.com/api/customer_balance_transactions).

There is no deletion, and an update reaches the texts only: amount, currency and customer of a row never change.
"""

from collections.abc import Callable

from stateless_billing.sandbox.account import Entry, checked_amount, checked_currency
from stateless_billing.sandbox.answers import Json, no_such
from stateless_billing.sandbox.calls import Call, Work
from stateless_billing.sandbox.paging import SameSecond, page
from stateless_billing.sandbox.records import Customer, Transaction
from stateless_billing.sandbox.tellings import told

EXPAND = frozenset({"customer", "invoice", "credit_note"})
EXPAND_LIST = frozenset("data." + name for name in EXPAND)
LONGEST_DESCRIPTION = 350
KIND = "customer balance transaction"


def create(call: Call) -> Work:
    """POST: `amount` in cents, negative for a credit; sets the customer's currency when it has none."""
    given = call.parameters()
    amount = checked_amount(given.integer("amount", required=True) or 0)
    currency = checked_currency(given.text("currency", required=True) or "")
    description = given.text("description", longest=LONGEST_DESCRIPTION)
    change, expand = given.metadata(), given.expand(EXPAND)
    given.finish()
    metadata = change.applied({})

    def work(now: float, created: int) -> Json:
        customer = call.account.living(call.ids[0], "customer")
        entry = Entry(amount, currency, description, metadata)
        return _shown(call.account.add_transaction(customer, entry, now, created), customer, expand)

    return work


def retrieve(call: Call) -> Work:
    """GET one row."""
    given = call.parameters()
    expand = given.expand(EXPAND)
    given.finish()

    def work(now: float, created: int) -> Json:
        customer, row = _found(call)
        return _shown(row, customer, expand)

    return work


def update(call: Call) -> Work:
    """POST to one row: `description` and `metadata` only."""
    given = call.parameters()
    description = given.text("description", longest=LONGEST_DESCRIPTION, unset=True)
    change, expand = given.metadata(), given.expand(EXPAND)
    given.finish()

    def work(now: float, created: int) -> Json:
        customer, row = _found(call)
        row.metadata = change.applied(row.metadata)
        if description is not None:
            row.description = description or None
        return _shown(row, customer, expand)

    return work


def listing(call: Call) -> Work:
    """GET: newest first, filtered by `created` and `invoice`; a lag hides rows younger than so many seconds.

    What `call.telling` makes untrue is counted in the account's `lies`.
    """
    given = call.parameters()
    cursor, window, invoice = given.cursor(), given.created(), given.text("invoice")
    expand = frozenset(name.removeprefix("data.") for name in given.expand(EXPAND_LIST))
    given.finish()

    def work(now: float, created: int) -> Json:
        customer = call.account.living(call.ids[0], "customer")
        after = _at(customer, cursor.starting_after, "starting_after")
        before = _at(customer, cursor.ending_before, "ending_before")
        moment = now - call.list_lag if call.list_lag else None
        keep, same_second = _filter(invoice, moment), call.telling.same_second or SameSecond.NEWEST_FIRST
        true = page(customer.rows, window, after, before, cursor.limit, keep, same_second)
        rows, more = told(call.telling, *true, cursor, call.account.rng)
        if (rows, more) != true:
            call.account.lies[call.telling.lie] += 1
        data = [_shown(row, customer, expand) for row in rows]
        return {"object": "list", "data": data, "has_more": more, "url": call.path}

    return work


def _filter(invoice: str | None, moment: float | None) -> Callable[[Transaction], bool] | None:
    if invoice is None and moment is None:
        return None

    def keep(row: Transaction) -> bool:
        return (invoice is None or row.invoice == invoice) and (moment is None or row.written <= moment)

    return keep


def _found(call: Call) -> tuple[Customer, Transaction]:
    customer = call.account.living(call.ids[0], "customer")
    row = customer.by_id.get(call.ids[1])
    if row is None:
        raise no_such(KIND, call.ids[1], "transaction")
    return customer, row


def _at(customer: Customer, identifier: str | None, param: str) -> Transaction | None:
    if identifier is None:
        return None
    row = customer.by_id.get(identifier)
    if row is None:
        raise no_such(KIND, identifier, param, 400)
    return row


def _shown(row: Transaction, customer: Customer, expand: frozenset[str]) -> Json:
    shown = row.rendered()
    if "customer" in expand:
        shown["customer"] = customer.rendered()
    return shown
