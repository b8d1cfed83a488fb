"""Rate limits (docs.stripe.com/rate-limits): an endpoint is its method and URL template, all ids together."""

from collections import deque
from dataclasses import dataclass, field

from stateless_billing.sandbox.answers import Refusal

SEARCH_SUFFIX = "/search"
SECOND = 1.0


@dataclass(slots=True)
class RateLimits:
    """Request limits per sliding second; rejected requests do not count."""

    enabled: bool = True
    endpoint: int = 25
    search: int = 20
    account: int = 100
    account_in_test_mode: int = 25
    _windows: dict[str, deque[float]] = field(default_factory=dict)

    def admit(self, endpoint: str, now: float, *, livemode: bool) -> None:
        """Count a request. Runs before the idempotency layer, so refusals are not saved.

        Raises: `Refusal` 429 with the reason of the exhausted limit.
        """
        if not self.enabled:
            return
        everything = self._window("", now)
        if len(everything) >= (self.account if livemode else self.account_in_test_mode):
            raise rate_limited("global-rate")
        mine = self._window(endpoint, now)
        if len(mine) >= (self.search if endpoint.endswith(SEARCH_SUFFIX) else self.endpoint):
            raise rate_limited("endpoint-rate")
        everything.append(now)
        mine.append(now)

    def _window(self, name: str, now: float) -> deque[float]:
        window = self._windows.get(name)
        if window is None:
            window = self._windows[name] = deque()
        while window and not now - SECOND < window[0] <= now:
            window.popleft()
        return window


def rate_limited(reason: str) -> Refusal:
    """Return the 429 of a rate limiter, with its reason in a header."""
    return Refusal(
        429, "Request rate limit exceeded.", code="rate_limit", headers={"Stripe-Rate-Limited-Reason": reason}
    )


def lock_timeout() -> Refusal:
    """Return the 429 of an object lock: no reason header, and Stripe recommends a retry."""
    message = "This object can't be accessed right now because another API request or process is accessing it."
    return Refusal(429, message, code="lock_timeout", headers={"Stripe-Should-Retry": "true"})
