"""The fate of each order on the page of uncredited payments."""

import pytest

from stateless_billing.domain.order_rules import Order, OrderCaps, parse_order_text
from stateless_billing.support.decisions.order_rows import (
    cents_used_alone,
    create_rows,
    needs_second_admin,
    wait_for_confirmation,
)

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


def list_fates(*orders: Order) -> list[tuple[int, str]]:
    return [(row.order.position, row.fate) for row in create_rows(PAYMENT, orders)]


def test_the_newest_decides_and_supersedes_older_ones() -> None:
    assert list_fates(order(1, "release"), order(2, "redirect:cus_T", who="bob")) == [(2, "decides"), (1, "superseded")]
    assert list_fates(order(1, "release"), order(2, "withdraw", value=0)) == [(2, "decides"), (1, "withdrawn")]
    small = [order(place, text, value=100) for place, text in ((1, "release"), (2, "redirect:cus_T"), (4, "release"))]
    replaced = (*small[:2], order(3, "withdraw", value=0), small[2])
    assert list_fates(*replaced) == [(4, "decides"), (3, "superseded"), (2, "withdrawn"), (1, "superseded")]
    above = order(2, "redirect:cus_T", value=5000)  # waits for a second admin, so it ends nothing
    assert list_fates(order(1, "release"), above, order(3, "withdraw", value=0))[2] == (1, "withdrawn")


def test_orders_of_other_payments_are_not_shown() -> None:
    assert list_fates(order(1, "release", payment=OTHER), order(2, "release")) == [(2, "decides")]


def test_an_order_above_the_bound_waits_and_the_older_one_decides() -> None:
    large = order(2, "redirect:cus_T", who="bob", value=1001)
    assert list_fates(order(1, "release"), large) == [(2, "waits"), (1, "decides")]
    again = order(3, "redirect:cus_T", who="ann", value=1001, confirms=large.id)
    [row, older] = create_rows(PAYMENT, [order(1, "release"), large, again])
    assert (row.order, row.fate, row.confirmed) == (large, "decides", again)
    assert older.fate == "superseded"


def test_a_superseded_order_does_not_wait() -> None:
    assert list_fates(order(1, "release", value=1001), order(2, "withdraw", value=0)) == [
        (2, "decides"),
        (1, "withdrawn"),
    ]


def test_a_self_confirmation_is_void() -> None:
    large = order(1, "release", value=1001)
    own = order(2, "release", value=1001, confirms=large.id)
    assert list_fates(large, own) == [(2, "void"), (1, "waits")]


def test_acknowledgements_alone_change_no_verb() -> None:
    assert list_fates(order(1, "release"), order(2, "gone:cus_C", who="bob")) == [(2, "counts"), (1, "decides")]
    assert list_fates(order(1, "gone:cus_C", value=1001)) == [(1, "waits")]


def test_cents_used_in_24_hours() -> None:
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


def test_while_a_list_has_a_gap_an_order_of_one_admin_alone_waits() -> None:
    large = order(2, "release", who="bob", value=1001)
    confirmed = [large, order(3, "release", who="ann", value=1001, confirms=large.id)]
    rows = [*create_rows(PAYMENT, [order(1, "release")]), *create_rows(PAYMENT, confirmed)]
    rows += create_rows(PAYMENT, [order(4, "withdraw", value=0)])
    assert [wait_for_confirmation(row).fate for row in rows] == ["waits", "decides", "decides"]
