"""Reads customers' ledgers: since a time, or back to an anchor."""

from collections.abc import Awaitable, Callable

from stateless_billing.domain.balance_chain import LedgerReading
from stateless_billing.domain.ledger import CURRENCY, Entry
from stateless_billing.stripe.client import StripeSession
from stateless_billing.stripe.errors import RequestRejected, StripeUnavailable
from stateless_billing.stripe.objects import Customer, Page

MAX_PAGES = 200  # a ledger without an anchor in this many pages is not read further

ReadPage = Callable[[str | None], Awaitable[Page]]
"""Reads one page of the ledger, newest first and without a time filter, after the entry of an ID."""
Anchor = int | str
"""Where reading stops: at a dollar entry created before a Unix time, or at the entry of an ID."""


async def read_newest(session: StripeSession, customer_id: str, since: int) -> Page | None:
    """Read the newest page since `since`; None if Stripe has no such ledger."""
    try:
        return await session.list_newest_entries(customer_id, since)
    except RequestRejected as error:
        if error.code != "resource_missing":
            raise
        return None


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

    Raises: StripeUnavailable if the list repeats itself; whatever `read_page` raises.
    """
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
