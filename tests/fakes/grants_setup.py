"""Grants against the Stripe stand-in within one process: the real ledger, rules and SDK, clocks that tests move."""

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
    """Between the work and its answer, nothing happens."""


class Desk:
    """One Stripe, any number of processes, one clock for all."""

    def __init__(self) -> None:
        self.clock = FakeClock(wall_time=START + 100_000.0)
        self.stripe = StripeStandIn(self.clock.wall, random.Random(7))
        self.stripe.limits.enabled = False
        made = {SERVICE: {RECORD_MARKER: "service", "grants": GRANTS}, GRANTS: {RECORD_MARKER: "grants"}, CUSTOMER: {}}
        for name, metadata in made.items():
            contact = Contact(email="alice@example.org" if name == CUSTOMER else None, metadata=metadata)
            self.stripe.account.add_customer(self.clock.wall(), START, contact, identifier=name)
        self.before_answer: Callable[[httpx.Request], Awaitable[None]] = _nothing
        self._minted = 0

    async def _handle(self, request: httpx.Request) -> httpx.Response:
        answer = self.stripe.handle(
            request.method, request.url.raw_path.decode(), dict(request.headers), request.content
        )
        await self.before_answer(request)
        if answer.delivery is not Delivery.WHOLE:
            raise httpx.ReadError("lost")
        return httpx.Response(answer.status, headers=answer.headers, content=answer.body)

    def ledger(self) -> StripeApi:
        """A process's side of Stripe."""
        return StripeApi(
            key=DEFAULT_KEY,
            base="https://stripe.test",
            rate_limiter=RateLimiter(1_000_000, 1),
            clock=self.clock,
            transport_factory=lambda: httpx.MockTransport(self._handle),
        )

    async def process(self, limits: Caps = LIMITS) -> Grants:
        """One more process that knows nothing."""
        ledger = self.ledger()
        books = ServiceRecords(ledger, SERVICE)
        await books.load()
        return Grants(
            stripe=ledger,
            records=books,
            locks=KeyedLocks(),
            clock=self.clock,
            caps=limits,
            reversals=Reversals(ledger, Proofs()),
        )

    def wish(self, cents: int = 750, *, operator: str = ANN, customer: str = CUSTOMER, **changes: Any) -> GrantRequest:
        """A form filled in."""
        self._minted += 1
        grant = f"{int(self.clock.wall())}-{self._minted:016x}"
        usual = GrantRequest(grant, operator, customer, cents, "goodwill", "They waited for an hour")
        return replace(usual, **changes)

    def fault(self, effect: str, *, times: int = 1, skip: int = 0, path: str = "", **arguments: Any) -> None:
        """Have Stripe fail at a write of balance transactions."""
        self.stripe.faults.add(
            EFFECTS[effect](**arguments), method="POST", template=CREATE, times=times, skip=skip, path=path
        )

    def rows(self, customer: str, kind: str | None = None) -> list[Transaction]:
        """A customer's rows, newest first."""
        found = list(reversed(self.stripe.account.by_id[customer].rows))
        return [row for row in found if kind is None or row.metadata.get("kind") == kind]

    def charge(self, customer: str, cents: int) -> None:
        """A row of another system."""
        self.stripe.account.add_past(
            self.stripe.account.by_id[customer], [(int(self.clock.wall()), Entry(cents, "usd", "Usage", None))]
        )

    def balance(self, customer: str = CUSTOMER) -> int:
        """The customer's credit in cents."""
        return -self.stripe.account.by_id[customer].balance
