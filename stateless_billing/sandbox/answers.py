"""Answers of the stand-ins, and Stripe's error objects (docs.stripe.com/api/errors)."""

import json
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

Json: TypeAlias = dict[str, object]

DOCUMENTATION = "https://docs.stripe.com/error-codes/"
LOGS = "https://dashboard.stripe.com/test/logs/"
CODES = frozenset({
    "amount_too_large", "amount_too_small", "api_key_expired", "email_invalid", "idempotency_key_in_use",
    "invalid_characters", "livemode_mismatch", "lock_timeout", "parameter_invalid_empty", "parameter_invalid_integer",
    "parameter_invalid_string_blank", "parameter_invalid_string_empty", "parameter_missing", "parameter_unknown",
    "parameters_exclusive", "platform_api_key_expired", "rate_limit", "resource_already_exists", "resource_missing",
    "secret_key_required", "testmode_charges_only", "url_invalid",
})  # fmt: skip
"""The published error codes relevant to these endpoints (docs.stripe.com/error-codes).

Many `invalid_request_error`s have no code, for example for a group instead of a string or a text that is too long.
"""


class Delivery(StrEnum):
    """How an answer is delivered to the caller."""

    WHOLE = "whole"
    LOST = "lost"
    """Nothing is written; the connection closes."""
    CUT = "cut"
    """The headers announce the full length; only the beginning of the body is sent, then the connection closes."""
    CLOSED = "closed"
    """The answer is sent completely, then the connection closes without notice."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer. `length` is the announced Content-Length, which exceeds `body` if the delivery is CUT."""

    status: int
    headers: dict[str, str]
    body: bytes
    delivery: Delivery = Delivery.WHOLE
    length: int = 0


def json_answer(status: int, body: bytes, headers: dict[str, str] | None = None) -> Answer:
    """Return a complete answer with a JSON body."""
    return Answer(status, {"Content-Type": "application/json", **(headers or {})}, body, length=len(body))


LOST_ANSWER = Answer(0, {}, b"", Delivery.LOST)


class Refusal(Exception):
    """A Stripe error object: HTTP status, `type`, `message`, and optionally `code`, `param` and headers.

    Raises: `ValueError` for a `code` that is not in `CODES`.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        kind: str = "invalid_request_error",
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        if code is not None and code not in CODES:
            raise ValueError(f"Stripe publishes no error code {code}")
        self.status = status
        self.message = message
        self.code = code
        self.param = param
        self.kind = kind
        self.headers = headers or {}


@dataclass(slots=True)
class Outcome:
    """The result of a request before delivery: status, body and headers."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    replayed: bool = False
    original: str = ""


def refusal_outcome(refusal: Refusal, request_id: str, now: int) -> Outcome:
    """Render a refusal as Stripe does: fields that do not apply are absent, not null."""
    error: Json = {}
    if refusal.code is not None:
        error["code"] = refusal.code
        error["doc_url"] = DOCUMENTATION + refusal.code.replace("_", "-")
    error["message"] = refusal.message
    if refusal.param is not None:
        error["param"] = refusal.param
    error["request_log_url"] = f"{LOGS}{request_id}?t={now}"
    error["type"] = refusal.kind
    return Outcome(refusal.status, json.dumps({"error": error}).encode(), dict(refusal.headers))


def no_such(kind: str, identifier: str, param: str = "id", status: int = 404) -> Refusal:
    """Return the refusal for a missing or deleted object; for a cursor, pass status 400."""
    return Refusal(status, f"No such {kind}: '{identifier}'", code="resource_missing", param=param)
