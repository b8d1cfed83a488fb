"""Verdicts that span customers."""

from dataclasses import replace

import pytest

from stateless_billing.audit.rules.cross_customer import (
    Acceptance,
    OpenPayment,
    apply_acceptance,
    attach_credits,
    cursor_row,
    drift_row,
    find_cursor_fault,
    find_drifts,
    judge_second_credit,
    judge_without_payment,
    out_of_band,
    reason_without_payment,
)
from stateless_billing.audit.rules.facts import AuditedCustomer
from stateless_billing.audit.rules.payments import Credit, judge_uncredited
from tests.audit.builders import NO_ORDERS, SCOPE, create_ledger, credit, judge, quoted, single
from tests.fakes.factories import GATEWAY, OTHER_GATEWAY, WALLET, tx_hash

P = quoted()


def misplaced_credit(**changes: object) -> Credit:
    """Create the payment's credit on another customer."""
    entry = credit(P, 9, customer="cus_Other", **changes)
    return Credit(entry, entry.cents, "")


def test_right_cents_on_the_wrong_customer() -> None:
    waiting = {P.identity: OpenPayment(P, judge_uncredited(P, create_ledger([P], []), NO_ORDERS, SCOPE), [])}
    assert attach_credits(waiting, [misplaced_credit()], NO_ORDERS, SCOPE) == []
    row = waiting[P.identity].row
    assert (row.status, row.stripe_customer, row.delta_cents) == ("wrong_customer", "cus_Other", 0)


def test_a_credit_that_matches_no_open_payment_is_returned() -> None:
    assert attach_credits({}, [misplaced_credit()], NO_ORDERS, SCOPE) == [misplaced_credit()]


def test_a_second_credit_on_another_customer_is_a_duplicate() -> None:
    row = judge_second_credit(single(judge([P], [credit(P)]).rows), misplaced_credit())
    assert (row.status, row.exception, row.delta_cents, row.credited_cents) == ("duplicate_credit", True, 5000, 10000)


@pytest.mark.parametrize(("net", "status", "exception"), [(5000, "missing_payment", True), (0, "reversed", False)])
def test_a_credit_whose_payment_is_not_on_the_chain(net: int, status: str, exception: bool) -> None:
    row = judge_without_payment(replace(misplaced_credit(), net=net), "no node knows it")
    assert (row.status, row.exception, row.tx_hash, row.delta_cents) == (status, exception, P.tx_hash, net)


def test_a_credit_that_cannot_have_a_payment() -> None:
    assert reason_without_payment(misplaced_credit(), SCOPE) == ""
    assert "names no payment" in reason_without_payment(misplaced_credit(metadata={"payment": "x"}), SCOPE)
    other = P.identity.replace(GATEWAY, OTHER_GATEWAY)
    assert "GATEWAY_ADDRESSES" in reason_without_payment(misplaced_credit(metadata={"payment": other}), SCOPE)


@pytest.mark.parametrize(
    ("text", "uncredited", "wrong"),
    [
        (f"2:{tx_hash(2)}", [], False),
        (f"1:{tx_hash(1)}", [], False),
        (f"3:{tx_hash(9)}", [], False),  # payment 2 was not read
        (f"2:{tx_hash(9)}", [], True),
        (f"4:{tx_hash(2)}", [], True),
        ("much", [], True),
        (f"2:{tx_hash(2)}", [1], True),
        (f"2:{tx_hash(2)}", [2], False),
    ],
)
def test_a_cursor(text: str, uncredited: list[int], wrong: bool) -> None:
    hashes = {0: tx_hash(1), 1: tx_hash(2)}
    fault = find_cursor_fault(text, 3, hashes.get, uncredited)
    assert bool(fault) == wrong
    row = cursor_row(AuditedCustomer("cus_A", cursors={"gateway:1:aa": text}), "gateway:1:aa", fault, SCOPE)
    assert (row.status, row.note) == ("cursor_ahead", f"gateway:1:aa={text}")


def test_identities_that_drift() -> None:
    accounts = {
        "cus_A": AuditedCustomer("cus_A", WALLET),
        "cus_B": AuditedCustomer("cus_B", "0xother"),
        "cus_C": AuditedCustomer("cus_C", state="customer_deleted"),
    }
    assert find_drifts({WALLET: ["cus_A"]}, {WALLET: "cus_A"}, accounts) == []
    assert find_drifts({WALLET: ["cus_A"]}, {WALLET: None}, accounts) == []
    assert find_drifts({WALLET: ["cus_A"]}, {WALLET: "cus_B"}, accounts) == [(WALLET, "cus_B", "cus_A")]
    assert find_drifts({}, {WALLET: "cus_B"}, accounts) == [(WALLET, "cus_B", None)]
    assert find_drifts({}, {WALLET: "cus_C"}, accounts) == []
    row = drift_row(WALLET, GATEWAY, "cus_B", "cus_A", SCOPE)
    assert (row.status, row.stripe_customer, row.wallet) == ("identity_drift", "cus_A", WALLET)


def test_a_rate_out_of_its_band_is_a_warning() -> None:
    row = single(judge([P], [credit(P)]).rows)
    assert out_of_band(row, 110, 100).status == "matched"
    warning = out_of_band(row, 111, 100)
    assert (warning.status, warning.exception) == ("rate_out_of_band", False)


@pytest.mark.parametrize(
    ("changes", "accepted"),
    [
        ({}, True),
        ({"status": "missing_credit"}, True),
        ({"status": "duplicate_credit"}, False),
        ({"until": "2026-09-20"}, False),
        ({"until": "2026-09-21"}, True),
        ({"fingerprint": "else"}, False),
    ],
)
def test_exceptions_are_accepted_with_a_note(changes: dict[str, str], accepted: bool) -> None:
    row = judge_uncredited(P, create_ledger([P], []), NO_ORDERS, SCOPE)
    line = Acceptance(**{"fingerprint": row.fingerprint, "note": "ticket 7"} | changes)
    result = apply_acceptance(row, {line.fingerprint: line}, "2026-09-21")
    assert (result.status == "accepted", result.exception) == (accepted, not accepted)
    assert result.fingerprint == row.fingerprint
    if accepted:
        assert result.note == "ticket 7"
        assert "missing_credit" in result.reason


def test_every_second_credit_stays_in_the_row() -> None:
    first, second = misplaced_credit(), Credit(credit(P, 8, customer="cus_Third"), 5000, "")
    row = judge_second_credit(judge_second_credit(single(judge([P], [credit(P)]).rows), first), second)
    assert (row.delta_cents, row.credited_cents, row.status) == (10_000, 15_000, "duplicate_credit")
    assert row.note == "cbtxn_9@cus_Other cbtxn_8@cus_Third"
    assert row.reason == ("cbtxn_1 credits it, and so does cbtxn_9 on cus_Other, and so does cbtxn_8 on cus_Third")


def test_a_second_credit_joins_those_that_a_duplicate_names() -> None:
    own = [credit(P), credit(P, 2, created=P.time + 90)]
    row = judge_second_credit(single(judge([P], own).rows), misplaced_credit())
    assert row.reason == "cbtxn_1, cbtxn_2 credit $100.00 for $50.00, and so does cbtxn_9 on cus_Other"
    assert (row.delta_cents, row.note) == (10_000, "cbtxn_9@cus_Other")


def test_the_note_of_an_acceptance_is_not_taken_for_credits() -> None:
    row = judge_second_credit(single(judge([P], [credit(P)]).rows), misplaced_credit())
    accepted = apply_acceptance(row, {row.fingerprint: Acceptance(row.fingerprint, "ticket 7")}, "2026-09-21")
    again = judge_second_credit(accepted, Credit(credit(P, 8, customer="cus_Third"), 5000, ""))
    assert (again.status, again.note, again.delta_cents) == ("duplicate_credit", "cbtxn_8@cus_Third", 10_000)
