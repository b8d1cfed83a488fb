"""Lookups of customers and entries outside of crediting.

Search lags, so no money depends on it.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import quote_plus

from stateless_billing.domain.ledger import Entry
from stateless_billing.stripe import objects
from stateless_billing.stripe.client import PAGE_SIZE, StripeApi, StripeSession
from stateless_billing.stripe.errors import RequestRejected
from stateless_billing.stripe.objects import (
    CUSTOMERS,
    Customer,
    Deletion,
    DeletionPage,
    entries_path,
    escape_query_text,
)
from stateless_billing.stripe.rate_limiter import Endpoint

CUSTOMER_SEARCH = f"{CUSTOMERS}/search"
_MAX_MATCHES = 100
_MAX_EVENT_PAGES = 3


async def search_metadata(session: StripeSession, name: str, value: str) -> list[Customer]:
    """Search for customers whose metadata `name` is `value`.

    The search index lags, so each result's current metadata is compared too.
    """
    query = f'metadata["{escape_query_text(name)}"]:"{escape_query_text(value)}"'
    page = await session.read(
        Endpoint.SEARCH_CUSTOMERS,
        CUSTOMER_SEARCH,
        {"query": query, "limit": PAGE_SIZE},
        objects.parse_customers,
    )
    return [customer for customer in page.customers if (customer.value(name) or "").lower() == value.lower()]


async def find_customers_by_email(stripe: StripeApi, email: str) -> list[Customer]:
    """Find customers by email address, ignoring case.

    The list endpoint has new customers at once but compares case; search ignores case but lags. Both are used.

    Raises: StripeFailure.
    """

    async def list_by_email(text: str) -> list[Customer]:
        async with stripe.session() as session:
            params = {"email": text, "limit": _MAX_MATCHES}
            page = await session.read(Endpoint.LIST_CUSTOMERS, CUSTOMERS, params, objects.parse_customers)
            return page.customers

    async def search_by_email() -> list[Customer]:
        async with stripe.session() as session:
            params = {"query": f'email:"{escape_query_text(email)}"', "limit": _MAX_MATCHES}
            page = await session.read(Endpoint.SEARCH_CUSTOMERS, CUSTOMER_SEARCH, params, objects.parse_customers)
            return page.customers

    spellings = sorted({email, email.lower()})
    results = await asyncio.gather(search_by_email(), *(list_by_email(spelling) for spelling in spellings))
    customers = {customer.id: customer for result in results for customer in result if not customer.deleted}
    return [customer for customer in customers.values() if (customer.email or "").lower() == email.lower()]


async def list_deletions(stripe: StripeApi) -> DeletionPage:
    """List the deletions of customers that Stripe's events tell, newest first: of 30 days, and at most three pages.

    Raises: StripeFailure; RequestRejected with the code `permission_missing` if the key may not read events.
    """
    deletions: list[Deletion] = []
    async with stripe.session() as session:
        for _ in range(_MAX_EVENT_PAGES):
            page = await _list_deletions_after(session, deletions[-1].event_id if deletions else None)
            deletions += page.deletions
            if page.complete:
                return DeletionPage(deletions, complete=True)
    return DeletionPage(deletions, complete=False)


async def _list_deletions_after(session: StripeSession, event_id: str | None) -> DeletionPage:
    params: dict[str, Any] = {"type": "customer.deleted", "limit": PAGE_SIZE}
    if event_id:
        params["starting_after"] = event_id
    return await session.read(Endpoint.LIST_EVENTS, "/v1/events", params, objects.parse_deletions)


async def get_entry(session: StripeSession, customer_id: str, entry_id: str) -> Entry | None:
    """Read an entry of a customer; None if the customer has no such entry.

    Raises: StripeFailure.
    """
    try:
        return await session.read(
            Endpoint.READ_ENTRY,
            f"{entries_path(customer_id)}/{quote_plus(entry_id)}",
            {},
            lambda raw: objects.parse_entry(raw, customer_id),
        )
    except RequestRejected as error:
        if error.code != "resource_missing":
            raise
        return None


async def find_reversed_entries(
    stripe: StripeApi, customer_id: str, entries: Sequence[Entry], since: int, is_cached: Callable[[str], bool]
) -> list[Entry]:
    """Read the entries that reversals since `since` reverse and that are not in `entries`.

    Entries for which `is_cached` is true are left out.

    Raises: StripeFailure.
    """
    reversals = [entry for entry in entries if entry.kind == "reversal" and entry.created >= since]
    reversed_ids = {reversal.metadata.get("reverses", "") for reversal in reversals}
    missing_ids = reversed_ids - {entry.id for entry in entries} - {""}
    reversed_entries = []
    for entry_id in sorted(missing_ids):
        if is_cached(entry_id):
            continue
        async with stripe.session() as session:
            entry = await get_entry(session, customer_id, entry_id)
        if entry:
            reversed_entries.append(entry)
    return reversed_entries
