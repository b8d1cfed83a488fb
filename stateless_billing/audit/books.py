"""Reads one customer's ledger as far as the audit needs it, by the way that takes the fewest pages."""

from collections.abc import Sequence

from chain.payment import Payment
from stateless_billing.audit.facts import Account, Book, Orders, Scope
from stateless_billing.audit.judging import Judged, judge
from stateless_billing.audit.planning import Window, broken, joined, narrow
from stateless_billing.audit.report import Coverage
from stateless_billing.audit.stripe_reader import Missing, NotRead, StripeReader
from stateless_billing.epochs import LOOK_BACK
from stateless_billing.ledger import Entry
from stateless_billing.stripe_objects import Page

GONE = {True: "customer_deleted", False: "customer_invalid"}


class BookReader:
    """Reads and judges books. Every method raises NotRead."""

    def __init__(self, stripe: StripeReader, scope: Scope, orders: Orders, coverage: Coverage) -> None:
        self._stripe, self._scope, self._orders, self._coverage = stripe, scope, orders, coverage

    async def read(self, account: Account, payments: Sequence[Payment], grants: Sequence[Entry]) -> tuple[Book, Judged]:
        """A customer's book, with the payments and the reserved grants that are to be found in it."""
        book = Book(account, list(payments))
        times = [one.time for one in payments] + [one.created for one in grants]
        since = self._since(times)
        if account.state:
            return book, judge(book, self._orders, self._scope)
        try:
            newest = await self._stripe.page(account.id, since, self._scope.time)
        except Missing:
            book.account = await self._gone(account)
            return book, judge(book, self._orders, self._scope)
        left = None if self._scope.deep else narrow(times, newest, since, self._scope.time)
        if left is None:
            book.entries = await self._ledger(account.id, since, newest)
            book.whole = since == 0
            return book, self._judged(book)
        runs = [newest.entries, *[await self._window(account.id, window) for window in left]]
        book.entries = joined(runs)
        done = judge(book, self._orders, self._scope)
        if later := self._not_found(done, grants):
            whole = await self._ledger(account.id, min(later) - LOOK_BACK, newest)
            book.entries = joined([whole, *runs[1:]])
            done = judge(book, self._orders, self._scope)
        self._coverage.count("ledgers_read_by_windows")
        self._coverage.count("entries_read", len(book.entries))
        return book, done

    def _judged(self, book: Book) -> Judged:
        self._coverage.count("ledgers_read_to_their_end")
        self._coverage.count("entries_read", len(book.entries))
        return judge(book, self._orders, self._scope)

    def _since(self, times: Sequence[int]) -> int:
        if self._scope.deep or not times:
            return max(0, self._scope.start - LOOK_BACK)
        return max(0, min(times) - LOOK_BACK)

    def _not_found(self, done: Judged, grants: Sequence[Entry]) -> list[int]:
        """The times of what the narrow windows did not show."""
        given = {one.entry.metadata.get("grant") for one in done.grants}
        return [one.time for one in done.open if self._scope.final(one)] + [
            one.created for one in grants if one.metadata.get("grant") not in given
        ]

    async def _window(self, customer_id: str, window: Window) -> list[Entry]:
        try:
            run = await self._stripe.entries(customer_id, window.since, window.until)
        except Missing as error:
            raise NotRead(f"the ledger of {customer_id} went away while it was read") from error
        if fault := broken(run, opening=False):
            raise NotRead(f"the ledger of {customer_id} does not add up: {fault}")
        return run

    async def _ledger(self, customer_id: str, since: int, newest: Page) -> list[Entry]:
        try:
            found = await self._stripe.entries(customer_id, since, self._scope.time, newest)
        except Missing as error:
            raise NotRead(f"the ledger of {customer_id} went away while it was read") from error
        if fault := broken(found, opening=since == 0):
            raise NotRead(f"the ledger of {customer_id} does not add up: {fault}")
        return found

    async def _gone(self, account: Account) -> Account:
        """Why a customer has no ledger. One that lives must have one."""
        found = await self._stripe.customer(account.id)
        if found and not found.deleted:
            raise NotRead(f"Stripe has the customer {account.id}, but not its ledger")
        return Account(account.id, account.wallet, account.currency, account.cursors, GONE[found is not None])
