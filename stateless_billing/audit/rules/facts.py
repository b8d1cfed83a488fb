"""What was read, as plain values, before anything is judged. Pure."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from chain.payment import Payment
from stateless_billing.domain.ledger import Entry
from stateless_billing.domain.order_rules import Order, is_effective

WALLET_KEY = "wallet_address"
CURSOR = re.compile(r"gateway:([0-9]+):([0-9a-f]{8})")


@dataclass(frozen=True, slots=True)
class Scope:
    """What the report is about: payments from `first_block` to `block`, entries up to `time` (unix seconds).

    Payments of later blocks up to `horizon` are shown as pending: until `time`, or none where an end was asked for.
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
    other_credits: re.Pattern[str] = re.compile("^Top-up via pi_")
    deep: bool = False
    first_block: int = 0

    def is_final(self, payment: Payment) -> bool:
        """Whether the report judges it: what lies above the block is shown as pending."""
        return payment.block <= self.block

    def is_shown(self, payment: Payment) -> bool:
        """Whether the report has a row for it."""
        return payment.block <= self.horizon


@dataclass(frozen=True, slots=True)
class AuditedCustomer:
    """What the audit keeps of a Stripe customer; `state` is empty for a living one, else why it cannot be read.

    `obstacle` is why it cannot be credited, as a cause of `held`.
    """

    id: str
    wallet: str | None = None
    currency: str | None = None
    cursors: Mapping[str, str] = field(default_factory=dict)
    state: str = ""
    obstacle: str | None = None


@dataclass(slots=True)
class CustomerLedger:
    """One customer: payments in the order of the chain, entries newest first. `whole`: all that ever were."""

    account: AuditedCustomer
    payments: list[Payment] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    complete: bool = False


@dataclass(frozen=True, slots=True)
class OrderIndex:
    """What admins and the sweep said of payments, by identity: redirected to whom by the order that stands, held why,
    and which customers any order ever named. `rows` are all orders, in the order in which they were written.
    """

    redirects: Mapping[str, str] = field(default_factory=dict)
    causes: Mapping[str, str] = field(default_factory=dict)
    named: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    rows: tuple[Order, ...] = ()

    def target_of(self, payment: Payment, found: Iterable[Entry], *, complete: bool = True) -> str | None:
        """Who is to be credited: as the order says that a credit follows, else the order that stands, else the event.

        A later order does not make a credit wrong that was sent before it was known. `whole`: `found` are the credits
        of all customers; before that, an order that stands says where else to look.
        """
        credits_ = list(found)
        for credit in credits_:
            order = self.is_followed(payment, credit)
            if order and credit.customer == (order.target or payment.customer_id):
                return credit.customer
        if complete and any(one.customer == payment.customer_id and "order" not in one.metadata for one in credits_):
            return payment.customer_id
        return self.redirects.get(payment.identity, payment.customer_id)

    def is_followed(self, payment: Payment, credit: Entry) -> Order | None:
        """The order that a credit says it follows, where it stands."""
        order_id = credit.metadata.get("order")
        for order in self.rows if order_id else ():
            if order.id == order_id and order.payment == payment.identity and is_effective(order, self.rows):
                return order
        return None


def is_relevant(entry: Entry) -> bool:
    """Whether an entry can matter to a verdict: charges of other systems cannot."""
    return entry.kind is not None or entry.cents > 0
