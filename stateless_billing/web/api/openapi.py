"""The public API, the pages and the health checks, described as OpenAPI 3.1 for `/openapi.json`. Pure."""

from collections import defaultdict
from typing import Any

from stateless_billing.domain.errors import PROBLEMS
from stateless_billing.web.api.schemas import ADDRESS, HASH, SCHEMAS, TEXT, Schema, ref

VERSION = "1"
LEFT_OUT = ("/login", "/logout", "/admin", "/audit", "/api/admin")
"""The operators' addresses: pages of this very service behind a sign-in, and what only they may ask."""

_EVERYWHERE = (
    *("bad_request", "request_timeout", "body_too_large"),
    *("rate_limited", "headers_too_large", "busy", "internal"),
)
_LATER = ("chain_unavailable",)
_ASKS_RETRY = (429, 503)
_PAGE = {"text/html": {"schema": TEXT}}


def create_document() -> dict[str, Any]:
    """The whole document."""
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
        "paths": {**_api(), **_pages(), **_operation()},
        "components": {"schemas": SCHEMAS},
    }


def _api() -> dict[str, Any]:
    claims = (200, "Its payments, and where each stands", "Claimed")
    return {
        "/api/accounts/{wallet}": {
            "get": _does(
                "An account by its wallet; unknown wallets answer alike",
                _json(200, "What payers may see of it", "Account"),
                ("invalid_input", *_LATER, "stripe_unavailable"),
                [_in_path("wallet", ADDRESS)],
            )
        },
        "/api/quotes": {
            "post": _does(
                "A signed price, and the calls that pay it",
                _json(200, "The quote", "Quote"),
                (
                    *("unsupported_media_type", "invalid_input", "unknown_wallet", "wallet_conflict", "not_payable"),
                    *("below_minimum", "above_maximum", "rate_unavailable", "paused", *_LATER, "stripe_unavailable"),
                ),
                body="QuoteWish",
            )
        },
        "/api/payments": {
            "post": _does(
                "Claim an EVM transaction: every payment in it that is due is credited",
                _json(*claims),
                ("unsupported_media_type", "invalid_input", *_LATER, "stripe_unavailable"),
                body="Claim",
            )
        },
        "/api/payments/{tx_hash}": {
            "get": _does(
                "The same answer, without writing",
                _json(*claims),
                ("invalid_input", *_LATER, "stripe_unavailable"),
                [_in_path("tx_hash", HASH)],
            )
        },
    }


def _pages() -> dict[str, Any]:
    queries = [_in_query(name, {**TEXT, "description": said}) for name, said in _PAY_QUERY.items()]
    to_pay = {"307": {"description": "To the pay page", "headers": {"Location": {"schema": TEXT, "required": True}}}}
    receipt = {"description": "The receipt", "content": {**_PAGE, "application/json": {"schema": ref("Receipt")}}}
    return {
        "/": {"get": _does("To the pay page", to_pay, parameters=queries)},
        "/payWithLitkey": {"get": _does("To the pay page", to_pay, parameters=queries)},
        "/pay": {"get": _does("The pay page", _html("The page"), parameters=queries)},
        "/receipt/{tx_hash}/{ordinal}": {
            "get": _does(
                "The permanent receipt of one payment: a page, or JSON where `Accept` asks for that",
                {"200": receipt},
                ("invalid_input", "not_found", *_LATER, "stripe_unavailable"),
                [
                    _in_path("tx_hash", HASH),
                    _in_path("ordinal", {"type": "integer", "minimum": 0, "maximum": 9999}),
                    _in_query("gateway", {**ADDRESS, "description": "Where one EVM transaction paid several."}),
                ],
            )
        },
        "/problems/{code}": {
            "get": _does(
                "What a problem's `type` means",
                _html("The page"),
                ("not_found",),
                [_in_path("code", {**TEXT, "enum": list(PROBLEMS)})],
            )
        },
        "/static/{digest}/{name}": {
            "get": _does(
                "A file of the pages; under the current digest it may be kept for ever",
                {"200": {"description": "The file", "content": {"*/*": {}}}},
                ("not_found",),
                [_in_path("digest", TEXT), _in_path("name", TEXT)],
            )
        },
    }


def _operation() -> dict[str, Any]:
    fit, unfit = _json(200, "Fit to serve", "Readiness"), ref("Readiness")
    ready = _does("Whether the process is fit to serve", fit)
    ready["responses"]["503"]["content"]["application/json"] = {"schema": unfit}
    ready["responses"]["503"]["headers"]["Retry-After"]["required"] = False
    spec = {"200": {"description": "OpenAPI 3.1", "content": {"application/json": {"schema": {"type": "object"}}}}}
    return {
        "/healthz": {"get": _does("The process lives; no limit, nothing is read", _json(200, "It does", "Health"))},
        "/readyz": {"get": ready},
        "/openapi.json": {"get": _does("This description", spec)},
    }


_PAY_QUERY = {
    "wallet": "Whose account is to be credited.",
    "usd": "Dollars, as 50 or 12.50.",
    "return_url": "Where to go afterwards; only allowed origins are shown.",
    "ref": "Handed back with `return_url`.",
}


def _does(
    summary: str,
    answers: dict[str, Any],
    codes: tuple[str, ...] = (),
    parameters: list[dict[str, Any]] | None = None,
    body: str | None = None,
) -> dict[str, Any]:
    """One operation: its answers, and the problems it may tell besides those that any request may meet."""
    done: dict[str, Any] = {"summary": summary, "responses": {**answers, **_problems(*codes, *_EVERYWHERE)}}
    if parameters:
        done["parameters"] = parameters
    if body:
        done["requestBody"] = {"required": True, "content": {"application/json": {"schema": ref(body)}}}
    return done


def _problems(*codes: str) -> dict[str, Any]:
    by_status: dict[int, list[str]] = defaultdict(list)
    for code in codes:
        by_status[PROBLEMS[code][0]].append(code)
    return {str(status): _problem(status, found) for status, found in sorted(by_status.items())}


def _problem(status: int, codes: list[str]) -> dict[str, Any]:
    types = {"properties": {"type": {"enum": [f"/problems/{code}" for code in codes]}}}
    told: dict[str, Any] = {
        "description": "; ".join(f"`{code}`: {PROBLEMS[code][1]}" for code in codes),
        "content": {"application/problem+json": {"schema": {"allOf": [ref("Problem"), types]}}},
    }
    if status in _ASKS_RETRY:
        told["headers"] = {"Retry-After": {"required": True, "schema": {"type": "string", "pattern": "^[0-9]+$"}}}
    return told


def _json(status: int, description: str, schema: str) -> dict[str, Any]:
    return {str(status): {"description": description, "content": {"application/json": {"schema": ref(schema)}}}}


def _html(description: str) -> dict[str, Any]:
    return {"200": {"description": description, "content": _PAGE}}


def _in_path(name: str, schema: Schema) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _in_query(name: str, schema: Schema) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "schema": schema}
