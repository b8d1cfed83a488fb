"""What admins' orders mean: a function of the service record's ledger. Pure.

An order is an entry of one cent on the service record, so each row's `ending_balance` is its place. The newest row
with a verb that stands decides; every customer that any row ever named stays a place to look for the credit.
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
_CAPS = re.compile(r"([0-9]{1,12}):([0-9]{1,12})")
_CENTS = re.compile(r"[0-9]{1,15}")
_NAMED = re.compile(r"redirect:(cus_[0-9A-Za-z]{1,28})", re.ASCII)


@dataclass(frozen=True, slots=True)
class OrderText:
    """What the text of a row says: at most one verb, and acknowledgements of customers.

    `rate` is in 10^-18 dollars per token. `unproven`: their ledgers are vouched for; `gone`: deleted, and not credited.
    """

    verb: str = ""
    rate: int | None = None
    target: str | None = None
    unproven: frozenset[str] = frozenset()
    gone: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class OrderCaps:
    """The most cents that one admin may order alone: by one row, and by his rows of 24 hours."""

    per_order: int
    per_day: int

    def __str__(self) -> str:
        return f"{self.per_order}:{self.per_day}"


@dataclass(frozen=True, slots=True)
class Order:
    """A row of the service record that can be read. `value` and `caps` are None in rows of older versions.

    `place` is the record's balance after it: of two rows the later one has the larger.
    """

    id: str
    payment: str
    created: int
    place: int
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
        """The market rate to price a plain payment at, in 10^-18 dollars per token."""
        return self.instruction.rate

    @property
    def target(self) -> str | None:
        """The customer to credit instead of the event's."""
        return self.instruction.target


def parse_order_text(text: str) -> OrderText | None:
    """The text of a row; None where it says something that we do not know."""
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
    """An entry of the service record as an order; None where it is none that can be followed."""
    metadata = entry.metadata
    text, payment = metadata.get("order", "").strip(), metadata.get("payment", "").strip().lower()
    words = parse_order_text(text)
    caps, value = _caps(metadata.get("caps")), _cents(metadata.get("value"))
    bounded = "caps" in metadata or "value" in metadata
    if entry.kind != "order" or not payment or words is None or (bounded and (caps is None or value is None)):
        return None
    return Order(
        id=entry.id,
        payment=payment,
        created=entry.created,
        place=entry.ending_cents,
        text=text,
        instruction=words,
        operator=metadata.get("operator", ""),
        reason=metadata.get("reason", ""),
        value=value,
        caps=caps,
        market=parse_rate(metadata.get("market", "")),
        confirms=metadata.get("confirms", "").strip(),
    )


def _caps(text: str | None) -> OrderCaps | None:
    found = _CAPS.fullmatch(text or "")
    return OrderCaps(int(found[1]), int(found[2])) if found else None


def _cents(text: str | None) -> int | None:
    return int(text) if text and _CENTS.fullmatch(text) else None


def parse_all(entries: Sequence[Entry]) -> list[Order]:
    """All orders among entries of the service record, in the order in which Stripe wrote them."""
    return sorted(filter(None, map(parse, entries)), key=lambda one: one.place)


def find_confirmation(order: Order, orders: Sequence[Order]) -> Order | None:
    """The row by which another admin repeated an order's words."""
    return next((one for one in orders if _confirms(one, order)), None)


def _confirms(one: Order, order: Order) -> bool:
    same_words = (one.payment, one.text, one.value) == (order.payment, order.text, order.value)
    return one.confirms == order.id and same_words and one.place > order.place and _is_by_another_admin(one, order)


def _is_by_another_admin(one: Order, order: Order) -> bool:
    return one.operator.strip().lower() != order.operator.strip().lower()


def is_effective(order: Order, orders: Sequence[Order]) -> bool:
    """Whether a row counts: within what its admin may order alone, or confirmed by another one."""
    if order.confirms:
        return False
    return not needs_second_admin(order, orders) or find_confirmation(order, orders) is not None


def needs_second_admin(order: Order, orders: Sequence[Order]) -> bool:
    """Whether a row is beyond what one admin may order alone, by the bounds written into it."""
    if order.caps is None or not order.value:
        return False  # from an older version, or nothing is credited by it: a `withdraw`
    if order.rate is not None and order.market is not None and order.rate * 5 > order.market * 6:
        return True
    return order.value > order.caps.per_order or decided_alone_cents(order, orders) > order.caps.per_day


def decided_alone_cents(order: Order, orders: Sequence[Order]) -> int:
    """The cents of an admin's rows of the 24 hours up to this one, itself included, that nobody else confirmed."""
    return sum(
        one.value or 0
        for one in orders
        if one.place <= order.place
        and one.created >= order.created - DAY
        and not one.confirms
        and not _is_by_another_admin(one, order)
        and find_confirmation(one, orders) is None
    )


def newest_order(payment: str, orders: Sequence[Order]) -> Order | None:
    """The row with a verb that decides about a payment; a `withdraw` among them."""
    verbs = RELEASE, REDIRECT, WITHDRAW
    found = [
        one for one in orders if one.payment == payment and one.instruction.verb in verbs and is_effective(one, orders)
    ]
    return found[-1] if found else None


def effective_order(payment: str, orders: Sequence[Order]) -> Order | None:
    """The order that is to be followed for a payment; None where there is none, or the newest withdraws it."""
    found = newest_order(payment, orders)
    return None if found is None or found.instruction.verb == WITHDRAW else found


def find_named_customers(payment: str, entries: Sequence[Entry]) -> tuple[str, ...]:
    """Every customer that any row ever named for a payment, whether or not that row stands or can be followed."""
    found: dict[str, None] = {}
    for entry in entries:
        if entry.kind == "order" and entry.metadata.get("payment", "").strip().lower() == payment:
            found |= dict.fromkeys(_NAMED.findall(entry.metadata.get("order", "")))
    return tuple(found)


def find_acknowledged_absent(payment: str, orders: Sequence[Order]) -> frozenset[str]:
    """The deleted customers of which an admin said that they were not credited. This counts for ever."""
    found = [one.instruction.gone for one in orders if one.payment == payment and is_effective(one, orders)]
    return frozenset().union(*found)


def vouch_times(payment: str, customer: str, orders: Sequence[Order]) -> tuple[int, ...]:
    """When admins vouched for a customer's ledger; each counts in the payment's epoch of that time only."""
    return tuple(
        one.created
        for one in orders
        if one.payment == payment and customer in one.instruction.unproven and is_effective(one, orders)
    )


def find_record_flaw(entries: Sequence[Entry], balance_cents: int, record_created: int, anchor_before: int) -> str:
    """Why this listing of the service record does not prove that it shows every order since its anchor; else empty.

    The record only rises, so its balance is a version of it. `balance_cents` was read before the listing.
    """
    if record_created >= anchor_before:
        return "the service record is younger than the payment"
    rows = sorted((one for one in entries if one.currency == CURRENCY), key=lambda one: one.ending_cents)
    if any(one.cents <= 0 for one in rows):
        return "the service record's balance has fallen: somebody wrote an entry there that is no order"
    if any(opening_balance(later) != earlier.ending_cents for earlier, later in pairwise(rows)):
        return "an order is missing in the list"
    if (rows[-1].ending_cents if rows else 0) < balance_cents:
        return "the newest order is missing in the list"
    if rows and opening_balance(rows[0]) != 0 and rows[0].created >= anchor_before:
        return "the list of orders ends where the record does not begin"
    return ""
