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
from stateless_billing.crediting.payment_status import PaymentStatus, confirming
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
        stripe: StripeApi,
        confirmations: Confirmations,
        tools: CreditTools,
        memory: StatusCache,
        locks: KeyedLocks,
        clock: Clock,
        *,
        told: Callable[[Payment, str, int], None] | None = None,
    ) -> None:
        self._stripe, self._confirmations, self._tools = stripe, confirmations, tools
        self._memory, self._locks, self._clock = memory, locks, clock
        self._told = told
        self._reconsidered = 0.0

    async def advance(
        self, gateway: Gateway, payment: Payment, heads: Heads, *, trust_cursor: bool = True
    ) -> PaymentStatus:
        """One try at a payment read after `heads`. Raises ChainError; whatever Stripe does ends in the answer.

        Without `trust_cursor` neither memory nor the customer's cursor say that it is credited: Stripe's entries do.
        """
        known = self._memory.done if trust_cursor else self._memory.waiting
        if found := known(payment) or self._memory.waiting(payment):
            return found
        case = await self._case(gateway, payment, heads, sending=True)
        if isinstance(case, PaymentStatus):
            return case
        case = replace(case, trust_cursor=trust_cursor)
        async with self._locks.lock(payment.customer_id or payment.identity):
            if found := known(payment) or self._memory.waiting(payment):
                return found
            with logs.about(stripe_request=""):
                progress = await self._try(case)
                self._log(case, progress)
            return self._memory.remember(payment, progress)

    @staticmethod
    def _log(case: CreditCase, progress: PaymentStatus) -> None:
        """The one line of a try; `stripe_request` is its last request's name at Stripe."""
        identity = case.payment.identity
        customer = progress.target or case.customer_id or ""
        told = {"payment": identity, "customer": customer, "state": progress.state}
        told |= {"cause": progress.cause or "", "credit": progress.credit or ""}
        words = (identity, progress.state, progress.cause or "", progress.detail)
        log.info("payment %s: %s %s %s", *words, extra=told)

    async def get_status(
        self, gateway: Gateway, payment: Payment, heads: Heads, *, proving: bool = False
    ) -> PaymentStatus:
        """The same answer without writing, at most every few seconds from Stripe. Raises ChainError.

        `proving` reads old ledgers as far as a try would, to tell what it would be stopped by: not for visitors.
        """
        looked = None if proving else self._memory.looked(payment)
        if found := self._memory.done(payment) or self._memory.waiting(payment) or looked:
            return found
        case = await self._case(gateway, payment, heads, sending=False)
        if isinstance(case, PaymentStatus):
            return case
        return self._memory.record_lookup(payment, await self._try(replace(case, proving=proving)))

    async def _case(
        self, gateway: Gateway, payment: Payment, heads: Heads, *, sending: bool
    ) -> CreditCase | PaymentStatus:
        depth = await self._confirmations.of(payment, heads)
        if not depth.reached:
            return confirming(depth)
        return CreditCase(gateway, payment, is_final(payment, heads), sending)

    async def retry_ordered(self, payments: Iterable[Payment]) -> None:
        """Once an hour, have those of `payments` tried again at once that are held and were ordered about."""
        waiting = [(payment, self._memory.waiting(payment)) for payment in payments]
        held = [payment for payment, one in waiting if one and one.state == "held"]
        if not held or self._clock.boot() - self._reconsidered < HOUR:
            return
        self._reconsidered = self._clock.boot()
        try:
            ordered = await self._tools.orders.ordered(min(payment.time for payment in held) - LISTING_LEAD_SECONDS)
        except StripeFailure as error:
            log.warning("the orders were not read: %s", error)
            return
        for payment in held:
            if payment.identity in ordered:
                self._memory.retry(payment)

    async def _try(self, case: CreditCase) -> PaymentStatus:
        try:
            terms = await self._tools.terms.of(case.payment)
            try:
                return await self._attempt(case, terms)
            except NotSent as error:
                log.info("payment %s: %s; trying once more", case.payment.identity, error)
                return await self._attempt(case, terms)
        except OutcomeUnknown as error:
            log.warning("payment %s: outcome unknown, looking: %s", case.payment.identity, error)
            return await self._look_again(case, error)
        except StripeFailure as error:
            return status_for_failure(error)

    async def _attempt(self, case: CreditCase, terms: CreditTerms) -> PaymentStatus:
        """One look and, where it finds nothing, one write, over one connection."""
        async with self._stripe.session() as session:
            attempt = Attempt(self._tools, self._memory, session, case, terms)
            progress = await attempt.run(int(self._clock.wall()))
        return self._written(case.payment, attempt.written_to, progress) if attempt.written_to else progress

    def cursor(self, gateway: Gateway, customer: Customer) -> ledger.Cursor | None:
        """The cursor a customer carries for a gateway, remembered."""
        return read_cursor(self._memory, gateway, customer)

    def found(self, payment: Payment, page: Page) -> PaymentStatus | None:
        """A credit on the newest page of the event's customer."""
        return credit_status(payment, page.entries, self._tools.other_credits, redirected=False)

    def _written(self, payment: Payment, customer_id: str, progress: PaymentStatus) -> PaymentStatus:
        """A credit that this process wrote, or may have: it is counted, and whoever wants to be told of it is told."""
        if progress.state == "credited" and progress.cents:
            kind = "quoted" if payment.quoted else "plain"
            metrics.CREDITS.labels(logs.work(), kind).inc()
            metrics.CREDIT_CENTS.labels(logs.work(), kind).inc(progress.cents)
            metrics.CREDIT_SECONDS.labels(kind).observe(max(0, self._clock.wall() - payment.time))
        if self._told and progress.state == "credited" and progress.cents:
            self._told(payment, customer_id, progress.cents)
        return progress

    async def _look_again(self, case: CreditCase, unclear: OutcomeUnknown) -> PaymentStatus:
        """After an unclear answer: the credit, if a listing of any customer that may carry it shows it.

        Else the same key again, later.
        """
        payment, missing = case.payment, ""
        try:
            orders = await self._tools.orders.latest(payment)
            for place in dict.fromkeys([*filter(None, [case.customer_id]), *orders.named]):
                async with self._stripe.session() as session:
                    entries = await entries_or_none(session, place, case.since)
                missing = missing or (place if entries is None else "")
                redirected = place != case.customer_id
                found = credit_status(payment, entries or [], self._tools.other_credits, redirected=redirected)
                if found and found.state == "credited":
                    found = replace(found, target=place, seen=True) if redirected else found
                    return self._written(payment, place, found)
        except StripeFailure as error:
            log.warning("payment %s: could not look either: %s", payment.identity, error)
        if missing and isinstance(unclear, KeyReusedDifferently):
            return maybe_credited_status(missing, str(unclear))
        return status_for_failure(unclear)
