"""Stripe API client for customers and their balance transactions."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, TypeVar

import httpx

from stateless_billing.assumptions.breaches import Breaches
from stateless_billing.assumptions.ledger_watch import LedgerWatch
from stateless_billing.domain.ledger import CURRENCY, Entry
from stateless_billing.runtime import logs
from stateless_billing.runtime.clock import Clock, ReferenceClock
from stateless_billing.stripe import objects, sdk
from stateless_billing.stripe.connection import Connection, ConnectionFailed, Health, StillValid, create_transport
from stateless_billing.stripe.errors import (
    ConnectionNotKept,
    KeyRejected,
    NotSent,
    OutcomeUnknown,
    RateLimited,
    RequestRejected,
    StripeFailure,
    StripeUnavailable,
)
from stateless_billing.stripe.metrics import measure_stripe_call
from stateless_billing.stripe.objects import CUSTOMERS, Customer, Page, customer_path, entries_path
from stateless_billing.stripe.rate_limiter import Endpoint, RateLimiter

T = TypeVar("T")

log = logging.getLogger(__name__)

API_VERSION = "2026-10-28.endive"  # equal in all processes: Stripe may compare it when a key is reused
MAX_CONNECTIONS = 16
PAGE_SIZE = 100


class StripeSession:
    """A sequence of calls over one connection. Every method may raise a StripeFailure."""

    def __init__(
        self,
        client: sdk.stripe.StripeClient,
        connection: Connection,
        rate_limiter: RateLimiter,
        clock: Clock,
        health: Health,
        watch: LedgerWatch,
    ) -> None:
        self._client = client
        self.watch = watch
        self._connection = connection
        self._rate_limiter = rate_limiter
        self._clock = clock
        self._health = health
        self._reserved: set[Endpoint] = set()
        self._has_read = False

    def now(self) -> int:
        """Return the Unix time by Stripe's clock, from the last response in this session."""
        return self._connection.now()

    async def reserve_together(self, *endpoints: Endpoint) -> None:
        """Wait until the next request to each of `endpoints` may be sent."""
        await self._rate_limiter.acquire_together(*endpoints)
        self._reserved.update(endpoints)

    async def get_customer(self, customer_id: str, *, balance: bool = False) -> Customer:
        """Read a customer; with `balance`, its dollar balance too."""
        path, params = customer_path(customer_id), {"expand": ["invoice_credit_balance"]} if balance else {}
        parse = partial(objects.parse_customer, customer_id=customer_id, balance=balance)
        return await self.read(Endpoint.READ_CUSTOMER, path, params, parse)

    async def list_newest_entries(
        self, customer_id: str, since: int | None, after: str | None = None, limit: int | None = None
    ) -> Page:
        """Read a page of at most `limit` entries, newest first, after the entry `after` and not older than `since`."""
        more: dict[str, Any] = {"starting_after": after} if after else {}
        more |= {"limit": min(limit, PAGE_SIZE)} if limit else {}
        page, _ = await self._list(customer_id, since, more)
        return page

    async def list_entries_and_customer(self, customer_id: str, since: int) -> tuple[Page, Customer | None]:
        """Read the newest page since `since` and, unless it is empty, the customer, in one request."""
        return await self._list(customer_id, since, {"expand": ["data.customer"]})

    async def _list(self, customer_id: str, since: int | None, more: Mapping[str, Any]) -> tuple[Page, Customer | None]:
        parse = objects.parse_expanded_page if "expand" in more else objects.parse_plain_page
        params = {"limit": PAGE_SIZE, **({} if since is None else {"created": {"gte": since}}), **more}
        page, customer = await self.read(
            Endpoint.LIST_ENTRIES, entries_path(customer_id), params, lambda raw: parse(raw, customer_id)
        )
        if "starting_after" not in more:
            with suppress(NotSent):  # it is not known what the time is
                self.watch.listed(customer_id, page.entries, since, self.now(), ended=page.complete)
        return page, customer

    async def list_entries(self, customer_id: str, since: int, first_page: Page | None = None) -> list[Entry]:
        """List all entries created at or after `since`, newest first.

        `first_page` is the newest page, if already read. Fails unless the listing was read to its end, because an
        incomplete listing proves nothing.
        """
        page = first_page or await self.list_newest_entries(customer_id, since)
        entries = list(page.entries)
        seen = {entry.id for entry in entries}
        while not page.complete:
            page = await self.list_newest_entries(customer_id, since, entries[-1].id)
            if not page.entries:
                raise StripeUnavailable("Stripe's list announced another page, which is empty")
            entries += page.entries
            if not seen.isdisjoint(entry.id for entry in page.entries):
                raise StripeUnavailable("Stripe's list repeats itself")
            seen.update(entry.id for entry in page.entries)
        return entries

    async def create_entry(
        self,
        customer_id: str,
        cents: int,
        description: str,
        metadata: Mapping[str, str],
        key: str,
        still_valid: StillValid,
    ) -> Entry:
        """Write an entry of `cents` (positive: credit), or return the one written under this key.

        It is sent over the connection of this session's reads or not at all. `still_valid` is checked before each
        socket write.

        Raises: NotSent, OutcomeUnknown (it may have been written), RateLimited, RequestRejected, KeyRejected.
        """
        amount = objects.parse_amount(cents)
        params = {"amount": amount, "currency": CURRENCY, "description": description, "metadata": dict(metadata)}
        path = entries_path(customer_id)
        await self._wait_to_send(Endpoint.CREATE_ENTRY)
        self._connection.require_still_valid(still_valid)
        response = await self._call(
            Endpoint.CREATE_ENTRY,
            lambda: self._client.raw_request_async("post", path, idempotency_key=key, **params),
            OutcomeUnknown,
        )
        entry = sdk.parse_response(lambda raw: objects.parse_entry(raw, customer_id), response, OutcomeUnknown)
        if (entry.cents, entry.metadata) != (cents, metadata):
            self.watch.answered_otherwise(entry, key)
            raise OutcomeUnknown(f"Stripe answered with another entry, {entry.id}")
        return entry

    async def set_metadata(
        self, customer_id: str, values: Mapping[str, str], still_valid: StillValid | None = None
    ) -> None:
        """Merge `values` into metadata; an empty one removes its key. With `still_valid` guarded as `create_entry`."""
        path = customer_path(customer_id)
        await self._wait_to_send(Endpoint.WRITE_CUSTOMER)
        if still_valid:
            self._connection.require_still_valid(still_valid)
        await self._call(
            Endpoint.WRITE_CUSTOMER,
            lambda: self._client.raw_request_async("post", path, metadata=dict(values)),
            OutcomeUnknown,
        )

    async def create_customer(self, description: str, metadata: Mapping[str, str], key: str) -> str:
        """Create a bookkeeping customer and return its ID."""
        await self._wait_to_send(Endpoint.CREATE_CUSTOMER)
        params = {"description": description, "metadata": dict(metadata)}
        created = await self._call(
            Endpoint.CREATE_CUSTOMER,
            lambda: self._client.raw_request_async("post", CUSTOMERS, idempotency_key=key, **params),
            OutcomeUnknown,
        )
        return sdk.parse_response(objects.parse_customer, created, OutcomeUnknown).id

    async def _wait_to_send(self, endpoint: Endpoint) -> None:
        if endpoint in self._reserved:
            self._reserved.discard(endpoint)
        else:
            await self._rate_limiter.acquire_together(endpoint)
        self._connection.before_send(lambda: self._rate_limiter.wait_to_send(endpoint))

    async def read(self, endpoint: Endpoint, path: str, params: Mapping[str, Any], parse: Callable[[bytes], T]) -> T:
        """Read and parse what is at `path`; without a proper answer once more, over a new connection."""
        try:
            return await self._read_once(endpoint, path, params, parse)
        except KeyRejected:
            raise
        except StripeUnavailable as error:
            log.info("a read of Stripe is repeated over a new connection: %s", error)
            await self._connection.renew(has_read=self._has_read)
            return await self._read_once(endpoint, path, params, parse)

    async def _read_once(
        self, endpoint: Endpoint, path: str, params: Mapping[str, Any], parse: Callable[[bytes], T]
    ) -> T:
        await self._wait_to_send(endpoint)
        response = await self._call(
            endpoint, lambda: self._client.raw_request_async("get", path, **params), StripeUnavailable
        )
        return sdk.parse_response(parse, response, StripeUnavailable)

    async def _call(
        self, endpoint: Endpoint, call: Callable[[], Awaitable[T]], on_lost_response: type[StripeFailure]
    ) -> T:
        """Send a request, measure it and update the health.

        `on_lost_response` is the failure that a lost or malformed response means: OutcomeUnknown for a write.
        """
        try:
            with measure_stripe_call(endpoint.value):
                response = await self._send(endpoint, call, on_lost_response)
        except StripeUnavailable as error:
            self._health.record_failure(self._clock.boot(), str(error))
            raise
        except ConnectionNotKept as error:
            self._health.connection_fault = str(error)
            raise
        except (RequestRejected, RateLimited) as error:
            self._record_response(limited=isinstance(error, RateLimited))
            raise
        finally:
            self._connection.tell_time(self._health.time)
            logs.add_to_context(stripe_request=self._connection.request_id)
        self._record_response()
        return response

    def _record_response(self, *, limited: bool = False) -> None:
        self._has_read = True  # also by a refusal: that something is missing is an answer to decide by
        self._health.record_response(self._clock.boot(), limited=limited, reused=self._connection.was_reused)

    async def _send(
        self, endpoint: Endpoint, call: Callable[[], Awaitable[T]], on_lost_response: type[StripeFailure]
    ) -> T:
        try:
            response = await call()
        except ConnectionFailed as error:
            raise (on_lost_response if error.sent else StripeUnavailable)(str(error)) from error
        except sdk.stripe.StripeError as error:
            failure = sdk.failure_of_error(error, on_lost_response, may_be_denied=endpoint is Endpoint.LIST_EVENTS)
            if isinstance(failure, RateLimited) and failure.limiter:
                self._rate_limiter.on_rate_limited(endpoint, failure.limiter)
            raise failure from error
        self._rate_limiter.on_success(endpoint)
        return response


class StripeApi:
    """Opens sessions, each with its own connection.

    `transport_factory` creates a connection's transport; `health` and `watch` may be shared with another.
    """

    def __init__(
        self,
        *,
        key: str,
        base: str | None,
        rate_limiter: RateLimiter,
        clock: Clock,
        transport_factory: Callable[[], httpx.AsyncBaseTransport] = create_transport,
        max_connections: int = MAX_CONNECTIONS,
        health: Health | None = None,
        watch: LedgerWatch | None = None,
    ) -> None:
        self._key = key
        self._base = base
        self._rate_limiter = rate_limiter
        self._clock = clock
        self._transport_factory = transport_factory
        self._idle: list[tuple[sdk.stripe.StripeClient, Connection]] = []
        self._slots = asyncio.Semaphore(max_connections)
        self.health = health or Health(ReferenceClock(clock))
        self._watch = watch or LedgerWatch(Breaches())

    @asynccontextmanager
    async def session(self) -> AsyncIterator[StripeSession]:
        """Open a session over the most recently used idle connection; wait while all are in use."""
        async with self._slots:
            client, connection = self._idle.pop() if self._idle else self._connect()
            try:
                connection.start_session()
                yield StripeSession(client, connection, self._rate_limiter, self._clock, self.health, self._watch)
            finally:
                self._idle.append((client, connection))

    def _connect(self) -> tuple[sdk.stripe.StripeClient, Connection]:
        connection = Connection(self._transport_factory(), self._clock)
        return sdk.create_client(self._key, self._base, connection, API_VERSION), connection

    async def aclose(self) -> None:
        """Close all idle connections."""
        for _, connection in self._idle:
            await connection.aclose()
        self._idle.clear()
