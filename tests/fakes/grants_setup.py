"""Grants against the Stripe stand-in in one process, with the real SDK and a fake clock."""

import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import httpx

from stateless_billing.bookkeeping.proofs import Proofs
from stateless_billing.bookkeeping.records import RECORD_MARKER, ServiceRecords
from stateless_billing.bookkeeping.reversals import Reversals
from stateless_billing.grants.caps import Caps
from stateless_billing.grants.entries import GrantRequest
from stateless_billing.grants.granting import Grants
from stateless_billing.runtime.keyed_locks import KeyedLocks
from stateless_billing.sandbox.account import Entry
from stateless_billing.sandbox.answers import Delivery
from stateless_billing.sandbox.api_keys import DEFAULT_KEY
from stateless_billing.sandbox.effects import EFFECTS
from stateless_billing.sandbox.records import Contact, Transaction
from stateless_billing.sandbox.stripe_api import StripeStandIn
from stateless_billing.stripe.client import StripeApi
from stateless_billing.stripe.rate_limiter import RateLimiter
from tests.fakes.factories import START, FakeClock

SERVICE, GRANTS, CUSTOMER = "cus_Service", "cus_Grants", "cus_Alice1"
ANN, BEN = "ann@example.org", "ben@example.org"
LIMITS = Caps(2000, 10_000, 50_000)
CREATE = "/v1/customers/{customer}/balance_transactions"
HOUR = 3600


async def _nothing(request: httpx.Request) -> None:
    """Do nothing between processing a request and its response."""


class GrantsSetup:
    """One Stripe, any number of processes, and a clock they share."""

    def __init__(self) -> None:
        self.clock = FakeClock(wall_time=START + 100_000.0)
        self.stripe = StripeStandIn(self.clock.wall, random.Random(7))
        self.stripe.limits.enabled = False
        customers = {
            SERVICE: {RECORD_MARKER: "service", "grants": GRANTS},
            GRANTS: {RECORD_MARKER: "grants"},
            CUSTOMER: {},
        }
        for name, metadata in customers.items():
            contact = Contact(email="alice@example.org" if name == CUSTOMER else None, metadata=metadata)
            self.stripe.account.add_customer(self.clock.wall(), START, contact, identifier=name)
        self.before_response: Callable[[httpx.Request], Awaitable[None]] = _nothing
        self._minted = 0

    async def _handle(self, request: httpx.Request) -> httpx.Response:
        response = self.stripe.handle(
            request.method, request.url.raw_path.decode(), dict(request.headers), request.content
        )
        await self.before_response(request)
        if response.delivery is not Delivery.WHOLE:
            raise httpx.ReadError("lost")
        return httpx.Response(response.status, headers=response.headers, content=response.body)

    def api(self) -> StripeApi:
        """Create a process's client."""
        return StripeApi(
            key=DEFAULT_KEY,
            base="https://stripe.test",
            rate_limiter=RateLimiter(rate=1_000_000, total_rate=4000000, processes=1),
            clock=self.clock,
            transport_factory=lambda: httpx.MockTransport(self._handle),
        )

    async def process(self, limits: Caps = LIMITS) -> Grants:
        """Start another process, with empty caches."""
        api = self.api()
        records = ServiceRecords(api, SERVICE)
        await records.load()
        return Grants(
            stripe=api,
            records=records,
            locks=KeyedLocks(),
            clock=self.clock,
            caps=limits,
            reversals=Reversals(api, Proofs()),
        )

    def request(
        self, cents: int = 750, *, operator: str = ANN, customer: str = CUSTOMER, **changes: Any
    ) -> GrantRequest:
        """Fill in a form."""
        self._minted += 1
        grant = f"{int(self.clock.wall())}-{self._minted:016x}"
        default = GrantRequest(grant, operator, customer, cents, "goodwill", "They waited for an hour")
        return replace(default, **changes)

    def fault(self, effect: str, *, times: int = 1, skip: int = 0, path: str = "", **arguments: Any) -> None:
        """Make Stripe fail at writes of balance transactions."""
        self.stripe.faults.add(
            EFFECTS[effect](**arguments), method="POST", template=CREATE, times=times, skip=skip, path=path
        )

    def rows(self, customer: str, kind: str | None = None) -> list[Transaction]:
        """Return a customer's balance transactions, newest first."""
        rows = reversed(self.stripe.account.by_id[customer].rows)
        return [row for row in rows if kind is None or row.metadata.get("kind") == kind]

    def charge(self, customer: str, cents: int) -> None:
        """Add another system's balance transaction."""
        self.stripe.account.add_past(
            self.stripe.account.by_id[customer], [(int(self.clock.wall()), Entry(cents, "usd", "Usage", None))]
        )

    def balance(self, customer: str = CUSTOMER) -> int:
        """Return the customer's credit in cents."""
        return -self.stripe.account.by_id[customer].balance
