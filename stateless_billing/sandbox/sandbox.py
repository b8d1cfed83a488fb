"""The three stand-ins with a shared clock and seed, as served and controlled over HTTP."""

import random
from collections.abc import Callable

from stateless_billing.runtime.clock import SystemClock
from stateless_billing.sandbox.mailbox import Mailbox
from stateless_billing.sandbox.prices import PriceFeed
from stateless_billing.sandbox.stripe_api import StripeStandIn


class AdjustableClock:
    """A clock in Unix seconds with an adjustable `offset`; every stand-in and the `Date` header use it."""

    def __init__(self, base: Callable[[], float]) -> None:
        self._base = base
        self.offset = 0.0

    def __call__(self) -> float:
        return self._base() + self.offset


class Sandbox:
    """Stripe, prices and mail. The next `refused_connections` connections are dropped when accepted."""

    def __init__(
        self,
        clock: Callable[[], float] | None = None,
        seed: int = 0,
        stripe: Callable[[Callable[[], float], random.Random], StripeStandIn] = StripeStandIn,
    ) -> None:
        self.clock = AdjustableClock(clock or SystemClock().wall)
        rng = random.Random(seed)  # noqa: S311 - reproducible, not secret
        self.stripe = stripe(self.clock, rng)
        self.prices = PriceFeed(self.clock)
        self.mailbox = Mailbox(self.clock, rng)
        self.refused_connections = 0
