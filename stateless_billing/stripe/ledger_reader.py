"""Reads customers' ledgers: since a time, or back to an entry that is older than what is looked for."""

from collections.abc import Awaitable, Callable

from stateless_billing.domain.balance_chain import LedgerReading
from stateless_billing.domain.ledger import CURRENCY, Entry
from stateless_billing.stripe.client import StripeSession
from stateless_billing.stripe.errors import RequestRejected, StripeUnavailable
from stateless_billing.stripe.objects import Customer, Page

MAX_PAGES = 200  # behind so many pages without an anchor a ledger is not read further

ReadPage = Callable[[str | None], Awaitable[Page]]
"""One page of the ledger without a filter by time, newest first, beginning behind the entry of that id."""
Anchor = int | str
"""Where reading may stop: at a dollar entry created before that time (unix seconds), or at the entry of that id."""


async def read_newest(session: StripeSession, customer_id: str, since: int) -> Page | None:
    """The newest page since `since`; None where Stripe knows no such ledger: its customer tells why."""
    try:
        return await session.list_newest_entries(customer_id, since)
    except RequestRejected as error:
        if error.code != "resource_missing":
            raise
        return None


async def entries_or_none(session: StripeSession, customer_id: str, since: int) -> list[Entry] | None:
    """A customer's complete listing, None where that customer is gone."""
    try:
        return await session.list_entries(customer_id, since)
    except RequestRejected as error:
        if error.code not in ("resource_missing", "customer_invalid"):
            raise
        return None


async def read_session(
    session: StripeSession, customer_id: str, anchor: Anchor
) -> tuple[Customer, LedgerReading | None]:
    """A customer with its balance, then its ledger; None where the customer was deleted. Raises StripeFailure."""
    customer = await session.get_customer(customer_id, balance=True)
    if customer.deleted:
        return customer, None
    read_at = session.now()
    return customer, await read_back(
        customer, read_at, anchor, lambda after: session.list_newest_entries(customer_id, None, after)
    )


async def read_or_none(session: StripeSession, customer_id: str, anchor: Anchor) -> LedgerReading | None:
    """A ledger read back to its anchor, None where its customer is gone. Raises StripeFailure."""
    try:
        _, reading = await read_session(session, customer_id, anchor)
    except RequestRejected as error:
        if error.code not in ("resource_missing", "customer_invalid"):
            raise
        return None
    return reading


async def read_back(
    customer: Customer, read_at: int, anchor: Anchor, page_behind: ReadPage, *, max_pages: int = MAX_PAGES
) -> LedgerReading:
    """A ledger from its newest entry down to its anchor, or to where the list ends.

    `customer` was read just before, at `read_at` of Stripe's clock. Raises StripeUnavailable where the list repeats
    itself, and what `page_behind` raises. A list that ends too early is no error here: `balance_chain.flaw` judges the
    reading.
    """
    entries: list[Entry] = []
    seen: set[str] = set()
    anchors: list[str] = []
    ended = anchored = more = False
    broken_off = ""
    pages = 0
    while not ended and not anchored and not broken_off:
        page = await page_behind(entries[-1].id if entries else None)
        if not seen.isdisjoint(one.id for one in page.entries):
            raise StripeUnavailable("Stripe's list repeats itself")
        seen.update(one.id for one in page.entries)
        entries += page.entries
        pages += 1
        anchors = [one.id for one in page.entries if _is_anchor(one, anchor, timeless=customer.test_clock)]
        anchored = bool(anchors)
        ended = not page.entries and not more
        if more and not page.entries:
            broken_off = "its list said that there is more, and ended"
        elif pages > max_pages and not anchored:
            broken_off = f"it is longer than {max_pages} pages, down to an entry that is old enough"
        more = not page.complete
    return LedgerReading(
        entries=entries,
        balance_cents=customer.usd_cents or 0,
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
