"""Metrics: names, labels and bounded cardinality."""

import pytest
from prometheus_client import REGISTRY

from stateless_billing.runtime import metrics
from stateless_billing.stripe.errors import (
    InQuietZone,
    LockTimeout,
    NotSent,
    OutcomeUnknown,
    RateLimited,
    RequestInProgress,
    RequestRejected,
    StripeUnavailable,
)
from stateless_billing.stripe.metrics import measure_stripe_call


def sample_value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (None, "ok"),
        (StripeUnavailable("x"), "down"),
        (OutcomeUnknown("x"), "unclear"),
        (RequestInProgress("x"), "in_progress"),
        (RateLimited("x"), "limited"),
        (LockTimeout("x"), "locked"),
        (RequestRejected("x", None), "refused"),
        (NotSent("x"), "not_sent"),
        (InQuietZone(1), "other"),
        (KeyError("x"), "other"),
    ],
)
def test_each_outcome_of_a_stripe_call_is_counted_once(error: Exception | None, outcome: str) -> None:
    before = sample_value("billing_stripe_requests_total", endpoint="GET x", outcome=outcome)
    if error is None:
        with measure_stripe_call("GET x"):
            pass
    else:
        with pytest.raises(type(error)), measure_stripe_call("GET x"):
            raise error
    assert sample_value("billing_stripe_requests_total", endpoint="GET x", outcome=outcome) == before + 1


def test_unknown_methods_share_one_label() -> None:
    for method in ("GET", "INVENTED", "ANOTHER"):
        with metrics.record_request("", method) as response:
            response["status"] = 404
    assert sample_value("billing_http_requests_total", part="other", method="GET", status="404") >= 1
    assert sample_value("billing_http_requests_total", part="other", method="other", status="404") >= 2
