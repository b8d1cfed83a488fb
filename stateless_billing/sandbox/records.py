"""Customers and their balance transactions, with exactly the fields of Stripe's example objects.

Amounts have Stripe's sign: negative is a credit to the customer. `invoice_credit_balance` has the opposite sign.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from stateless_billing.sandbox.answers import Json

INDEX_HISTORY_SECONDS = 7200.0
"""How long a lagging search can find older states of a customer."""


@dataclass(slots=True)
class Transaction:
    """A customer balance transaction; amounts in cents, `created` in Unix seconds, `written` by the clock."""

    id: str
    customer: str
    amount: int
    currency: str
    created: int
    order: tuple[int, int]
    written: float
    livemode: bool
    ending_balance: int = 0
    description: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    type: str = "adjustment"
    invoice: str | None = None
    credit_note: str | None = None

    def rendered(self) -> Json:
        """The API object."""
        return {
            "id": self.id,
            "object": "customer_balance_transaction",
            "amount": self.amount,
            "checkout_session": None,
            "created": self.created,
            "credit_note": self.credit_note,
            "currency": self.currency,
            "customer": self.customer,
            "customer_account": None,
            "description": self.description,
            "ending_balance": self.ending_balance,
            "invoice": self.invoice,
            "livemode": self.livemode,
            "metadata": self.metadata,
            "type": self.type,
        }


@dataclass(frozen=True, slots=True)
class Contact:
    """The searchable fields of a customer; `metadata` is replaced on every change, never mutated."""

    email: str | None = None
    name: str | None = None
    phone: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Deletion:
    """The event of a customer's deletion, with the customer's last state."""

    id: str
    created: int
    order: tuple[int, int]
    customer: Json


@dataclass(slots=True)
class Customer:
    """A customer and its ledger. `balances` by currency, in cents with Stripe's sign."""

    id: str
    created: int
    order: tuple[int, int]
    livemode: bool
    invoice_prefix: str
    contact: Contact = field(default_factory=Contact)
    description: str | None = None
    currency: str | None = None
    deleted: bool = False
    test_clock: str | None = None
    balances: dict[str, int] = field(default_factory=dict)
    rows: list[Transaction] = field(default_factory=list)
    by_id: dict[str, Transaction] = field(default_factory=dict)
    states: list[tuple[float, Contact]] = field(default_factory=list)

    @property
    def balance(self) -> int:
        """The balance in the customer's own currency, as in `customer.balance`."""
        return self.balances.get(self.currency or "", 0)

    def change(self, now: float, contact: Contact) -> None:
        """Set the searchable fields and record when they changed."""
        self.contact = contact
        if len(self.states) > 1 and self.states[1][0] < now - INDEX_HISTORY_SECONDS:
            self.states = [state for state in self.states[1:-1] if state[0] >= now - INDEX_HISTORY_SECONDS] + [
                self.states[-1]
            ]
        self.states.append((now, contact))

    def set_metadata(self, now: float, metadata: dict[str, str]) -> None:
        """Replace the metadata."""
        self.change(now, replace(self.contact, metadata=metadata))

    def indexed_contact(self, moment: float) -> Contact | None:
        """Return the fields in a search index that is current up to `moment`; None if the customer is not in it."""
        for since, contact in reversed(self.states):
            if since <= moment:
                return contact
        return None

    def rendered(self, expand: Iterable[str] = ()) -> Json:
        """Return the API object, or the short form of a deleted customer (docs.stripe.com/api/customers/delete)."""
        if self.deleted:
            return {"id": self.id, "object": "customer", "deleted": True}
        rendered: Json = {
            "id": self.id,
            "object": "customer",
            "address": None,
            "balance": self.balance,
            "created": self.created,
            "currency": self.currency,
            "default_source": None,
            "delinquent": False,
            "description": self.description,
            "discount": None,
            "email": self.contact.email,
            "invoice_prefix": self.invoice_prefix,
            "invoice_settings": {
                "custom_fields": None,
                "default_payment_method": None,
                "footer": None,
                "rendering_options": None,
            },
            "livemode": self.livemode,
            "metadata": self.contact.metadata,
            "name": self.contact.name,
            "next_invoice_sequence": 1,
            "phone": self.contact.phone,
            "preferred_locales": [],
            "shipping": None,
            "tax_exempt": "none",
            "test_clock": self.test_clock,
        }
        if "invoice_credit_balance" in expand:
            rendered["invoice_credit_balance"] = {currency: -cents for currency, cents in self.balances.items()}
        return rendered
