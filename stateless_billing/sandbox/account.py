"""One Stripe account in one mode: its customers, their ledgers and its idempotency keys."""

import random
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from stateless_billing.sandbox import identifiers
from stateless_billing.sandbox.answers import Refusal, no_such
from stateless_billing.sandbox.idempotency import IdempotencyKeys
from stateless_billing.sandbox.paging import insert
from stateless_billing.sandbox.records import Contact, Customer, Deletion, Transaction

MAX_AMOUNT_CENTS = 99_999_999
"""Stripe documents eight digits for charges and nothing for balances; this is the stricter reading."""
CURRENCIES = frozenset({
    "aed", "ars", "aud", "bgn", "brl", "cad", "chf", "clp", "cny", "cop", "czk", "dkk", "eur", "gbp", "hkd", "huf",
    "idr", "ils", "inr", "jpy", "krw", "mxn", "myr", "nok", "nzd", "pen", "php", "pln", "ron", "sar", "sek", "sgd",
    "thb", "try", "twd", "uah", "usd", "vnd", "zar",
})  # fmt: skip
DEFAULT_CURRENCY = "usd"
INITIAL = "initial"
"""The type of the first row of a customer created with a balance: its `ending_balance` is its `amount`."""


@dataclass(frozen=True, slots=True)
class Entry:
    """The content of a balance transaction: cents with Stripe's sign, and its texts."""

    amount: int
    currency: str
    description: str | None = None
    metadata: Mapping[str, str] | None = None
    type: str = "adjustment"
    invoice: str | None = None


class Account:
    """Holds customers in order of `created` and their append-only ledgers.

    `lies` counts the falsified ledger pages by the name of the effect; `test_clocks` maps the ids of the account's
    test clocks to their frozen times in Unix seconds.
    """

    def __init__(self, identifier: str, livemode: bool, rng: random.Random) -> None:
        self.id = identifier
        self.livemode = livemode
        self.rng = rng
        self.customers: list[Customer] = []
        self.by_id: dict[str, Customer] = {}
        self.deletions: list[Deletion] = []
        self.keys = IdempotencyKeys(rng)
        self.lies: Counter[str] = Counter()
        self.test_clocks: dict[str, int] = {}
        self._number = 0

    def get_customer(self, identifier: str, param: str = "id") -> Customer:
        """Return an existing customer. Raises: `Refusal` 404 `resource_missing` if it is unknown or deleted."""
        customer = self.by_id.get(identifier)
        if customer is None or customer.deleted:
            raise no_such("customer", identifier, param)
        return customer

    def add_customer(
        self,
        now: float,
        created: int,
        contact: Contact,
        description: str | None = None,
        identifier: str = "",
        test_clock: str | None = None,
    ) -> Customer:
        """Create a customer; `identifier` overrides the generated one. On a test clock, `created` is the clock's time.

        Raises: `Refusal` 400 for a test clock that does not exist.
        """
        if test_clock is not None:
            created = self.frozen_time(test_clock)
        chosen = identifier or identifiers.customer_id(self.rng)
        prefix = identifiers.invoice_prefix(self.rng)
        customer = Customer(
            chosen, created, self._next(created), self.livemode, prefix, description=description, test_clock=test_clock
        )
        customer.change(now, contact)
        self.by_id[chosen] = customer
        insert(self.customers, customer)
        return customer

    def delete(self, identifier: str, created: int = 0) -> Customer:
        """Delete a customer permanently, along with its ledger. Without a time, no event tells of it.

        Raises: `Refusal` 404.
        """
        customer = self.get_customer(identifier)
        if created:
            event = Deletion(identifiers.event_id(self.rng), created, self._next(created), customer.rendered())
            insert(self.deletions, event)
        customer.deleted = True
        return customer

    def set_test_clock(self, identifier: str, frozen_time: int) -> None:
        """Create or advance a test clock (docs.stripe.com/api/test_clocks).

        Raises: `ValueError` if its time would move backward.
        """
        if frozen_time < self.test_clocks.get(identifier, frozen_time):
            raise ValueError(f"the test clock {identifier} is already later than {frozen_time}")
        self.test_clocks[identifier] = frozen_time

    def frozen_time(self, test_clock: str) -> int:
        """Return the time of a test clock. Raises: `Refusal` 400 if it does not exist."""
        if test_clock not in self.test_clocks:
            raise no_such("test_clock", test_clock, "test_clock", 400)
        return self.test_clocks[test_clock]

    def attach(self, customer: Customer, test_clock: str) -> None:
        """Attach an existing customer to a test clock, permanently."""
        if customer.test_clock not in (None, test_clock):
            raise ValueError(f"{customer.id} is on another test clock")
        self.frozen_time(test_clock)
        customer.test_clock = test_clock

    def add_transaction(self, customer: Customer, entry: Entry, now: float, created: int) -> Transaction:
        """Append to the ledger and update the balance of the entry's currency; it becomes an unset customer currency.

        Every currency has its own balance and chain; none is rejected for differing from the customer's currency
        (docs.stripe.com/api/customer_balance_transactions/create). On a test clock, `created` is the clock's time.
        """
        if customer.test_clock is not None:
            created = self.frozen_time(customer.test_clock)
        if customer.currency is None:
            customer.currency = entry.currency
        balance = customer.balances.get(entry.currency, 0) + entry.amount
        customer.balances[entry.currency] = balance
        row = self._row(customer, entry, now, created)
        row.ending_balance = balance
        customer.by_id[row.id] = row
        insert(customer.rows, row)
        return row

    def set_balance(self, customer: Customer, balance: int, kind: str, now: float, created: int) -> None:
        """Set the balance in the customer's currency with a row without metadata (`adjustment` or `initial`)."""
        currency = customer.currency or DEFAULT_CURRENCY
        difference = balance - customer.balances.get(currency, 0)
        if difference:
            self.add_transaction(customer, Entry(difference, currency, type=kind), now, created)

    def add_past(self, customer: Customer, entries: Iterable[tuple[int, Entry]]) -> list[Transaction]:
        """Insert rows at past times and recompute every later `ending_balance`.

        Each item is (`created`, entry), in any currency. A row of type `initial` is the starting value of its
        currency's balance. For the control interface and simulations; O(n log n) in the whole ledger.
        Raises: `ValueError`, with nothing written, if an `initial` row is not the oldest of its currency.
        """
        rows = [self._row(customer, entry, created, created) for created, entry in entries]
        ledger = sorted([*customer.rows, *rows], key=lambda row: row.order)
        begun: set[str] = set()
        for row in ledger:
            if row.type == INITIAL and row.currency in begun:
                raise ValueError(f"{customer.id} has older rows in {row.currency}: no row behind them is initial")
            begun.add(row.currency)
        balances: dict[str, int] = {}
        for row in ledger:
            balances[row.currency] = row.ending_balance = balances.get(row.currency, 0) + row.amount
        customer.rows[:], customer.balances = ledger, balances
        customer.by_id.update((row.id, row) for row in rows)
        if rows:
            customer.currency = customer.currency or rows[0].currency
        return rows

    def age_rows(self, customer: Customer, seconds: int) -> int:
        """Make a customer's rows older by `seconds` and return their number."""
        for row in customer.rows:
            row.created -= seconds
            row.order = (row.created, row.order[1])
            row.written -= seconds
        return len(customer.rows)

    def _row(self, customer: Customer, entry: Entry, now: float, created: int) -> Transaction:
        return Transaction(
            identifiers.transaction_id(self.rng),
            customer.id,
            entry.amount,
            entry.currency,
            created,
            self._next(created),
            now,
            self.livemode,
            description=entry.description,
            metadata=dict(entry.metadata or {}),
            type=entry.type,
            invoice=entry.invoice,
        )

    def _next(self, created: int) -> tuple[int, int]:
        self._number += 1
        return created, self._number


def checked_currency(currency: str) -> str:
    """Return a supported currency in lower case. Raises: `Refusal` 400."""
    if currency.lower() not in CURRENCIES:
        raise Refusal(400, f"Invalid currency: {currency}", param="currency")
    return currency.lower()


def checked_amount(amount: int, param: str = "amount") -> int:
    """Return a nonzero amount in cents of at most eight digits. Raises: `Refusal` 400."""
    if amount == 0:
        raise Refusal(
            400, "Invalid integer: 0; the amount must not be zero", param=param, code="parameter_invalid_integer"
        )
    if abs(amount) > MAX_AMOUNT_CENTS:
        raise Refusal(400, f"Amount must be no more than {MAX_AMOUNT_CENTS}", param=param, code="amount_too_large")
    return amount
