"""Describes the public API, the pages and the health checks as OpenAPI 3.1, from the types of bodies and answers."""

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
from stateless_billing.services.readiness import ReadinessResponse
from stateless_billing.web.api.account_events import MEDIA_TYPE
from stateless_billing.web.api.openapi_parts import (
    PAGE,
    REFS,
    json_answer,
    operation,
    page_answer,
    path_parameter,
    query_parameter,
)
from stateless_billing.web.api.requests import ClaimRequest, QuoteRequest, QuoteStatusRequest
from stateless_billing.web.http.health import HealthResponse
from stateless_billing.web.http.problems import ProblemDocument

VERSION = "1"
LEFT_OUT = ("/login", "/logout", "/admin", "/audit", "/api/admin")
"""The operators' addresses. They are behind a sign-in and not part of the public API."""

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
_READ_PROBLEMS = ("chain_unavailable", "stripe_unavailable")
_PAY_QUERY = {
    "wallet": "Whose account is to be credited.",
    "usd": "Dollars, as 50 or 12.50.",
    "return_url": "Where to go afterwards; only allowed origins are shown.",
    "ref": "Handed back with `return_url`.",
    "tx_hash": "An EVM transaction to look up.",
}

_TAGS = {
    "Pay": "Ask for a price, pay it from any wallet, and have the payment credited.",
    "Look up": "Read only. Nothing here costs money or writes anything.",
    "Pages": "For people.",
    "Service": "Whether the service runs, and how to talk to it.",
}

Ordinal = Annotated[int, Meta(ge=0, le=9999)]
OneOfSeveral = Annotated[
    str, Meta(pattern="^0x[0-9a-fA-F]{40}$", description="Where one EVM transaction paid several.")
]


def create_document() -> dict[str, Any]:
    """Create the whole document."""
    _, schemas = msgspec.json.schema_components(_STRUCTS, ref_template=REFS + "{name}")
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "stateless-billing",
            "version": VERSION,
            "summary": "LITKEY paid on Base becomes credit in Stripe, once.",
            "description": "Cents are integers, token amounts decimal strings of base units, times unix seconds."
            " Every GET may be asked as HEAD. A refusal is a problem (RFC 9457): `type` is for programs, and `detail`"
            " says what happened, whether money moved and what to do. The operators' addresses behind the sign-in"
            f" ({', '.join(LEFT_OUT)}) are not part of this description.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": description} for name, description in _TAGS.items()],
        "paths": {**_quotes(), **_payments(), **_accounts(), **_receipts(), **_pages(), **_service()},
        "components": {"schemas": schemas},
    }


def _quotes() -> dict[str, Any]:
    refusals = (
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
    )
    return {
        "/api/quotes": {
            "post": operation(
                "createQuote",
                "A signed price, and the calls that pay it",
                json_answer("The quote", QuoteResponse),
                tag="Pay",
                description="Send `calls` in order from the payer's wallet before `deadline`, each once the one before"
                " it is mined. The contract accepts the quote once, for exactly `amount`. An unpaid quote simply ends.",
                problems=refusals,
                body=QuoteRequest,
            )
        },
        "/api/quotes/status": {
            "post": operation(
                "getQuoteStatus",
                "Whether a quote was paid, and whether it still can be",
                json_answer("Where it stands", QuoteStatusResponse),
                tag="Look up",
                description="From the chain alone, without writing. Pay again only on `void`.",
                problems=("unsupported_media_type", "invalid_input", "chain_unavailable"),
                body=QuoteStatusRequest,
            )
        },
    }


def _payments() -> dict[str, Any]:
    claim = json_answer("Its payments, and where each stands", ClaimResponse)
    return {
        "/api/payments": {
            "post": operation(
                "claimPayment",
                "Claim an EVM transaction: every payment in it that is due is credited",
                claim,
                tag="Pay",
                description="Safe to repeat: a payment is credited once. Ask again after `retry_after` seconds while"
                " the state is `unknown`, `confirming` or `pending`; of a `held` payment staff decide. Claiming is"
                " optional, since the service finds every payment by itself; it is faster.",
                problems=("unsupported_media_type", "invalid_input", *_READ_PROBLEMS),
                body=ClaimRequest,
            )
        },
        "/api/payments/{tx_hash}": {
            "get": operation(
                "getPayment",
                "Where the payments of an EVM transaction stand, without writing",
                claim,
                tag="Look up",
                problems=("invalid_input", *_READ_PROBLEMS),
                parameters=[path_parameter("tx_hash", TxHash)],
            )
        },
    }


def _accounts() -> dict[str, Any]:
    return {
        "/api/accounts/{wallet}": {
            "get": operation(
                "getAccount",
                "An account by its wallet",
                json_answer("What payers may see of it", AccountResponse),
                tag="Look up",
                description="Unknown wallets answer alike and in the same time, with `found` false.",
                problems=("invalid_input", *_READ_PROBLEMS),
                parameters=[path_parameter("wallet", Address)],
            )
        },
        "/api/accounts/{wallet}/events": {
            "get": operation(
                "streamAccount",
                "An account as server-sent events",
                {
                    "200": {"description": "The stream", "content": {MEDIA_TYPE: {"schema": {"type": "string"}}}},
                    "204": {"description": "`Last-Event-ID` is `displaced`: this stream made room, ask now and then"},
                },
                tag="Look up",
                description="Event `account`, with the JSON of `/api/accounts/{wallet}` as data, on connecting and"
                " whenever it changed; a comment and an event `alive` every 15 seconds.",
                problems=("invalid_input", *_READ_PROBLEMS),
                parameters=[path_parameter("wallet", Address)],
            )
        },
    }


def _receipts() -> dict[str, Any]:
    receipt = json_answer("The receipt", ReceiptResponse)
    receipt["200"]["content"] = PAGE | receipt["200"]["content"]
    return {
        "/receipt/{tx_hash}/{ordinal}": {
            "get": operation(
                "getReceipt",
                "The permanent receipt of one payment",
                receipt,
                tag="Look up",
                description="A page, or JSON where `Accept` asks for that. Rebuilt from chain and Stripe each time.",
                problems=("invalid_input", "not_found", *_READ_PROBLEMS),
                parameters=[
                    path_parameter("tx_hash", TxHash),
                    path_parameter("ordinal", Ordinal),
                    query_parameter("gateway", OneOfSeveral),
                ],
            )
        },
    }


def _pages() -> dict[str, Any]:
    queries = [
        query_parameter(name, Annotated[str, Meta(description=description)]) for name, description in _PAY_QUERY.items()
    ]
    location = {"schema": {"type": "string"}, "required": True}
    to_pay = {"307": {"description": "To the pay page", "headers": {"Location": location}}}
    page = page_answer("The page")
    codes = Annotated[str, Meta(extra_json_schema={"enum": list(PROBLEMS)})]
    file = {"200": {"description": "The file", "content": {"*/*": {}}}}
    return {
        "/": {"get": operation("openSite", "To the pay page", to_pay, tag="Pages", parameters=queries)},
        "/payWithLitkey": {
            "get": operation("openFormerPage", "To the pay page", to_pay, tag="Pages", parameters=queries)
        },
        "/pay": {"get": operation("openPayPage", "The pay page", page, tag="Pages", parameters=queries)},
        "/docs/api": {"get": operation("openReference", "This description as a page", page, tag="Pages")},
        "/problems/{code}": {
            "get": operation(
                "openProblem",
                "What a problem's `type` means",
                page,
                tag="Pages",
                problems=("not_found",),
                parameters=[path_parameter("code", codes)],
            )
        },
        "/static/{digest}/{name}": {
            "get": operation(
                "getFile",
                "A file of the pages; under the current digest it may be kept for ever",
                file,
                tag="Pages",
                problems=("not_found",),
                parameters=[path_parameter("digest", str), path_parameter("name", str)],
            )
        },
    }


def _service() -> dict[str, Any]:
    answers = json_answer("Fit to serve", ReadinessResponse)
    ready = operation("getReadiness", "Whether the process is fit to serve", answers, tag="Service")
    unfit = ready["responses"]["503"]
    unfit["content"] = unfit["content"] | answers["200"]["content"]
    unfit["headers"]["Retry-After"]["required"] = False
    alive = json_answer("It does", HealthResponse)
    document = {"200": {"description": "OpenAPI 3.1", "content": {"application/json": {"schema": {"type": "object"}}}}}
    abi = {"200": {"description": "The ABI", "content": {"application/json": {"schema": {"type": "array"}}}}}
    return {
        "/healthz": {
            "get": operation("getHealth", "The process lives; no limit, nothing is read", alive, tag="Service")
        },
        "/readyz": {"get": ready},
        "/openapi.json": {"get": operation("getDescription", "This description", document, tag="Service")},
        "/abi.json": {"get": operation("getAbi", "The gateway's ABI", abi, tag="Service")},
    }
