"""Problems have a status and a title; kinds of Stripe failure stay distinct."""

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


def test_a_problem_shows_its_code_and_detail() -> None:
    assert str(ProblemError("paused", "No money moved.")) == "paused: No money moved."


@pytest.mark.parametrize("code", PROBLEMS)
def test_every_problem_has_an_error_status_and_a_title(code: str) -> None:
    status, title = PROBLEMS[code]
    assert 400 <= status <= 599
    assert title[0].isupper()


def test_only_request_in_progress_is_an_unknown_outcome() -> None:
    kinds = (NotSent, OutcomeUnknown, RequestInProgress, RateLimited, StripeUnavailable, RequestRejected)
    related = {(kind, base) for kind in kinds for base in kinds if kind is not base and issubclass(kind, base)}
    assert related == {(RequestInProgress, OutcomeUnknown)}
    assert all(issubclass(kind, StripeFailure) for kind in kinds)


def test_a_rejection_keeps_stripes_code() -> None:
    assert RequestRejected("no", "resource_missing").code == "resource_missing"
