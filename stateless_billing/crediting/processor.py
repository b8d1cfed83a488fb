"""Credits one payment, exactly once, whatever has happened to earlier tries.

No step here is durable but Stripe's own write, so a crash anywhere begins again from the chain.
"""

import logging
from collections.abc import Callable, Iterable
from dataclasses import replace

from chain.gateway import Gateway
from chain.payment import Payment
from stateless_billing.crediting.attempts import Attempt, CreditTools, read_cursor
from stateless_billing.crediting.confirmations import Confirmations
from stateless_billing.crediting.credit_case import CreditCase
from stateless_billing.crediting.credit_terms import CreditTerms
from stateless_billing.crediting.payment_status import PaymentStatus, confirming_status
from stateless_billing.crediting.status_cache import StatusCache
from stateless_billing.crediting.stripe_outcomes import credit_status, maybe_credited_status, status_for_failure
from stateless_billing.domain import ledger
from stateless_billing.domain.epochs import HOUR, LISTING_LEAD_SECONDS
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
    """Takes payments towards their credit, one try at a time."""

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
        self._orders_checked_at = 0.0

    async def process(
        self, gateway: Gateway, payment: Payment, heads: Heads, *, trust_cursor: bool = True
    ) -> PaymentStatus:
        """One try at a payment read after `heads`. Raises ChainError; whatever Stripe does ends in the answer.

        Without `trust_cursor` neither memory nor the customer's cursor say that it is credited: Stripe's entries do.
        """
        known = self._status_cache.credited_status if trust_cursor else self._status_cache.pending_status
        if found := known(payment) or self._status_cache.pending_status(payment):
            return found
        case = await self._case(gateway, payment, heads, may_write=True)
        if isinstance(case, PaymentStatus):
            return case
        case = replace(case, trust_cursor=trust_cursor)
        async with self._locks.lock(payment.customer_id or payment.identity):
            if found := known(payment) or self._status_cache.pending_status(payment):
                return found
            with logs.log_context(stripe_request=""):
                progress = await self._process_with_retry(case)
                self._log(case, progress)
            return self._status_cache.record_attempt(payment, progress)

    @staticmethod
    def _log(case: CreditCase, status: PaymentStatus) -> None:
        """The one line of a try; `stripe_request` is its last request's name at Stripe."""
        identity = case.payment.identity
        customer = status.credited_customer or case.customer_id or ""
        told = {"payment": identity, "customer": customer, "state": status.state}
        told |= {"cause": status.cause or "", "credit": status.credit or ""}
        words = (identity, status.state, status.cause or "", status.detail)
        log.info("payment %s: %s %s %s", *words, extra=told)

    async def get_status(
        self, gateway: Gateway, payment: Payment, heads: Heads, *, may_prove: bool = False
    ) -> PaymentStatus:
        """The same answer without writing, at most every few seconds from Stripe. Raises ChainError.

        `proving` reads old ledgers as far as a try would, to tell what it would be stopped by: not for visitors.
        """
        looked = None if may_prove else self._status_cache.recent_lookup(payment)
        if found := self._status_cache.credited_status(payment) or self._status_cache.pending_status(payment) or looked:
            return found
        case = await self._case(gateway, payment, heads, may_write=False)
        if isinstance(case, PaymentStatus):
            return case
        return self._status_cache.record_lookup(
            payment, await self._process_with_retry(replace(case, may_prove=may_prove))
        )

    async def _case(
        self, gateway: Gateway, payment: Payment, heads: Heads, *, may_write: bool
    ) -> CreditCase | PaymentStatus:
        depth = await self._confirmations.depth_of(payment, heads)
        if not depth.reached:
            return confirming_status(depth)
        return CreditCase(gateway, payment, is_final(payment, heads), may_write)

    async def retry_ordered(self, payments: Iterable[Payment]) -> None:
        """Once an hour, have those of `payments` tried again at once that are held and were ordered about."""
        waiting = [(payment, self._status_cache.pending_status(payment)) for payment in payments]
        held = [payment for payment, one in waiting if one and one.state == "held"]
        if not held or self._clock.boot() - self._orders_checked_at < HOUR:
            return
        self._orders_checked_at = self._clock.boot()
        try:
            ordered = await self._tools.orders.ordered_since(
                min(payment.time for payment in held) - LISTING_LEAD_SECONDS
            )
        except StripeFailure as error:
            log.warning("the orders were not read: %s", error)
            return
        for payment in held:
            if payment.identity in ordered:
                self._status_cache.make_due(payment)

    async def _process_with_retry(self, case: CreditCase) -> PaymentStatus:
        try:
            terms = await self._tools.pricer.price_payment(case.payment)
            try:
                return await self._check_and_write(case, terms)
            except NotSent as error:
                log.info("payment %s: %s; trying once more", case.payment.identity, error)
                return await self._check_and_write(case, terms)
        except OutcomeUnknown as error:
            log.warning("payment %s: outcome unknown, looking: %s", case.payment.identity, error)
            return await self._resolve_unknown_outcome(case, error)
        except StripeFailure as error:
            return status_for_failure(error)

    async def _check_and_write(self, case: CreditCase, terms: CreditTerms) -> PaymentStatus:
        """One look and, where it finds nothing, one write, over one connection."""
        async with self._stripe.session() as session:
            attempt = Attempt(self._tools, self._status_cache, session, case, terms)
            progress = await attempt.run(int(self._clock.wall()))
        return self._record_credit(case.payment, attempt.written_to, progress) if attempt.written_to else progress

    def cursor(self, gateway: Gateway, customer: Customer) -> ledger.Cursor | None:
        """The cursor a customer carries for a gateway, remembered."""
        return read_cursor(self._status_cache, gateway, customer)

    def find_in_page(self, payment: Payment, page: Page) -> PaymentStatus | None:
        """A credit on the newest page of the event's customer."""
        return credit_status(payment, page.entries, self._tools.other_credits, redirected=False)

    def _record_credit(self, payment: Payment, customer_id: str, status: PaymentStatus) -> PaymentStatus:
        """A credit that this process wrote, or may have: it is counted, and whoever wants to be told of it is told."""
        if status.state == "credited" and status.cents:
            kind = "quoted" if payment.quoted else "plain"
            metrics.CREDITS.labels(logs.work(), kind).inc()
            metrics.CREDIT_CENTS.labels(logs.work(), kind).inc(status.cents)
            metrics.CREDIT_SECONDS.labels(kind).observe(max(0, self._clock.wall() - payment.time))
        if self._on_credited and status.state == "credited" and status.cents:
            self._on_credited(payment, customer_id, status.cents)
        return status

    async def _resolve_unknown_outcome(self, case: CreditCase, unclear: OutcomeUnknown) -> PaymentStatus:
        """After an unclear answer: the credit, if a listing of any customer that may carry it shows it.

        Else the same key again, later.
        """
        payment, missing = case.payment, ""
        try:
            orders = await self._tools.orders.find(payment)
            for place in dict.fromkeys([*filter(None, [case.customer_id]), *orders.named_customers]):
                async with self._stripe.session() as session:
                    entries = await entries_or_none(session, place, case.since)
                missing = missing or (place if entries is None else "")
                redirected = place != case.customer_id
                found = credit_status(payment, entries or [], self._tools.other_credits, redirected=redirected)
                if found and found.state == "credited":
                    found = replace(found, credited_customer=place, verified_on_target=True) if redirected else found
                    return self._record_credit(payment, place, found)
        except StripeFailure as error:
            log.warning("payment %s: could not look either: %s", payment.identity, error)
        if missing and isinstance(unclear, KeyReusedDifferently):
            return maybe_credited_status(missing, str(unclear))
        return status_for_failure(unclear)
