"""Advances customer cursors.

A payment may fall behind the cursor only once it is final and its credit was read back from Stripe; cached state is not
evidence.
"""

import logging
from collections.abc import Sequence

from chain.errors import ChainError
from chain.gateway import Gateway
from chain.payment import Payment
from stateless_billing.crediting.credit_case import cursor_covers
from stateless_billing.crediting.processor import CreditProcessor
from stateless_billing.crediting.status_cache import StatusCache
from stateless_billing.domain import ledger
from stateless_billing.domain.epochs import LISTING_LEAD_SECONDS
from stateless_billing.domain.finality import Heads
from stateless_billing.domain.ledger import Cursor, DescriptionPattern, MatchOutcome
from stateless_billing.runtime.backoff import Backoff
from stateless_billing.runtime.clock import Clock
from stateless_billing.stripe.client import StripeApi, StripeSession
from stateless_billing.stripe.errors import RequestRejected, StripeFailure
from stateless_billing.stripe.ledger_reader import ListingCache

SLICE = 16
"""Payments of one customer in one turn: one listing shows the credits of all, and others wait a few seconds for it."""

log = logging.getLogger(__name__)


class CursorUpdater:
    """Credits one customer's final payments and advances its cursor past them."""

    def __init__(
        self,
        *,
        stripe: StripeApi,
        crediting: CreditProcessor,
        status_cache: StatusCache,
        listings: ListingCache,
        clock: Clock,
        other_credits: DescriptionPattern,
    ) -> None:
        self._stripe = stripe
        self._crediting = crediting
        self._status_cache = status_cache
        self._listings = listings
        self._other_credits = other_credits
        # A listing may lag, and Stripe may reject a cursor.
        self._backoff = Backoff(clock, lambda: stripe.health.recovered_at)
        # An uncredited payment may stand between a cursor and later credits.
        self._gap_backoff = Backoff(clock, lambda: stripe.health.recovered_at)

    async def credit_and_advance(
        self, gateway: Gateway, customer_id: str, payments: Sequence[Payment], heads: Heads
    ) -> set[Payment]:
        """Credit a customer's final `payments`, at most a slice, and return those that Stripe shows as credited.

        The cursor advances after each slice. If Stripe fails, or does not list a new credit yet, a later call
        continues.

        Raises: ChainError.
        """
        key = gateway.address, customer_id
        start = await self._starting_cursor(gateway, customer_id) if self._backoff.is_due(key) else None
        if start is None:
            await self._crediting.process_each(gateway, payments, heads)
            return self.find_redirected(payments)
        covered = {payment for payment in payments if payment.sequence < start}
        unverified = [payment for payment in payments if payment.sequence >= start]
        await self._crediting.process_each(gateway, unverified, heads)
        return covered | await self._verify_and_advance(gateway, customer_id, unverified, start)

    def is_listing_at_hand(self, customer_id: str, payments: Sequence[Payment]) -> bool:
        """Whether crediting these payments took a long listing, which would be read again to seal them later."""
        since = min(payment.time for payment in payments) - LISTING_LEAD_SECONDS
        return self._listings.has_long_listing(customer_id, since)

    async def catch_up(self, gateway: Gateway, customer_id: str, stop: int, heads: Heads) -> bool:
        """Advance the cursor over a slice of the payments between it and `stop`; whether another slice may follow.

        They are credited, but the cursor could not be written then, or waited at a payment before them.

        Raises: ChainError.
        """
        key = gateway.address, customer_id
        cached = self._status_cache.cursors.get((customer_id, gateway.address))
        is_reached = cached is not None and cached.next >= stop
        if is_reached or not self._backoff.is_due(key) or not self._gap_backoff.is_due(key):
            return False
        start = await self._starting_cursor(gateway, customer_id)
        if start is None or start >= stop:
            return False
        gap = await gateway.payments_of(customer_id, start, min(start + SLICE, stop), verify_receipts=True)
        await self.credit_and_advance(gateway, customer_id, gap, heads)
        cursor = self._status_cache.cursors.get((customer_id, gateway.address))
        if cursor is not None and cursor.next > gap[-1].sequence:
            self._gap_backoff.record_success(key)
            return cursor.next < stop
        self._gap_backoff.record_failure(key)
        return False

    async def _starting_cursor(self, gateway: Gateway, customer_id: str) -> int | None:
        """The sequence at the customer's cursor; None if Stripe or the payment before it cannot be read now."""
        try:
            cursor = await self._read_cursor(gateway, customer_id)
        except (StripeFailure, ChainError) as error:
            log.warning("customer %s: cursor could not be read, retrying later: %s", customer_id, error)
            self._backoff.record_failure((gateway.address, customer_id))
            return None
        return cursor.next if cursor else 0

    async def _read_cursor(self, gateway: Gateway, customer_id: str) -> Cursor | None:
        """The customer's cursor if it fits the chain. A cached one may be stale, which only costs extra work."""
        key = customer_id, gateway.address
        if key not in self._status_cache.cursors:
            async with self._stripe.session() as session:
                self._crediting.cursor(gateway, await session.get_customer(customer_id))
        cursor = self._status_cache.cursors[key]
        if cursor and not await cursor_covers(gateway, customer_id, cursor, cursor.next - 1):
            log.warning("customer %s: cursor %s does not fit the chain, treating it as absent", customer_id, cursor)
            return None
        return cursor

    async def _verify_and_advance(
        self, gateway: Gateway, customer_id: str, unverified: Sequence[Payment], start: int
    ) -> set[Payment]:
        """List the customer's entries since the first uncovered payment, and advance the cursor.

        A cached credit missing from the complete listing is invalidated: the next attempt checks Stripe again.
        """
        listed = self.find_redirected(unverified)
        credited = [payment for payment in unverified if self._status_cache.credited_status(payment)]
        done = [payment for payment in credited if payment not in listed]
        if not done:
            return listed
        key = gateway.address, customer_id
        try:
            async with self._stripe.session() as session:
                entries = await self._listings.list_entries(
                    session, customer_id, min(payment.time for payment in unverified) - LISTING_LEAD_SECONDS
                )
                listed |= {payment for payment in unverified if self._is_listed(payment, entries)}
                await self._write_cursor(session, gateway, customer_id, unverified, start, listed)
        except StripeFailure as error:
            log.warning("customer %s: cursor not advanced, retrying later: %s", customer_id, error)
            self._backoff.record_failure(key)
            if isinstance(error, RequestRejected):
                self._invalidate_missing(done, listed)
            return listed
        self._invalidate_missing(done, listed)
        if listed.issuperset(done):
            self._backoff.record_success(key)
        else:
            self._backoff.record_failure(key)
        return listed

    def find_redirected(self, payments: Sequence[Payment]) -> set[Payment]:
        """Find payments redirected to another customer whose credits a listing showed, or that credit nothing.

        A redirected credit that this process only wrote is invalidated, so that the next attempt reads it back.
        """
        verified = set()
        for payment in payments:
            done = self._status_cache.credited_status(payment)
            if done and (done.verified_on_target or done.cents == 0):
                verified.add(payment)
            elif done and done.credited_customer:
                self._status_cache.invalidate(payment)
        return verified

    def _invalidate_missing(self, done: Sequence[Payment], listed: set[Payment]) -> None:
        for payment in done:
            if payment not in listed:
                self._status_cache.invalidate(payment)

    async def _write_cursor(
        self,
        session: StripeSession,
        gateway: Gateway,
        customer_id: str,
        unverified: Sequence[Payment],
        start: int,
        listed: set[Payment],
    ) -> None:
        """Advance the cursor over the payments right behind it that are listed."""
        end = start
        for payment in unverified:
            if payment.sequence != end or payment not in listed:
                break
            end += 1
        if end > start:
            cursor = Cursor(end, unverified[end - start - 1].tx_hash)
            name = ledger.cursor_key(gateway.chain_id, gateway.address)
            await session.set_metadata(customer_id, {name: str(cursor)})
            self._status_cache.cursors[customer_id, gateway.address] = cursor

    def _is_listed(self, payment: Payment, entries: Sequence[ledger.Entry]) -> bool:
        done = self._status_cache.credited_status(payment)
        if done and done.cents == 0:
            return True  # below one cent: no entry was written
        return ledger.match(payment, None, entries, self._other_credits).outcome is MatchOutcome.CREDITED
