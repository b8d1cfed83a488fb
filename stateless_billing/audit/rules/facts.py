"""The facts that the rules judge, as plain values. Pure."""

import re
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from chain.payment import Payment
from stateless_billing.crediting.payment_status import HELD_CAUSES
from stateless_billing.domain.ledger import CURRENCY, OTHER_CREDITS, Entry, OtherCredits
from stateless_billing.domain.order_rules import Order, effective_order, find_confirmation, is_effective

WALLET_KEY = "wallet_address"
CURSOR = re.compile(r"gateway:([0-9]+):([0-9a-f]{8})")
RecordName = Literal["service", "grants"]
_KINDS_ON_RECORD: Mapping[RecordName, tuple[str, ...]] = {"service": ("order",), "grants": ("reservation", "reversal")}


@dataclass(frozen=True, slots=True)
class Scope:
    """The range of a report: payments from `first_block` to `block`, entries up to `time`.

    Times are in Unix seconds. Payments after `block` and up to `horizon` are reported as pending. `horizon` is the last
    block at `time`, or `block` if `--to` set an end. `treasuries` are the accounts whose transfers are read, if that
    was asked for. `known_sources` are other contracts that pay them, with their labels.
    """

    chain_id: int
    gateways: tuple[str, ...]
    token: str
    block: int
    block_hash: str
    block_time: int
    time: int
    horizon: int
    start: int = 0
    explorer: str | None = None
    other_credits: OtherCredits = field(default_factory=lambda: OtherCredits.parse(OTHER_CREDITS))
    deep: bool = False
    first_block: int = 0
    treasuries: tuple[str, ...] = ()
    known_sources: tuple[tuple[str, str], ...] = ()

    def is_final(self, payment: Payment) -> bool:
        """Return whether the report judges the payment; later ones are pending."""
        return payment.block <= self.block

    def is_shown(self, payment: Payment) -> bool:
        """Return whether the report has a row for the payment."""
        return payment.block <= self.horizon


@dataclass(frozen=True, slots=True)
class AuditedCustomer:
    """What the audit needs of a Stripe customer.

    `state` is why it cannot be read, or empty. `obstacle` is why it cannot be credited. Both are causes of `held`.
    `listed_cents` is the dollar balance that came with it, credit as positive; None if that was in another currency,
    or its entries are dated by a test clock.
    """

    id: str
    wallet: str | None = None
    currency: str | None = None
    cursors: Mapping[str, str] = field(default_factory=dict)
    state: str = ""
    obstacle: str | None = None
    listed_cents: int | None = None


@dataclass(slots=True)
class CustomerLedger:
    """A customer with its payments in chain order and entries newest first.

    `complete`: every entry ever written. `balance_cents` is the dollar balance at the report's time, with credit as
    positive; None if it was not read.
    """

    customer: AuditedCustomer
    payments: list[Payment] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    complete: bool = False
    balance_cents: int | None = None


@dataclass(frozen=True, slots=True)
class OrderIndex:
    """What admins and the sweep recorded about payments, by payment identity.

    `redirects` are the targets of effective orders, `causes` why payments are held, and `named_customers` all customers
    that any order ever named. `open_customers` says, by gateway and customer, from which sequence on payments are held
    and why. `orders` are all orders, oldest first.
    """

    redirects: Mapping[str, str] = field(default_factory=dict)
    causes: Mapping[str, str] = field(default_factory=dict)
    open_customers: Mapping[tuple[str, str], tuple[int, str]] = field(default_factory=dict)
    named_customers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    orders: tuple[Order, ...] = ()

    def cause_of(self, payment: Payment) -> str | None:
        """Return why the sweep left a payment open, if it did."""
        first, cause = self.open_customers.get((payment.gateway, payment.customer_id or ""), (payment.sequence + 1, ""))
        return self.causes.get(payment.identity) or (cause if payment.sequence >= first else None)

    def target_of(self, payment: Payment, credits_: Iterable[Entry], *, complete: bool = True) -> str | None:
        """Return the customer to credit, by the order a credit follows or the effective one.

        A later order does not invalidate a credit that was sent before it. `complete` says that `credits_` are from all
        customers. Otherwise an effective order decides, so that its customer is searched too.
        """
        entries = list(credits_)
        for credit in entries:
            order = self.followed_order(payment, credit)
            if order and credit.customer == (order.target or payment.customer_id):
                return credit.customer
        if complete and any(
            credit.customer == payment.customer_id and "order" not in credit.metadata for credit in entries
        ):
            return payment.customer_id
        return self.redirects.get(payment.identity, payment.customer_id)

    def followed_order(self, payment: Payment, credit: Entry) -> Order | None:
        """Return the effective order that a credit names in its metadata, or None."""
        order_id = credit.metadata.get("order")
        for order in self.orders if order_id else ():
            if order.id == order_id and order.payment == payment.identity and is_effective(order, self.orders):
                return order
        return None

    def decision_about(self, payment: Payment, credits_: Iterable[Entry]) -> tuple[Order | None, Order | None]:
        """Return the order that a credit follows, or the effective one if there is no credit, and its confirmation."""
        entries = list(credits_)
        followed = (self.followed_order(payment, credit) for credit in entries)
        order = next(filter(None, followed), None) if entries else effective_order(payment.identity, self.orders)
        return order, find_confirmation(order, self.orders) if order else None


class UnmatchedEntries:
    """A customer's entries that no payment has taken yet, and all its reversals.

    They are indexed by all that a payment can be matched by, so that many payments do not search all entries each.
    """

    def __init__(self, entries: Iterable[Entry]) -> None:
        self.entries = {entry.id: entry for entry in entries}
        self.ids = frozenset(self.entries)
        self._reversals: dict[str, list[Entry]] = defaultdict(list)
        self._credits: dict[str, list[Entry]] = defaultdict(list)
        for entry in self.entries.values():
            if entry.kind == "reversal":
                self._reversals[reversed_id(entry)].append(entry)
            elif entry.kind == "payment":
                for name in {named_payment(entry), entry.metadata.get("sequence", "")}:
                    self._credits[name].append(entry)

    def that_may_credit(self, payment: Payment) -> list[Entry]:
        """Return the credits of the payment's identity or sequence, and their reversals."""
        named = (*self._credits.get(payment.identity, ()), *self._credits.get(str(payment.sequence), ()))
        credits_ = {entry.id: entry for entry in named if entry.id in self.entries}
        return [*credits_.values(), *(row for entry in credits_.values() for row in self.reversals_of(entry))]

    def reversals_of(self, entry: Entry) -> list[Entry]:
        """Return the reversals that lead to an entry, and the entry itself if it is one."""
        found = {entry.id: entry}
        names = [entry.id]
        while names:
            rows = [row for row in self._reversals.get(names.pop(), ()) if row.id not in found]
            found |= {row.id: row for row in rows}
            names += [row.id for row in rows]
        return [row for row in found.values() if row.kind == "reversal"]

    def by_cents(self) -> dict[int, deque[Entry]]:
        """Return the entries by their cents, oldest first."""
        entries: dict[int, deque[Entry]] = defaultdict(deque)
        for entry in sorted(self.entries.values(), key=lambda entry: (entry.created, entry.id)):
            entries[entry.cents].append(entry)
        return entries

    def take(self, entry: Entry) -> None:
        """Remove an entry."""
        del self.entries[entry.id]


def reversed_id(reversal: Entry) -> str:
    """Return the ID of the entry that a reversal reverses."""
    return reversal.metadata.get("reverses", "")


def named_payment(credit: Entry) -> str:
    """Return the payment's identity in a credit's metadata; people may have edited it."""
    return credit.metadata.get("payment", "").strip().lower()


def find_held_cause(payment: Payment, customer_ledger: CustomerLedger, orders: OrderIndex) -> str | None:
    """Return why a payment is held. What Stripe shows takes precedence over the sweep's record.

    A record of anything but a cause of `held` is a failure of the service: it excuses nothing.
    """
    if payment.customer_id is None:
        return "customer_invalid"
    if customer_ledger.customer.state:
        return customer_ledger.customer.state
    if customer_ledger.customer.currency not in (None, CURRENCY):
        return "currency"
    if customer_ledger.customer.obstacle:
        return customer_ledger.customer.obstacle
    recorded = orders.cause_of(payment)
    return recorded if recorded in HELD_CAUSES else None


def is_relevant(entry: Entry) -> bool:
    """Return whether an entry can affect a verdict; charges by other systems cannot."""
    return entry.kind is not None or entry.cents > 0


def is_foreign_on_record(entry: Entry, record: RecordName, scope: Scope) -> bool:
    """Return whether an entry of a bookkeeping record, in the range of the report, is a credit of none of its kinds."""
    is_ours = entry.kind in _KINDS_ON_RECORD[record]
    return entry.type == "adjustment" and entry.cents > 0 and not is_ours and entry.created >= scope.start


def credit_of_other_system(entry: Entry, scope: Scope) -> str | None:
    """Return the name of the other system that wrote a credit in the range of the report; None for other entries."""
    is_credit = entry.cents > 0 and entry.type == "adjustment" and entry.kind is None and entry.currency == CURRENCY
    if not is_credit or not scope.start <= entry.created <= scope.time:
        return None
    return scope.other_credits.search(entry.description)
