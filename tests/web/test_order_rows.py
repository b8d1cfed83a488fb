"""What the stuck page tells of each order: which decides, which counts, which waits and for whom."""

import pytest

from stateless_billing.domain.order_rules import Order, OrderCaps, parse_order_text
from stateless_billing.web.operators.order_rows import cents_used_alone, create_rows, needs_second_admin

PAYMENT, OTHER = "8453:0x01:0x02:0", "8453:0x01:0x03:0"
CAPS = OrderCaps(1000, 1000)
NOW = 1_800_000_000


def order(
    place: int, text: str, who: str = "ann", value: int = 500, confirms: str = "", payment: str = PAYMENT, age: int = 0
) -> Order:
    words = parse_order_text(text)
    assert words
    name = f"cbtxn_{place}"
    return Order(name, payment, NOW - age, place, text, words, who, "because", value, CAPS, None, confirms)


def fates(*orders: Order) -> list[tuple[int, str]]:
    return [(row.order.place, row.fate) for row in create_rows(PAYMENT, orders)]


def test_the_newest_decides_and_older_ones_are_replaced() -> None:
    assert fates(order(1, "release"), order(2, "redirect:cus_T", who="bob")) == [(2, "decides"), (1, "superseded")]
    assert fates(order(1, "release"), order(2, "withdraw", value=0)) == [(2, "decides"), (1, "superseded")]


def test_orders_of_other_payments_are_not_shown() -> None:
    assert fates(order(1, "release", payment=OTHER), order(2, "release")) == [(2, "decides")]


def test_an_order_above_the_bound_waits_and_the_older_one_decides() -> None:
    large = order(2, "redirect:cus_T", who="bob", value=1001)
    assert fates(order(1, "release"), large) == [(2, "waits"), (1, "decides")]
    again = order(3, "redirect:cus_T", who="ann", value=1001, confirms=large.id)
    [row, older] = create_rows(PAYMENT, [order(1, "release"), large, again])
    assert (row.order, row.fate, row.confirmed) == (large, "decides", again)
    assert older.fate == "superseded"


def test_a_waiting_order_that_a_newer_one_replaced_waits_no_more() -> None:
    assert fates(order(1, "release", value=1001), order(2, "withdraw", value=0)) == [(2, "decides"), (1, "superseded")]


def test_ones_own_confirmation_confirms_nothing_and_is_shown() -> None:
    large = order(1, "release", value=1001)
    own = order(2, "release", value=1001, confirms=large.id)
    assert fates(large, own) == [(2, "void"), (1, "waits")]


def test_acknowledgements_alone_change_no_verb() -> None:
    assert fates(order(1, "release"), order(2, "gone:cus_C", who="bob")) == [(2, "counts"), (1, "decides")]
    assert fates(order(1, "gone:cus_C", value=1001)) == [(1, "waits")]


def test_what_an_admin_used_of_a_day() -> None:
    orders = [order(1, "release", age=90_000), order(2, "release", payment=OTHER), order(3, "release", who="bob")]
    assert cents_used_alone("ann", NOW, orders) == 500
    assert cents_used_alone("ANN", NOW, orders) == 500
    assert cents_used_alone("bob", NOW, []) == 0


@pytest.mark.parametrize(
    ("value", "used", "second"),
    [(1000, 0, False), (1001, 0, True), (500, 500, False), (500, 501, True), (0, 5000, False)],
)
def test_when_another_admin_is_needed(value: int, used: int, second: bool) -> None:
    assert needs_second_admin(value, used, CAPS) is second
