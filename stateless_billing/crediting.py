"""Credits one payment, exactly once, whatever has happened to earlier tries.

No step here is durable but Stripe's own write, so a crash anywhere begins again from the chain.
"""

import logging
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from chain.gateway import Gateway
from chain.payment import Payment
from stateless_billing import ledger, logs, metrics
from stateless_billing.clock import Clock
from stateless_billing.confirmations import Confirmations
from stateless_billing.depth import Heads, is_final
from stateless_billing.epochs import HOUR, LOOK_BACK, Moment, is_fresh, moment
from stateless_billing.errors import NotSent, StripeFailure, Unclear
from stateless_billing.ledger import Finding, Price
from stateless_billing.orders import Order, Orders
from stateless_billing.outcomes import failed, gone, newest, readable, unusable
from stateless_billing.pacer import Endpoint
from stateless_billing.progress import Memory, Progress, confirming, credited
from stateless_billing.stripe_ledger import Session, StripeLedger
from stateless_billing.stripe_objects import Customer, Page
from stateless_billing.terms import Terming, Terms
from stateless_billing.writing import Draft, write

UNSENT_SECONDS = 5  # a look found nothing, and looking does not write

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Case:
    """One payment that lies deep enough, and what may be done about it: `sending`, or looking only.

    `customer_id` is who is to be credited: the event's customer, or the one that an order names.
    """

    gateway: Gateway
    payment: Payment
    customer_id: str
    final: bool
    sending: bool
    order: Order | None = None

    @property
    def redirected(self) -> bool:
        """Whether an order names somebody else than the event does."""
        return self.order is not None and self.order.target is not None

    def fresh(self, now: int) -> bool:
        """Whether it may be sent without a look. Of a final payment one listing tells all, however often asked."""
        return self.sending and self.payment.quoted and not self.final and is_fresh(now, self.payment.time)


class Crediting:
    """Takes payments towards their credit, one try at a time."""

    def __init__(
        self,
        stripe: StripeLedger,
        confirmations: Confirmations,
        terms: Terming,
        orders: Orders,
        memory: Memory,
        clock: Clock,
        *,
        other_credits: re.Pattern[str],
        told: Callable[[Payment, str, int], None] | None = None,
    ) -> None:
        self._stripe, self._confirmations, self._terms, self._orders = stripe, confirmations, terms, orders
        self._memory, self._clock = memory, clock
        self._other_credits, self._told = other_credits, told
        self._reconsidered = 0.0

    async def advance(self, gateway: Gateway, payment: Payment, heads: Heads) -> Progress:
        """One try at a payment read after `heads`. Raises ChainError; whatever Stripe does ends in the answer."""
        if found := self._memory.done(payment) or self._memory.waiting(payment):
            return found
        case = await self._case(gateway, payment, heads, sending=True)
        if isinstance(case, Progress):
            return case
        async with self._memory.lock(case.customer_id):
            if found := self._memory.done(payment) or self._memory.waiting(payment):
                return found
            with logs.about(stripe_request=""):
                progress = await self._try(case)
                self._log(case, progress)
            return self._memory.remember(payment, progress)

    @staticmethod
    def _log(case: _Case, progress: Progress) -> None:
        """The one line of a try; `stripe_request` is its last request's name at Stripe."""
        identity = case.payment.identity
        told = {"payment": identity, "customer": case.customer_id, "state": progress.state}
        told |= {"cause": progress.cause or "", "credit": progress.credit or ""}
        words = (identity, progress.state, progress.cause or "", progress.detail)
        log.info("payment %s: %s %s %s", *words, extra=told)

    async def observe(self, gateway: Gateway, payment: Payment, heads: Heads) -> Progress:
        """The same answer without writing, at most every few seconds from Stripe. Raises ChainError."""
        if found := self._memory.done(payment) or self._memory.waiting(payment) or self._memory.looked(payment):
            return found
        case = await self._case(gateway, payment, heads, sending=False)
        if isinstance(case, Progress):
            return case
        return self._memory.remember_look(payment, await self._try(case))

    async def _case(self, gateway: Gateway, payment: Payment, heads: Heads, *, sending: bool) -> _Case | Progress:
        depth = await self._confirmations.of(payment, heads)
        if not depth.reached:
            return confirming(depth)
        return _Case(gateway, payment, payment.customer_id or "", is_final(payment, heads), sending)

    async def reconsider(self, payments: Iterable[Payment]) -> None:
        """Once an hour, have those of `payments` tried again at once that are held and were ordered about."""
        waiting = [(payment, self._memory.waiting(payment)) for payment in payments]
        held = [payment for payment, one in waiting if one and one.state == "held"]
        if not held or self._clock.boot() - self._reconsidered < HOUR:
            return
        self._reconsidered = self._clock.boot()
        try:
            ordered = await self._orders.ordered(min(payment.time for payment in held) - LOOK_BACK)
        except StripeFailure as error:
            log.warning("the orders were not read: %s", error)
            return
        for payment in held:
            if payment.identity in ordered:
                self._memory.retry(payment)

    async def _try(self, case: _Case) -> Progress:
        """One try and, where it ends in something that an admin may have decided, another one under the order.

        Orders are followed at finality only: their payment's identity cannot change any more.
        """
        progress = await self._tries(case)
        if progress.state != "held" or not case.final:
            return progress
        try:
            order = await self._orders.of(case.payment)
        except StripeFailure as error:
            log.warning("payment %s: the orders were not read: %s", case.payment.identity, error)
            return failed(error)
        if order is None or not (order.target or case.customer_id):
            return progress
        return await self._tries(replace(case, order=order, customer_id=order.target or case.customer_id))

    async def _tries(self, case: _Case) -> Progress:
        try:
            terms = await self._terms.of(case.payment, case.order)
            try:
                return await self._attempt(case, terms)
            except NotSent as error:
                log.info("payment %s: %s; trying once more", case.payment.identity, error)
                return await self._attempt(case, terms)
        except Unclear as error:
            log.warning("payment %s: outcome unknown, looking: %s", case.payment.identity, error)
            return await self._look_again(case, error)
        except StripeFailure as error:
            return failed(error)

    async def _attempt(self, case: _Case, terms: Terms) -> Progress:
        """One look and, where it finds nothing, one write, over one connection."""
        payment, customer_id, since = case.payment, case.customer_id, case.payment.time - LOOK_BACK
        needs_look = not case.fresh(int(self._clock.wall()))
        page, begun = None, None
        async with self._stripe.session() as session:
            if needs_look:
                page = await newest(session, customer_id, since)
                if page and (found := self._found(case, page)):
                    return found
                begun = moment(session.now(), payment.time)
            if case.redirected and payment.customer_id and (left := await self._left(session, payment, since)):
                return left
            await session.granted(Endpoint.READ_CUSTOMER, *([Endpoint.CREATE_ENTRY] if case.sending else []))
            customer = await session.customer(customer_id)
            if held := gone(customer, without_entries=needs_look and page is None):
                return held
            if await self._covered(case, customer):
                return credited(payment.cents or None, None)
            if page:
                entries = await session.entries(customer_id, since, page)
                if seen := self._seen(case, terms, entries):
                    return seen
            return unusable(customer, terms) or await self._owed(session, case, terms, begun)

    async def _owed(self, session: Session, case: _Case, terms: Terms, begun: Moment | None) -> Progress:
        """Nothing stands against it: the write, where there is anything to write and it is for us to do."""
        assert terms.price is not None
        if terms.price.cents == 0:
            return credited(0, None)
        if not case.sending:
            return Progress("pending", retry_after=UNSENT_SECONDS)
        sent = await self._send(session, case.payment, case.customer_id, terms.price, begun)
        return replace(sent, target=case.customer_id) if case.redirected else sent

    async def _left(self, session: Session, payment: Payment, since: int) -> Progress | None:
        """The credit of a redirected payment on the event's own customer, if that one can still be read."""
        assert payment.customer_id
        return self.found(payment, Page(await readable(session, payment.customer_id, since), complete=True))

    async def _covered(self, case: _Case, customer: Customer) -> bool:
        """Whether the cursor of the event's customer says that this payment is credited."""
        if case.redirected:
            return False
        cursor = self.cursor(case.gateway, customer)
        return (
            case.final and cursor is not None and await covers(case.gateway, customer.id, cursor, case.payment.sequence)
        )

    def cursor(self, gateway: Gateway, customer: Customer) -> ledger.Cursor | None:
        """The cursor a customer carries for a gateway, remembered."""
        cursor = ledger.parse_cursor(customer.value(ledger.cursor_key(gateway.chain_id, gateway.address)))
        self._memory.cursors[customer.id, gateway.address] = cursor
        return cursor

    def found(self, payment: Payment, page: Page, *, redirected: bool = False) -> Progress | None:
        """A credit on the newest page. All that could reverse it is newer, so the page tells that too."""
        match = ledger.match(payment, None, page.entries, self._other_credits, redirected=redirected)
        if match.finding is not Finding.CREDITED or match.entry is None:
            return None
        if ledger.net_cents(match.entry, page.entries) == 0:
            return Progress("reversed", cents=match.entry.cents, credit=match.entry.id)
        return credited(match.entry.cents, match.entry)

    def _found(self, case: _Case, page: Page) -> Progress | None:
        found = self.found(case.payment, page, redirected=case.redirected)
        return replace(found, target=case.customer_id, seen=True) if found and case.redirected else found

    def _seen(self, case: _Case, terms: Terms, entries: list[ledger.Entry]) -> Progress | None:
        """What a complete listing says against sending; None where nothing does."""
        if found := self._found(case, Page(entries, complete=True)):
            return found
        cents = terms.price.cents if terms.price else None
        match = ledger.match(case.payment, cents, entries, self._other_credits, redirected=case.redirected)
        if match.finding is Finding.OTHER_FACTS and not case.final:
            return Progress("confirming", retry_after=30, detail="its sequence was credited with other facts")
        if match.finding is Finding.ALTERED and match.entry:
            if case.order and case.order.created >= match.entry.created:
                return None  # an admin saw it and said that it is something else
            detail = f"{match.entry.id} credits as much and says not what for"
            return Progress("held", cents=cents, cause="ledger_altered", detail=detail)
        return None

    async def _send(
        self, session: Session, payment: Payment, customer_id: str, price: Price, begun: Moment | None
    ) -> Progress:
        """The one write. `begun` is when the look began; None for a fresh quoted payment, which needs none."""
        draft = Draft(
            customer_id=customer_id,
            cents=price.cents,
            description=ledger.credit_description(payment),
            metadata=ledger.credit_metadata(payment, price),
            origin=payment.time,
            key=lambda epoch: ledger.credit_key(payment, customer_id, epoch),
            holds=lambda now: begun is not None or is_fresh(now, payment.time),
        )
        entry = await write(session, draft, begun)
        return self._written(payment, customer_id, credited(entry.cents, entry))

    def _written(self, payment: Payment, customer_id: str, progress: Progress) -> Progress:
        """A credit that this process wrote, or may have: it is counted, and whoever wants to be told of it is told."""
        if progress.state == "credited" and progress.cents:
            kind = "quoted" if payment.quoted else "plain"
            metrics.CREDITS.labels(logs.work(), kind).inc()
            metrics.CREDIT_CENTS.labels(logs.work(), kind).inc(progress.cents)
            metrics.CREDIT_SECONDS.labels(kind).observe(max(0, self._clock.wall() - payment.time))
        if self._told and progress.state == "credited" and progress.cents:
            self._told(payment, customer_id, progress.cents)
        return progress

    async def _look_again(self, case: _Case, unclear: Unclear) -> Progress:
        """After an unclear answer: the credit, if the listing shows it; else the same key again, later."""
        payment = case.payment
        try:
            async with self._stripe.session() as session:
                entries = await session.entries(case.customer_id, payment.time - LOOK_BACK)
                if found := self._found(case, Page(entries, complete=True)):
                    return self._written(payment, case.customer_id, found)
        except StripeFailure as error:
            log.warning("payment %s: could not look either: %s", payment.identity, error)
        return failed(unclear)


async def covers(gateway: Gateway, customer_id: str, cursor: ledger.Cursor, sequence: int) -> bool:
    """Whether a cursor says that this sequence is credited, and is one: it names the payment before it."""
    if sequence >= cursor.next or cursor.next > await gateway.payment_count(customer_id):
        return False
    [before] = await gateway.payments_of(customer_id, cursor.next - 1, cursor.next)
    return before.tx_hash == cursor.before
