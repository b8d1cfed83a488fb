"""Moves customers' cursors: everything before a cursor is final and credited, seen in a listing, never remembered."""

import logging
import re
from collections.abc import Sequence

from chain.gateway import Gateway
from chain.payment import Payment
from stateless_billing.crediting.credit_case import cursor_covers
from stateless_billing.crediting.processor import CreditProcessor
from stateless_billing.crediting.status_cache import StatusCache
from stateless_billing.domain import ledger
from stateless_billing.domain.epochs import LISTING_LEAD_SECONDS
from stateless_billing.domain.finality import Heads
from stateless_billing.domain.ledger import Cursor, MatchOutcome
from stateless_billing.runtime.backoff import Backoff
from stateless_billing.runtime.clock import Clock
from stateless_billing.stripe.client import StripeApi, StripeSession
from stateless_billing.stripe.errors import RequestRejected, StripeFailure

log = logging.getLogger(__name__)


class CursorUpdater:
    """Takes one customer's final payments to their end."""

    def __init__(
        self,
        *,
        stripe: StripeApi,
        crediting: CreditProcessor,
        status_cache: StatusCache,
        clock: Clock,
        other_credits: re.Pattern[str],
    ) -> None:
        self._stripe = stripe
        self._crediting = crediting
        self._status_cache = status_cache
        self._other_credits = other_credits
        self._backoff = Backoff(clock)  # a listing may lag, and a cursor may be refused

    async def credit_and_advance(
        self, gateway: Gateway, customer_id: str, payments: Sequence[Payment], heads: Heads
    ) -> set[Payment]:
        """Credit what is not credited of a customer's final `payments`; those that Stripe shows credited.

        Raises ChainError. Where Stripe fails, or does not show yet what was written, a later call goes on.
        """
        key = gateway.address, customer_id
        start = await self._starting_cursor(gateway, customer_id) if self._backoff.is_due(key) else None
        if start is None:
            for payment in payments:
                await self._crediting.process(gateway, payment, heads)
            return self.find_redirected(payments)
        stop = max(payment.sequence for payment in payments) + 1
        run = [payment for payment in payments if payment.sequence >= start]
        if stop - start > len(run):  # something before these is not under the cursor either
            run = await gateway.payments_of(customer_id, start, stop, exact=True)
        for payment in run:
            await self._crediting.process(gateway, payment, heads)
        covered = {payment for payment in payments if payment.sequence < start}
        return covered | await self._verify_and_advance(gateway, customer_id, run, start)

    async def _starting_cursor(self, gateway: Gateway, customer_id: str) -> int | None:
        """The sequence that the customer's cursor stands at; None where Stripe does not tell now."""
        try:
            cursor = await self._read_cursor(gateway, customer_id)
        except StripeFailure as error:
            log.warning("customer %s: could not read the cursor: %s", customer_id, error)
            self._backoff.record_failure((gateway.address, customer_id))
            return None
        return cursor.next if cursor else 0

    async def _read_cursor(self, gateway: Gateway, customer_id: str) -> Cursor | None:
        """The customer's cursor, where it is one. What was read before may be behind, which costs work only."""
        key = customer_id, gateway.address
        if key not in self._status_cache.cursors:
            async with self._stripe.session() as session:
                self._crediting.cursor(gateway, await session.get_customer(customer_id))
        cursor = self._status_cache.cursors[key]
        if cursor and not await cursor_covers(gateway, customer_id, cursor, cursor.next - 1):
            log.warning("customer %s: cursor %s does not fit the chain and counts as absent", customer_id, cursor)
            return None
        return cursor

    async def _verify_and_advance(
        self, gateway: Gateway, customer_id: str, unverified: Sequence[Payment], start: int
    ) -> set[Payment]:
        """List the customer's entries since the first payment that no cursor covers, and move the cursor on.

        A remembered credit that the complete listing does not show is forgotten: the next try begins from Stripe.
        """
        shown = self.find_redirected(unverified)
        done = [
            payment for payment in unverified if self._status_cache.credited_status(payment) and payment not in shown
        ]
        if not done:
            return shown
        key = gateway.address, customer_id
        try:
            async with self._stripe.session() as session:
                entries = await session.list_entries(
                    customer_id, min(payment.time for payment in unverified) - LISTING_LEAD_SECONDS
                )
                shown |= {payment for payment in unverified if self._is_listed(payment, entries)}
                await self._write_cursor(session, gateway, customer_id, unverified, start, shown)
        except StripeFailure as error:
            log.warning("customer %s: could not look or move the cursor: %s", customer_id, error)
            self._backoff.record_failure(key)
            if isinstance(error, RequestRejected):
                self._invalidate_missing(done, shown)
            return shown
        self._invalidate_missing(done, shown)
        if shown.issuperset(done):
            self._backoff.record_success(key)
        else:
            self._backoff.record_failure(key)
        return shown

    def find_redirected(self, payments: Sequence[Payment]) -> set[Payment]:
        """Those that an order took to another customer, where a listing showed their credits.

        Of one that this process has only written the next try looks.
        """
        shown = set()
        for payment in payments:
            done = self._status_cache.credited_status(payment)
            if done and (done.verified_on_target or done.cents == 0):
                shown.add(payment)
            elif done and done.credited_customer:
                self._status_cache.invalidate(payment)
        return shown

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
        """Write the cursor behind the last payment before the first that is not shown."""
        end = next((payment.sequence for payment in unverified if payment not in listed), start + len(unverified))
        if end > start:
            cursor = Cursor(end, unverified[end - start - 1].tx_hash)
            name = ledger.cursor_key(gateway.chain_id, gateway.address)
            await session.set_metadata(customer_id, {name: str(cursor)})
            self._status_cache.cursors[customer_id, gateway.address] = cursor

    def _is_listed(self, payment: Payment, entries: list[ledger.Entry]) -> bool:
        done = self._status_cache.credited_status(payment)
        if done and done.cents == 0:
            return True  # below one cent: there is nothing to be seen
        return ledger.match(payment, None, entries, self._other_credits).finding is MatchOutcome.CREDITED
