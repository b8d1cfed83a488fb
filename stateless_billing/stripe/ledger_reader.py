"""Reads customers' ledgers: since a time, or back to an anchor."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from cachetools import LRUCache

from stateless_billing.domain.balance_chain import LedgerReading
from stateless_billing.domain.ledger import CURRENCY, Entry
from stateless_billing.runtime.clock import Clock
from stateless_billing.stripe.client import StripeSession
from stateless_billing.stripe.errors import RequestRejected, StripeUnavailable
from stateless_billing.stripe.objects import Customer, Page

_LISTING_SECONDS = 60
_NEWEST_ENTRIES = 20  # more than a slice of the sweep writes
_MAX_CACHED_ENTRIES = 40_000  # of all customers together, about 40 MB
MAX_PAGES = 200  # a ledger without an anchor in this many pages is not read further

ReadPage = Callable[[str | None], Awaitable[Page]]
"""Reads one page of the ledger, newest first and without a time filter, after the entry of an ID."""
Anchor = int | str
"""Where reading stops: at a dollar entry created before a Unix time, or at the entry of an ID."""


@dataclass(frozen=True, slots=True)
class _Listing:
    since: int
    until: float
    entries: Sequence[Entry]


class ListingCache:
    """Complete listings of more than one page, each of which serves its customer's payments for a minute.

    Entries never change or vanish, so that only the newest are read for the next payment. An entry that Stripe's list
    shows late, behind newer ones, is seen up to a minute later than without the cache: good enough to find a credit,
    and where the idempotency key excludes a second one. No proof of absence uses it.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._listings: LRUCache[str, _Listing] = LRUCache(_MAX_CACHED_ENTRIES, lambda listing: len(listing.entries))

    def has_long_listing(self, customer_id: str, since: int) -> bool:
        """Whether a listing of several pages is at hand, of which only the newest entries would have to be read."""
        return self._get(customer_id, since) is not None

    async def read_newest(self, session: StripeSession, customer_id: str, since: int) -> Page:
        """Read the newest page, a short one if the entries behind it are cached."""
        limit = _NEWEST_ENTRIES if self._get(customer_id, since) else None
        return await session.list_newest_entries(customer_id, since, limit=limit)

    async def newest_or_none(self, session: StripeSession, customer_id: str, since: int) -> Page | None:
        """Read the newest page; None if Stripe has no such ledger."""
        try:
            return await self.read_newest(session, customer_id, since)
        except RequestRejected as error:
            if error.code != "resource_missing":
                raise
            return None

    async def list_entries(
        self, session: StripeSession, customer_id: str, since: int, first_page: Page | None = None
    ) -> Sequence[Entry]:
        """List all entries created at or after `since`, newest first; see `StripeSession.list_entries`."""
        page = first_page or await self.read_newest(session, customer_id, since)
        if page.complete:
            return page.entries
        listing = self._get(customer_id, since)
        if listing and any(entry.id == listing.entries[0].id for entry in page.entries):
            shown = {entry.id for entry in page.entries}
            entries = [*page.entries, *(entry for entry in listing.entries if entry.id not in shown)]
            self._store(customer_id, _Listing(listing.since, listing.until, entries))
            return [entry for entry in entries if entry.created >= since]
        entries = await session.list_entries(customer_id, since, page)
        self._store(customer_id, _Listing(since, self._clock.boot() + _LISTING_SECONDS, entries))
        return entries

    def _store(self, customer_id: str, listing: _Listing) -> None:
        self._listings.pop(customer_id, None)
        if len(listing.entries) < _MAX_CACHED_ENTRIES:
            self._listings[customer_id] = listing

    def _get(self, customer_id: str, since: int) -> _Listing | None:
        listing = self._listings.get(customer_id)
        is_usable = listing and listing.since <= since and self._clock.boot() < listing.until
        return listing if is_usable else None


async def entries_or_none(session: StripeSession, customer_id: str, since: int) -> list[Entry] | None:
    """List a customer's entries since `since`; None if the customer was deleted."""
    try:
        return await session.list_entries(customer_id, since)
    except RequestRejected as error:
        if error.code not in ("resource_missing", "customer_invalid"):
            raise
        return None


async def read_session(
    session: StripeSession, customer_id: str, anchor: Anchor
) -> tuple[Customer, LedgerReading | None]:
    """Read a customer with its balance, then its ledger; None for a deleted customer's ledger.

    Raises: StripeFailure.
    """
    customer = await session.get_customer(customer_id, balance=True)
    if customer.deleted:
        return customer, None
    read_at = session.now()
    return customer, await read_back(
        customer, read_at, anchor, lambda after: session.list_newest_entries(customer_id, None, after)
    )


async def read_or_none(session: StripeSession, customer_id: str, anchor: Anchor) -> LedgerReading | None:
    """Read a ledger back to its anchor; None if the customer was deleted.

    Raises: StripeFailure.
    """
    try:
        _, reading = await read_session(session, customer_id, anchor)
    except RequestRejected as error:
        if error.code not in ("resource_missing", "customer_invalid"):
            raise
        return None
    return reading


async def read_back(
    customer: Customer, read_at: int, anchor: Anchor, read_page: ReadPage, *, max_pages: int = MAX_PAGES
) -> LedgerReading:
    """Read a ledger from its newest entry back to its anchor, or to the end of the list.

    `customer` was read just before, at `read_at` by Stripe's clock. A list that ends too early is not an error:
    `balance_chain.find_flaw` judges the reading.

    Raises: StripeUnavailable if the list repeats itself or the balance is unknown; whatever `read_page` raises.
    """
    if customer.usd_cents is None:
        raise StripeUnavailable("Stripe did not show the balance of the customer")
    entries: list[Entry] = []
    seen: set[str] = set()
    anchors: list[str] = []
    ended = anchored = more = False
    broken_off = ""
    pages = 0
    while not ended and not anchored and not broken_off:
        page = await read_page(entries[-1].id if entries else None)
        if not seen.isdisjoint(entry.id for entry in page.entries):
            raise StripeUnavailable("Stripe's list repeats itself")
        seen.update(entry.id for entry in page.entries)
        entries += page.entries
        pages += 1
        anchors = [entry.id for entry in page.entries if _is_anchor(entry, anchor, timeless=customer.test_clock)]
        anchored = bool(anchors)
        ended = not page.entries and not more
        if more and not page.entries:
            broken_off = "its list announced another page, which is empty"
        elif pages > max_pages and not anchored:
            broken_off = f"its list has more than {max_pages} pages before an entry that is old enough"
        more = not page.complete
    return LedgerReading(
        entries=entries,
        balance_cents=customer.usd_cents,
        read_at=read_at,
        anchored=anchored,
        ended=ended,
        timeless=customer.test_clock,
        broken_off=broken_off,
        anchor_id=anchors[0] if anchors else "",
    )


def _is_anchor(entry: Entry, anchor: Anchor, *, timeless: bool) -> bool:
    if entry.currency != CURRENCY:
        return False
    if isinstance(anchor, str):
        return entry.id == anchor
    return not timeless and entry.created < anchor
