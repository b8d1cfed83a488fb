"""Failures of calls to Stripe, by what is known about the outcome."""

from chain.payment import is_customer_id


class StripeFailure(Exception):
    """A call to Stripe failed. The message says why and contains Stripe's request ID, if any."""


class NotSent(StripeFailure):
    """Nothing was sent: the connection had closed, or the decision no longer held."""


class ConnectionNotKept(NotSent):
    """Nothing was sent: no connection stays open for the write that must follow its reads."""

    def __init__(self) -> None:
        super().__init__(
            "Stripe, or a proxy in between, closes the connection after every answer (Connection: close / HTTP/1.0);"
            " writes need a connection that stays open, so nothing was sent"
        )


class InQuietZone(StripeFailure):
    """Nothing was sent: the quiet zone between two idempotency keys ends in `seconds`."""

    def __init__(self, seconds: int, reason: str = "waiting for the quiet zone between two keys to end") -> None:
        super().__init__(reason)
        self.seconds = seconds


class NeedsSecondReading(InQuietZone):
    """Nothing was sent: the ledger must be read a second time, in `seconds` at the earliest."""

    def __init__(self, seconds: int) -> None:
        super().__init__(seconds, "the ledger was read once; a second reading is needed half an hour later")


class LedgerUnproven(StripeFailure):
    """Nothing was sent: the ledger does not prove that the write is safe."""


class OutcomeUnknown(StripeFailure):
    """The request was sent and may have succeeded; only a later read can tell."""


class KeyReusedDifferently(OutcomeUnknown):
    """The idempotency key was used before with other parameters."""


class RequestInProgress(OutcomeUnknown):
    """Another request with the same idempotency key is in progress."""


class RateLimited(StripeFailure):
    """Stripe rejected the request for now; nothing was done. `limiter` names the rate limiter that did, if one did."""

    def __init__(self, message: str, limiter: str | None = None) -> None:
        super().__init__(message)
        self.limiter = limiter


class LockTimeout(RateLimited):
    """Another request held the lock on the object; nothing was done."""


class StripeUnavailable(StripeFailure):
    """Stripe could not be read: there was no proper answer."""


PERMISSION_MISSING = "permission_missing"
"""The code of a RequestRejected for what the key need not be allowed to do."""


class KeyRejected(StripeUnavailable):
    """Stripe rejected the API key; nothing was done."""


class RequestRejected(StripeFailure):
    """Stripe rejected the request and will do so again. `code` is Stripe's error code."""

    def __init__(self, message: str, code: str | None) -> None:
        super().__init__(message)
        self.code = code


def require_customer_id(customer_id: str) -> str:
    """Return an ID that may become part of a URL. Raises: RequestRejected."""
    if not is_customer_id(customer_id):
        raise RequestRejected("not a Stripe customer ID", "customer_invalid")
    return customer_id
