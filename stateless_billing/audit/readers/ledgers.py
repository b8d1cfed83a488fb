"""Reads one customer's ledger as far as the audit needs it, by the way that takes the fewest pages."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from chain.payment import Payment
from stateless_billing.audit.readers.stripe import Missing, StripeReader, StripeReadError
from stateless_billing.audit.report.report import Coverage
from stateless_billing.audit.rules.cross_customer import claimed_identity
from stateless_billing.audit.rules.facts import AuditedCustomer, CustomerLedger, OrderIndex, Scope
from stateless_billing.audit.rules.listing_plan import TimeWindow, find_break, join_entries, narrow_windows
from stateless_billing.audit.rules.payments import CustomerVerdict, judge_customer
from stateless_billing.domain.balance_chain import find_flaw
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

    def unread_times(self, done: CustomerVerdict, scope: Scope) -> list[int]:
        """The times of what is not among the entries that were judged."""
        given = {one.entry.metadata.get("grant") for one in done.grants}
        carried = {claimed_identity(one) for one in done.strays}
        return (
            [one.time for one in done.open if scope.is_final(one)]
            + [one.time for one in self.redirected if scope.is_final(one) and one.identity not in carried]
            + [one.created for one in self.grants if one.metadata.get("grant") not in given]
        )


UNREADABLE = {True: "customer_deleted", False: "customer_invalid"}


class LedgerReader:
    """Reads and judges books. Every method raises StripeReadError."""

    def __init__(self, stripe: StripeReader, scope: Scope, orders: OrderIndex, coverage: Coverage) -> None:
        self._stripe, self._scope, self._orders, self._coverage = stripe, scope, orders, coverage

    async def read(self, account: AuditedCustomer, wanted: ExpectedEntries) -> tuple[CustomerLedger, CustomerVerdict]:
        """A customer's book, with its payments and all that is wanted of it."""
        book = CustomerLedger(account, wanted.payments)
        since = self._earliest(wanted.times)
        if account.state:
            return book, judge_customer(book, self._orders, self._scope)
        try:
            newest = await self._stripe.list_page(account.id, since, self._scope.time)
        except Missing:
            book.account = await self._read_unreadable(account)
            return book, judge_customer(book, self._orders, self._scope)
        left = None if self._scope.deep else narrow_windows(wanted.times, newest, since, self._scope.time)
        if left is None:
            book.entries = await self._read_ledger(account.id, since, newest)
            book.complete = since == 0
            self._coverage.count("ledgers_read_to_their_end")
            return book, await self._judge(book, wanted)
        runs = [newest.entries, *[await self._read_window(account.id, window) for window in left]]
        book.entries = join_entries(runs)
        self._coverage.count("ledgers_read_by_windows")
        return book, await self._judge(book, wanted, runs[1:])

    async def _judge(
        self, book: CustomerLedger, wanted: ExpectedEntries, windows: Sequence[Sequence[Entry]] = ()
    ) -> CustomerVerdict:
        """The verdicts; what is missing is missing only where the ledger proves that it shows everything."""
        done = judge_customer(book, self._orders, self._scope)
        if missed := wanted.unread_times(done, self._scope):
            proven = await self._read_proven(book.account.id, min(missed) - LISTING_LEAD_SECONDS)
            book.entries = join_entries([proven, *windows] if windows else [book.entries, proven])
            done = judge_customer(book, self._orders, self._scope)
        self._coverage.count("entries_read", len(book.entries))
        return done

    async def _read_proven(self, customer_id: str, since: int) -> list[Entry]:
        """The entries since then, up to the report's time, of a ledger that leaves no room for one that is not shown.

        Raises StripeReadError.
        """
        try:
            reading = await self._stripe.read_ledger(customer_id, max(0, since))
        except Missing as error:
            raise StripeReadError(f"the ledger of {customer_id} went away while it was read") from error
        if reading is None:
            raise StripeReadError(f"the ledger of {customer_id} went away while it was read")
        if fault := find_flaw(reading):
            raise StripeReadError(f"the ledger of {customer_id} proves no absence: {fault}")
        return [one for one in reading.entries if since <= one.created <= self._scope.time]

    def _earliest(self, times: Sequence[int]) -> int:
        if self._scope.deep or not times:
            return max(0, self._scope.start - LISTING_LEAD_SECONDS)
        return max(0, min(times) - LISTING_LEAD_SECONDS)

    async def _read_window(self, customer_id: str, window: TimeWindow) -> list[Entry]:
        try:
            run = await self._stripe.list_entries(customer_id, window.since, window.until)
        except Missing as error:
            raise StripeReadError(f"the ledger of {customer_id} went away while it was read") from error
        if fault := find_break(run, opening=False):
            raise StripeReadError(f"the ledger of {customer_id} does not add up: {fault}")
        return run

    async def _read_ledger(self, customer_id: str, since: int, newest: Page) -> list[Entry]:
        try:
            found = await self._stripe.list_entries(customer_id, since, self._scope.time, newest)
        except Missing as error:
            raise StripeReadError(f"the ledger of {customer_id} went away while it was read") from error
        if fault := find_break(found, opening=since == 0):
            raise StripeReadError(f"the ledger of {customer_id} does not add up: {fault}")
        return found

    async def _read_unreadable(self, account: AuditedCustomer) -> AuditedCustomer:
        """Why a customer has no ledger. One that lives must have one."""
        found = await self._stripe.get_customer(account.id)
        if found and not found.deleted:
            raise StripeReadError(f"Stripe has the customer {account.id}, but not its ledger")
        return AuditedCustomer(
            account.id, account.wallet, account.currency, account.cursors, UNREADABLE[found is not None]
        )
