"""Interprets admins' orders from the service record's ledger. Pure.

An order is an entry of one cent on the service record, so a row's `ending_balance` is its position. The newest
effective row with a verb decides. Every customer that any row ever named is still searched for the credit.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from chain.payment import is_customer_id
from stateless_billing.domain.balance_chain import opening_balance
from stateless_billing.domain.ledger import CURRENCY, Entry
from stateless_billing.domain.money import parse_rate

DAY = 24 * 3600
RELEASE, REDIRECT, WITHDRAW, CUSTOMER = "release", "redirect", "withdraw", "customer"
UNPROVEN, GONE = "unproven", "gone"
WALLET_PREFIX = "wallet:"  # of what an order about a wallet names as its payment
_CAPS = re.compile(r"([0-9]{1,12}):([0-9]{1,12})")
_CENTS = re.compile(r"[0-9]{1,15}")
_REDIRECT_TARGET = re.compile(r"redirect:(cus_[0-9A-Za-z]{1,28})", re.ASCII)


@dataclass(frozen=True, slots=True)
class OrderText:
    """The parsed text of a row: at most one verb, and acknowledgements about customers.

    `rate` is in 10^-18 dollars per token. `unproven`: customers whose ledgers the admin vouches for. `gone`: deleted
    customers that the admin states were not credited.
    """

    verb: str = ""
    rate: int | None = None
    target: str | None = None
    unproven: frozenset[str] = frozenset()
    gone: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class OrderCaps:
    """The limits in cents of what one admin may order alone: per order, and in 24 hours."""

    per_order: int
    per_day: int

    def __str__(self) -> str:
        return f"{self.per_order}:{self.per_day}"


@dataclass(frozen=True, slots=True)
class Order:
    """A valid row of the service record.

    `value` and `caps` are None in rows written by older versions. `place` is the record's balance after the row, so it
    increases with every row.
    """

    id: str
    payment: str
    created: int
    position: int
    text: str
    instruction: OrderText
    operator: str
    reason: str
    value: int | None = None
    caps: OrderCaps | None = None
    market: int | None = None
    confirms: str = ""

    @property
    def rate(self) -> int | None:
        """The market rate for a plain payment, in 10^-18 dollars per token."""
        return self.instruction.rate

    @property
    def target(self) -> str | None:
        """The customer to credit instead of the event's customer."""
        return self.instruction.target


def parse_order_text(text: str) -> OrderText | None:
    """Parse the text of a row; None if any part of it is unknown."""
    first, *rest = [part.strip() for part in text.strip().split(";")]
    verb = _parse_verb(first)
    if verb is None:
        verb, rest = OrderText(), [first, *rest]
    unproven: set[str] = set()
    gone: set[str] = set()
    for part in rest:
        name, _, customer = part.partition(":")
        if name not in (UNPROVEN, GONE) or not is_customer_id(customer):
            return None
        (unproven if name == UNPROVEN else gone).add(customer)
    return OrderText(verb.verb, verb.rate, verb.target, frozenset(unproven), frozenset(gone))


def _parse_verb(text: str) -> OrderText | None:
    name, *values = text.split(":")
    if (name, values) in ((RELEASE, []), (WITHDRAW, [])):
        return OrderText(name)
    if name == RELEASE and len(values) == 1:
        rate = parse_rate(values[0])
        return OrderText(name, rate) if rate else None
    if name == CUSTOMER and len(values) == 1 and is_customer_id(values[0]):
        return OrderText(name, target=values[0])
    if name == REDIRECT and len(values) in (1, 2) and is_customer_id(values[0]):
        rate = parse_rate(values[1]) if len(values) > 1 else None
        return None if len(values) > 1 and rate is None else OrderText(name, rate, values[0])
    return None


def parse(entry: Entry) -> Order | None:
    """Parse an entry of the service record; None if it is not a valid order."""
    metadata = entry.metadata
    text, payment = metadata.get("order", "").strip(), metadata.get("payment", "").strip().lower()
    instruction = parse_order_text(text)
    if entry.kind != "order" or not payment or instruction is None:
        return None
    caps, value = _parse_caps(metadata.get("caps")), _parse_cents(metadata.get("value"))
    has_limits = "caps" in metadata or "value" in metadata
    if has_limits and (caps is None or value is None):
        return None
    return Order(
        id=entry.id,
        payment=payment,
        created=entry.created,
        position=entry.ending_cents,
        text=text,
        instruction=instruction,
        operator=metadata.get("operator", ""),
        reason=metadata.get("reason", ""),
        value=value,
        caps=caps,
        market=parse_rate(metadata.get("market", "")),
        confirms=metadata.get("confirms", "").strip(),
    )


def _parse_caps(text: str | None) -> OrderCaps | None:
    match = _CAPS.fullmatch(text or "")
    return OrderCaps(int(match[1]), int(match[2])) if match else None


def _parse_cents(text: str | None) -> int | None:
    return int(text) if text and _CENTS.fullmatch(text) else None


def parse_all(entries: Sequence[Entry]) -> list[Order]:
    """Parse the orders among the service record's entries, newest first, into the order of writing.

    Their positions tell it, and where somebody lowered the record's balance, so that two are equal, their times.
    """
    oldest_first = filter(None, map(parse, reversed(entries)))
    return sorted(oldest_first, key=lambda order: (order.position, order.created))


def find_confirmation(order: Order, orders: Sequence[Order]) -> Order | None:
    """Return the row by which another admin confirmed an order; None if there is none."""
    return next((row for row in orders if row.confirms == order.id and _confirms(row, order)), None)


def _confirms(row: Order, order: Order) -> bool:
    is_same_order = (row.payment, row.text, row.value) == (order.payment, order.text, order.value)
    return is_same_order and row.position > order.position and not _is_same_admin(row, order)


def _is_same_admin(row: Order, order: Order) -> bool:
    return row.operator.strip().lower() == order.operator.strip().lower()


def is_effective(order: Order, orders: Sequence[Order]) -> bool:
    """Whether an order is within its admin's limits or confirmed by another admin."""
    if order.confirms:
        return False
    return not needs_second_admin(order, orders) or find_confirmation(order, orders) is not None


def needs_second_admin(order: Order, orders: Sequence[Order]) -> bool:
    """Whether an order exceeds what one admin may order alone, by the limits written into it."""
    if order.caps is None or not order.value:
        return False  # written by an older version, or credits nothing (a `withdraw`)
    if order.rate is not None and order.market is not None and order.rate * 5 > order.market * 6:
        return True
    return order.value > order.caps.per_order or decided_alone_cents(order, orders) > order.caps.per_day


def decided_alone_cents(order: Order, orders: Sequence[Order]) -> int:
    """Sum an admin's unconfirmed orders in the 24 hours up to and including this one, in cents."""
    return sum(
        row.value or 0
        for row in orders
        if row.position <= order.position
        and row.created >= order.created - DAY
        and not row.confirms
        and _is_same_admin(row, order)
        and find_confirmation(row, orders) is None
    )


def newest_order(payment: str, orders: Sequence[Order]) -> Order | None:
    """Return the newest effective order with a verb of a payment or wallet, which may be a `withdraw`."""
    verbs = (CUSTOMER, WITHDRAW) if payment.startswith(WALLET_PREFIX) else (RELEASE, REDIRECT, WITHDRAW)
    for order in reversed(orders):
        if order.payment == payment and order.instruction.verb in verbs and is_effective(order, orders):
            return order
    return None


def effective_order(payment: str, orders: Sequence[Order]) -> Order | None:
    """Return the order to follow for a payment; None if none, or if it was withdrawn."""
    order = newest_order(payment, orders)
    return None if order is None or order.instruction.verb == WITHDRAW else order


def find_named_customers(payment: str, entries: Sequence[Entry]) -> tuple[str, ...]:
    """Return every customer that a row ever named for a payment, effective or not."""
    customers: dict[str, None] = {}
    for entry in entries:
        if entry.kind == "order" and entry.metadata.get("payment", "").strip().lower() == payment:
            customers |= dict.fromkeys(_REDIRECT_TARGET.findall(entry.metadata.get("order", "")))
    return tuple(customers)


def find_acknowledged_absent(payment: str, orders: Sequence[Order]) -> frozenset[str]:
    """Return the deleted customers that an admin stated were not credited.

    The statement does not expire.
    """
    absent = [row.instruction.gone for row in orders if row.payment == payment and is_effective(row, orders)]
    return frozenset().union(*absent)


def vouch_times(payment: str, customer: str, orders: Sequence[Order]) -> tuple[int, ...]:
    """Return when admins vouched for a customer's ledger.

    Each statement applies only in the payment's epoch of that time.
    """
    return tuple(
        row.created
        for row in orders
        if row.payment == payment and customer in row.instruction.unproven and is_effective(row, orders)
    )


def find_limits_flaw(payment: str, orders: Sequence[Order], entries: Sequence[Entry]) -> str:
    """Return why a listing does not show that a payment's unconfirmed orders are within their limits; empty if it does.

    A row that the listing omits may bring its admin above the limit of a day, so the balances up to each order must
    leave no gap over the 24 hours before it. Only orders that would be applied or counted matter.
    """
    newest = newest_order(payment, orders)
    for order in orders:
        counts = order is newest or order.instruction.unproven or order.instruction.gone
        if order.payment == payment and counts and order.caps and order.value and is_effective(order, orders):
            earlier = [entry for entry in entries if entry.ending_cents <= order.position]
            flaw = find_record_flaw(earlier, order.position, 0, order.created - DAY)
            if flaw and find_confirmation(order, orders) is None:
                return flaw
    return ""


def find_record_flaw(entries: Sequence[Entry], balance_cents: int, record_created: int, anchor_before: int) -> str:
    """Return why a listing of the service record may omit an order; empty if it does not.

    Orders older than `anchor_before` do not matter. The record's balance only rises, so it works as a version number.
    `balance_cents` was read before the listing.
    """
    if record_created >= anchor_before:
        return "the service record is younger than the payment"
    rows = _rows_from_anchor(entries, anchor_before)
    if any(row.cents <= 0 and row.created >= anchor_before for row in rows):
        return "the service record's balance has fallen: an entry there is not an order"
    if any(opening_balance(later) != earlier.ending_cents for earlier, later in pairwise(rows)):
        return "an order is missing in the list"
    if (rows[-1].ending_cents if rows else 0) < balance_cents:
        return "the newest order is missing in the list"
    if rows and opening_balance(rows[0]) != 0 and rows[0].created >= anchor_before:
        return "the list of orders ends where the record does not begin"
    return ""


def _rows_from_anchor(entries: Sequence[Entry], anchor_before: int) -> list[Entry]:
    """Return the rows from the newest one before `anchor_before` on, by balance: what is older does not matter."""
    rows = [entry for entry in entries if entry.currency == CURRENCY]
    older = [row for row in rows if row.created < anchor_before]
    anchor = max(older, key=lambda row: (row.created, row.ending_cents), default=None)
    recent = [row for row in rows if row.created >= anchor_before]
    return sorted([*([anchor] if anchor else []), *recent], key=lambda row: row.ending_cents)
