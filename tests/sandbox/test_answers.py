"""Refusals have Stripe's format."""

import json

from stateless_billing.sandbox.answers import Refusal, json_answer, no_such, refusal_outcome


def test_a_refusal_names_code_param_and_log() -> None:
    outcome = refusal_outcome(no_such("customer", "cus_1"), "req_1", 7)
    assert outcome.status == 404
    assert json.loads(outcome.body)["error"] == {
        "code": "resource_missing",
        "doc_url": "https://docs.stripe.com/error-codes/resource-missing",
        "message": "No such customer: 'cus_1'",
        "param": "id",
        "request_log_url": "https://dashboard.stripe.com/test/logs/req_1?t=7",
        "type": "invalid_request_error",
    }


def test_what_does_not_apply_is_absent() -> None:
    error = json.loads(refusal_outcome(Refusal(500, "no", kind="api_error"), "req_1", 7).body)["error"]
    assert set(error) == {"message", "request_log_url", "type"}


def test_json_answers_know_their_length() -> None:
    assert json_answer(200, b"{}").length == 2
