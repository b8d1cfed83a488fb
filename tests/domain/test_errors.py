"""Errors: refusals have a status, and the kinds of Stripe failure stay apart, since money depends on which it was."""

import pytest

from stateless_billing.domain.errors import PROBLEMS, ProblemError
from stateless_billing.stripe.errors import (
    NotSent,
    OutcomeUnknown,
    RateLimited,
    RequestInProgress,
    RequestRejected,
    StripeFailure,
    StripeUnavailable,
)


def test_a_refusal_tells_its_code_and_what_happened() -> None:
    assert str(ProblemError("paused", "No money moved.")) == "paused: No money moved."


@pytest.mark.parametrize("code", PROBLEMS)
def test_every_problem_is_an_error_with_a_title(code: str) -> None:
    status, title = PROBLEMS[code]
    assert 400 <= status <= 599
    assert title[0].isupper()


def test_only_another_request_under_way_is_also_unclear() -> None:
    kinds = (NotSent, OutcomeUnknown, RequestInProgress, RateLimited, StripeUnavailable, RequestRejected)
    related = {(one, other) for one in kinds for other in kinds if one is not other and issubclass(one, other)}
    assert related == {(RequestInProgress, OutcomeUnknown)}
    assert all(issubclass(kind, StripeFailure) for kind in kinds)


def test_what_stripe_refused_keeps_stripes_code() -> None:
    assert RequestRejected("no", "resource_missing").code == "resource_missing"
