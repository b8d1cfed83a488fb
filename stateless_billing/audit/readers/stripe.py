"""Stripe, read only: this client has no way to send anything but GET. Paced; a read that fails is tried again."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from email.utils import mktime_tz, parsedate_tz
from typing import Any

import httpx

from chain.payment import is_customer_id
from stateless_billing.domain.balance_chain import LedgerReading
from stateless_billing.domain.ledger import Entry
from stateless_billing.stripe import objects
from stateless_billing.stripe.client import API_VERSION, PAGE_SIZE
from stateless_billing.stripe.errors import StripeUnavailable
from stateless_billing.stripe.ledger_reader import read_back
from stateless_billing.stripe.objects import Customer, Page
from stateless_billing.stripe.rate_limiter import Endpoint, RateLimiter

BASE = "https://api.stripe.com"
MAX_ATTEMPTS = 6
MAX_CONCURRENT = 15
_MAX_PAGES = 10_000  # an auditor waits for long ledgers, unlike a payer
TIMEOUT = {"timeout": httpx.Timeout(30.0, connect=5.0).as_dict()}


class StripeReadError(Exception):
    """A source could not be read to its end: the message says which, and why."""


class Missing(Exception):
    """Stripe knows no such object."""


class StripeReader:
    """Lists of customers and of their balance transactions. `reads` counts the answers that were used.

    `lines` are connections; a client around them would cost a fifth more for each page, and nothing here needs one.
    """

    def __init__(
        self,
        transports: Sequence[httpx.AsyncBaseTransport],
        key: str,
        base: str | None,
        rate_limiter: RateLimiter,
    ) -> None:
        self._transports, self._base, self._rate_limiter = list(transports), base or BASE, rate_limiter
        self._free = asyncio.Semaphore(len(transports))
        self._headers = {"authorization": f"Bearer {key}", "stripe-version": API_VERSION, "accept-encoding": "gzip"}
        self.reads = 0
        self.date = self.latest_date = 0
        self.retried = 0

    async def now(self) -> int:
        """Stripe's last whole second: in the one that runs, more may yet be written. Raises StripeReadError."""
        await self._get(Endpoint.LIST_CUSTOMERS, "/v1/customers", {"limit": 1})
        if not self.date:
            raise StripeReadError("Stripe's answer has no date")
        return self.date - 1

    async def list_customers(self, until: int | None) -> AsyncIterator[list[Customer]]:
        """All living customers made until then, newest first, a page at a time. Raises StripeReadError."""
        after: str | None = None
        seen: set[str] = set()
        while True:
            params: dict[str, str | int] = {"limit": PAGE_SIZE} | ({"starting_after": after} if after else {})
            if until is not None:
                params["created[lte]"] = until
            raw = await self._get(Endpoint.LIST_CUSTOMERS, "/v1/customers", params)
            try:
                found, complete = objects.parse_customers(raw), parse_ending_balance(raw)
            except ValueError as error:
                raise StripeReadError(f"the list of customers: {error}") from error
            if not seen.isdisjoint(one.id for one in found):
                raise StripeReadError("the list of customers repeats itself")
            seen.update(one.id for one in found)
            yield found
            if complete:
                return
            after = found[-1].id

    async def get_customer(self, customer_id: str, *, balance: bool = False) -> Customer | None:
        """One customer, deleted ones too, with its dollar balance where asked for; None where Stripe knows none.

        Raises StripeReadError.
        """
        params: dict[str, str | int] = {"expand[]": "invoice_credit_balance"} if balance else {}
        try:
            raw = await self._get(Endpoint.READ_CUSTOMER, f"/v1/customers/{require_customer_id(customer_id)}", params)
            return objects.parse_customer(raw)
        except Missing:
            return None
        except ValueError as error:
            raise StripeReadError(f"the customer {customer_id}: {error}") from error

    async def read_ledger(self, customer_id: str, since: int) -> LedgerReading | None:
        """A ledger read back to an entry from before `since`; None if it is gone. Raises StripeReadError, Missing."""
        customer = await self.get_customer(customer_id, balance=True)
        if customer is None or customer.deleted:
            return None
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
        """One page of a customer's entries, newest first. Raises StripeReadError; Missing where there is no ledger."""
        params: dict[str, str | int] = {"limit": PAGE_SIZE}
        if since is not None:
            params["created[gte]"] = since
        if until is not None:
            params["created[lte]"] = until
        if after:
            params["starting_after"] = after
        path = f"/v1/customers/{require_customer_id(customer_id)}/balance_transactions"
        raw = await self._get(Endpoint.LIST_ENTRIES, path, params)
        try:
            return objects.parse_page(raw, customer_id)
        except ValueError as error:
            raise StripeReadError(f"the ledger of {customer_id}: {error}") from error

    async def list_entries(
        self, customer_id: str, since: int, until: int | None, begun: Page | None = None
    ) -> list[Entry]:
        """All entries of a span, newest first, going on from `begun` where given. Raises StripeReadError, Missing."""
        page = begun or await self.list_page(customer_id, since, until)
        found = list(page.entries)
        seen = {entry.id for entry in found}
        while not page.complete:
            page = await self.list_page(customer_id, since, until, found[-1].id)
            if not page.entries:
                raise StripeReadError(f"the ledger of {customer_id}: the list said that there is more, and ended")
            if not seen.isdisjoint(entry.id for entry in page.entries):
                raise StripeReadError(f"the ledger of {customer_id}: the list repeats itself")
            seen.update(entry.id for entry in page.entries)
            found += page.entries
        return found

    async def _get(self, endpoint: Endpoint, path: str, params: Mapping[str, str | int]) -> Mapping[str, Any]:
        cause = ""
        for attempt in range(MAX_ATTEMPTS):
            if attempt:
                self.retried += 1
                await asyncio.sleep(min(8.0, 0.25 * 2**attempt))
            await self._rate_limiter.acquire_together(endpoint)
            await self._rate_limiter.wait_to_send(endpoint)
            try:
                answer = await self._send(path, params)
            except httpx.HTTPError as error:
                cause = type(error).__name__
                continue
            if answer.status_code == httpx.codes.OK and (body := _parse_object(answer)) is not None:
                self._rate_limiter.on_success(endpoint)
                self.reads += 1
                self.latest_date = _parse_date(answer)
                self.date = self.date or self.latest_date
                return body
            if reason := answer.headers.get("Stripe-Rate-Limited-Reason"):
                self._rate_limiter.on_rate_limited(endpoint, reason)
            cause = self._failure_of(path, answer)
        raise StripeReadError(f"{path}: {cause}, {MAX_ATTEMPTS} times")

    async def _send(self, path: str, params: Mapping[str, str | int]) -> httpx.Response:
        """One request over a line that is free, the one used last before others."""
        request = httpx.Request("GET", self._base + path, params=params, headers=self._headers, extensions=TIMEOUT)
        async with self._free:
            line = self._transports.pop()
            try:
                answer = await line.handle_async_request(request)
                async with aclosing(answer):
                    await answer.aread()
                return answer
            finally:
                self._transports.append(line)

    @staticmethod
    def _failure_of(path: str, answer: httpx.Response) -> str:
        """Why an answer is none, where trying again may help. Raises StripeReadError or Missing where it cannot."""
        said = (_parse_object(answer) or {}).get("error")
        told = said if isinstance(said, dict) else {}
        cause = f"HTTP {answer.status_code} {str(told.get('message', ''))[:200]}".strip()
        if answer.status_code == httpx.codes.NOT_FOUND and told.get("code") == "resource_missing":
            raise Missing(path)
        if 400 <= answer.status_code < 500 and answer.status_code != httpx.codes.TOO_MANY_REQUESTS:
            raise StripeReadError(f"{path}: {cause}")
        return cause


def require_customer_id(customer_id: str) -> str:
    """A customer id that may stand in a URL. Raises Missing."""
    if not is_customer_id(customer_id):
        raise Missing(customer_id)
    return customer_id


def parse_ending_balance(raw: Mapping[str, Any]) -> bool:
    """Whether a list says that it ends here. Raises ValueError where it does not say."""
    more = raw.get("has_more")
    if not isinstance(more, bool) or (more and not raw.get("data")):
        raise ValueError("a list that does not say where it ends")
    return not more


def _parse_object(answer: httpx.Response) -> dict[str, Any] | None:
    try:
        body = json.loads(answer.content)
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) else None


def _parse_date(answer: httpx.Response) -> int:
    try:
        parsed = parsedate_tz(answer.headers.get("date", ""))
        return int(mktime_tz(parsed)) if parsed else 0
    except (ValueError, OverflowError):
        return 0
