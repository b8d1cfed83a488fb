"""build_timeline lists every entry and payment once, in order of time, and marks reversed entries."""

from dataclasses import dataclass
from random import Random

import pytest

from chain.payment import PaymentPlace
from stateless_billing.domain.ledger import Entry
from stateless_billing.domain.order_rules import Order, parse_order_text
from stateless_billing.support.timeline import build_timeline, insert_orders, kind_of
from tests.fakes.factories import CUSTOMER, START, entry, payment


@dataclass(frozen=True)
class Summary:
    """A payment as the API represents it."""

    payment: str
    time: int
    state: str = "pending"


def credit(name: str, created: int, number: int) -> Entry:
    """The credit of a payment."""
    return entry(id=f"cbtxn_{number}", cents=500, created=created, metadata={"kind": "payment", "payment": name})


@pytest.mark.parametrize(
    ("metadata", "cents", "kind"),
    [
        ({"kind": "payment"}, 500, "payment"),
        ({"kind": "grant"}, 500, "grant"),
        ({"kind": "reversal"}, -500, "reversal"),
        ({}, -500, "charge"),
        ({}, 500, "credit"),
        ({"kind": "something of others"}, 500, "credit"),
        ({"kind": "order"}, -1, "charge"),
        ({}, 0, "charge"),
    ],
)
def test_the_kind_of_an_entry(metadata: dict[str, str], cents: int, kind: str) -> None:
    assert kind_of(entry(metadata=metadata, cents=cents)) == kind


def test_an_empty_ledger_has_an_empty_timeline() -> None:
    assert build_timeline([], [], complete=True) == []


def test_an_uncredited_payment_is_placed_by_its_time() -> None:
    entries = [entry(id="cbtxn_3", created=START + 300), entry(id="cbtxn_1", created=START + 100)]
    payments = [
        Summary("8453:0xa:0x1:0", START + 200),
        Summary("8453:0xa:0x2:0", START + 400),
        Summary("8453:0xa:0x3:0", START),
    ]
    events = build_timeline(entries, payments, complete=True)
    assert [event.time - START for event in events] == [400, 300, 200, 100, 0]
    assert [event.title for event in events] == ["Payment on the chain", "Charge"] * 2 + ["Payment on the chain"]


def test_a_credited_payment_is_one_event_in_any_letter_case() -> None:
    name = "8453:0xabc:0x1:0"
    [event] = build_timeline([credit(name.upper(), START + 60, 1)], [Summary(name, START)], complete=True)
    assert (event.kind, event.time, event.payment and event.payment.payment) == ("payment", START + 60, name)


def test_each_event_about_a_payment_names_its_place_or_none() -> None:
    paid = payment()
    place = PaymentPlace(paid.tx_hash, "0")
    named = [Summary(paid.identity, START), Summary("abc", START)]
    assert [event.place for event in build_timeline([], named, complete=True)] == [None, place]
    entries = [credit(f" {paid.identity.upper()} ", START, 1), credit("1:2:3", START, 2), entry(created=START)]
    assert [event.place for event in build_timeline(entries, [], complete=True)] == [place, None, None]
    orders = [order(1, paid.identity, f"redirect:{CUSTOMER}"), order(2, "a:b:c", f"redirect:{CUSTOMER}")]
    ordered = insert_orders([], orders, CUSTOMER, [], start=START, end=START)
    assert {event.id: event.place for event in ordered} == {"cbtxn_o1": place, "cbtxn_o2": None}


def test_if_the_listing_continues_older_payments_belong_to_a_later_page() -> None:
    entries = [entry(created=START + 100)]
    payments = [
        Summary("a", START + 99, "credited"),
        Summary("b", START + 100, "reversed"),
        Summary("c", START + 101),
    ]
    assert [event.time - START for event in build_timeline(entries, payments, complete=False)] == [101, 100, 100]
    assert len(build_timeline(entries, payments, complete=True)) == 4
    assert len(build_timeline([], payments, complete=False)) == 3


def test_an_uncredited_payment_is_listed_at_any_age() -> None:
    events = build_timeline([entry(created=START + 100)], [Summary("a", START, "held")], complete=False)
    assert [(event.time - START, event.kind) for event in events] == [(100, "charge"), (0, "waiting")]


def test_a_reversed_entry_names_its_reversal() -> None:
    grant = entry(id="cbtxn_1", cents=750, created=START, metadata={"kind": "grant"})
    reversal = entry(id="cbtxn_2", cents=-750, created=START + 60, metadata={"kind": "reversal", "reverses": "cbtxn_1"})
    liar = entry(id="cbtxn_3", cents=-750, created=START + 90, metadata={"reverses": "cbtxn_1"})
    nameless = entry(id="cbtxn_4", cents=-750, created=START + 99, metadata={"kind": "reversal"})
    events = build_timeline([nameless, liar, reversal, grant], [], complete=True)
    assert [event.reversed_by for event in events] == [None, None, None, "cbtxn_2"]


def order(number: int, payment: str, text: str = "release", created: int = START) -> Order:
    """An order as the service record's reading has it."""
    words = parse_order_text(text)
    assert words
    return Order(f"cbtxn_o{number}", payment, created, number, text, words, "ann", "because")


def test_orders_about_a_customers_payments_and_wallets_and_those_that_name_it_are_inserted() -> None:
    own, other = "8453:0xa:0x1:0", "8453:0xa:0x9:0"
    events = build_timeline(
        [credit(own, START + 100, 1), entry(created=START)], [Summary("held", START + 50)], complete=True
    )
    orders = [
        order(1, own, created=START + 90),
        order(2, other, created=START + 91),
        order(3, other, "redirect:cus_Mine", created=START + 100),
        order(4, "held", created=START + 60),
        order(5, "wallet:0xw", "customer:cus_Other", created=START + 5),
        order(6, own, created=START - 1),
        order(7, own, created=START + 201),
    ]
    merged = insert_orders(events, orders, "cus_Mine", ["0xw"], start=START, end=START + 200)
    names = [event.id for event in merged]
    assert names == ["cbtxn_o3", "cbtxn_1", "cbtxn_o1", "cbtxn_o4", "held", "cbtxn_o5", events[-1].id]
    assert [event.entry for event in merged if event.entry] == [event.entry for event in events if event.entry]


def test_nothing_is_lost_or_duplicated_and_the_newest_comes_first() -> None:
    seed = Random().randrange(2**32)
    print(f"seed {seed}")
    rng = Random(seed)
    for _ in range(300):
        names = [f"p{number}" for number in range(rng.randrange(8))]
        payments = [Summary(name, START + rng.randrange(50)) for name in names]
        credited = rng.sample(names, rng.randint(0, len(names)))
        entries = [credit(name, START + rng.randrange(50), number) for number, name in enumerate(credited)]
        entries += [
            entry(id=f"cbtxn_x{number}", created=START + rng.randrange(50)) for number in range(rng.randrange(5))
        ]
        entries.sort(key=lambda listed: -listed.created)
        events = build_timeline(entries, payments, complete=True)
        assert [event.entry for event in events if event.entry] == entries
        assert sorted(event.payment.payment for event in events if event.payment) == names
        times = [event.time for event in events]
        assert times == sorted(times, reverse=True)
