"""Stripe's objects as values. Pure; the only module that knows Stripe's sign.

Stripe counts a credit as negative (docs.stripe.com/billing/customer/balance); here credits are positive.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Generic, Literal, TypeVar

import msgspec
from msgspec import UNSET, Meta, UnsetType

from chain.payment import MAX_TIME
from stateless_billing.domain.ledger import Entry
from stateless_billing.stripe.errors import require_customer_id

CUSTOMERS = "/v1/customers"
WALLET = "wallet_address"
PAYMENTS_KEY = "gateway_payments"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Customer:
    """What the service uses of a Stripe customer. A deleted customer has only its ID.

    `usd_cents` is the dollar balance with credit as positive; None if it was not requested. With `test_clock`, Stripe
    dates the customer's entries by a clock that is not its own.
    """

    id: str
    deleted: bool
    created: int = 0
    email: str | None = None
    currency: str | None = None
    balance_cents: int = 0
    metadata: Mapping[str, str] | None = None
    usd_cents: int | None = None
    test_clock: bool = False

    def value(self, name: str) -> str | None:
        """Return the metadata value under `name`."""
        return (self.metadata or {}).get(name)

    def has_wallet(self, wallet: str) -> bool:
        """Whether the customer's `wallet_address` is this lower-case wallet."""
        return (self.value(WALLET) or "").strip().lower() == wallet

    @property
    def is_not_payable(self) -> bool:
        """Whether the customer is marked to get no quote, no grant and no automatic credit."""
        return (self.value(PAYMENTS_KEY) or "").strip().lower() == "off"


@dataclass(frozen=True, slots=True)
class CustomerPage:
    """One page of customers; `complete` if it is the last one."""

    customers: list[Customer]
    complete: bool


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a ledger, newest entry first; `complete` if the listing has no older entries."""

    entries: list[Entry]
    complete: bool


@dataclass(frozen=True, slots=True)
class Deletion:
    """The deletion of a customer, as its event tells it, with the customer's last metadata."""

    event_id: str
    time: int
    customer_id: str
    metadata: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class DeletionPage:
    """One page of deletions, newest first; `complete` if it is the last one."""

    deletions: list[Deletion]
    complete: bool


Text = Annotated[str, Meta(min_length=1)]
Time = Annotated[int, Meta(ge=0, le=MAX_TIME)]
"""Unix seconds, as far as dates go."""


class _DollarBalance(msgspec.Struct, frozen=True, kw_only=True):
    """`invoice_credit_balance`. Unlike in `balance`, Stripe counts credit as positive here."""

    usd: int = 0


class _CustomerObject(msgspec.Struct, frozen=True, kw_only=True):
    """A customer. Only a deleted one may lack `created` and `balance`."""

    id: Text
    deleted: bool = False
    created: Time | None = None
    email: str | None = None
    currency: str | None = None
    balance: int | None = None
    metadata: dict[str, str] | None = None
    invoice_credit_balance: _DollarBalance | UnsetType | None = UNSET
    test_clock: str | None = None

    def __post_init__(self) -> None:
        if not self.deleted and (self.created is None or self.balance is None):
            raise ValueError("a customer without `created` or `balance`")

    def to_customer(self) -> Customer:
        if self.deleted:
            return Customer(self.id, deleted=True)
        return Customer(
            id=self.id,
            deleted=False,
            created=self.created or 0,
            email=self.email,
            currency=self.currency,
            balance_cents=-(self.balance or 0),
            metadata=self.metadata or {},
            usd_cents=self._usd_cents(),
            test_clock=self.test_clock is not None,
        )

    def _usd_cents(self) -> int | None:
        if self.invoice_credit_balance is UNSET:
            return None
        return self.invoice_credit_balance.usd if self.invoice_credit_balance else 0


class _EntryObject(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """A customer balance transaction. Its `customer` is an ID, or the whole customer where that was expanded."""

    id: Text
    amount: int
    created: Time
    currency: Text
    customer: T
    type: Text
    description: str | None = None
    ending_balance: int
    metadata: dict[str, str] | None = None

    def to_entry(self, customer_id: str, owner_id: str) -> Entry:
        if owner_id != customer_id:
            raise ValueError("an entry of another customer")
        return Entry(
            id=self.id,
            cents=-self.amount,
            created=self.created,
            currency=self.currency,
            customer=customer_id,
            type=self.type,
            description=self.description or "",
            ending_cents=-self.ending_balance,
            metadata=self.metadata or {},
        )


class _Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """A customer in an event, in the form of whichever API version was the account's then."""

    id: Text
    metadata: dict[str, str] | None = None


class _EventData(msgspec.Struct, frozen=True, kw_only=True):
    """What an event is about."""

    object: _Snapshot


class _DeletionObject(msgspec.Struct, frozen=True, kw_only=True):
    """An event `customer.deleted`."""

    id: Text
    created: Time
    type: Literal["customer.deleted"]
    data: _EventData


class _List(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """One page of a list."""

    data: list[T]
    has_more: bool

    def __post_init__(self) -> None:
        if self.has_more and not self.data:
            raise ValueError("an empty page of a list that goes on")


def customer_path(customer_id: str) -> str:
    """Return a customer's path. Raises: RequestRejected."""
    return f"{CUSTOMERS}/{require_customer_id(customer_id)}"


def entries_path(customer_id: str) -> str:
    """Return the path of a customer's ledger. Raises: RequestRejected."""
    return f"{customer_path(customer_id)}/balance_transactions"


def escape_query_text(text: str) -> str:
    """Escape text for the quotes of a search query."""
    return text.replace("\\", "\\\\").replace('"', '\\"')


def parse_amount(cents: int) -> int:
    """Convert credited cents to Stripe's amount."""
    return -cents


def parse_customer(answer: bytes, customer_id: str | None = None, *, balance: bool = False) -> Customer:
    """Parse a customer, of this ID if given, and with its dollar balance if that was requested.

    Raises: ValueError, naming the field that is not as documented.
    """
    customer = _decode(answer, _CustomerObject).to_customer()
    if customer_id not in (None, customer.id):
        raise ValueError("another customer")
    if balance and customer.usd_cents is None and not customer.deleted:
        raise ValueError("a customer without the `invoice_credit_balance` that was asked for")
    return customer


def parse_customers(answer: bytes) -> CustomerPage:
    """Parse a page of customers or of search results. Raises: ValueError."""
    page = _decode(answer, _List[_CustomerObject])
    return CustomerPage([customer.to_customer() for customer in page.data], complete=not page.has_more)


def parse_deletions(answer: bytes) -> DeletionPage:
    """Parse a page of events `customer.deleted`. Raises: ValueError."""
    page = _decode(answer, _List[_DeletionObject])
    deletions = [
        Deletion(event.id, event.created, event.data.object.id, event.data.object.metadata or {}) for event in page.data
    ]
    return DeletionPage(deletions, complete=not page.has_more)


def parse_entry(answer: bytes, customer_id: str) -> Entry:
    """Parse an entry of this customer. Raises: ValueError, also for another customer's entry."""
    entry = _decode(answer, _EntryObject[Text])
    return entry.to_entry(customer_id, entry.customer)


def parse_page(answer: bytes, customer_id: str) -> Page:
    """Parse a page of a customer's ledger. Raises: ValueError."""
    page = _decode(answer, _List[_EntryObject[Text]])
    return Page([entry.to_entry(customer_id, entry.customer) for entry in page.data], complete=not page.has_more)


def parse_plain_page(answer: bytes, customer_id: str) -> tuple[Page, None]:
    """Parse a page whose entries do not carry their customer. Raises: ValueError."""
    return parse_page(answer, customer_id), None


def parse_expanded_page(answer: bytes, customer_id: str) -> tuple[Page, Customer | None]:
    """Parse a page whose entries carry their customer; also return that customer. Raises: ValueError."""
    page = _decode(answer, _List[_EntryObject[_CustomerObject]])
    entries = [entry.to_entry(customer_id, entry.customer.id) for entry in page.data]
    customer = page.data[0].customer.to_customer() if page.data else None
    return Page(entries, complete=not page.has_more), customer


def _decode(answer: bytes, form: type[T]) -> T:
    """Check an answer against a documented form; unknown fields are ignored. Raises: ValueError."""
    try:
        return msgspec.json.decode(answer, type=form)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
