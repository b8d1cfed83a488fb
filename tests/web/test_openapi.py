"""The OpenAPI document describes exactly the served routes and problems."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.requests import Request
from starlette.routing import Route

from stateless_billing.domain.errors import PROBLEMS
from stateless_billing.payers.responses import QuoteResponse, ReceiptResponse
from stateless_billing.sandbox.localchain import ROOT
from stateless_billing.services.container import Services
from stateless_billing.settings import SERVE, load
from stateless_billing.web.api.openapi import LEFT_OUT, create_document
from stateless_billing.web.api.openapi_examples import EXAMPLES
from stateless_billing.web.api.openapi_parts import REFS
from stateless_billing.web.routes import create_app
from tests.fakes.factories import GATEWAY
from tests.fakes.in_process_service import LoopClock
from tests.fakes.json_schema import faults

ENVIRONMENT = {
    "STRIPE_API_KEY": "sk_test_x",
    "RPC_URLS": "http://127.0.0.1:1",
    "GATEWAY_ADDRESSES": GATEWAY,
    "SIGNER_KEY": "11" * 32,
    "SERVICE_CUSTOMER_ID": "cus_Service",
    "SESSION_SECRETS": "x" * 40,
    "PUBLIC_URL": "https://pay.example.org",
}
OPERATORS_ONLY = {
    *("signed_out", "sign_in_again", "sign_in_failed", "not_allowed", "forged_request", "form_invalid", "form_dead"),
    *("over_cap", "look_alike", "unusable_customer", "too_late", "already_done", "unclear"),
    *("over_bound", "changed"),
}
ELSEWHERE = {"method_not_allowed"}  # only for undescribed methods


def served_methods() -> dict[str, set[str]]:
    """Return methods by path of the public routes, without HEAD."""
    methods: dict[str, set[str]] = {}
    for route in create_app(Services(load(SERVE, ENVIRONMENT), LoopClock())).routes:
        assert isinstance(route, Route)
        if not route.path.startswith(LEFT_OUT):
            methods.setdefault(route.path, set()).update(
                method.lower() for method in route.methods or () if method != "HEAD"
            )
    return methods


def test_exactly_the_served_routes_are_described() -> None:
    described = {path: set(operations) for path, operations in create_document()["paths"].items()}
    assert described == served_methods()
    assert all(path.startswith("/") for path in LEFT_OUT)


def test_path_parameters_are_described() -> None:
    for path, operations in create_document()["paths"].items():
        for operation in operations.values():
            names = {parameter["name"] for parameter in operation.get("parameters", ()) if parameter["in"] == "path"}
            assert names == set(re.findall(r"{(\w+)}", path))


def test_exactly_the_public_problems_are_described() -> None:
    described = set(re.findall(r'"/problems/(\w+)"', json.dumps(create_document())))
    assert described == PROBLEMS.keys() - OPERATORS_ONLY - ELSEWHERE
    assert PROBLEMS.keys() >= OPERATORS_ONLY
    for operations in create_document()["paths"].values():
        for operation in operations.values():
            for status, answer in operation["responses"].items():
                content: dict[str, Any] = answer.get("content", {}).get("application/problem+json", {})
                for code in re.findall(r'"/problems/(\w+)"', json.dumps(content)):
                    assert str(PROBLEMS[code][0]) == status


def test_every_schema_is_used_and_every_reference_leads_to_one() -> None:
    used = set(re.findall(rf'"{REFS}(\w+)"', json.dumps(create_document())))
    assert used == create_document()["components"]["schemas"].keys()


def operations() -> Iterator[tuple[str, dict[str, Any]]]:
    """Return every operation with its method and path."""
    for path, methods in create_document()["paths"].items():
        for method, operation in methods.items():
            yield f"{method} {path}", operation


def test_operations_are_named_and_grouped() -> None:
    names = [operation["operationId"] for _, operation in operations()]
    assert len(set(names)) == len(names)
    tags = {tag["name"] for tag in create_document()["tags"]}
    assert {tag for _, operation in operations() for tag in operation["tags"]} == tags


def contents() -> Iterator[tuple[str, dict[str, Any]]]:
    """Return every body and answer with where it is."""
    for where, operation in operations():
        answers = {"body": operation.get("requestBody", {}), **operation["responses"]}
        for status, answer in answers.items():
            for kind, content in answer.get("content", {}).items():
                yield f"{where} {status} {kind}", content


def test_every_example_matches_its_schema() -> None:
    document = create_document()
    checked = 0
    for where, content in contents():
        for name, example in content.get("examples", {}).items():
            checked += 1
            assert not list(faults(example["value"], content["schema"], document)), f"{where}: {name}"
    assert checked > 30
    for where, operation in operations():
        for parameter in operation.get("parameters", ()):
            if "example" in parameter:
                assert not list(faults(parameter["example"], parameter["schema"], document)), where


def test_every_described_body_and_answer_has_an_example() -> None:
    missing = [
        where
        for where, content in contents()
        if "$ref" in content.get("schema", {}) and "examples" not in content and "problem+json" not in where
    ]
    assert not missing


def test_every_field_is_described() -> None:
    def is_described(schema: dict[str, Any]) -> bool:
        return "description" in schema or "$ref" in schema or any(map(is_described, schema.get("anyOf", ())))

    for name, schema in create_document()["components"]["schemas"].items():
        assert schema["description"], name
        for field, value in schema["properties"].items():
            assert is_described(value), f"{name}.{field}"


def test_example_amounts_agree() -> None:
    [quote] = EXAMPLES[QuoteResponse].values()
    assert isinstance(quote, QuoteResponse)
    rate = int(quote.rate.replace(".", ""))
    assert int(quote.amount) == -(-quote.cents * 10**34 // rate), "rounded up"
    [receipt] = EXAMPLES[ReceiptResponse].values()
    assert isinstance(receipt, ReceiptResponse)
    assert (receipt.cents, receipt.amount) == (quote.cents, quote.amount)
    assert receipt.rate is not None
    assert int(receipt.rate.replace(".", "")) == quote.cents * 10**34 // int(quote.amount)


@pytest.mark.anyio
async def test_the_abi_is_served_as_it_is_committed() -> None:
    app = create_app(Services(load(SERVE, ENVIRONMENT), LoopClock()))
    handlers = {route.path: route.endpoint for route in app.routes if isinstance(route, Route)}
    answer = await handlers["/abi.json"](Request({"type": "http"}))
    assert answer.media_type == "application/json"
    assert json.loads(answer.body) == json.loads((ROOT / "chain" / "abi" / "PaymentGateway.json").read_text())


def test_the_schema_checker_detects_mismatches() -> None:
    document = create_document()
    good: dict[str, Any] = {"tx_hash": "0x" + "a" * 64, "state": "unknown", "cause": None}
    good |= {"retry_after": None, "payments": []}
    schema = document["components"]["schemas"]["ClaimResponse"]
    assert not list(faults(good, schema, document))
    changes: list[dict[str, Any]] = [
        {"tx_hash": "0x1"},
        {"state": "lost"},
        {"cause": "over_limit"},
        {"retry_after": "2"},
        {"retry_after": True},
        {"payments": [{}]},
        {"more": 1},
    ]
    for changed in changes:
        assert list(faults(good | changed, schema, document)), changed
    assert list(faults({}, schema, document))
