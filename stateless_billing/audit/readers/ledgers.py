"""Reads as much of a customer's ledger as the audit needs, in the fewest pages."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from chain.payment import Payment
from stateless_billing.audit.readers.stripe import StripeObjectNotFound, StripeReader, StripeReadError
from stateless_billing.audit.report.report import Coverage
from stateless_billing.audit.rules.cross_customer import claimed_identity
from stateless_billing.audit.rules.facts import AuditedCustomer, CustomerLedger, OrderIndex, Scope
from stateless_billing.audit.rules.listing_plan import (
    TimeWindow,
    find_break,
    fits_balance,
    join_entries,
    last_balance,
    narrow_windows,
)
from stateless_billing.audit.rules.payments import CustomerVerdict, judge_customer
from stateless_billing.domain.balance_chain import find_flaw
from stateless_billing.domain.epochs import LISTING_LEAD_SECONDS
from stateless_billing.domain.ledger import Entry
from stateless_billing.stripe.objects import Page

MAX_LISTING_AGE_SECONDS = 3600  # between the report's time and the list of customers
_MAX_JUDGED_ON_LOOP = 2_000  # payments and entries


@dataclass(frozen=True, slots=True)
class ExpectedEntries:
    """What a customer should hold: credits of its own and of redirected payments, and grants."""

    payments: Sequence[Payment] = ()
    redirected: Sequence[Payment] = ()
    grants: Sequence[Entry] = ()

    @property
    def times(self) -> list[int]:
        """The earliest time at which each expected entry may have been written."""
        return [payment.time for payment in (*self.payments, *self.redirected)] + [
            grant.created for grant in self.grants
        ]

    def missing_times(self, verdict: CustomerVerdict, scope: Scope) -> list[int]:
        """Return the times of the expected entries that a verdict did not find."""
        given = {grant.entry.metadata.get("grant") for grant in verdict.grants}
        credited = {claimed_identity(credit) for credit in verdict.unmatched_credits}
        missing = [*verdict.uncredited, *(payment for payment in self.redirected if payment.identity not in credited)]
        return [payment.time for payment in missing if scope.is_final(payment)] + [
            grant.created for grant in self.grants if grant.metadata.get("grant") not in given
        ]


class LedgerReader:
    """Reads and judges ledgers. Every method raises StripeReadError."""

    def __init__(
        self,
        stripe: StripeReader,
        uncounted_stripe: StripeReader,
        scope: Scope,
        orders: OrderIndex,
        coverage: Coverage,
    ) -> None:
        """`uncounted_stripe` reads what happened after the report's time."""
        self._stripe = stripe
        self._uncounted_stripe = uncounted_stripe
        self._scope = scope
        self._orders = orders
        self._coverage = coverage

    async def read(
        self, customer: AuditedCustomer, expected: ExpectedEntries
    ) -> tuple[CustomerLedger, CustomerVerdict]:
        """Read and judge a customer's ledger, far enough to cover the expected entries."""
        customer_ledger = CustomerLedger(customer, list(expected.payments))
        since = self._earliest(expected.times)
        if customer.state:
            return customer_ledger, judge_customer(customer_ledger, self._orders, self._scope)
        try:
            newest, customer_ledger.balance_cents = await self._read_newest(customer, since)
        except StripeObjectNotFound:
            customer_ledger.customer = await self._read_unreadable_customer(customer)
            return customer_ledger, judge_customer(customer_ledger, self._orders, self._scope)
        windows = None if self._scope.deep else narrow_windows(expected.times, newest, since, self._scope.time)
        if windows is None:
            customer_ledger.entries = await self._read_window(customer.id, TimeWindow(since, self._scope.time), newest)
            customer_ledger.complete = since == 0
            self._coverage.count("ledgers_read_to_their_end")
            return customer_ledger, await self._judge(customer_ledger, expected)
        _require_gapless(customer.id, newest.entries, starts_at_zero=False)
        runs = [await self._read_window(customer.id, window) for window in windows]
        customer_ledger.entries = join_entries([newest.entries, *runs])
        self._coverage.count("ledgers_read_by_windows")
        return customer_ledger, await self._judge(customer_ledger, expected, runs)

    async def _read_newest(self, customer: AuditedCustomer, since: int) -> tuple[Page, int | None]:
        """Read the newest page from `since` to the report's time, and the balance in cents after it, if it tells.

        The ledger must end with the balance that its customer was listed with, or what came since must lead there. Else
        its list was cut short. Any list may lag, so all are read again before that is said.
        """
        balance = customer.listed_cents
        for pause in (None, 0.0, *self._uncounted_stripe.lag_pauses):
            if pause is not None:
                await asyncio.sleep(pause)
                balance = await self._read_current_balance(customer.id)
            newest = last = await self._stripe.list_page(customer.id, since, self._scope.time)
            if not newest.entries and since > 0:
                last = await self._stripe.list_page(customer.id, None, self._scope.time)
            cents = last_balance(last, starts_at_zero=since == 0 or last is not newest)
            if cents is None or balance is None or await self._may_follow(customer.id, balance, cents, last):
                return newest, cents
        raise StripeReadError(f"the ledger of {customer.id} does not end with its customer's balance")

    async def _may_follow(self, customer_id: str, balance: int, cents: int, last: Page) -> bool:
        """Return whether a customer's balance since the report's time may follow from the one of `cents` at that time.

        `last` is the page that tells the latter. At most one page of what came since is read, and nothing for a report
        of a time long before: too much came since.
        """
        time = self._scope.time
        is_old = self._stripe.first_date > time + MAX_LISTING_AGE_SECONDS
        if is_old or fits_balance(balance, cents, last, None, time):
            return True
        newer = await self._uncounted_stripe.list_page(customer_id, time + 1, None)
        return fits_balance(balance, cents, last, newer, time)

    async def _read_current_balance(self, customer_id: str) -> int | None:
        current = await self._uncounted_stripe.get_customer(customer_id, expand_balance=True)
        if current is None or current.deleted:
            raise StripeObjectNotFound(customer_id)
        return current.usd_cents

    async def _judge(
        self, customer_ledger: CustomerLedger, expected: ExpectedEntries, windows: Sequence[Sequence[Entry]] = ()
    ) -> CustomerVerdict:
        """Judge a ledger.

        Before reporting an entry as missing, read far enough to prove its absence.
        """
        verdict = await self._judge_entries(customer_ledger)
        if missing := expected.missing_times(verdict, self._scope):
            proven = await self._read_proven(customer_ledger.customer.id, min(missing) - LISTING_LEAD_SECONDS)
            customer_ledger.entries = join_entries([proven, *windows] if windows else [customer_ledger.entries, proven])
            verdict = await self._judge_entries(customer_ledger)
        self._coverage.count("entries_read", len(customer_ledger.entries))
        return verdict

    async def _judge_entries(self, customer_ledger: CustomerLedger) -> CustomerVerdict:
        """Judge a ledger; a long one in a thread, so that the connections are served meanwhile."""
        if len(customer_ledger.payments) + len(customer_ledger.entries) <= _MAX_JUDGED_ON_LOOP:
            return judge_customer(customer_ledger, self._orders, self._scope)
        return await asyncio.to_thread(judge_customer, customer_ledger, self._orders, self._scope)

    async def _read_proven(self, customer_id: str, since: int) -> list[Entry]:
        """Read the entries from `since` to the report's time of a ledger that is proven complete."""
        try:
            reading = await self._stripe.read_ledger(customer_id, max(0, since))
        except StripeObjectNotFound as error:
            raise StripeReadError(f"the ledger of {customer_id} disappeared while it was read") from error
        if reading is None:
            raise StripeReadError(f"the ledger of {customer_id} disappeared while it was read")
        if reading.read_at < self._scope.time:
            raise StripeReadError(f"the balance of {customer_id} is older than the report: an answer of some cache")
        if flaw := find_flaw(reading):
            raise StripeReadError(f"the ledger of {customer_id} proves no absence: {flaw}")
        return [entry for entry in reading.entries if since <= entry.created <= self._scope.time]

    def _earliest(self, times: Sequence[int]) -> int:
        if self._scope.deep or not times:
            return max(0, self._scope.start - LISTING_LEAD_SECONDS)
        return max(0, min(times) - LISTING_LEAD_SECONDS)

    async def _read_window(self, customer_id: str, window: TimeWindow, first_page: Page | None = None) -> list[Entry]:
        """Read the entries of a window and require that they are gapless."""
        try:
            entries = await self._stripe.list_entries(customer_id, window.since, window.until, first_page)
        except StripeObjectNotFound as error:
            raise StripeReadError(f"the ledger of {customer_id} disappeared while it was read") from error
        _require_gapless(customer_id, entries, starts_at_zero=window.since == 0)
        return entries

    async def _read_unreadable_customer(self, customer: AuditedCustomer) -> AuditedCustomer:
        """Read why a customer has no ledger: it was deleted, or never existed."""
        current = await self._stripe.get_customer(customer.id)
        if current and not current.deleted:
            raise StripeReadError(f"Stripe has the customer {customer.id}, but not its ledger")
        state = "customer_deleted" if current else "customer_invalid"
        return AuditedCustomer(customer.id, customer.wallet, customer.currency, customer.cursors, state)


def _require_gapless(customer_id: str, entries: Sequence[Entry], *, starts_at_zero: bool) -> None:
    """Require that each entry's balance follows from the one before. Raises: StripeReadError."""
    if flaw := find_break(entries, starts_at_zero=starts_at_zero):
        raise StripeReadError(f"the ledger of {customer_id} does not add up: {flaw}")
