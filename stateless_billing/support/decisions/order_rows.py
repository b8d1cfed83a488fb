"""Rows of the orders about one payment, with the effect of each. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from stateless_billing.domain import order_rules
from stateless_billing.domain.errors import ProblemError
from stateless_billing.domain.order_rules import Order, OrderCaps

DECIDES, COUNTS, WAITS, VOID = "decides", "counts", "waits", "void"
SUPERSEDED, WITHDRAWN = "superseded", "withdrawn"


@dataclass(frozen=True, slots=True)
class OrderRow:
    """An order, its fate, its confirmation, and the form with which the viewer may confirm it.

    `decides`: the newest effective order; `counts`: an effective acknowledgment; `waits`: another admin must confirm
    it; `superseded`: a newer order replaced it; `withdrawn`: the next effective one was a `withdraw`; `void`: a
    confirmation that confirms nothing.
    """

    order: Order
    fate: str
    confirmed: Order | None = None
    form: str = ""


def create_rows(payment: str, orders: Sequence[Order]) -> list[OrderRow]:
    """Create the rows of a payment's orders, newest first.

    A confirmation is part of the row it confirms.
    """
    own = [order for order in orders if order.payment == payment]
    confirmations = {order.id: order_rules.find_confirmation(order, orders) for order in own if not order.confirms}
    used = {confirmation.id for confirmation in confirmations.values() if confirmation}
    newest = order_rules.newest_order(payment, orders)
    return [
        OrderRow(order, _find_fate(order, newest, orders), confirmations.get(order.id))
        for order in reversed(own)
        if order.id not in used
    ]


def require_standing(order: Order, orders: Sequence[Order]) -> bool:
    """Return whether an order waits for another admin. A form that is sent again answers with what it wrote.

    Raises: ProblemError if the order was replaced or withdrawn since, or confirms nothing.
    """
    fate = next((row.fate for row in create_rows(order.payment, orders) if row.order.id == order.id), None)
    if fate in (SUPERSEDED, WITHDRAWN, VOID):
        raise ProblemError(
            "already_done", "This was ordered, and replaced or withdrawn since. Nothing was ordered again."
        )
    return fate == WAITS


def _find_fate(order: Order, newest: Order | None, orders: Sequence[Order]) -> str:
    if order.confirms:
        return VOID
    if not order.instruction.verb:
        return COUNTS if order_rules.is_effective(order, orders) else WAITS
    if newest is None or order.position > newest.position:
        return WAITS
    if order.id == newest.id:
        return DECIDES
    return WITHDRAWN if _find_successor(order, orders).instruction.verb == order_rules.WITHDRAW else SUPERSEDED


def _find_successor(order: Order, orders: Sequence[Order]) -> Order:
    """Return the effective order with a verb that came next; `order` itself where no balance tells which."""
    newer = (
        other
        for other in orders
        if other.payment == order.payment
        and other.position > order.position
        and other.instruction.verb
        and not other.confirms
        and order_rules.is_effective(other, orders)
    )
    return min(newer, key=lambda other: other.position, default=order)


def waiting_orders(orders: Sequence[Order]) -> list[Order]:
    """Return the orders that wait for another admin, newest first."""
    subjects = dict.fromkeys(order.payment for order in orders)
    rows = [row.order for subject in subjects for row in create_rows(subject, orders) if row.fate == WAITS]
    return sorted(rows, key=lambda order: order.position, reverse=True)


def cents_used_alone(operator: str, now: int, orders: Sequence[Order]) -> int:
    """Return the cents that an admin ordered in the last 24 hours without a confirmation."""
    place = orders[-1].position + 1 if orders else 1
    words = order_rules.OrderText()
    return order_rules.decided_alone_cents(Order("", "", now, place, "", words, operator, "", 0), orders)


def needs_second_admin(value: int, used: int, caps: OrderCaps) -> bool:
    """Return whether another admin must confirm an order of `value` cents."""
    return value > 0 and (value > caps.per_order or used + value > caps.per_day)


def wait_for_confirmation(row: OrderRow) -> OrderRow:
    """Return the row as it is while no list shows that its order is within its admin's limits."""
    is_unjudged = row.fate in (DECIDES, COUNTS) and row.confirmed is None and row.order.caps and row.order.value
    return replace(row, fate=WAITS) if is_unjudged else row


def with_form(row: OrderRow, form: str) -> OrderRow:
    """Return the row with a form to confirm it."""
    return replace(row, form=form)
