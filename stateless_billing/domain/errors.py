"""Problems that are returned to callers, which `web/http/problems.py` renders, and what ends a start."""

from dataclasses import dataclass

PROBLEMS: dict[str, tuple[int, str]] = {
    "bad_request": (400, "The request is malformed"),
    "not_found": (404, "Nothing exists at this address"),
    "method_not_allowed": (405, "This address does not accept that method"),
    "request_timeout": (408, "The request did not arrive in time"),
    "body_too_large": (413, "The request's body is too large"),
    "unsupported_media_type": (415, "The body must be JSON"),
    "invalid_input": (422, "A value in the request is not valid"),
    "rate_limited": (429, "Too many requests from this address"),
    "headers_too_large": (431, "The request's headers are too large"),
    "unknown_wallet": (404, "No account has this wallet"),
    "wallet_conflict": (409, "We cannot tell which account this wallet pays for"),
    "not_payable": (409, "This account does not take payments here"),
    "below_minimum": (422, "The amount is below the minimum"),
    "above_maximum": (422, "The amount is above the maximum"),
    "rate_unavailable": (503, "There is no price right now"),
    "paused": (503, "Payments are paused"),
    "busy": (503, "Too many requests right now"),
    "chain_unavailable": (503, "The chain could not be read"),
    "stripe_unavailable": (503, "Stripe could not be read"),
    "signed_out": (401, "You are not signed in"),
    "sign_in_again": (401, "Your sign-in is too old for this"),
    "sign_in_failed": (401, "The sign-in failed"),
    "not_allowed": (403, "Your role does not allow this"),
    "forged_request": (403, "The request did not come from our page"),
    "form_invalid": (422, "The form is not ours or was altered"),
    "form_dead": (409, "The form is too old"),
    "over_cap": (409, "The grant is above a limit"),
    "look_alike": (409, "The same grant was given a moment ago"),
    "unusable_customer": (409, "The customer cannot be credited"),
    "too_late": (409, "The time for this has passed"),
    "already_done": (409, "This was done before"),
    "over_bound": (409, "The decision is above a bound that nobody passes"),
    "changed": (409, "What was shown has changed"),
    "unclear": (503, "The outcome is not known yet"),
    "internal": (500, "Something went wrong on our side"),
}


@dataclass
class ProblemError(Exception):
    """A refused request.

    `code` is a key of PROBLEMS; `detail` says what happened, if money moved, and what to do.
    """

    code: str
    detail: str

    def __str__(self) -> str:
        return f"{self.code}: {self.detail}"


class StartupRefused(Exception):
    """The service must not start. The message says what is wrong and how to fix it."""


class StartupReadFailed(StartupRefused):
    """The service cannot start because Stripe or the chain could not be read."""
