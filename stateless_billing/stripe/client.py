"""Stripe's customer balances as a ledger. The only module that uses the SDK."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import httpx

from chain.payment import is_customer_id
from stateless_billing.domain.ledger import CURRENCY, Entry
from stateless_billing.runtime import logs
from stateless_billing.runtime.clock import Clock
from stateless_billing.stripe import objects
from stateless_billing.stripe.connection import Connection, ConnectionFailed, Health, StillValid, create_transport
from stateless_billing.stripe.errors import (
    LockTimeout,
    OutcomeUnknown,
    RateLimited,
    RequestRejected,
    StripeFailure,
    StripeUnavailable,
)
from stateless_billing.stripe.metrics import measure_stripe_call
from stateless_billing.stripe.objects import Customer, Page
from stateless_billing.stripe.rate_limiter import Endpoint, RateLimiter
from stateless_billing.stripe.sdk import HTTPClient, describe_error, failure_of_error, stripe

T = TypeVar("T")

API_VERSION = "2026-10-28.endive"  # never varied between processes: whether a key's match includes it is not documented
MAX_CONNECTIONS = 16
PAGE_SIZE = 100

stripe.enable_telemetry = False  # its header would differ between two sendings of one request


class StripeSession:
    """Calls that belong together, over one connection. Every method raises a StripeFailure."""

    def __init__(
        self, api: Any, connection: Connection, rate_limiter: RateLimiter, clock: Clock, health: Health
    ) -> None:
        self._api, self._connection = api, connection
        self._rate_limiter, self._clock, self._health = rate_limiter, clock, health
        self._reserved_together: set[Endpoint] = set()

    def now(self) -> int:
        """Unix seconds by Stripe's own clock, as of the last answer in this session."""
        return self._connection.now()

    async def reserve_together(self, *endpoints: Endpoint) -> None:
        """Have the pacer grant the next request to each of `endpoints` together."""
        await self._rate_limiter.acquire_together(*endpoints)
        self._reserved_together.update(endpoints)

    async def get_customer(self, customer_id: str, *, balance: bool = False) -> Customer:
        """Read one customer, with its dollar balance where that is asked for."""
        params = {"expand": ["invoice_credit_balance"]} if balance else {}
        found = await self.read(
            Endpoint.READ_CUSTOMER,
            lambda api: api.retrieve_async(_require_customer_id(customer_id), params),
            objects.parse_customer,
        )
        if found.id != customer_id:
            raise StripeUnavailable("Stripe answered with another customer")
        return found

    async def list_newest_entries(self, customer_id: str, since: int | None, after: str | None = None) -> Page:
        """One page of a customer's entries, newest first, beginning behind `after`; created since then, where given."""
        more = {"starting_after": after} if after else {}
        return await self._list(objects.parse_page, customer_id, since, more)

    async def list_entries_and_customer(self, customer_id: str, since: int) -> tuple[Page, Customer | None]:
        """The newest page since `since` and, where it holds anything, the customer as it is now: in one read."""
        return await self._list(objects.parse_expanded_page, customer_id, since, {"expand": ["data.customer"]})

    async def _list(
        self, parse: Callable[[Mapping[str, Any], str], T], customer_id: str, since: int | None, more: Mapping[str, Any]
    ) -> T:
        params = {"limit": PAGE_SIZE, **({} if since is None else {"created": {"gte": since}}), **more}
        return await self.read(
            Endpoint.LIST_ENTRIES,
            lambda api: api.balance_transactions.list_async(_require_customer_id(customer_id), params),
            lambda raw: parse(raw, customer_id),
        )

    async def list_entries(self, customer_id: str, since: int, begun: Page | None = None) -> list[Entry]:
        """All entries created at or after `since`, newest first, going on from `begun` where given.

        Raises where the end of the listing was not reached: half a listing proves nothing.
        """
        page = begun or await self.list_newest_entries(customer_id, since)
        found = list(page.entries)
        seen = {entry.id for entry in found}
        while not page.complete:
            page = await self.list_newest_entries(customer_id, since, found[-1].id)
            if not page.entries:
                raise StripeUnavailable("Stripe's list said that there is more, and ended")
            found += page.entries
            if not seen.isdisjoint(entry.id for entry in page.entries):
                raise StripeUnavailable("Stripe's list repeats itself")
            seen.update(entry.id for entry in page.entries)
        return found

    async def create_entry(
        self,
        customer_id: str,
        cents: int,
        description: str,
        metadata: Mapping[str, str],
        key: str,
        still_valid: StillValid,
    ) -> Entry:
        """Write an entry of `cents`, positive for a credit, or find that it was written under this key before.

        Goes over the connection of this session's reads or not at all; `still_valid` is asked before each socket write.
        Raises NotSent, OutcomeUnknown (it may have been done), RateLimited, RequestRejected, StripeUnavailable
        (our key is not accepted).
        """
        params = {
            "amount": objects.parse_amount(cents),
            "currency": CURRENCY,
            "description": description,
            "metadata": dict(metadata),
        }
        _require_customer_id(customer_id)
        answer = await self._write(
            Endpoint.CREATE_ENTRY,
            still_valid,
            lambda: self._api.balance_transactions.create_async(customer_id, params, {"idempotency_key": key}),
        )
        entry = _parse_answer(lambda raw: objects.parse_entry(raw, customer_id), answer, OutcomeUnknown)
        if (entry.cents, entry.metadata) != (cents, metadata):
            raise OutcomeUnknown(f"Stripe answered with another entry, {entry.id}")
        return entry

    async def set_metadata(self, customer_id: str, values: Mapping[str, str]) -> None:
        """Merge `values` into a customer's metadata; an empty value removes its key. Last write wins."""
        await self._wait_to_send(Endpoint.WRITE_CUSTOMER)
        await self._call(
            Endpoint.WRITE_CUSTOMER,
            lambda: self._api.update_async(_require_customer_id(customer_id), {"metadata": dict(values)}),
            OutcomeUnknown,
        )

    async def create_customer(self, description: str, metadata: Mapping[str, str], key: str) -> str:
        """Create a bookkeeping customer; its id."""
        await self._wait_to_send(Endpoint.CREATE_CUSTOMER)
        created = await self._call(
            Endpoint.CREATE_CUSTOMER,
            lambda: self._api.create_async(
                {"description": description, "metadata": dict(metadata)}, {"idempotency_key": key}
            ),
            OutcomeUnknown,
        )
        return _parse_answer(objects.parse_customer, created, OutcomeUnknown).id

    async def _wait_to_send(self, endpoint: Endpoint) -> None:
        if endpoint in self._reserved_together:
            self._reserved_together.discard(endpoint)
        else:
            await self._rate_limiter.acquire_together(endpoint)
        self._connection.before_send(lambda: self._rate_limiter.wait_to_send(endpoint))

    async def read(
        self, endpoint: Endpoint, send: Callable[[Any], Awaitable[Any]], parse: Callable[[Mapping[str, Any]], T]
    ) -> T:
        """Any read; `send` is given the SDK's customers."""
        await self._wait_to_send(endpoint)
        return _parse_answer(
            parse, await self._call(endpoint, lambda: send(self._api), StripeUnavailable), StripeUnavailable
        )

    async def _write(self, endpoint: Endpoint, still_valid: StillValid, call: Callable[[], Awaitable[T]]) -> T:
        await self._wait_to_send(endpoint)
        self._connection.require_still_valid(still_valid)
        return await self._call(endpoint, call, OutcomeUnknown)

    async def _call(
        self, endpoint: Endpoint, call: Callable[[], Awaitable[T]], on_lost_response: type[StripeFailure]
    ) -> T:
        """`on_lost_response` is what a lost or broken answer means: OutcomeUnknown for a write."""
        try:
            with measure_stripe_call(endpoint.value):
                answer = await self._await_answer(endpoint, call, on_lost_response)
        except StripeUnavailable as error:
            self._health.failure, self._health.failed_at = str(error), self._clock.boot()
            raise
        except (RequestRejected, RateLimited):
            self._record_answer()
            raise
        finally:
            self._health.skew = self._connection.skew
            logs.add_to_context(stripe_request=self._connection.request_id)
        self._record_answer()
        return answer

    def _record_answer(self) -> None:
        self._health.answered_at, self._health.failure = self._clock.boot(), None

    async def _await_answer(
        self, endpoint: Endpoint, call: Callable[[], Awaitable[T]], on_lost_response: type[StripeFailure]
    ) -> T:
        try:
            answer = await call()
        except ConnectionFailed as error:
            raise (on_lost_response if error.sent else StripeUnavailable)(str(error)) from error
        except stripe.RateLimitError as error:
            reason = (error.headers or {}).get("Stripe-Rate-Limited-Reason")
            if reason is None:
                raise LockTimeout(describe_error(error)) from error
            self._rate_limiter.on_rate_limited(endpoint, reason)
            raise RateLimited(describe_error(error)) from error
        except stripe.StripeError as error:
            raise failure_of_error(error, on_lost_response) from error
        self._rate_limiter.on_success(endpoint)
        return answer


class StripeApi:
    """Hands out sessions, each with a connection of its own. `transport_factory` makes a connection's transport."""

    def __init__(
        self,
        *,
        key: str,
        base: str | None,
        rate_limiter: RateLimiter,
        clock: Clock,
        transport_factory: Callable[[], httpx.AsyncBaseTransport] = create_transport,
        max_connections: int = MAX_CONNECTIONS,
    ) -> None:
        self._key = key
        self._base = base
        self._rate_limiter = rate_limiter
        self._clock = clock
        self._transport_factory = transport_factory
        self._idle: list[tuple[stripe.StripeClient, Connection]] = []
        self._slots = asyncio.Semaphore(max_connections)
        self.health = Health()

    @asynccontextmanager
    async def session(self) -> AsyncIterator[StripeSession]:
        """A session over an idle connection, the one used last before others. Waits while all are in use."""
        async with self._slots:
            client, connection = self._idle.pop() if self._idle else self._connect()
            try:
                connection.start_session()
                yield StripeSession(client.v1.customers, connection, self._rate_limiter, self._clock, self.health)
            finally:
                self._idle.append((client, connection))

    def _connect(self) -> tuple[stripe.StripeClient, Connection]:
        connection = Connection(self._transport_factory(), self._clock)
        addresses: Any = {"api": self._base} if self._base else {}
        client = stripe.StripeClient(
            self._key,
            base_addresses=addresses,
            http_client=HTTPClient(connection),
            stripe_version=API_VERSION,
            max_network_retries=0,
        )
        return client, connection

    async def aclose(self) -> None:
        """Close all idle connections."""
        for _, connection in self._idle:
            await connection.aclose()
        self._idle.clear()


def _require_customer_id(customer_id: str) -> str:
    """A customer id that may stand in a URL."""
    if not is_customer_id(customer_id):
        raise RequestRejected("not a Stripe customer ID", "customer_invalid")
    return customer_id


def _parse_answer(parse: Callable[[Mapping[str, Any]], T], answer: Any, on_lost_response: type[StripeFailure]) -> T:
    try:
        return parse(answer.to_dict())
    except (ValueError, AttributeError) as error:
        raise on_lost_response(f"Stripe's answer has not its documented form: {error}") from error
