"""Grants judged against the grants record."""

from typing import Any

import pytest
from msgspec.structs import replace

from stateless_billing.audit.rules.grants import collect_reservations, judge_grants
from stateless_billing.audit.rules.payments import Credit
from stateless_billing.domain.epochs import EPOCH_SECONDS, QUIET_SECONDS
from stateless_billing.domain.ledger import Entry
from stateless_billing.grants.caps import DAY
from tests.audit.builders import single
from tests.fakes.factories import CUSTOMER, START, entry

CAPS = "2000:10000:50000"


def reservation(name: str, cents: int = 500, operator: str = "a@example.org", **changes: Any) -> Entry:
    """Create a reservation as the grants record holds it."""
    metadata = {"kind": "reservation", "grant": name, "operator": operator, "reason": "goodwill", "caps": CAPS}
    metadata |= {"customer": CUSTOMER} | changes.pop("metadata", {})
    return entry(**{"id": f"res_{name}", "cents": cents, "created": START, "metadata": metadata} | changes)


def with_balances(newest_first: list[Entry]) -> list[Entry]:
    """Return the rows with the balances that Stripe would show."""
    balance, rows = 0, []
    for row in reversed(newest_first):
        balance += row.cents
        rows.append(replace(row, ending_cents=balance))
    return rows[::-1]


def reversal_of(of: Entry, created: int = START + 60) -> Entry:
    """Create the reversal of a reservation."""
    metadata = {"kind": "reversal", "reverses": of.id}
    return entry(id=f"rev_{of.id}", cents=-of.cents, created=created, metadata=metadata)


def grant(name: str, cents: int = 500, net: int | None = None, **metadata: str) -> Credit:
    """Create a grant as a customer holds it."""
    texts = {"kind": "grant", "grant": name, "operator": "a@example.org", "reason": "goodwill"} | metadata
    entry_ = entry(id=f"gr_{name}", cents=cents, created=START + 5, metadata=texts)
    return Credit(entry_, cents if net is None else net, "")


@pytest.mark.parametrize(
    ("record", "given", "status"),
    [
        pytest.param([reservation("g")], grant("g"), "grant", id="within the caps"),
        pytest.param([], grant("g"), "grant_over_cap", id="no reservation"),
        pytest.param([reservation("g", 2001)], grant("g", 2001), "grant_over_cap", id="above the cap of one grant"),
        pytest.param([reservation("g")], grant("g", 600), "grant_over_cap", id="more than was reserved"),
        pytest.param([reservation("g")], grant("g", operator=""), "grant_no_reason", id="nobody"),
        pytest.param([reservation("g")], grant("g", reason=""), "grant_no_reason", id="no reason"),
        pytest.param([reservation("g")], grant("g", net=0), "reversed", id="reversed"),
        pytest.param(
            [reversal_of(reservation("g")), reservation("g")],
            grant("g"),
            "grant_over_cap",
            id="its reservation was reversed",
        ),
        pytest.param(
            [reservation("g", metadata={"customer": "cus_Other"})], grant("g"), "grant_over_cap", id="another customer"
        ),
        pytest.param([reservation("g", metadata={"caps": "much"})], grant("g"), "grant_over_cap", id="no caps"),
    ],
)
def test_a_grant(record: list[Entry], given: Credit, status: str) -> None:
    row = single(judge_grants(collect_reservations(with_balances(record)), [given]))
    assert row.status == status
    assert row.exception == (status not in ("grant", "reversed"))
    assert (row.granted_by or "", row.kind) == (given.entry.metadata["operator"], "grant")


def test_the_operators_cap_counts_the_24_hours_before() -> None:
    record = [reservation(f"g{number}", 2000, created=START + number) for number in range(6)]
    reservations = collect_reservations(with_balances(record[::-1]))
    assert [bool(reservations[f"g{number}"].broken_cap) for number in range(6)] == [False] * 5 + [True]
    late = [*record[:5], reservation("g5", 2000, created=START + DAY + 5)]
    assert not collect_reservations(with_balances(late[::-1]))["g5"].broken_cap


def test_the_cap_over_all_counts_every_operator() -> None:
    record = [
        reservation(f"g{number}", 2000, operator=f"{number}@example.org", created=START + number)
        for number in range(26)
    ]
    reservations = collect_reservations(with_balances(record[::-1]))
    assert [name for name, reserved in reservations.items() if reserved.broken_cap] == ["g25"]


def test_a_reversal_frees_its_cents_for_those_after_it_only() -> None:
    first = [reservation(f"g{number}", 2000, created=START + number) for number in range(5)]
    record = [*first, reversal_of(first[0], START + 10), reservation("g5", 2000, created=START + 20)]
    assert not collect_reservations(with_balances(record[::-1]))["g5"].broken_cap
    record = [*first, reservation("g5", 2000, created=START + 20), reversal_of(first[0], START + 30)]
    assert collect_reservations(with_balances(record[::-1]))["g5"].broken_cap


def test_a_form_gives_once() -> None:
    rows = judge_grants(collect_reservations(with_balances([reservation("g")])), [grant("g"), grant("g")])
    assert [row.status for row in rows] == ["grant", "grant_over_cap"]


def test_a_reservation_that_waits_is_pending_and_a_reversed_one_is_silent() -> None:
    waiting = reservation("g")
    assert single(judge_grants(collect_reservations(with_balances([waiting])), [])).status == "pending"
    assert judge_grants(collect_reservations(with_balances([reversal_of(waiting), waiting])), []) == []


LAPSED = EPOCH_SECONDS + QUIET_SECONDS


@pytest.mark.parametrize(("age", "status"), [(LAPSED - 1, "pending"), (LAPSED, "grant_over_cap")])
def test_a_reservation_past_its_time_is_an_exception(age: int, status: str) -> None:
    waiting = reservation("g")
    row = single(judge_grants(collect_reservations(with_balances([waiting])), [], time=START + age))
    assert (row.status, row.exception) == (status, status != "pending")
    assert row.row_id.startswith("R11-" if row.exception else "R01-")
    gone = single(judge_grants(collect_reservations([waiting]), [], time=START + age, deleted={CUSTOMER}))
    assert (gone.status, gone.exception) == ("held", False)
    assert "was deleted" in gone.reason


def test_a_lapsed_reservation_that_was_given_or_taken_back_is_none() -> None:
    waiting = reservation("g")
    given = judge_grants(collect_reservations(with_balances([waiting])), [grant("g")], time=START + 2 * LAPSED)
    assert single(given).status == "grant"
    reversed_ = collect_reservations(with_balances([reversal_of(waiting), waiting]))
    assert judge_grants(reversed_, [], time=START + 2 * LAPSED) == []


def test_only_reservations_of_customers_that_were_read_are_judged() -> None:
    record = collect_reservations(with_balances([reservation("b", created=START + 1), reservation("a")]))
    assert [row.stripe_txn for row in judge_grants(record, [], awaited={"b"})] == ["res_b"]
    assert single(judge_grants(record, [grant("a")], awaited=())).status == "grant"
