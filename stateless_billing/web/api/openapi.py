"""Describes the public API, the pages and the health checks as OpenAPI 3.1, from the types of bodies and answers."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from stateless_billing.domain.errors import PROBLEMS
from stateless_billing.payers.responses import (
    AccountResponse,
    Address,
    ClaimResponse,
    QuoteResponse,
    QuoteStatusResponse,
    ReceiptResponse,
    TxHash,
)
from stateless_billing.services.readiness import HealthResponse, ReadinessResponse
from stateless_billing.web.api.account_events import MEDIA_TYPE
from stateless_billing.web.api.requests import ClaimRequest, QuoteRequest, QuoteStatusRequest
from stateless_billing.web.http.problems import ProblemDocument

VERSION = "1"
LEFT_OUT = ("/login", "/logout", "/admin", "/audit", "/api/admin")
"""The operators' addresses. They are behind a sign-in and not part of the public API."""

_REFS = "#/components/schemas/"
_STRUCTS = (
    ProblemDocument,
    ClaimResponse,
    ReceiptResponse,
    AccountResponse,
    QuoteResponse,
    QuoteRequest,
    QuoteStatusResponse,
    QuoteStatusRequest,
    ClaimRequest,
    HealthResponse,
    ReadinessResponse,
)
_COMMON_PROBLEMS = (
    "bad_request",
    "request_timeout",
    "body_too_large",
    "rate_limited",
    "headers_too_large",
    "busy",
    "internal",
)
_READ_PROBLEMS = ("chain_unavailable", "stripe_unavailable")
_WITH_RETRY_AFTER = (429, 503)
_PAGE = {"text/html": {"schema": {"type": "string"}}}
_PAY_QUERY = {
    "wallet": "Whose account is to be credited.",
    "usd": "Dollars, as 50 or 12.50.",
    "return_url": "Where to go afterwards; only allowed origins are shown.",
    "ref": "Handed back with `return_url`.",
    "tx_hash": "An EVM transaction to look up.",
}

Ordinal = Annotated[int, Meta(ge=0, le=9999)]
OneOfSeveral = Annotated[
    str, Meta(pattern="^0x[0-9a-fA-F]{40}$", description="Where one EVM transaction paid several.")
]


def create_document() -> dict[str, Any]:
    """Create the whole document."""
    _, schemas = msgspec.json.schema_components(_STRUCTS, ref_template=_REFS + "{name}")
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "stateless-billing",
            "version": VERSION,
            "summary": "LITKEY paid on Base becomes credit in Stripe, once.",
            "description": "Cents are integers, token amounts decimal strings of base units, times unix seconds."
            " Every GET may be asked as HEAD. The operators' addresses behind the sign-in"
            f" ({', '.join(LEFT_OUT)}) are not part of this description.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "paths": {**_accounts(), **_quotes(), **_payments(), **_pages(), **_health()},
        "components": {"schemas": schemas},
    }


def _quotes() -> dict[str, Any]:
    return {
        "/api/quotes": {
            "post": _operation(
                "A signed price, and the calls that pay it",
                _json("The quote", QuoteResponse),
                problems=(
                    "unsupported_media_type",
                    "invalid_input",
                    "unknown_wallet",
                    "wallet_conflict",
                    "not_payable",
                    "below_minimum",
                    "above_maximum",
                    "rate_unavailable",
                    "paused",
                    *_READ_PROBLEMS,
                ),
                body=QuoteRequest,
            )
        },
        "/api/quotes/status": {
            "post": _operation(
                "Whether a quote was paid, and whether it still can be: from the chain alone, without writing",
                _json("Where it stands", QuoteStatusResponse),
                problems=("unsupported_media_type", "invalid_input", "chain_unavailable"),
                body=QuoteStatusRequest,
            )
        },
    }


def _payments() -> dict[str, Any]:
    claim = _json("Its payments, and where each stands", ClaimResponse)
    return {
        "/api/payments": {
            "post": _operation(
                "Claim an EVM transaction: every payment in it that is due is credited",
                claim,
                problems=("unsupported_media_type", "invalid_input", *_READ_PROBLEMS),
                body=ClaimRequest,
            )
        },
        "/api/payments/{tx_hash}": {
            "get": _operation(
                "The same answer, without writing",
                claim,
                problems=("invalid_input", *_READ_PROBLEMS),
                parameters=[_in_path("tx_hash", TxHash)],
            )
        },
    }


def _accounts() -> dict[str, Any]:
    return {
        "/api/accounts/{wallet}": {
            "get": _operation(
                "An account by its wallet; unknown wallets answer alike",
                _json("What payers may see of it", AccountResponse),
                problems=("invalid_input", *_READ_PROBLEMS),
                parameters=[_in_path("wallet", Address)],
            )
        },
        "/api/accounts/{wallet}/events": {
            "get": _operation(
                "An account as server-sent events: event `account`, with the JSON of `/api/accounts/{wallet}` as data,"
                " on connecting and whenever it changed; a comment and an event `alive` every 15"
                " seconds",
                {
                    "200": {"description": "The stream", "content": {MEDIA_TYPE: {"schema": {"type": "string"}}}},
                    "204": {"description": "`Last-Event-ID` is `displaced`: this stream made room, ask now and then"},
                },
                problems=("invalid_input", *_READ_PROBLEMS),
                parameters=[_in_path("wallet", Address)],
            )
        },
    }


def _pages() -> dict[str, Any]:
    queries = [
        _in_query(name, Annotated[str, Meta(description=description)]) for name, description in _PAY_QUERY.items()
    ]
    location = {"schema": {"type": "string"}, "required": True}
    to_pay = {"307": {"description": "To the pay page", "headers": {"Location": location}}}
    receipt = _json("The receipt", ReceiptResponse)
    receipt["200"]["content"] = _PAGE | receipt["200"]["content"]
    return {
        "/": {"get": _operation("To the pay page", to_pay, parameters=queries)},
        "/payWithLitkey": {"get": _operation("To the pay page", to_pay, parameters=queries)},
        "/pay": {"get": _operation("The pay page", _html("The page"), parameters=queries)},
        "/receipt/{tx_hash}/{ordinal}": {
            "get": _operation(
                "The permanent receipt of one payment: a page, or JSON where `Accept` asks for that",
                receipt,
                problems=("invalid_input", "not_found", *_READ_PROBLEMS),
                parameters=[
                    _in_path("tx_hash", TxHash),
                    _in_path("ordinal", Ordinal),
                    _in_query("gateway", OneOfSeveral),
                ],
            )
        },
        "/problems/{code}": {
            "get": _operation(
                "What a problem's `type` means",
                _html("The page"),
                problems=("not_found",),
                parameters=[_in_path("code", Annotated[str, Meta(extra_json_schema={"enum": list(PROBLEMS)})])],
            )
        },
        "/static/{digest}/{name}": {
            "get": _operation(
                "A file of the pages; under the current digest it may be kept for ever",
                {"200": {"description": "The file", "content": {"*/*": {}}}},
                problems=("not_found",),
                parameters=[_in_path("digest", str), _in_path("name", str)],
            )
        },
    }


def _health() -> dict[str, Any]:
    answers = _json("Fit to serve", ReadinessResponse)
    ready = _operation("Whether the process is fit to serve", answers)
    unfit = ready["responses"]["503"]
    unfit["content"] = unfit["content"] | answers["200"]["content"]
    unfit["headers"]["Retry-After"]["required"] = False
    spec = {"200": {"description": "OpenAPI 3.1", "content": {"application/json": {"schema": {"type": "object"}}}}}
    abi = {"200": {"description": "The ABI", "content": {"application/json": {"schema": {"type": "array"}}}}}
    return {
        "/healthz": {
            "get": _operation("The process lives; no limit, nothing is read", _json("It does", HealthResponse))
        },
        "/readyz": {"get": ready},
        "/openapi.json": {"get": _operation("This description", spec)},
        "/abi.json": {"get": _operation("The gateway's ABI", abi)},
    }


def _operation(
    summary: str,
    answers: Mapping[str, Any],
    *,
    problems: tuple[str, ...] = (),
    parameters: list[dict[str, Any]] | None = None,
    body: type[msgspec.Struct] | None = None,
) -> dict[str, Any]:
    """Describe an operation: its answers, its own problems, and those that any request may meet."""
    operation: dict[str, Any] = {
        "summary": summary,
        "responses": {**answers, **_problems(*problems, *_COMMON_PROBLEMS)},
    }
    if parameters:
        operation["parameters"] = parameters
    if body:
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": _ref(body)}}}
    return operation


def _problems(*codes: str) -> dict[str, Any]:
    by_status: dict[int, list[str]] = defaultdict(list)
    for code in codes:
        by_status[PROBLEMS[code][0]].append(code)
    return {str(status): _problem(status, codes) for status, codes in sorted(by_status.items())}


def _problem(status: int, codes: list[str]) -> dict[str, Any]:
    types = {"properties": {"type": {"enum": [f"/problems/{code}" for code in codes]}}}
    problem: dict[str, Any] = {
        "description": "; ".join(f"`{code}`: {PROBLEMS[code][1]}" for code in codes),
        "content": {"application/problem+json": {"schema": {"allOf": [_ref(ProblemDocument), types]}}},
    }
    if status in _WITH_RETRY_AFTER:
        problem["headers"] = {"Retry-After": {"required": True, "schema": {"type": "string", "pattern": "^[0-9]+$"}}}
    return problem


def _ref(struct: type[msgspec.Struct]) -> dict[str, str]:
    return {"$ref": _REFS + struct.__name__}


def _json(description: str, struct: type[msgspec.Struct]) -> dict[str, Any]:
    return {"200": {"description": description, "content": {"application/json": {"schema": _ref(struct)}}}}


def _html(description: str) -> dict[str, Any]:
    return {"200": {"description": description, "content": _PAGE}}


def _in_path(name: str, form: Any) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": msgspec.json.schema(form)}


def _in_query(name: str, form: Any) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "schema": msgspec.json.schema(form)}
