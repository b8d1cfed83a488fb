"""Makes Stripe's SDK send through our connections, and says what its errors mean."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import stripe as stripe  # for `client.py` too

from stateless_billing.stripe.connection import Connection
from stateless_billing.stripe.errors import (
    PERMISSION_MISSING,
    KeyRejected,
    KeyReusedDifferently,
    LockTimeout,
    OutcomeUnknown,
    RateLimited,
    RequestInProgress,
    RequestRejected,
    StripeFailure,
)

T = TypeVar("T")


stripe.enable_telemetry = False  # its header would differ between two attempts of one request


class HTTPClient(stripe.HTTPClient):
    """Makes the SDK send through our connection, whose exceptions pass through unchanged."""

    name = "httpx"

    def __init__(self, connection: Connection) -> None:
        super().__init__()
        self._connection = connection

    async def request_async(
        self, method: str, url: str, headers: Mapping[str, str], post_data: Any = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        return await self._connection.request(method, url, headers, post_data)


def create_client(key: str, base: str | None, connection: Connection, version: str) -> stripe.StripeClient:
    """Create a client that sends each request once, over `connection`. `base` replaces Stripe's address."""
    addresses: Any = {"api": base} if base else {}
    return stripe.StripeClient(
        key,
        base_addresses=addresses,
        http_client=HTTPClient(connection),
        stripe_version=version,
        max_network_retries=0,
    )


def failure_of_error(
    error: stripe.StripeError, on_lost_response: type[StripeFailure], *, may_be_denied: bool = False
) -> StripeFailure:
    """Map an error response to a failure (https://docs.stripe.com/error-low-level).

    `may_be_denied` says that the service works without the permission, so that its absence is no fault of the key.
    """
    status, text = error.http_status or 0, describe_error(error)
    if may_be_denied and isinstance(error, stripe.PermissionError):
        return RequestRejected(text, PERMISSION_MISSING)
    if isinstance(error, stripe.AuthenticationError | stripe.PermissionError):
        return KeyRejected(f"Stripe rejected the API key: {text}")
    if isinstance(error, stripe.RateLimitError):
        headers = error.headers or {}
        if headers.get("Idempotent-Replayed") == "true" and on_lost_response is OutcomeUnknown:
            return OutcomeUnknown(f"Stripe saved a lock timeout under this key and replays it: {text}")
        limiter = headers.get("Stripe-Rate-Limited-Reason")
        return RateLimited(text, limiter) if limiter else LockTimeout(text)
    if status == 409:
        return RequestInProgress(text) if on_lost_response is OutcomeUnknown else on_lost_response(text)
    if isinstance(error, stripe.IdempotencyError) and on_lost_response is OutcomeUnknown:
        return KeyReusedDifferently(text)
    if isinstance(error, stripe.IdempotencyError) or status in (200, 408, 424) or status >= 500:
        return on_lost_response(text)
    if 400 <= status < 500:
        code = error.error.code if error.error else None
        return RequestRejected(text, code if isinstance(code, str) else None)
    return on_lost_response(text)


def describe_error(error: stripe.StripeError) -> str:
    """Format an error response on one line: status, message and request ID."""
    message = error.error.message if error.error else None
    return f"HTTP {error.http_status} {message or type(error).__name__} ({error.request_id or 'no request id'})"


def parse_response(
    parse: Callable[[bytes], T], response: stripe.StripeResponse, on_lost_response: type[StripeFailure]
) -> T:
    """Parse a response's JSON. One without its documented form is a lost response."""
    try:
        return parse(response.body.encode())
    except ValueError as error:
        raise on_lost_response(f"Stripe's response does not have its documented form: {error}") from error
