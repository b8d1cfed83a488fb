"""An account's objects: customers, their ledgers by currency, and events."""

import secrets
import string
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.outsider.stripe.parameters import merge
from tests.outsider.stripe.refusals import invalid, missing_object

VERSION = "2026-10-28.endive"
Clock = Callable[[], float]
_ALPHABET = string.ascii_letters + string.digits


def new_id(prefix: str, length: int = 24) -> str:
    """Return an ID of an object."""
    return f"{prefix}_{''.join(secrets.choice(_ALPHABET) for _ in range(length))}"


@dataclass
class Transaction:
    """An entry of a customer's ledger; a negative amount is a credit."""

    customer: str
    amount: int
    currency: str
    ending_balance: int
    at: float
    type: str = "adjustment"
    description: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    id: str = field(default_factory=lambda: new_id("cbtxn"))

    @property
    def created(self) -> int:
        """The second it was made, which is all that Stripe tells."""
        return int(self.at)


@dataclass
class Customer:
    """A customer, whose `balances` are negative where Stripe owes."""

    at: float
    email: str | None = None
    name: str | None = None
    description: str | None = None
    phone: str | None = None
    test_clock: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    currency: str | None = None
    balances: dict[str, int] = field(default_factory=dict)
    ledger: list[Transaction] = field(default_factory=list)
    deleted: bool = False
    id: str = field(default_factory=lambda: new_id("cus", 14))

    @property
    def created(self) -> int:
        """The second it was made."""
        return int(self.at)


@dataclass
class Account:
    """All objects of one account, in the order in which they were made."""

    clock: Clock
    live: bool = False
    search_delay: float = 30
    ledger_lag: float = 0
    customers: dict[str, Customer] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    indexed: list[tuple[float, str, dict[str, Any]]] = field(default_factory=list)

    def customer(self, customer_id: str, param: str = "customer") -> Customer:
        """Return a customer that exists. Raises: Refusal for others."""
        customer = self.customers.get(customer_id)
        if customer is None or customer.deleted:
            raise missing_object("customer", customer_id, param)
        return customer

    def create_customer(self, fields: dict[str, Any]) -> Customer:
        """Create a customer."""
        balance = fields.pop("balance", 0)
        customer = Customer(self.clock(), metadata=merge({}, fields.pop("metadata", {})), **fields)
        self.customers[customer.id] = customer
        if balance:
            self.add(customer, balance, "usd", kind="initial")
        self.announce("customer.created", customer)
        return customer

    def update_customer(self, customer: Customer, fields: dict[str, Any]) -> None:
        """Change a customer; setting its balance adds an entry of the difference."""
        if "metadata" in fields:
            customer.metadata = merge(customer.metadata, fields.pop("metadata"))
        if "balance" in fields:
            currency = customer.currency or "usd"
            difference = fields.pop("balance") - customer.balances.get(currency, 0)
            if difference:
                self.add(customer, difference, currency)
        for name, value in fields.items():
            setattr(customer, name, value)
        self.announce("customer.updated", customer)

    def delete_customer(self, customer: Customer) -> None:
        """Delete a customer; its entries cannot be read any more."""
        self.announce("customer.deleted", customer)
        customer.deleted = True

    def add(
        self, customer: Customer, amount: int, currency: str, *, kind: str = "adjustment", **texts: Any
    ) -> Transaction:
        """Add an entry to a ledger; the first one sets the currency of a customer that has none."""
        balance = customer.balances.get(currency, 0) + amount
        texts["metadata"] = merge({}, texts.get("metadata", {}))
        entry = Transaction(customer.id, amount, currency, balance, self.clock(), kind, **texts)
        customer.currency = customer.currency or currency
        customer.balances[currency] = balance
        customer.ledger.append(entry)
        return entry

    def entry(self, customer: Customer, entry_id: str) -> Transaction:
        """Return an entry. Raises: Refusal if the customer has no such one."""
        for entry in customer.ledger:
            if entry.id == entry_id:
                return entry
        raise missing_object("customer balance transaction", entry_id, "transaction")

    def announce(self, kind: str, customer: Customer) -> None:
        """Record an event, and give the customer's present state to the search index, which shows it later."""
        shown = show_customer(customer, self)
        now = self.clock()
        event = {
            "id": new_id("evt"),
            "object": "event",
            "api_version": VERSION,
            "created": int(now),
            "data": {"object": shown},
            "livemode": self.live,
            "pending_webhooks": 0,
            "request": {"id": None, "idempotency_key": None},
            "type": kind,
        }
        self.events.append(event)
        self.indexed.append((now, customer.id, shown))


def show_customer(
    customer: Customer, account: Account, expand: frozenset[str] | set[str] = frozenset()
) -> dict[str, Any]:
    """Return a customer as the API shows it."""
    if customer.deleted:
        return {"id": customer.id, "object": "customer", "deleted": True}
    shown: dict[str, Any] = {
        "id": customer.id,
        "object": "customer",
        "address": None,
        "balance": customer.balances.get(customer.currency or "", 0),
        "created": customer.created,
        "currency": customer.currency,
        "default_source": None,
        "delinquent": False,
        "description": customer.description,
        "discount": None,
        "email": customer.email,
        "invoice_prefix": customer.id[-8:].upper(),
        "invoice_settings": {
            "custom_fields": None,
            "default_payment_method": None,
            "footer": None,
            "rendering_options": None,
        },
        "livemode": account.live,
        "metadata": dict(customer.metadata),
        "name": customer.name,
        "next_invoice_sequence": 1,
        "phone": customer.phone,
        "preferred_locales": [],
        "shipping": None,
        "tax_exempt": "none",
        "test_clock": customer.test_clock,
    }
    if "invoice_credit_balance" in expand:  # its sign is the opposite of the ledger's
        shown["invoice_credit_balance"] = {currency: -cents for currency, cents in customer.balances.items()}
    return shown


def show_transaction(entry: Transaction, account: Account, expand: set[str]) -> dict[str, Any]:
    """Return an entry as the API shows it."""
    owner = show_customer(account.customers[entry.customer], account) if "customer" in expand else entry.customer
    return {
        "id": entry.id,
        "object": "customer_balance_transaction",
        "amount": entry.amount,
        "checkout_session": None,
        "created": entry.created,
        "credit_note": None,
        "currency": entry.currency,
        "customer": owner,
        "customer_account": None,
        "description": entry.description,
        "ending_balance": entry.ending_balance,
        "invoice": None,
        "livemode": account.live,
        "metadata": dict(entry.metadata),
        "type": entry.type,
    }


def require_known_clock(value: str | None) -> None:
    """Refuse a test clock: the kit has none. Raises: Refusal."""
    if value:
        raise invalid(f"No such test clock: '{value}'", "test_clock", "resource_missing")
