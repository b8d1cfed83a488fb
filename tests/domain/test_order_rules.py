"""Orders from the service record's ledger: text, position, limits and completeness."""

from collections.abc import Sequence
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from stateless_billing.domain import order_rules
from stateless_billing.domain.ledger import Entry
from stateless_billing.domain.money import RATE_SCALE
from stateless_billing.domain.order_rules import DAY, OrderText, find_record_flaw, parse_order_text
from tests.fakes.factories import START, entry, payment

PAYMENT = payment().identity
ANN, BEN = "ann@example.org", "ben@example.org"
OLD = START - 10 * DAY


class Record:
    """A service record whose balance only rises."""

    def __init__(self) -> None:
        self.rows: list[Entry] = []

    def order(self, text: str, at: int = START, /, **metadata: str) -> Entry:
        """Append an order."""
        values = {"kind": "order", "payment": PAYMENT, "order": text, "operator": ANN, "reason": "asked for"}
        values |= {"value": "100", "caps": "1000:1500"} | metadata
        row = entry(id=f"cbtxn_{len(self.rows)}", cents=1, created=at, ending_cents=len(self.rows) + 1, metadata=values)
        self.rows.append(row)
        return row

    def effective_text(self) -> str | None:
        """Return the text of the effective order."""
        order = order_rules.effective_order(PAYMENT, order_rules.parse_all(self.rows))
        return order.text if order else None


@pytest.mark.parametrize(
    ("text", "instruction"),
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
def test_parse_order_text(text: str, instruction: OrderText) -> None:
    assert parse_order_text(text) == instruction


MALFORMED = [
    "",
    "release:",
    "release:0",
    "release:-1",
    "release:1:2",
    "redirect",
    "redirect:",
    "redirect:card",
    "withdraw:1",
    "redirect:cus_B:",
    "redirect:cus_B:x",
    "release;release",
    "gone:cus_A;release",
    "gone:",
    "release;",
    "gone",
    "customer:",
    "redirect:cus_B;trust:cus_A",
    "RELEASE",
    "redirect:cus_B\n:1",
    "gone:cus_A,cus_B",
]


@pytest.mark.parametrize("text", MALFORMED)
def test_malformed_texts_are_rejected(text: str) -> None:
    assert parse_order_text(text) is None


def test_the_newest_verb_decides_and_acknowledgements_do_not() -> None:
    record = Record()
    assert record.effective_text() is None
    record.order("redirect:cus_B")
    record.order("release")
    record.order("unproven:cus_A")
    assert record.effective_text() == "release"
    record.order("withdraw")
    assert record.effective_text() is None
    record.order("redirect:cus_C;gone:cus_A")
    assert record.effective_text() == "redirect:cus_C;gone:cus_A"
    assert order_rules.find_named_customers(PAYMENT, record.rows) == ("cus_B", "cus_C")


def test_a_customer_pick_does_not_change_the_order() -> None:
    record = Record()
    record.order("release")
    record.order("customer:cus_B")
    assert record.effective_text() == "release"


def test_an_invalid_row_still_names_its_customer() -> None:
    record = Record()
    record.order("redirect:cus_B:x")
    record.order("redirect:cus_C", value="nothing")
    assert record.effective_text() is None
    assert order_rules.find_named_customers(PAYMENT, record.rows) == ("cus_B", "cus_C")


def test_rows_of_older_versions_without_limits_are_effective() -> None:
    record = Record()
    row = record.order("redirect:cus_B")
    bare = {name: value for name, value in row.metadata.items() if name not in ("value", "caps")}
    record.rows[0] = replace(row, metadata=bare)
    assert record.effective_text() == "redirect:cus_B"


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_the_listed_order_within_a_second_does_not_matter(order: tuple[int, ...]) -> None:
    record = Record()
    for target in ("cus_B", "cus_C", "cus_D"):
        record.order(f"redirect:{target}")
    record.rows = [record.rows[index] for index in order]
    assert record.effective_text() == "redirect:cus_D"


@pytest.mark.parametrize(
    ("limits", "alone"),
    [
        ({"value": "1000"}, True),
        ({"value": "1001"}, False),
        ({"text": "release:0.0072", "market": "0.006"}, True),
        ({"text": "release:0.0072000000001", "market": "0.006"}, False),
        ({"text": "release:6"}, True),  # without a market rate only `value` limits it
        ({"text": "redirect:cus_C:0.0073", "market": "0.006"}, False),
    ],
)
def test_an_order_beyond_one_admins_limits_needs_another_admin(limits: dict[str, str], alone: bool) -> None:
    record = Record()
    record.order("redirect:cus_B")
    text = limits.pop("text", "release")
    row = record.order(text, **limits)
    assert record.effective_text() == (text if alone else "redirect:cus_B")
    repeated = {**limits, "confirms": row.id}
    record.order(text, **repeated)
    record.order(text, **(repeated | {"operator": f" {ANN.upper()} "}))
    assert record.effective_text() == (text if alone else "redirect:cus_B"), "an admin cannot confirm their own order"
    record.order(text, **(repeated | {"operator": BEN, "value": "9"}))
    record.order("release:0.001", **(repeated | {"operator": BEN}))
    assert record.effective_text() == (text if alone else "redirect:cus_B"), "a confirmation repeats the order exactly"
    record.order(text, **(repeated | {"operator": BEN}))
    assert record.effective_text() == text


def test_one_admins_orders_of_24_hours_add_up() -> None:
    record = Record()
    first = record.order("release", value="1000", payment="another")
    record.order("redirect:cus_B", START + DAY, value="500")
    assert record.effective_text() == "redirect:cus_B"
    record.order("redirect:cus_C", START + DAY, value="1")
    assert record.effective_text() == "redirect:cus_B", "a cent above the daily limit"
    record.order("redirect:cus_D", START + DAY, value="1", operator=BEN)
    assert record.effective_text() == "redirect:cus_D", "each admin has their own sum"
    record.order("redirect:cus_E", START + DAY + 1, value="1")
    assert record.effective_text() == "redirect:cus_E", "a second later the first has left the window"
    record.order("redirect:cus_F", START + DAY, value="900")
    assert record.effective_text() == "redirect:cus_E"
    record.order("release", START + DAY, value="1000", payment="another", operator=BEN, confirms=first.id)
    assert record.effective_text() == "redirect:cus_F", "orders confirmed by another admin do not count"


def test_a_withdrawal_needs_no_second_admin() -> None:
    record = Record()
    large = record.order("release", value="1600")
    assert record.effective_text() is None
    record.order("withdraw", value="0")
    record.order("release", operator=BEN, value="1600", confirms=large.id)
    assert record.effective_text() is None, "the withdrawal is newer than the order confirmed after it"


def test_acknowledgements_count_only_from_effective_rows() -> None:
    record = Record()
    record.order("gone:cus_A;unproven:cus_B", value="5000")
    orders = order_rules.parse_all(record.rows)
    assert order_rules.find_acknowledged_absent(PAYMENT, orders) == frozenset()
    assert order_rules.vouch_times(PAYMENT, "cus_B", orders) == ()
    record.order("gone:cus_A;unproven:cus_B", START + 4)
    assert order_rules.find_acknowledged_absent(PAYMENT, order_rules.parse_all(record.rows)) == frozenset(), (
        "the daily limit applies"
    )
    record.order("gone:cus_A;unproven:cus_B", START + 5, operator=BEN)
    orders = order_rules.parse_all(record.rows)
    assert order_rules.find_acknowledged_absent(PAYMENT, orders) == {"cus_A"}
    assert order_rules.vouch_times(PAYMENT, "cus_B", orders) == (START + 5,)
    assert order_rules.find_acknowledged_absent("another", orders) == frozenset()


@pytest.mark.parametrize(
    ("hidden", "flaw"),
    [
        ((), ""),
        ((0,), ""),  # older than a day before the order, and another such row is listed
        ((0, 1), "does not begin"),
        ((2,), "an order is missing"),  # another admin's row: its cent leaves the gap
        ((1, 2), "an order is missing"),
        ((4,), ""),  # newer rows cannot bring the order above its limits
    ],
)
def test_limits_are_judged_by_a_listing_without_gaps(hidden: tuple[int, ...], flaw: str) -> None:
    record = Record()
    record.order("release", START - DAY - 9, payment="another")
    record.order("release", START - DAY - 1, payment="another")
    record.order("release", START, payment="another", operator=BEN)
    mine = record.order("redirect:cus_B", START, value="700")
    record.order("release", START, payment="another")
    rows = [row for index, row in enumerate(record.rows) if index not in hidden]

    def find_flaw(subject: str = PAYMENT) -> str:
        return order_rules.find_limits_flaw(subject, order_rules.parse_all(rows), rows)

    assert flaw in find_flaw()
    assert bool(find_flaw()) == bool(flaw)
    assert find_flaw("a payment without orders") == ""
    confirmed = {**mine.metadata, "operator": BEN, "confirms": mine.id}
    rows.append(replace(mine, id="cbtxn_6", ending_cents=6, metadata=confirmed))
    assert find_flaw() == "", "the sum does not matter to an order that another admin confirmed"


@pytest.mark.parametrize(
    ("text", "metadata", "matters"),
    [
        ("release", {}, True),
        ("gone:cus_A", {}, True),
        ("unproven:cus_A", {}, True),
        ("withdraw", {"value": "0"}, False),
        ("release", {"value": "5000"}, False),  # it waits for another admin anyway
    ],
)
def test_limits_matter_only_to_orders_that_would_count(text: str, metadata: dict[str, str], matters: bool) -> None:
    record = Record()
    record.order("release", payment="another")
    record.order(text, **metadata)
    rows = record.rows[1:]
    assert bool(order_rules.find_limits_flaw(PAYMENT, order_rules.parse_all(rows), rows)) is matters
    bare = {name: value for name, value in rows[0].metadata.items() if name not in ("value", "caps")}
    rows = [replace(rows[0], metadata=bare)]
    assert not order_rules.find_limits_flaw(PAYMENT, order_rules.parse_all(rows), rows), "older versions had no limits"


def test_a_superseded_order_does_not_matter() -> None:
    record = Record()
    for text in ("release", "redirect:cus_B", "withdraw"):
        record.order(text, value="0" if text == "withdraw" else "100")
    rows = record.rows[1:]
    assert not order_rules.find_limits_flaw(PAYMENT, order_rules.parse_all(rows), rows)


def listed(*created: int) -> list[Entry]:
    """Create rows of one cent each, newest first."""
    rows = [entry(cents=1, created=time, ending_cents=index + 1) for index, time in enumerate(created)]
    return rows[::-1]


@pytest.mark.parametrize(
    ("rows", "balance", "record_created", "flaw"),
    [
        (listed(), 0, OLD, ""),
        (listed(), 1, OLD, "newest order is missing"),
        (listed(START, START + 1), 2, OLD, ""),
        (listed(START, START + 1), 1, OLD, ""),  # one row is newer than the balance
        (listed(START, START + 1), 3, OLD, "newest order is missing"),
        (listed(OLD, START, START + 1)[:2], 3, OLD, "does not begin"),
        (listed(OLD, OLD, START)[:2], 3, OLD, ""),  # reaches an entry that is old enough
        ([listed(OLD, START, START)[0], listed(OLD, START, START)[2]], 3, OLD, "an order is missing"),
        (listed(START), 1, START - 3600, "younger than the payment"),
        ([entry(cents=-1, ending_cents=0)], 0, OLD, "has fallen"),
        ([entry(cents=700, currency="eur", ending_cents=700)], 0, OLD, ""),
    ],
)
def test_find_record_flaw(rows: Sequence[Entry], balance: int, record_created: int, flaw: str) -> None:
    assert flaw in find_record_flaw(rows, balance, record_created, START - 3600)
    assert bool(find_record_flaw(rows, balance, record_created, START - 3600)) == bool(flaw)


@given(st.lists(st.sampled_from(["release", "redirect:cus_B", "withdraw", "gone:cus_A"]), max_size=8), st.randoms())
def test_the_last_verb_decides(texts: list[str], random: object) -> None:
    record = Record()
    for text in texts:
        record.order(text)
    verbs = [text for text in texts if text != "gone:cus_A"]
    assert record.effective_text() == (verbs[-1] if verbs and verbs[-1] != "withdraw" else None)


@pytest.mark.parametrize("at", [START, START + 60])
def test_where_the_balance_was_lowered_the_later_of_equal_positions_decides(at: int) -> None:
    first = Record().order("release")
    later = replace(Record().order("withdraw", at), id="cbtxn_later")
    lowered = entry(id="cbtxn_lowered", cents=-1, ending_cents=0, created=at)
    orders = order_rules.parse_all([later, lowered, first])
    assert [order.id for order in orders] == [first.id, later.id]
    assert order_rules.effective_order(PAYMENT, orders) is None


def test_an_entry_from_before_the_anchor_is_no_flaw() -> None:
    lowered = entry(id="cbtxn_a", cents=-1, ending_cents=4, created=OLD)
    newer = entry(id="cbtxn_b", cents=1, ending_cents=5, created=START)
    assert find_record_flaw([newer, lowered], 5, OLD - DAY, START - 3600) == ""
    assert "has fallen" in find_record_flaw([newer, replace(lowered, created=START - 60)], 5, OLD - DAY, START - 3600)
