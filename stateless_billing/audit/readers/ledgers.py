"""Reads one customer's ledger as far as the audit needs it, by the way that takes the fewest pages."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from chain.payment import Payment
from stateless_billing.audit.readers.stripe import Missing, StripeReader, StripeReadError
from stateless_billing.audit.report.report import Coverage
from stateless_billing.audit.rules.cross_customer import claimed_identity
from stateless_billing.audit.rules.facts import AuditedCustomer, CustomerLedger, OrderIndex, Scope
from stateless_billing.audit.rules.listing_plan import TimeWindow, broken, joined, narrow
from stateless_billing.audit.rules.payments import CustomerVerdict, judge
from stateless_billing.domain.balance_chain import flaw
from stateless_billing.domain.epochs import LISTING_LEAD_SECONDS
from stateless_billing.domain.ledger import Entry
from stateless_billing.stripe.objects import Page


@dataclass(slots=True)
class ExpectedEntries:
    """What is to be found on a customer: the credits of its payments and of those redirected to it, and grants."""

    payments: list[Payment] = field(default_factory=list)
    redirected: list[Payment] = field(default_factory=list)
    grants: list[Entry] = field(default_factory=list)

    @property
    def times(self) -> list[int]:
        """Since when each may be there."""
        return [one.time for one in (*self.payments, *self.redirected)] + [one.created for one in self.grants]

    def missed(self, done: CustomerVerdict, scope: Scope) -> list[int]:
        """The times of what is not among the entries that were judged."""
        given = {one.entry.metadata.get("grant") for one in done.grants}
        carried = {claimed_identity(one) for one in done.strays}
        return (
            [one.time for one in done.open if scope.final(one)]
            + [one.time for one in self.redirected if scope.final(one) and one.identity not in carried]
            + [one.created for one in self.grants if one.metadata.get("grant") not in given]
        )


GONE = {True: "customer_deleted", False: "customer_invalid"}


class BookReader:
    """Reads and judges books. Every method raises StripeReadError."""

    def __init__(self, stripe: StripeReader, scope: Scope, orders: OrderIndex, coverage: Coverage) -> None:
        self._stripe, self._scope, self._orders, self._coverage = stripe, scope, orders, coverage

    async def read(self, account: AuditedCustomer, wanted: ExpectedEntries) -> tuple[CustomerLedger, CustomerVerdict]:
        """A customer's book, with its payments and all that is wanted of it."""
        book = CustomerLedger(account, wanted.payments)
        since = self._since(wanted.times)
        if account.state:
            return book, judge(book, self._orders, self._scope)
        try:
            newest = await self._stripe.page(account.id, since, self._scope.time)
        except Missing:
            book.account = await self._gone(account)
            return book, judge(book, self._orders, self._scope)
        left = None if self._scope.deep else narrow(wanted.times, newest, since, self._scope.time)
        if left is None:
            book.entries = await self._ledger(account.id, since, newest)
            book.whole = since == 0
            self._coverage.count("ledgers_read_to_their_end")
            return book, await self._judged(book, wanted)
        runs = [newest.entries, *[await self._window(account.id, window) for window in left]]
        book.entries = joined(runs)
        self._coverage.count("ledgers_read_by_windows")
        return book, await self._judged(book, wanted, runs[1:])

    async def _judged(
        self, book: CustomerLedger, wanted: ExpectedEntries, windows: Sequence[Sequence[Entry]] = ()
    ) -> CustomerVerdict:
        """The verdicts; what is missing is missing only where the ledger proves that it shows everything."""
        done = judge(book, self._orders, self._scope)
        if missed := wanted.missed(done, self._scope):
            proven = await self._proven(book.account.id, min(missed) - LISTING_LEAD_SECONDS)
            book.entries = joined([proven, *windows] if windows else [book.entries, proven])
            done = judge(book, self._orders, self._scope)
        self._coverage.count("entries_read", len(book.entries))
        return done

    async def _proven(self, customer_id: str, since: int) -> list[Entry]:
        """The entries since then, up to the report's time, of a ledger that leaves no room for one that is not shown.

        Raises StripeReadError.
        """
        try:
            reading = await self._stripe.reading(customer_id, max(0, since))
        except Missing as error:
            raise StripeReadError(f"the ledger of {customer_id} went away while it was read") from error
        if reading is None:
            raise StripeReadError(f"the ledger of {customer_id} went away while it was read")
        if fault := flaw(reading):
            raise StripeReadError(f"the ledger of {customer_id} proves no absence: {fault}")
        return [one for one in reading.entries if since <= one.created <= self._scope.time]

    def _since(self, times: Sequence[int]) -> int:
        if self._scope.deep or not times:
            return max(0, self._scope.start - LISTING_LEAD_SECONDS)
        return max(0, min(times) - LISTING_LEAD_SECONDS)

    async def _window(self, customer_id: str, window: TimeWindow) -> list[Entry]:
        try:
            run = await self._stripe.entries(customer_id, window.since, window.until)
        except Missing as error:
            raise StripeReadError(f"the ledger of {customer_id} went away while it was read") from error
        if fault := broken(run, opening=False):
            raise StripeReadError(f"the ledger of {customer_id} does not add up: {fault}")
        return run

    async def _ledger(self, customer_id: str, since: int, newest: Page) -> list[Entry]:
        try:
            found = await self._stripe.entries(customer_id, since, self._scope.time, newest)
        except Missing as error:
            raise StripeReadError(f"the ledger of {customer_id} went away while it was read") from error
        if fault := broken(found, opening=since == 0):
            raise StripeReadError(f"the ledger of {customer_id} does not add up: {fault}")
        return found

    async def _gone(self, account: AuditedCustomer) -> AuditedCustomer:
        """Why a customer has no ledger. One that lives must have one."""
        found = await self._stripe.customer(account.id)
        if found and not found.deleted:
            raise StripeReadError(f"Stripe has the customer {account.id}, but not its ledger")
        return AuditedCustomer(account.id, account.wallet, account.currency, account.cursors, GONE[found is not None])
