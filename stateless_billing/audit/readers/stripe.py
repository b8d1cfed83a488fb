"""Read-only Stripe client: it can send nothing but GET. Reads are rate limited and retried."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import TypeVar
from urllib.parse import urlencode

import httpx

from chain.payment import is_customer_id
from stateless_billing.audit.readers.bulk_http import BulkHost, BulkResponse
from stateless_billing.audit.readers.ledger_spool import LedgerSpool, PageRequest, SpooledPages
from stateless_billing.audit.readers.stripe_responses import is_object, parse_date, parse_error, parse_object
from stateless_billing.domain.balance_chain import LedgerReading
from stateless_billing.domain.ledger import Entry
from stateless_billing.runtime.bounded_http import parse_response
from stateless_billing.stripe import objects
from stateless_billing.stripe.client import API_VERSION, PAGE_SIZE
from stateless_billing.stripe.errors import StripeUnavailable
from stateless_billing.stripe.ledger_reader import read_back
from stateless_billing.stripe.objects import Customer, CustomerPage, Page
from stateless_billing.stripe.rate_limiter import Endpoint, RateLimiter

API_BASE = "https://api.stripe.com"
MAX_ATTEMPTS = 6
MAX_CONCURRENT = 15
LAG_PAUSES = (3.0, 12.0, 45.0)  # seconds: a list shows a new entry late
_MAX_PAGES = 10_000  # unlike a payer, an auditor can wait for long ledgers

T = TypeVar("T")


class StripeReadError(Exception):
    """A source could not be read completely; the message says which, and why."""


class StripeObjectNotFound(StripeReadError):
    """Stripe has no such object."""

    def __init__(self, what: str) -> None:
        super().__init__(f"Stripe has no {what}")


class StripeReader:
    """Lists customers and their balance transactions.

    `reads` counts the responses that were used. The key is sent to `host` alone.
    """

    def __init__(
        self,
        host: BulkHost,
        key: str,
        rate_limiter: RateLimiter,
        spool: LedgerSpool | None = None,
    ) -> None:
        """`spool` has the pages that an interrupted audit read before, and takes those that are read now."""
        self._spool = SpooledPages(spool, self._is_in_its_chain) if spool else None
        self._host = host
        self._base_path = host.path.rstrip("/")
        self._rate_limiter = rate_limiter
        self._headers = {"authorization": f"Bearer {key}", "stripe-version": API_VERSION}
        self.reads = 0
        self.first_date = 0
        self.latest_date = 0
        self.retried = 0
        self.lag_pauses: tuple[float, ...] = LAG_PAUSES

    async def now(self) -> int:
        """Return Stripe's last complete second, to which no entry can be added.

        Raises: StripeReadError.
        """
        await self._get(Endpoint.LIST_CUSTOMERS, "/v1/customers", {"limit": 1}, parse_object)
        if not self.first_date:
            raise StripeReadError("Stripe's response has no date")
        return self.first_date - 1

    async def list_customers(self, until: int | None) -> AsyncIterator[list[Customer]]:
        """Yield pages of the undeleted customers created by `until`, newest first.

        Nothing may follow the last of them: one more read shows that the list was not cut short. No report counts it.

        Raises: StripeReadError.
        """
        ids: list[str] = []
        seen: set[str] = set()
        is_complete = False
        while not is_complete:
            page = await self._list_customers_after(ids, until)
            ids = [customer.id for customer in page.customers] or ids
            if not seen.isdisjoint(customer.id for customer in page.customers):
                raise StripeReadError("the list of customers repeats itself")
            seen.update(customer.id for customer in page.customers)
            if self._spool:
                self._spool.note_balances(page.customers)
            yield page.customers
            is_complete = page.complete
        if ids:
            end = await self._list_customers_after(ids, until)
            self.reads -= 1
            if end.customers:
                raise StripeReadError("the list of customers ended before the last of them")

    async def _list_customers_after(self, ids: Sequence[str], until: int | None) -> CustomerPage:
        """Read the page after the last of `ids` that was not deleted since it was listed; the first without IDs."""
        for after in reversed(ids) if ids else (None,):
            params: dict[str, str | int] = {"limit": PAGE_SIZE} | ({"starting_after": after} if after else {})
            if until is not None:
                params["created[lte]"] = until
            try:
                return (await self._get(Endpoint.LIST_CUSTOMERS, "/v1/customers", params, objects.parse_customers))[0]
            except StripeObjectNotFound:
                continue
            except ValueError as error:
                raise StripeReadError(f"the list of customers: {error}") from error
        raise StripeReadError("the list of customers does not go on after any customer of its last page")

    async def get_customer(self, customer_id: str, *, expand_balance: bool = False) -> Customer | None:
        """Read a customer, even a deleted one; None if Stripe has none. Raises: StripeReadError."""
        params: dict[str, str | int] = {"expand[]": "invoice_credit_balance"} if expand_balance else {}
        try:
            path = f"/v1/customers/{require_customer_id(customer_id)}"
            customer, _ = await self._get(
                Endpoint.READ_CUSTOMER,
                path,
                params,
                lambda content: objects.parse_customer(content, customer_id, balance=expand_balance),
            )
        except StripeObjectNotFound:
            return None
        except ValueError as error:
            raise StripeReadError(f"the customer {customer_id}: {error}") from error
        return customer

    async def read_ledger(self, customer_id: str, since: int) -> LedgerReading | None:
        """Read a ledger back to an entry older than `since`; None if the customer does not exist.

        Raises: StripeReadError, StripeObjectNotFound.
        """
        customer = await self.get_customer(customer_id, expand_balance=True)
        if customer is None or customer.deleted:
            return None
        if not self.latest_date:
            raise StripeReadError(f"the ledger of {customer_id}: Stripe's response has no date")
        try:
            return await read_back(
                customer,
                self.latest_date,
                since,
                lambda after: self.list_page(customer_id, None, None, after),
                max_pages=_MAX_PAGES,
            )
        except StripeUnavailable as error:
            raise StripeReadError(f"the ledger of {customer_id}: {error}") from error

    async def list_page(self, customer_id: str, since: int | None, until: int | None, after: str | None = None) -> Page:
        """Read one page of a customer's entries, newest first.

        Raises: StripeReadError, StripeObjectNotFound.
        """
        params: dict[str, str | int] = {"limit": PAGE_SIZE}
        if since is not None:
            params["created[gte]"] = since
        if until is not None:
            params["created[lte]"] = until
        if after:
            params["starting_after"] = after
        path = f"/v1/customers/{require_customer_id(customer_id)}/balance_transactions"
        request = PageRequest(customer_id, since, until, after)
        spool = self._spool if until is not None else None  # what has no end grows
        try:
            if spool and (spooled := await spool.get(request)):
                self.reads += 1
                return objects.parse_page(spooled, customer_id)
            page, response = await self._get(
                Endpoint.LIST_ENTRIES, path, params, lambda content: objects.parse_page(content, customer_id)
            )
            if spool:
                spool.add(request, response)
        except ValueError as error:
            raise StripeReadError(f"the ledger of {customer_id}: {error}") from error
        return page

    async def _is_in_its_chain(self, entry: Entry) -> bool:
        """Whether a customer's ledger still has an entry as it was read before."""
        path = f"/v1/customers/{require_customer_id(entry.customer)}/balance_transactions/{entry.id}"
        try:
            current, _ = await self._get(
                Endpoint.READ_ENTRY, path, {}, lambda content: objects.parse_entry(content, entry.customer)
            )
        except StripeObjectNotFound:
            return False
        except ValueError as error:
            raise StripeReadError(f"the ledger of {entry.customer}: {error}") from error
        self.reads -= 1  # the report counts what it is made of
        return (current.cents, current.ending_cents, current.created) == (
            entry.cents,
            entry.ending_cents,
            entry.created,
        )

    async def list_entries(
        self, customer_id: str, since: int, until: int | None, first_page: Page | None = None
    ) -> list[Entry]:
        """Read all entries of a time span, newest first, continuing after `first_page` if given.

        Raises: StripeReadError, StripeObjectNotFound.
        """
        page = first_page or await self.list_page(customer_id, since, until)
        entries = list(page.entries)
        seen = {entry.id for entry in entries}
        while not page.complete:
            page = await self.list_page(customer_id, since, until, entries[-1].id)
            if not page.entries:
                raise StripeReadError(f"the ledger of {customer_id}: the list announced more entries and ended")
            if not seen.isdisjoint(entry.id for entry in page.entries):
                raise StripeReadError(f"the ledger of {customer_id}: the list repeats itself")
            seen.update(entry.id for entry in page.entries)
            entries += page.entries
        return entries

    async def _get(
        self, endpoint: Endpoint, path: str, params: Mapping[str, str | int], parse: Callable[[bytes], T]
    ) -> tuple[T, bytes]:
        """Read and parse one JSON object, with retries; also return it as it came.

        Raises: StripeReadError, StripeObjectNotFound; ValueError of `parse` for an object without the documented form.
        """
        failure = ""
        target = f"{self._base_path}{path}" + (f"?{urlencode(params)}" if params else "")
        for attempt in range(MAX_ATTEMPTS):
            if attempt:
                self.retried += 1
                await asyncio.sleep(min(8.0, 0.25 * 2**attempt))
            await self._rate_limiter.acquire_together(endpoint)
            await self._rate_limiter.wait_to_send(endpoint)
            try:
                response = await self._host.request("GET", target, self._headers)
            except httpx.HTTPError as error:
                failure = type(error).__name__
                continue
            if response.status_code == httpx.codes.OK:
                try:
                    parsed = await parse_response(parse, response.content)
                except ValueError:
                    if await parse_response(is_object, response.content):
                        raise
                else:
                    self._count_read(endpoint, response)
                    return parsed, response.content
            if reason := response.headers.get("stripe-rate-limited-reason"):
                self._rate_limiter.on_rate_limited(endpoint, reason)
            failure = self._describe_failure(path, response)
        raise StripeReadError(f"{path}: {failure}, {MAX_ATTEMPTS} times")

    def _count_read(self, endpoint: Endpoint, response: BulkResponse) -> None:
        self._rate_limiter.on_success(endpoint)
        self.reads += 1
        self.latest_date = parse_date(response)
        self.first_date = self.first_date or self.latest_date

    @staticmethod
    def _describe_failure(path: str, response: BulkResponse) -> str:
        """Describe a failed response that a retry may fix.

        Raises: StripeReadError, StripeObjectNotFound otherwise.
        """
        error = parse_error(response.content)
        failure = f"HTTP {response.status_code} {(error.message or '')[:200]}".strip()
        if (
            response.status_code in (httpx.codes.NOT_FOUND, httpx.codes.BAD_REQUEST)
            and error.code == "resource_missing"
        ):
            raise StripeObjectNotFound(path)
        if 400 <= response.status_code < 500 and response.status_code != httpx.codes.TOO_MANY_REQUESTS:
            raise StripeReadError(f"{path}: {failure}")
        return failure


def require_customer_id(customer_id: str) -> str:
    """Return the ID if it is safe in a URL. Raises: StripeObjectNotFound."""
    if not is_customer_id(customer_id):
        raise StripeObjectNotFound(customer_id)
    return customer_id
