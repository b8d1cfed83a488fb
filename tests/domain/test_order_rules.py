"""Orders as a function of the service record's ledger: words, places, bounds, four eyes, and what a listing proves."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stateless_billing.domain import order_rules
from stateless_billing.domain.ledger import Entry
from stateless_billing.domain.money import RATE_SCALE
from stateless_billing.domain.order_rules import DAY, OrderText, find_record_flaw, parse_order_text
from tests.fakes.factories import START, entry, payment

PAYMENT = payment().identity
ANN, BEN = "ann@example.org", "ben@example.org"
OLD = START - 10 * DAY


class Record:
    """A service record that only rises."""

    def __init__(self) -> None:
        self.rows: list[Entry] = []

    def order(self, text: str, at: int = START, /, **metadata: str) -> Entry:
        """One more order."""
        told = {"kind": "order", "payment": PAYMENT, "order": text, "operator": ANN, "reason": "asked for"}
        told |= {"value": "100", "caps": "1000:1500"} | metadata
        row = entry(id=f"cbtxn_{len(self.rows)}", cents=1, created=at, ending_cents=len(self.rows) + 1, metadata=told)
        self.rows.append(row)
        return row

    def standing(self) -> str | None:
        """The text of the order that stands."""
        order = order_rules.effective_order(PAYMENT, order_rules.parse_all(self.rows))
        return order.text if order else None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("release", OrderText("release")),
        (" release ", OrderText("release")),
        ("release:0.006", OrderText("release", 6 * RATE_SCALE // 1000)),
        ("redirect:cus_B", OrderText("redirect", target="cus_B")),
        ("redirect:cus_B:2", OrderText("redirect", 2 * RATE_SCALE, "cus_B")),
        ("withdraw", OrderText("withdraw")),
        ("customer:cus_B", OrderText("customer", target="cus_B")),
        ("gone:cus_A", OrderText(gone=frozenset({"cus_A"}))),
        (
            "redirect:cus_B;gone:cus_A; unproven:cus_B",
            OrderText("redirect", target="cus_B", unproven=frozenset({"cus_B"}), gone=frozenset({"cus_A"})),
        ),
    ],
)
def test_words(text: str, words: OrderText) -> None:
    assert parse_order_text(text) == words


NONE = [
    "",
    "release:",
    "release:0",
    "release:-1",
    "release:1:2",
    "redirect",
    "redirect:",
    "redirect:card",
    "withdraw:1",
]
NONE += ["redirect:cus_B:", "redirect:cus_B:x", "release;release", "gone:cus_A;release", "gone:", "release;", "gone"]
NONE += ["customer:", "redirect:cus_B;trust:cus_A", "RELEASE", "redirect:cus_B\n:1", "gone:cus_A,cus_B"]


@pytest.mark.parametrize("text", NONE)
def test_what_says_something_else_is_no_order(text: str) -> None:
    assert parse_order_text(text) is None


def test_the_newest_row_with_a_verb_stands_and_acknowledgements_change_none() -> None:
    record = Record()
    assert record.standing() is None
    record.order("redirect:cus_B")
    record.order("release")
    record.order("unproven:cus_A")
    assert record.standing() == "release"
    record.order("withdraw")
    assert record.standing() is None
    record.order("redirect:cus_C;gone:cus_A")
    assert record.standing() == "redirect:cus_C;gone:cus_A"
    assert order_rules.find_named_customers(PAYMENT, record.rows) == ("cus_B", "cus_C")


def test_a_customer_pick_is_no_order_about_a_payment() -> None:
    record = Record()
    record.order("release")
    record.order("customer:cus_B")
    assert record.standing() == "release"


def test_a_row_that_cannot_be_followed_still_names_a_place_to_look() -> None:
    record = Record()
    record.order("redirect:cus_B:x")
    record.order("redirect:cus_C", value="nothing")
    assert record.standing() is None
    assert order_rules.find_named_customers(PAYMENT, record.rows) == ("cus_B", "cus_C")


def test_rows_of_older_versions_without_bounds_stand() -> None:
    record = Record()
    row = record.order("redirect:cus_B")
    bare = {name: value for name, value in row.metadata.items() if name not in ("value", "caps")}
    record.rows[0] = replace(row, metadata=bare)
    assert record.standing() == "redirect:cus_B"


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_the_order_in_which_a_list_shows_one_second_does_not_matter(order: tuple[int, ...]) -> None:
    record = Record()
    for target in ("cus_B", "cus_C", "cus_D"):
        record.order(f"redirect:{target}")
    record.rows = [record.rows[place] for place in order]
    assert record.standing() == "redirect:cus_D"


@pytest.mark.parametrize(
    ("bounds", "alone"),
    [
        ({"value": "1000"}, True),
        ({"value": "1001"}, False),
        ({"text": "release:0.0072", "market": "0.006"}, True),
        ({"text": "release:0.0072000000001", "market": "0.006"}, False),
        ({"text": "release:6"}, True),  # no market's rate was known: `value` bounds it
        ({"text": "redirect:cus_C:0.0073", "market": "0.006"}, False),
    ],
)
def test_beyond_the_bounds_of_one_admin_the_order_before_stands(bounds: dict[str, str], alone: bool) -> None:
    record = Record()
    record.order("redirect:cus_B")
    text = bounds.pop("text", "release")
    row = record.order(text, **bounds)
    assert record.standing() == (text if alone else "redirect:cus_B")
    repeated = {**bounds, "confirms": row.id}
    record.order(text, **repeated)
    record.order(text, **(repeated | {"operator": f" {ANN.upper()} "}))
    assert record.standing() == (text if alone else "redirect:cus_B"), "nobody confirms himself"
    record.order(text, **(repeated | {"operator": BEN, "value": "9"}))
    record.order("release:0.001", **(repeated | {"operator": BEN}))
    assert record.standing() == (text if alone else "redirect:cus_B"), "other words confirm nothing"
    record.order(text, **(repeated | {"operator": BEN}))
    assert record.standing() == text


def test_what_one_admin_orders_in_24_hours_adds_up() -> None:
    record = Record()
    first = record.order("release", value="1000", payment="another")
    record.order("redirect:cus_B", START + DAY, value="500")
    assert record.standing() == "redirect:cus_B"
    record.order("redirect:cus_C", START + DAY, value="1")
    assert record.standing() == "redirect:cus_B", "a cent above the second cap"
    record.order("redirect:cus_D", START + DAY, value="1", operator=BEN)
    assert record.standing() == "redirect:cus_D", "another admin's sum is his own"
    record.order("redirect:cus_E", START + DAY + 1, value="1")
    assert record.standing() == "redirect:cus_E", "a second later the first is out of the window"
    record.order("redirect:cus_F", START + DAY, value="900")
    assert record.standing() == "redirect:cus_E"
    record.order("release", START + DAY, value="1000", payment="another", operator=BEN, confirms=first.id)
    assert record.standing() == "redirect:cus_F", "what another admin confirmed does not count"


def test_what_credits_nothing_needs_nobody_else_and_ends_an_order_that_waits() -> None:
    record = Record()
    large = record.order("release", value="1600")
    assert record.standing() is None
    record.order("withdraw", value="0")
    record.order("release", operator=BEN, value="1600", confirms=large.id)
    assert record.standing() is None, "the withdrawal is newer than what was confirmed after it"


def test_acknowledgements_count_only_from_rows_that_stand() -> None:
    record = Record()
    record.order("gone:cus_A;unproven:cus_B", value="5000")
    orders = order_rules.parse_all(record.rows)
    assert order_rules.find_acknowledged_absent(PAYMENT, orders) == frozenset()
    assert order_rules.vouch_times(PAYMENT, "cus_B", orders) == ()
    record.order("gone:cus_A;unproven:cus_B", START + 4)
    assert order_rules.find_acknowledged_absent(PAYMENT, order_rules.parse_all(record.rows)) == frozenset(), (
        "the sum counts"
    )
    record.order("gone:cus_A;unproven:cus_B", START + 5, operator=BEN)
    orders = order_rules.parse_all(record.rows)
    assert order_rules.find_acknowledged_absent(PAYMENT, orders) == {"cus_A"}
    assert order_rules.vouch_times(PAYMENT, "cus_B", orders) == (START + 5,)
    assert order_rules.find_acknowledged_absent("another", orders) == frozenset()


def listed(*created: int) -> list[Entry]:
    """Rows of a record, newest first, each of one cent."""
    rows = [entry(cents=1, created=time, ending_cents=place + 1) for place, time in enumerate(created)]
    return rows[::-1]


@pytest.mark.parametrize(
    ("rows", "balance", "born", "why"),
    [
        (listed(), 0, OLD, ""),
        (listed(), 1, OLD, "newest order is missing"),
        (listed(START, START + 1), 2, OLD, ""),
        (listed(START, START + 1), 1, OLD, ""),  # one was written after the balance was read
        (listed(START, START + 1), 3, OLD, "newest order is missing"),
        (listed(OLD, START, START + 1)[:2], 3, OLD, "does not begin"),
        (listed(OLD, OLD, START)[:2], 3, OLD, ""),  # down to an entry that is old enough
        ([listed(OLD, START, START)[0], listed(OLD, START, START)[2]], 3, OLD, "an order is missing"),
        (listed(START), 1, START - 3600, "younger than the payment"),
        ([entry(cents=-1, ending_cents=0)], 0, OLD, "has fallen"),
        ([entry(cents=700, currency="eur", ending_cents=700)], 0, OLD, ""),
    ],
)
def test_what_a_listing_of_the_record_proves(rows: Sequence[Entry], balance: int, born: int, why: str) -> None:
    assert why in find_record_flaw(rows, balance, born, START - 3600)
    assert bool(find_record_flaw(rows, balance, born, START - 3600)) == bool(why)


@given(st.lists(st.sampled_from(["release", "redirect:cus_B", "withdraw", "gone:cus_A"]), max_size=8), st.randoms())
def test_however_a_list_is_shown_every_process_follows_the_same_order(texts: list[str], random: object) -> None:
    record = Record()
    for text in texts:
        record.order(text)
    verbs = [text for text in texts if text != "gone:cus_A"]
    assert record.standing() == (verbs[-1] if verbs and verbs[-1] != "withdraw" else None)
