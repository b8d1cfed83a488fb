"""Answers as bytes: receivers rely on names, forms and order, which follow the fields of the types."""

import json
from typing import Any

import msgspec
import pytest

from stateless_billing.crediting.payment_status import PaymentStatus
from stateless_billing.domain.errors import PROBLEMS
from stateless_billing.payers import responses
from stateless_billing.payers.responses import (
    AccountResponse,
    CallResponse,
    ClaimResponse,
    Offer,
    PaymentResponse,
    QuotePaymentResponse,
    QuoteResponse,
    QuoteStatusResponse,
    ReceiptResponse,
    RegistrationResponse,
    payment_response,
)
from stateless_billing.services.readiness import CheckResponse, ReadinessResponse
from stateless_billing.web.http.health import HealthResponse
from stateless_billing.web.http.problems import ProblemDocument, problem_document
from tests.fakes.factories import CUSTOMER, GATEWAY, START, payment, tx_hash

WALLET = "0x" + "11" * 20
PAYMENT: dict[str, Any] = {
    "payment": f"8453:{GATEWAY}:{tx_hash(1)}:0",
    "ordinal": 0,
    "gateway": "0xa1b2c3d400000000000000000000000000000000",
    "sequence": 0,
    "wallet": WALLET,
    "payer": "0x" + "22" * 20,
    "amount": "9000000000000000000000",
    "cents": 5000,
    "block": 100,
    "time": 1790000200,
    "state": "confirming",
    "cause": None,
    "confirmed": 4,
    "needed": 20,
    "credit": None,
}
PRICE: dict[str, Any] = {
    "cents": 5000,
    "amount": "1",
    "rate": "0.006000000000000000",
    "market_rate": "0.006000000000000000",
    "rate_source": "coingecko:lit-protocol",
    "rate_at": START,
    "discount_bps": 0,
}
REGISTRATION: dict[str, Any] = {"customer_id": CUSTOMER, "deadline": START, "signature": "0x00"}
CALL: dict[str, Any] = {"to": WALLET, "data": "0x00", "value": "0x0", "label": "Pay 1 LITKEY"}
QUOTE_PAYMENT: dict[str, Any] = {"tx_hash": tx_hash(1), "ordinal": 0, "block": 100, "time": START, "final": False}
ANSWERS: list[tuple[type[msgspec.Struct], dict[str, Any]]] = [
    (PaymentResponse, PAYMENT),
    (
        ClaimResponse,
        {"tx_hash": tx_hash(1), "state": "confirming", "cause": None, "retry_after": 15, "payments": [PAYMENT]},
    ),
    (
        ReceiptResponse,
        {"tx_hash": tx_hash(1), "chain_id": 8453, **PAYMENT, "rate": PRICE["rate"], "retry_after": None},
    ),
    (
        AccountResponse,
        {
            "wallet": WALLET,
            "found": True,
            "email": "c…s@l….com",
            "registered": False,
            "minimum_cents": 500,
            "maximum_cents": 500000,
            "maximum_resets_at": None,
            "payments": [PAYMENT],
        },
    ),
    (Offer, PRICE),
    (RegistrationResponse, REGISTRATION),
    (CallResponse, CALL),
    (
        QuoteResponse,
        {
            "wallet": WALLET,
            **PRICE,
            "gateway": WALLET,
            "token": WALLET,
            "chain_id": 8453,
            "sequence": 0,
            "deadline": START,
            "signature": "0x00",
            "registered": False,
            "registration": REGISTRATION,
            "calls": [CALL],
        },
    ),
    (QuotePaymentResponse, QUOTE_PAYMENT),
    (QuoteStatusResponse, {"state": "paid", "payment": QUOTE_PAYMENT}),
    (HealthResponse, {"ok": True}),
    (CheckResponse, {"ok": False, "age": None, "detail": "d"}),
    (ReadinessResponse, {"ready": True, "checks": {"chain": {"ok": True, "age": 2, "detail": "head 7"}}}),
    (
        ProblemDocument,
        {
            "type": "/problems/busy",
            "title": PROBLEMS["busy"][1],
            "status": 503,
            "detail": "Later.",
            "request_id": "0123456789abcdef",
        },
    ),
]


def encoded(value: object) -> bytes:
    """JSON as the service always sent it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


@pytest.mark.parametrize(("form", "answer"), ANSWERS, ids=lambda value: getattr(value, "__name__", ""))
def test_an_answers_bytes(form: type[msgspec.Struct], answer: dict[str, Any]) -> None:
    assert msgspec.json.encode(msgspec.convert(answer, form)) == encoded(answer)
    for name in answer:
        with pytest.raises(msgspec.ValidationError, match=f"missing required field `{name}`"):
            msgspec.convert({key: value for key, value in answer.items() if key != name}, form)
    with pytest.raises(msgspec.ValidationError, match="unknown field `more`"):
        msgspec.convert(answer | {"more": 1}, form)


def test_every_answer_is_among_them() -> None:
    forms = {form for form, _ in ANSWERS}
    defined = {
        value
        for value in vars(responses).values()
        if isinstance(value, type(msgspec.Struct)) and value.__module__ == responses.__name__
    }
    assert defined <= forms


@pytest.mark.parametrize(
    ("changes", "status", "expected"),
    [
        ({}, PaymentStatus("confirming", confirmed=4, needed=20, retry_after=15), {}),
        (
            {"cents": 0, "ordinal": 3},
            PaymentStatus("held", cause="over_limit"),
            {
                "payment": f"8453:{GATEWAY}:{tx_hash(1)}:3",
                "ordinal": 3,
                "cents": None,
                "state": "held",
                "cause": "over_limit",
                "confirmed": None,
                "needed": None,
            },
        ),
        (
            {},
            PaymentStatus("credited", cents=4999, credit="cbtxn_1"),
            {"cents": 4999, "state": "credited", "confirmed": None, "needed": None, "credit": "cbtxn_1"},
        ),
    ],
)
def test_a_payments_bytes(changes: dict[str, Any], status: PaymentStatus, expected: dict[str, Any]) -> None:
    assert msgspec.json.encode(payment_response(payment(**changes), status)) == encoded(PAYMENT | expected)


def test_a_problems_bytes() -> None:
    assert msgspec.json.encode(problem_document("busy", "Later.", "0123456789abcdef")) == encoded(ANSWERS[-1][1])
