"""What is counted of the calls to Stripe, for `/metrics`."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import Counter, Histogram

from stateless_billing.stripe.errors import (
    ConnectionNotKept,
    LockTimeout,
    NotSent,
    OutcomeUnknown,
    RateLimited,
    RequestInProgress,
    RequestRejected,
    StripeFailure,
    StripeUnavailable,
)
from stateless_billing.stripe.rate_limiter import Endpoint

_OUTCOMES = {
    StripeUnavailable: "down",
    RequestInProgress: "in_progress",
    LockTimeout: "locked",
    NotSent: "not_sent",
    ConnectionNotKept: "not_sent",
    RateLimited: "limited",
    RequestRejected: "refused",
    OutcomeUnknown: "unclear",
}

STRIPE_CALLS = Counter(
    "billing_stripe_requests",
    "Calls to Stripe. outcome: ok, refused, limited (a rate limiter's 429), locked (another 429), down, unclear,"
    " in_progress, not_sent, other.",
    ["endpoint", "outcome"],
)
for _endpoint in Endpoint:
    for _outcome in ("limited", "down", "unclear"):  # those with an alert
        STRIPE_CALLS.labels(
            _endpoint.value, _outcome
        )  # exported as 0 before the first, so that the first is an increase
STRIPE_SECONDS = Histogram(
    "billing_stripe_request_seconds",
    "How long calls to Stripe took, from the pacer's grant on.",
    ["endpoint"],
    buckets=(0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 5, 15, 45),
)


@contextmanager
def measure_stripe_call(endpoint: str) -> Iterator[None]:
    """Count and time one call to Stripe by its outcome."""
    outcome, started_at = "other", time.perf_counter()
    try:
        yield
        outcome = "ok"
    except StripeFailure as error:
        outcome = _OUTCOMES.get(type(error), outcome)
        raise
    finally:
        STRIPE_CALLS.labels(endpoint, outcome).inc()
        STRIPE_SECONDS.labels(endpoint).observe(time.perf_counter() - started_at)
