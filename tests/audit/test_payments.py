"""Each status follows from its facts, and those facts yield no other status."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from chain.payment import Payment
from stateless_billing.audit.rules.facts import (
    AuditedCustomer,
    CustomerLedger,
    OrderIndex,
    find_held_cause,
    is_relevant,
)
from stateless_billing.audit.rules.payments import (
    expected_cents,
    judge_customer,
    judge_uncredited,
)
from stateless_billing.audit.rules.rows import recorded_rate
from stateless_billing.audit.rules.statuses import RULES, Status
from stateless_billing.audit.run import index_orders
from stateless_billing.crediting.payment_status import CONFIRMING_CAUSES, HELD_CAUSES, PENDING_CAUSES
from stateless_billing.domain import ledger
from stateless_billing.domain.ledger import Entry, Match
from tests.audit.builders import FINAL, NO_ORDERS, SCOPE, create_ledger, credit, judge, quoted, reversal, single
from tests.fakes.factories import CUSTOMER, GATEWAY, OTHER_GATEWAY, WHOLE_TOKEN, entry, tx_hash

P = quoted()
PLAIN = quoted(cents=0, amount=1_000 * WHOLE_TOKEN)
C = credit(P)
OPEN = {(GATEWAY, CUSTOMER): (0, "stripe_unclear")}
DOUBLE = credit(P, 2, created=C.created + 30 * 3600)


@pytest.mark.parametrize(
    ("paid", "entries", "status", "delta", "credited"),
    [
        pytest.param(P, [C], "matched", 0, 5000, id="quoted"),
        pytest.param(PLAIN, [credit(PLAIN)], "matched", 0, 600, id="plain"),
        pytest.param(P, [C, DOUBLE], "duplicate_credit", 5000, 10000, id="twice"),
        pytest.param(P, [C, DOUBLE, reversal(DOUBLE, 3)], "matched", 0, 5000, id="twice, one reversed"),
        pytest.param(P, [C, DOUBLE, reversal(C, 3)], "matched", 0, 5000, id="twice, the first reversed"),
        pytest.param(
            P, [C, DOUBLE, reversal(DOUBLE, 3), reversal(DOUBLE, 4)], "reversed", -5000, 0, id="two reversals of one"
        ),
        pytest.param(P, [C, reversal(C, 2)], "reversed", -5000, 0, id="reversed"),
        pytest.param(
            P, [C, reversal(C, 2), reversal(reversal(C, 2), 3)], "matched", 0, 5000, id="its reversal was reversed"
        ),
        pytest.param(P, [credit(P, cents=4999)], "amount_mismatch", -1, 4999, id="too little"),
        pytest.param(P, [credit(P, cents=9000)], "amount_mismatch", 4000, 9000, id="too much"),
        pytest.param(PLAIN, [credit(PLAIN, cents=601)], "amount_mismatch", 1, 601, id="not at its own rate"),
        pytest.param(P, [credit(P, currency="eur")], "wrong_currency", -5000, 0, id="euros"),
        pytest.param(P, [credit(P, cents=-5000)], "wrong_currency", -10000, -5000, id="wrong sign"),
        pytest.param(P, [credit(P, metadata={"wallet": "0x0"})], "metadata_altered", 0, 5000, id="another wallet"),
        pytest.param(P, [credit(P, description="Gift")], "metadata_altered", 0, 5000, id="another description"),
        pytest.param(P, [credit(P, metadata={"sequence": "7"})], "metadata_altered", 0, 5000, id="another sequence"),
        pytest.param(P, [replace(C, metadata={})], "metadata_altered", 0, 5000, id="no metadata at all"),
        pytest.param(
            P, [credit(P, metadata={"payment": "gone"})], "metadata_altered", 0, 5000, id="its identity was overwritten"
        ),
        pytest.param(PLAIN, [credit(PLAIN, metadata={"rate": "x"})], "metadata_altered", None, 600, id="no rate"),
        pytest.param(
            P, [credit(P, metadata={"wallet": P.wallet.upper().replace("0X", "0x")})], "matched", 0, 5000, id="capitals"
        ),
        pytest.param(replace(P, block=10_001), [C], "pending", 0, 5000, id="credited before it is final"),
    ],
)
def test_a_payment_with_its_credits(
    paid: Payment, entries: Sequence[Entry], status: str, delta: int | None, credited: int
) -> None:
    verdict = judge([paid], entries)
    row = single(verdict.rows)
    assert (row.status, row.delta_cents, row.credited_cents) == (status, delta, credited)
    assert row.exception == RULES[Status(status)].exception
    assert row.reason
    assert row.next_action
    assert (verdict.uncredited, verdict.unmatched_credits, verdict.grants) == ([], [], [])


def test_a_credit_renamed_by_a_reorg_is_matched() -> None:
    before = quoted(tx_hash=tx_hash(99), block=98)
    row = single(judge([P], [credit(before)]).rows)
    assert (row.status, row.rule) == ("matched", "sequence, wallet and amount")


def test_a_renamed_credit_whose_texts_disagree_is_altered() -> None:
    moved = P.identity.replace(P.tx_hash, tx_hash(99))
    row = single(judge([P], [credit(P, metadata={"payment": moved})]).rows)
    assert row.status == "metadata_altered"


def test_each_payment_finds_its_own_credit() -> None:
    payments = [quoted(number, tx_hash=tx_hash(number + 1), block=100 + number) for number in range(5)]
    verdict = judge(payments, [credit(paid, number) for number, paid in enumerate(payments)])
    assert [row.stripe_txn for row in verdict.rows] == [f"cbtxn_{number}" for number in range(5)]
    assert {row.status for row in verdict.rows} == {"matched"}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"cents": 700, "description": "Sorry"}, ["unexplained_credit"]),
        ({"cents": 700, "metadata": {"kind": "bonus"}}, ["unexplained_credit"]),
        ({"cents": 700, "metadata": {"kind": "order"}}, ["unexplained_credit"]),
        ({"cents": -700, "metadata": {"kind": "reversal", "reverses": "cbtxn_9"}}, ["unexplained_credit"]),
        ({"cents": 700, "description": "Top-up via pi_1"}, []),
        ({"cents": 700, "type": "credit_note"}, []),
        ({"cents": -700}, []),
    ],
)
def test_entries_of_others(changes: dict[str, object], expected: list[str]) -> None:
    verdict = judge([P], [C, entry(**{"id": "cbtxn_5", **changes})])
    assert [row.status for row in verdict.rows] == ["matched", *expected]


def test_a_hand_made_credit_that_was_reversed_is_no_exception() -> None:
    gift = entry(id="cbtxn_5", cents=700)
    row = single(judge([], [gift, reversal(gift, 6)]).rows)
    assert (row.status, row.exception, row.delta_cents) == ("reversed", False, 0)


def test_credits_and_grants_without_a_payment_are_returned() -> None:
    other = credit(quoted(gateway=OTHER_GATEWAY, sequence=5), 7)
    grant = entry(id="cbtxn_8", cents=500, metadata={"kind": "grant", "grant": "g1"})
    verdict = judge([P], [C, other, grant])
    assert [credit_.entry.id for credit_ in verdict.unmatched_credits] == ["cbtxn_7"]
    assert [credit_.entry.id for credit_ in verdict.grants] == ["cbtxn_8"]


@pytest.mark.parametrize(
    ("paid", "account", "causes", "status"),
    [
        (P, {}, {}, "missing_credit"),
        (replace(P, block=10_001), {}, {}, "pending"),
        (replace(P, time=FINAL.time - 599), {}, {}, "pending"),
        (replace(P, time=FINAL.time - 600), {}, {}, "missing_credit"),
        (P, {"state": "customer_deleted"}, {}, "held"),
        (P, {"currency": "eur"}, {}, "held"),
        (P, {"currency": None}, {}, "missing_credit"),
        *((P, {}, {P.identity: cause}, "held") for cause in HELD_CAUSES),
        *((P, {}, {P.identity: cause}, "missing_credit") for cause in (*PENDING_CAUSES, *CONFIRMING_CAUSES)),
        *((P, {}, {P.identity: text}, "missing_credit") for text in ("held", "over_limit ", "paid", "x" * 500)),
        (replace(P, time=FINAL.time - 599), {}, {P.identity: "stripe_unclear"}, "pending"),
        (replace(P, customer_id=None), {}, {}, "held"),
    ],
)
def test_a_payment_without_a_credit(
    paid: Payment, account: dict[str, str], causes: dict[str, str], status: str
) -> None:
    row = judge_uncredited(paid, create_ledger([paid], [], **account), OrderIndex(causes=causes), SCOPE)
    assert (row.status, row.credited_cents, row.delta_cents) == (status, 0, -5000)


def test_a_missing_credit_says_what_the_sweep_recorded() -> None:
    for index in (OrderIndex(causes={P.identity: "stripe_unclear"}), OrderIndex(open_customers=OPEN)):
        row = judge_uncredited(P, create_ledger([P], []), index, SCOPE)
        assert row.exception
        assert "the sweep recorded 'stripe_unclear', which holds no payment" in row.reason
    assert "recorded" not in judge_uncredited(P, create_ledger([P], []), NO_ORDERS, SCOPE).reason


def test_dust_is_matched_without_a_credit() -> None:
    row = judge_uncredited(PLAIN, create_ledger([PLAIN], []), NO_ORDERS, SCOPE, dust=True)
    assert (row.status, row.expected_cents, row.delta_cents) == ("matched", 0, 0)


def test_a_held_payment_names_its_cause() -> None:
    assert find_held_cause(P, create_ledger([P], [], state="customer_deleted"), NO_ORDERS) == "customer_deleted"
    assert find_held_cause(P, create_ledger([P], [], currency="eur"), NO_ORDERS) == "currency"
    assert find_held_cause(P, create_ledger([P], []), NO_ORDERS) is None


@pytest.mark.parametrize("rate", ["", "x", "-1", "0", "NaN", "Infinity", "1e-19", "1e30"])
def test_a_malformed_rate_alters_metadata(rate: str) -> None:
    assert recorded_rate(credit(PLAIN, metadata={"rate": rate})) is None
    assert expected_cents(PLAIN, credit(PLAIN, metadata={"rate": rate})) is None


def test_a_redirected_payment_is_not_judged_on_its_events_customer() -> None:
    order = entry(cents=1, metadata={"kind": "order", "payment": P.identity, "order": "redirect:cus_Other"})
    later = replace(order, id="cbtxn_9", ending_cents=order.ending_cents + 1)
    released = replace(later, metadata=dict(order.metadata) | {"order": "release"})
    orders = index_orders([order], {})
    assert orders.redirects == {P.identity: "cus_Other"}
    assert index_orders([released, order], {}).redirects == {}, "the newest stands"
    assert index_orders([released, order], {}).named_customers == {P.identity: ("cus_Other",)}, (
        "and earlier ones are looked at"
    )
    verdict = judge_customer(create_ledger([P], [C]), orders, SCOPE)
    assert verdict.rows == []
    assert list(verdict.credited) == [P.identity]


def order_entry(number: int, order: str, who: str, **metadata: str) -> Entry:
    """Create an order about P on the service record, above what one admin may decide alone."""
    base = {"kind": "order", "payment": P.identity, "order": order, "operator": who, "reason": f"why {who}"}
    caps = {"value": "5000", "caps": "1000:1000"}
    row = entry(id=f"cbtxn_o{number}", cents=1, ending_cents=number, created=P.time + number)
    return replace(row, metadata=base | caps | metadata)


def test_rows_name_who_decided_and_who_confirmed() -> None:
    proposed = order_entry(1, "release", "ann")
    confirmed = order_entry(2, "release", "beth", confirms="cbtxn_o1")
    alone = index_orders([proposed], {})
    both = index_orders([confirmed, proposed], {})
    empty = create_ledger([P], [])
    assert judge_uncredited(P, empty, alone, SCOPE).decided_by is None, "it waits for a second admin"
    row = judge_uncredited(P, empty, both, SCOPE)
    assert (row.decided_by, row.confirmed_by, row.decision_reason) == ("ann", "beth", "why ann")
    followed = credit(P, metadata={"order": "cbtxn_o1"})
    row = single(judge_customer(create_ledger([P], [followed]), both, SCOPE).rows)
    assert (row.decided_by, row.confirmed_by) == ("ann", "beth")
    row = single(judge_customer(create_ledger([P], [C]), both, SCOPE).rows)
    assert row.decided_by is None, "the credit came before the order and follows none"


def test_rows_of_what_was_taken_back_name_who_did_it() -> None:
    row = single(judge([P], [C, reversal(C, 5)]).rows)
    assert (row.status, row.decided_by, row.decision_reason) == ("reversed", "0xadmin", "double")
    forged = entry(cents=900, description="no purpose")
    row = single(judge([], [forged, reversal(forged, 5)]).rows)
    assert (row.status, row.decided_by) == ("reversed", "0xadmin")
    row = single(judge([], [reversal(C, 5)]).rows)
    assert (row.status, row.decided_by) == ("unexplained_credit", "0xadmin"), "it reverses nothing"
    second = replace(reversal(C, 6), metadata={"kind": "reversal", "reverses": C.id, "operator": "beth", "reason": "x"})
    row = single(judge([P], [C, reversal(C, 5), second]).rows)
    assert (row.decided_by, row.decision_reason) == ("0xadmin, beth", "double, x")


def test_charges_are_irrelevant() -> None:
    assert not is_relevant(entry())
    assert is_relevant(entry(cents=1))
    assert is_relevant(entry(metadata={"kind": "reversal"}))


def test_a_row_has_every_known_cell() -> None:
    row = single(judge([PLAIN], [credit(PLAIN)]).rows)
    assert row.row_id == f"R00-{row.fingerprint[:12]}"
    assert (row.amount_raw, row.amount_tokens) == (str(10**21), "1000.000000000000000000")
    assert (row.rate_usd, row.rate_source, row.discount_bps) == ("0.006000000000000000", "coingecko:lit-protocol", 0)
    assert row.credit_latency_s == 30
    assert row.idempotency_key == f"payment:8453:{GATEWAY}:{CUSTOMER}:0:0"
    assert list(row.as_dict())[:4] == ["schema_version", "row_id", "status", "exception"]


def test_an_empty_ledger_has_no_rows() -> None:
    assert judge_customer(CustomerLedger(AuditedCustomer("cus_Nobody")), NO_ORDERS, SCOPE).rows == []


def reversed_credits(payment: Payment, number: int) -> list[Entry]:
    first = credit(payment, number)
    return [first, reversal(first, 1_000 + number), credit(payment, 2_000 + number, created=payment.time + 5_000)]


@pytest.mark.parametrize(
    ("entries_of", "status"),
    [
        pytest.param(lambda payment, number: [credit(payment, number)], "matched", id="credits"),
        pytest.param(reversed_credits, "matched", id="reversed and credited again"),
        pytest.param(
            lambda payment, number: [credit(payment, number, metadata=dict.fromkeys(C.metadata))],
            "metadata_altered",
            id="without metadata",
        ),
        pytest.param(lambda _, number: [entry(id=f"cbtxn_{number}", cents=1, description="x")], "", id="other cents"),
        pytest.param(
            lambda _, number: [entry(id=f"cbtxn_{number}", cents=5000, description="Top-up via pi_1")], "", id="top-ups"
        ),
    ],
)
def test_the_work_grows_with_a_customers_payments_and_not_with_their_square(
    monkeypatch: pytest.MonkeyPatch, entries_of: Callable[[Payment, int], list[Entry]], status: str
) -> None:
    compared: list[int] = []
    match = ledger.match

    def counted(payment: Payment, cents: int | None, entries: Sequence[Entry], other: Any) -> Match:
        compared.append(len(entries))
        return match(payment, cents, entries, other)

    monkeypatch.setattr(ledger, "match", counted)
    payments = [quoted(number, block=100 + number, tx_hash=tx_hash(number + 1)) for number in range(300)]
    entries = [each for number, payment in enumerate(payments) for each in entries_of(payment, number)]
    verdict = judge(payments, entries)
    assert [row.status for row in verdict.rows if row.kind == "payment"] == ([status] * 300 if status else [])
    assert len(verdict.uncredited) == (0 if status else 300)
    assert sum(compared) <= 6 * len(payments)


def test_entries_too_old_for_one_payment_are_not_taken_by_the_next() -> None:
    early, late = quoted(0), quoted(1, block=9_000, tx_hash=tx_hash(2))
    old, fit = (
        entry(id=f"cbtxn_{time}", cents=5000, created=time, description="x") for time in (early.time - 121, late.time)
    )
    verdict = judge([early, late], [old, fit])
    assert [(row.tx_hash, row.stripe_txn) for row in verdict.rows if row.kind == "payment"] == [
        (early.tx_hash, fit.id),
    ]
    assert verdict.uncredited == [late]
