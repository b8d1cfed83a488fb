"""Reads of Stripe beside those that credit. Search lags behind; nothing here decides about money."""

import asyncio
from collections.abc import Callable, Sequence

from stateless_billing.domain.ledger import Entry
from stateless_billing.stripe import objects
from stateless_billing.stripe.client import PAGE_SIZE, StripeApi, StripeSession
from stateless_billing.stripe.errors import RequestRejected
from stateless_billing.stripe.objects import Customer, escape_query_text
from stateless_billing.stripe.rate_limiter import Endpoint

_MAX_MATCHES = 100


async def search_metadata(session: StripeSession, name: str, value: str) -> list[Customer]:
    """Live customers whose metadata `name` is `value` by Stripe's search, which lags, and by the objects read."""
    query = f'metadata["{escape_query_text(name)}"]:"{escape_query_text(value)}"'
    page = await session.read(
        Endpoint.SEARCH_CUSTOMERS,
        lambda api: api.search_async({"query": query, "limit": PAGE_SIZE}),
        objects.parse_customers,
    )
    return [customer for customer in page.customers if (customer.value(name) or "").lower() == value.lower()]


async def find_customers_by_email(stripe: StripeApi, email: str) -> list[Customer]:
    """Live customers with an email address, in whatever case. Raises StripeFailure.

    The list knows a new customer at once, but only in the case it was written in; search knows every case, later.
    """

    async def listed(text: str) -> list[Customer]:
        async with stripe.session() as session:
            params = {"email": text, "limit": _MAX_MATCHES}
            page = await session.read(
                Endpoint.LIST_CUSTOMERS, lambda api: api.list_async(params), objects.parse_customers
            )
            return page.customers

    async def searched() -> list[Customer]:
        async with stripe.session() as session:
            params = {"query": f'email:"{escape_query_text(email)}"', "limit": _MAX_MATCHES}
            page = await session.read(
                Endpoint.SEARCH_CUSTOMERS, lambda api: api.search_async(params), objects.parse_customers
            )
            return page.customers

    answers = await asyncio.gather(searched(), *(listed(text) for text in sorted({email, email.lower()})))
    found = {one.id: one for answer in answers for one in answer if not one.deleted}
    return [one for one in found.values() if (one.email or "").lower() == email.lower()]


async def get_entry(session: StripeSession, customer_id: str, entry_id: str) -> Entry | None:
    """One entry of one customer; None where that customer has no such entry. Raises StripeFailure."""
    try:
        return await session.read(
            Endpoint.READ_ENTRY,
            lambda api: api.balance_transactions.retrieve_async(customer_id, entry_id),
            lambda raw: objects.parse_entry(raw, customer_id),
        )
    except RequestRejected as error:
        if error.code != "resource_missing":
            raise
        return None


async def find_reversed_entries(
    stripe: StripeApi, customer_id: str, entries: Sequence[Entry], since: int, known: Callable[[str], bool]
) -> list[Entry]:
    """The entries, too old to be among `entries`, that reversals since then take back, but for those known already.

    Raises StripeFailure.
    """
    shown = {one.id for one in entries}
    reversals = [one for one in entries if one.kind == "reversal" and one.created >= since]
    old = {one.metadata.get("reverses", "") for one in reversals} - shown - {""}
    found = []
    for entry_id in sorted(one for one in old if not known(one)):
        async with stripe.session() as session:
            found.append(await get_entry(session, customer_id, entry_id))
    return [one for one in found if one]
