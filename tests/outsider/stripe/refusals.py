"""Stripe's errors: status, type, code and parameter."""

from dataclasses import dataclass, field
from typing import Any

ERROR_GUIDE = "https://docs.stripe.com/error-codes"


@dataclass
class Refusal(Exception):
    """An answer that is not a success."""

    status: int
    message: str
    code: str | None = None
    param: str | None = None
    type: str = "invalid_request_error"
    headers: dict[str, str] = field(default_factory=dict)

    def body(self, request_id: str) -> dict[str, Any]:
        """Return the error as Stripe's JSON; absent fields are left out."""
        error: dict[str, Any] = {"message": self.message, "type": self.type}
        if self.code:
            error |= {"code": self.code, "doc_url": f"{ERROR_GUIDE}/{self.code.replace('_', '-')}"}
        if self.param:
            error["param"] = self.param
        error["request_log_url"] = f"https://dashboard.stripe.com/test/logs/{request_id}"
        return {"error": error}


def invalid(message: str, param: str, code: str | None = None) -> Refusal:
    """Return the refusal of a parameter."""
    return Refusal(400, message, code, param)


def missing_object(noun: str, object_id: str, param: str, status: int = 404) -> Refusal:
    """Return the refusal of an ID: 404 if the address names it, 400 if a parameter does."""
    return Refusal(status, f"No such {noun}: '{object_id}'", "resource_missing", param)


def unknown_address(method: str, path: str) -> Refusal:
    """Return the refusal of an address that the API does not have."""
    return Refusal(404, f"Unrecognized request URL ({method}: {path}).")


def rate_limited(reason: str) -> Refusal:
    """Return the 429 of a rate limiter, which names its reason."""
    return Refusal(429, "Too many requests.", "rate_limit", headers={"Stripe-Rate-Limited-Reason": reason})


def lock_timeout() -> Refusal:
    """Return the 429 of an object that another request holds: no reason header."""
    message = "This object can't be accessed right now: another request or Stripe process holds it."
    return Refusal(429, message, "lock_timeout", headers={"Stripe-Should-Retry": "true"})


def key_in_use(key: str) -> Refusal:
    """Return the 409 of a key whose first request is still running."""
    message = f"There is currently another in-progress request using this Idempotent Key: {key}"
    headers = {"Stripe-Should-Retry": "true"}
    return Refusal(409, message, "idempotency_key_in_use", type="idempotency_error", headers=headers)


def key_of_another_request(key: str, path: str, first_path: str) -> Refusal:
    """Return the 400 of a key that was first used with other parameters or another endpoint."""
    if path == first_path:
        message = f"Keys for idempotent requests can only be used with the same parameters they were first used with. Try using a key other than '{key}'."  # noqa: E501
    else:
        message = f"Keys for idempotent requests can only be used for the same endpoint they were first used for ('{path}' vs '{first_path}'). Try using a key other than '{key}'."  # noqa: E501
    return Refusal(400, message, type="idempotency_error")


def server_error() -> Refusal:
    """Return a 500, whose outcome is indeterminate."""
    return Refusal(500, "An unknown error occurred.", type="api_error", headers={"Stripe-Should-Retry": "false"})
