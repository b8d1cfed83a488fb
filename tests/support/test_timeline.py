"""One line of time: every entry once, every payment once, each at its time, and what was taken back says so."""

from random import Random
from typing import Any

import pytest

from stateless_billing.domain.ledger import Entry
from stateless_billing.support.timeline import build_timeline, kind_of
from tests.fakes.factories import START, entry


def told(name: str, time: int, state: str = "pending") -> dict[str, Any]:
    """A payment as the API tells of it."""
    return {"payment": name, "time": time, "state": state}


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
def test_what_an_entry_is(metadata: dict[str, str], cents: int, kind: str) -> None:
    assert kind_of(entry(metadata=metadata, cents=cents)) == kind


def test_an_empty_ledger_is_an_empty_line() -> None:
    assert build_timeline([], [], complete=True) == []


def test_a_payment_that_waits_stands_at_its_time() -> None:
    entries = [entry(id="cbtxn_3", created=START + 300), entry(id="cbtxn_1", created=START + 100)]
    payments = [told("8453:0xa:0x1:0", START + 200), told("8453:0xa:0x2:0", START + 400), told("8453:0xa:0x3:0", START)]
    line = build_timeline(entries, payments, complete=True)
    assert [one.time - START for one in line] == [400, 300, 200, 100, 0]
    assert [one.title for one in line] == ["Payment on the chain", "Charge"] * 2 + ["Payment on the chain"]


def test_a_credited_payment_is_one_line_in_whatever_case_it_is_written() -> None:
    name = "8453:0xabc:0x1:0"
    [one] = build_timeline([credit(name.upper(), START + 60, 1)], [told(name, START)], complete=True)
    assert (one.kind, one.time, one.payment and one.payment["payment"]) == ("payment", START + 60, name)


def test_where_the_listing_goes_on_older_payments_belong_to_a_later_page() -> None:
    entries = [entry(created=START + 100)]
    payments = [told("a", START + 99, "credited"), told("b", START + 100, "reversed"), told("c", START + 101)]
    assert [one.time - START for one in build_timeline(entries, payments, complete=False)] == [101, 100, 100]
    assert len(build_timeline(entries, payments, complete=True)) == 4
    assert len(build_timeline([], payments, complete=False)) == 3


def test_a_payment_that_waits_is_shown_however_old_it_is() -> None:
    line = build_timeline([entry(created=START + 100)], [told("a", START, "held")], complete=False)
    assert [(one.time - START, one.kind) for one in line] == [(100, "charge"), (0, "waiting")]


def test_what_was_taken_back_names_its_reversal() -> None:
    grant = entry(id="cbtxn_1", cents=750, created=START, metadata={"kind": "grant"})
    undone = entry(id="cbtxn_2", cents=-750, created=START + 60, metadata={"kind": "reversal", "reverses": "cbtxn_1"})
    liar = entry(id="cbtxn_3", cents=-750, created=START + 90, metadata={"reverses": "cbtxn_1"})
    nameless = entry(id="cbtxn_4", cents=-750, created=START + 99, metadata={"kind": "reversal"})
    line = build_timeline([nameless, liar, undone, grant], [], complete=True)
    assert [one.reversed_by for one in line] == [None, None, None, "cbtxn_2"]


def test_nothing_is_lost_or_doubled_and_the_line_runs_backwards() -> None:
    seed = Random().randrange(2**32)
    print(f"seed {seed}")
    rng = Random(seed)
    for _ in range(300):
        names = [f"p{number}" for number in range(rng.randrange(8))]
        payments = [told(name, START + rng.randrange(50)) for name in names]
        credited = rng.sample(names, rng.randint(0, len(names)))
        entries = [credit(name, START + rng.randrange(50), number) for number, name in enumerate(credited)]
        entries += [
            entry(id=f"cbtxn_x{number}", created=START + rng.randrange(50)) for number in range(rng.randrange(5))
        ]
        entries.sort(key=lambda one: -one.created)
        line = build_timeline(entries, payments, complete=True)
        assert [one.entry for one in line if one.entry] == entries
        assert sorted(str(one.payment["payment"]) for one in line if one.payment) == names
        times = [one.time for one in line]
        assert times == sorted(times, reverse=True)
