"""Credits a payment exactly once, regardless of what happened to earlier attempts.

Only Stripe's own write is durable: after a crash at any point, processing restarts from the chain.
"""

import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace

from chain.errors import ChainError
from chain.gateway import Gateway
from chain.payment import Payment
from stateless_billing.crediting.attempts import Attempt, CreditTools
from stateless_billing.crediting.confirmations import Confirmations
from stateless_billing.crediting.credit_case import CreditCase, read_cursor
from stateless_billing.crediting.credit_terms import CreditTerms
from stateless_billing.crediting.payment_status import PaymentStatus, confirming_status
from stateless_billing.crediting.status_cache import StatusCache
from stateless_billing.crediting.stripe_outcomes import (
    credit_status,
    maybe_credited_status,
    reverses_older,
    status_for_failure,
)
from stateless_billing.domain import ledger
from stateless_billing.domain.finality import Heads, is_final
from stateless_billing.runtime import logs, metrics
from stateless_billing.runtime.clock import Clock
from stateless_billing.runtime.keyed_locks import KeyedLocks
from stateless_billing.stripe.client import StripeApi
from stateless_billing.stripe.errors import KeyReusedDifferently, NotSent, OutcomeUnknown, StripeFailure
from stateless_billing.stripe.ledger_reader import entries_or_none
from stateless_billing.stripe.objects import Customer, Page

log = logging.getLogger(__name__)


class CreditProcessor:
    """Processes payments, one attempt at a time."""

    def __init__(
        self,
        *,
        stripe: StripeApi,
        confirmations: Confirmations,
        tools: CreditTools,
        status_cache: StatusCache,
        locks: KeyedLocks,
        clock: Clock,
        on_credited: Callable[[Payment, str, int], None] | None = None,
    ) -> None:
        self._stripe = stripe
        self._confirmations = confirmations
        self._tools = tools
        self._status_cache = status_cache
        self._locks = locks
        self._clock = clock
        self._on_credited = on_credited

    async def process(
        self, gateway: Gateway, payment: Payment, heads: Heads, *, trust_cursor: bool = True
    ) -> PaymentStatus:
        """Attempt to credit a payment read after `heads`. Failures at Stripe become part of the status.

        Without `trust_cursor`, only Stripe's entries count as evidence, not the cache or the customer's cursor.

        Raises: ChainError.
        """
        if cached := self._cached_status(payment, trust_cursor=trust_cursor):
            return cached
        case = await self._case(gateway, payment, heads, may_write=True)
        if isinstance(case, PaymentStatus):
            return case
        case = replace(case, trust_cursor=trust_cursor)
        async with self._locks.lock(payment.customer_id or payment.identity):
            if cached := self._cached_status(payment, trust_cursor=trust_cursor):
                return cached
            with logs.log_context(stripe_request=""):
                status = await self._process_with_retry(case)
                self._log(case, status)
            return self._status_cache.record_attempt(payment, status)

    async def claim(self, gateway: Gateway, payment: Payment, heads: Heads) -> PaymentStatus:
        """Attempt to credit a payment as `process` does, after a look if it is time for one. Raises: ChainError."""
        await self.look(gateway, payment, heads)
        return await self.process(gateway, payment, heads)

    async def process_each(self, gateway: Gateway, payments: Iterable[Payment], heads: Heads) -> None:
        """Attempt to credit payments one after another; one that cannot be judged does not keep the others waiting.

        Raises: ChainError, the first one, after all were attempted.
        """
        failure: ChainError | None = None
        for payment in payments:
            try:
                await self.process(gateway, payment, heads)
            except ChainError as error:
                failure = failure or error
        if failure:
            raise failure

    def _cached_status(self, payment: Payment, *, trust_cursor: bool) -> PaymentStatus | None:
        credited = self._status_cache.credited_status(payment) if trust_cursor else None
        return credited or self._status_cache.pending_status(payment)

    async def look(self, gateway: Gateway, payment: Payment, heads: Heads) -> None:
        """Look what other processes did about a payment that is credited or waits here, at most once in some minutes.

        A look reads and never writes. While Stripe or the chain cannot be read, what is known stays.
        """
        cache = self._status_cache
        cached = cache.known_status(payment)
        if cached is None or not cache.is_look_due(payment, cached) or self._stripe.health.failure is not None:
            return
        cache.note_look(payment)
        case = CreditCase(gateway, payment, is_final(payment, heads), may_write=False, may_prove=False)
        with suppress(ChainError):
            is_settled = cached.state in ("credited", "reversed")
            if is_settled and not await self._is_contradicted(case, cached):
                return
            found = await self._process_with_retry(case)
            is_shown = found.credit is not None  # a cursor proves that there was a credit, not that it stands
            if is_shown or cached.state != "reversed":
                cache.adopt_look(payment, found)

    async def _is_contradicted(self, case: CreditCase, settled: PaymentStatus) -> bool:
        """Whether the newest page of the credited customer's ledger shows that a credit was reversed, or given anew."""
        customer_id = settled.credited_customer or case.customer_id
        if customer_id is None:
            return False
        try:
            async with self._stripe.session() as session:
                page = await self._tools.listings.newest_or_none(session, customer_id, case.since)
        except StripeFailure:
            return False
        redirected = customer_id != case.customer_id
        if page is None:
            return False
        found = credit_status(case.payment, page.entries, self._tools.other_credits, redirected=redirected)
        if found:
            return found.state != settled.state
        return settled.state == "credited" and reverses_older(page.entries, settled.credit)

    @staticmethod
    def _log(case: CreditCase, status: PaymentStatus) -> None:
        """Log one line per attempt; `stripe_request` is the ID of its last request to Stripe."""
        identity, cause = case.payment.identity, status.cause or ""
        log_fields = {
            "payment": identity,
            "customer": status.credited_customer or case.customer_id or "",
            "state": status.state,
            "cause": cause,
            "credit": status.credit or "",
        }
        log.info("payment %s: %s %s %s", identity, status.state, cause, status.detail, extra=log_fields)

    async def get_status(
        self, gateway: Gateway, payment: Payment, heads: Heads, *, may_prove: bool = False
    ) -> PaymentStatus:
        """The status of a payment, without writing. Reads Stripe at most once every few seconds, later once in minutes.

        With `may_prove` it reads old ledgers as far back as an attempt would, to report what blocks the attempt. Too
        costly for visitors' requests.

        Raises: ChainError.
        """
        await self.look(gateway, payment, heads)
        lookup = None if may_prove else self._status_cache.recent_lookup(payment)
        if cached := self._status_cache.known_status(payment) or lookup:
            return cached
        case = await self._case(gateway, payment, heads, may_write=False)
        if isinstance(case, PaymentStatus):
            return case
        status = await self._process_with_retry(replace(case, may_prove=may_prove))
        return self._status_cache.record_lookup(payment, status)

    async def _case(
        self, gateway: Gateway, payment: Payment, heads: Heads, *, may_write: bool
    ) -> CreditCase | PaymentStatus:
        depth = await self._confirmations.depth_of(payment, heads)
        if not depth.reached:
            status = confirming_status(depth)
            if self._status_cache.record_confirming(payment, status):
                log.warning("payment %s: confirming, %s", payment.identity, status.cause)
            return status
        final = is_final(payment, heads)
        if final:
            self._confirmations.watch.final_payment(payment)
        return CreditCase(gateway, payment, final, may_write)

    async def _process_with_retry(self, case: CreditCase) -> PaymentStatus:
        try:
            terms = await self._tools.pricer.price_payment(case.payment)
            try:
                return await self._check_and_write(case, terms)
            except NotSent as error:
                log.info("payment %s: %s; retrying once", case.payment.identity, error)
                return await self._check_and_write(case, terms)
        except OutcomeUnknown as error:
            log.warning("payment %s: outcome unknown, checking the ledgers: %s", case.payment.identity, error)
            return await self._resolve_unknown_outcome(case, error)
        except StripeFailure as error:
            return status_for_failure(error)

    async def _check_and_write(self, case: CreditCase, terms: CreditTerms) -> PaymentStatus:
        """Run one attempt over one connection and record the credit it wrote."""
        async with self._stripe.session() as session:
            attempt = Attempt(self._tools, self._status_cache, session, case, terms)
            status = await attempt.run(int(self._clock.wall()))
        return self._record_credit(case.payment, attempt.written_to, status) if attempt.written_to else status

    def cursor(self, gateway: Gateway, customer: Customer) -> ledger.Cursor | None:
        """Parse a customer's cursor for a gateway and cache it."""
        return read_cursor(self._status_cache, gateway, customer)

    def find_in_page(self, payment: Payment, page: Page) -> PaymentStatus | None:
        """Find the credit on the newest page of the event's customer."""
        return credit_status(payment, page.entries, self._tools.other_credits, redirected=False)

    def _record_credit(self, payment: Payment, customer_id: str, status: PaymentStatus) -> PaymentStatus:
        """Count a credit that this process wrote, or may have written, and pass it to `on_credited`."""
        if status.state == "credited" and status.cents:
            kind = "quoted" if payment.quoted else "plain"
            metrics.CREDITS.labels(logs.work(), kind).inc()
            metrics.CREDIT_CENTS.labels(logs.work(), kind).inc(status.cents)
            seconds = max(0, self._clock.wall() - payment.time)
            metrics.CREDIT_SECONDS.labels(kind).observe(seconds)
            if payment.quoted:
                self._status_cache.record_credit_time(seconds)
            if self._on_credited:
                self._on_credited(payment, customer_id, status.cents)
        return status

    async def _resolve_unknown_outcome(self, case: CreditCase, unclear: OutcomeUnknown) -> PaymentStatus:
        """Look for the credit in the ledgers of all customers that may carry it.

        If no listing shows it, the next attempt retries with the same idempotency key.
        """
        payment = case.payment
        missing = ""
        try:
            orders = await self._tools.orders.find(payment)
            for customer_id in dict.fromkeys([*filter(None, [case.customer_id]), *orders.named_customers]):
                async with self._stripe.session() as session:
                    entries = await entries_or_none(session, customer_id, case.since)
                missing = missing or (customer_id if entries is None else "")
                redirected = customer_id != case.customer_id
                status = credit_status(payment, entries or [], self._tools.other_credits, redirected=redirected)
                if status and status.state == "credited":
                    if redirected:
                        status = replace(status, credited_customer=customer_id, verified_on_target=True)
                    return self._record_credit(payment, customer_id, status)
        except StripeFailure as error:
            log.warning(
                "payment %s: outcome still unknown, the ledgers could not be checked: %s", payment.identity, error
            )
        if missing and isinstance(unclear, KeyReusedDifferently):
            return maybe_credited_status(missing, str(unclear))
        return status_for_failure(unclear)
