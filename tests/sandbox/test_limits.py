"""Rate limits over a sliding second."""

import pytest

from stateless_billing.sandbox.answers import Refusal
from stateless_billing.sandbox.limits import RateLimits
from tests.sandbox.in_process_client import InProcessClient


def reason(limits: RateLimits, endpoint: str, now: float, *, livemode: bool = True) -> str | None:
    """Return why a request is rejected, or None."""
    try:
        limits.admit(endpoint, now, livemode=livemode)
    except Refusal as refusal:
        return refusal.headers["Stripe-Rate-Limited-Reason"]
    return None


def test_an_endpoint_takes_25_a_second_in_any_second() -> None:
    limits = RateLimits()
    assert [reason(limits, "POST /v1/a", number / 30) for number in range(25)] == [None] * 25
    assert reason(limits, "POST /v1/a", 0.99) == "endpoint-rate"
    assert reason(limits, "POST /v1/b", 0.99) is None
    assert reason(limits, "POST /v1/a", 1.0) is None
    assert reason(limits, "POST /v1/a", 1.01) == "endpoint-rate"


def test_the_account_takes_100_a_second() -> None:
    limits = RateLimits()
    for number in range(100):
        assert reason(limits, f"GET /v1/{number % 5}", 0.5) is None
    assert reason(limits, "GET /v1/other", 0.5) == "global-rate"
    assert reason(limits, "GET /v1/other", 1.5) is None


def test_a_sandbox_takes_25_a_second_in_all() -> None:
    limits = RateLimits()
    for number in range(25):
        assert reason(limits, f"GET /v1/{number % 5}", 0.5, livemode=False) is None
    assert reason(limits, "GET /v1/other", 0.5, livemode=False) == "global-rate"


def test_search_takes_20_a_second() -> None:
    limits = RateLimits()
    assert [reason(limits, "GET /v1/customers/search", 0) for _ in range(21)] == [None] * 20 + ["endpoint-rate"]


def test_the_refusal_is_a_429() -> None:
    with pytest.raises(Refusal) as refusal:
        RateLimits(endpoint=0).admit("GET /v1/a", 0, livemode=True)
    assert (refusal.value.status, refusal.value.code) == (429, "rate_limit")


def test_limits_can_be_changed_and_switched_off() -> None:
    limits = RateLimits(endpoint=1)
    assert [reason(limits, "GET /v1/a", 0) for _ in range(2)] == [None, "endpoint-rate"]
    limits.enabled = False
    assert reason(limits, "GET /v1/a", 0) is None


def test_a_clock_that_is_set_back_frees_the_window() -> None:
    limits = RateLimits(endpoint=1)
    reason(limits, "GET /v1/a", 1000)
    assert reason(limits, "GET /v1/a", 5) is None


@pytest.mark.parametrize("count", [26])
def test_all_ids_of_a_template_share_its_limit(ask: InProcessClient, count: int) -> None:
    customers = [ask.customer() for _ in range(count)]
    ask.stripe.limits.enabled = True
    assert [ask("GET", f"/v1/customers/{customer}").status for customer in customers] == [200] * 25 + [429]
