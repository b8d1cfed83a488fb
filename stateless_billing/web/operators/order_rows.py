"""What became of each order about one payment, as the stuck page tells it. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from stateless_billing.domain import order_rules
from stateless_billing.domain.order_rules import Order, OrderCaps

DECIDES, COUNTS, WAITS, SUPERSEDED, VOID = "decides", "counts", "waits", "superseded", "void"


@dataclass(frozen=True, slots=True)
class OrderRow:
    """An order, its fate, the row that confirms it, and the form with which the reader may confirm it.

    `decides`: the newest that stands; `counts`: an acknowledgement that stands; `waits`: another admin has to confirm
    it; `superseded`: a newer one stands; `void`: a confirmation that confirms nothing.
    """

    order: Order
    fate: str
    confirmed: Order | None = None
    form: str = ""


def create_rows(payment: str, orders: Sequence[Order]) -> list[OrderRow]:
    """The orders about a payment, the newest first; confirmations are told with what they confirm."""
    mine = [one for one in orders if one.payment == payment]
    confirming = {one.id: order_rules.find_confirmation(one, orders) for one in mine if not one.confirms}
    used = {one.id for one in confirming.values() if one}
    decided = order_rules.newest_order(payment, orders)
    shown = [one for one in mine if one.id not in used]
    return [OrderRow(one, _fate(one, decided, orders), confirming.get(one.id)) for one in reversed(shown)]


def _fate(order: Order, decided: Order | None, orders: Sequence[Order]) -> str:
    if order.confirms:
        return VOID
    if not order.instruction.verb:
        return COUNTS if order_rules.is_effective(order, orders) else WAITS
    if decided is None or order.place > decided.place:
        return WAITS
    return DECIDES if order.id == decided.id else SUPERSEDED


def cents_used_alone(operator: str, now: int, orders: Sequence[Order]) -> int:
    """The cents that an admin ordered in the last 24 hours and nobody else confirmed."""
    place = orders[-1].place + 1 if orders else 1
    words = order_rules.OrderText()
    return order_rules.decided_alone_cents(Order("", "", now, place, "", words, operator, "", 0), orders)


def needs_second_admin(value: int, used: int, caps: OrderCaps) -> bool:
    """Whether an order of `value` cents has to be confirmed by another admin."""
    return value > 0 and (value > caps.per_order or used + value > caps.per_day)


def with_form(row: OrderRow, form: str) -> OrderRow:
    """The row with a form that confirms it."""
    return replace(row, form=form)
