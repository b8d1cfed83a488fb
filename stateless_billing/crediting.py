"""Credits one payment, exactly once, whatever has happened to earlier tries.

No step here is durable but Stripe's own write, so a crash anywhere begins again from the chain.
"""

import logging
import re
from dataclasses import dataclass

from chain.gateway import Gateway
from chain.payment import Payment
from stateless_billing import ledger, money
from stateless_billing.clock import Clock
from stateless_billing.confirmations import Confirmations
from stateless_billing.depth import Heads, is_final
from stateless_billing.epochs import LOOK_BACK, Moment, is_fresh, moment, until_sending
from stateless_billing.errors import Down, InProgress, NotSent, RateLimited, Refused, StripeFailure, Unclear
from stateless_billing.ledger import Finding, Price
from stateless_billing.limits import DailyLimit
from stateless_billing.pacer import Endpoint
from stateless_billing.pricing import PriceFeed
from stateless_billing.progress import Memory, Progress, confirming, credited
from stateless_billing.rates import NoRate
from stateless_billing.stripe_ledger import Session, StripeLedger
from stateless_billing.stripe_objects import Customer, Page

IN_PROGRESS_SECONDS = 5  # somebody else is writing it
UNSENT_SECONDS = 5  # a look found nothing, and looking does not write

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Terms:
    """What is to be credited, or why nothing may be: decided before Stripe is asked."""

    price: Price | None
    held: str | None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class _Case:
    """One payment that lies deep enough, and what may be done about it: `sending`, or looking only."""

    gateway: Gateway
    payment: Payment
    customer_id: str
    final: bool
    sending: bool

    def fresh(self, now: int) -> bool:
        """Whether it may be sent without a look. Of a final payment one listing tells all, however often asked."""
        return self.sending and self.payment.quoted and not self.final and is_fresh(now, self.payment.time)


class Crediting:
    """Takes payments towards their credit, one try at a time."""

    def __init__(
        self,
        stripe: StripeLedger,
        confirmations: Confirmations,
        prices: PriceFeed,
        limit: DailyLimit,
        memory: Memory,
        clock: Clock,
        *,
        discount_bps: int,
        other_credits: re.Pattern[str],
    ) -> None:
        self._stripe, self._confirmations, self._prices = stripe, confirmations, prices
        self._limit, self._memory, self._clock = limit, memory, clock
        self._discount_bps, self._other_credits = discount_bps, other_credits

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
            progress = await self._try(case)
            log.info("payment %s: %s %s %s", payment.identity, progress.state, progress.cause or "", progress.detail)
            return self._memory.remember(payment, progress)

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
        if payment.customer_id is None:
            return self._memory.remember(payment, Progress("held", cause="customer_invalid", detail="no customer ID"))
        return _Case(gateway, payment, payment.customer_id, is_final(payment, heads), sending)

    async def _try(self, case: _Case) -> Progress:
        terms = await self._terms(case.payment, case.customer_id)
        try:
            try:
                return await self._attempt(case, terms)
            except NotSent as error:
                log.info("payment %s: %s; trying once more", case.payment.identity, error)
                return await self._attempt(case, terms)
        except Unclear as error:
            log.warning("payment %s: outcome unknown, looking: %s", case.payment.identity, error)
            return await self._look_again(case, error)
        except StripeFailure as error:
            return _failed(error)

    async def _terms(self, payment: Payment, customer_id: str) -> _Terms:
        if payment.quoted:
            price = Price(payment.cents)
        else:
            try:
                rate = await self._prices.at(payment.time)
            except NoRate as error:
                return _Terms(None, "rate_unavailable", str(error))
            price = Price(money.cents_down(payment.amount, rate.market, self._discount_bps), rate, self._discount_bps)
        if await self._limit.exceeded(payment, customer_id, price.cents):
            return _Terms(price, "over_limit", "the customer's payments of 24 hours pass the maximum")
        return _Terms(price, None)

    async def _attempt(self, case: _Case, terms: _Terms) -> Progress:
        """One look and, where it finds nothing, one write, over one connection."""
        payment, customer_id = case.payment, case.customer_id
        needs_look = not case.fresh(int(self._clock.wall()))
        page, begun = None, None
        async with self._stripe.session() as session:
            if needs_look:
                page = await _newest(session, payment, customer_id)
                if page and (found := self._found(payment, page)):
                    return found
                begun = moment(session.now(), payment.time)
            await session.granted(Endpoint.READ_CUSTOMER, *([Endpoint.CREATE_ENTRY] if case.sending else []))
            customer = await session.customer(customer_id)
            if gone := _gone(customer, without_entries=needs_look and page is None):
                return gone
            cursor = self.cursor(case.gateway, customer)
            if case.final and cursor and await covers(case.gateway, customer_id, cursor, payment.sequence):
                return credited(payment.cents or None, None)
            if page:
                entries = await session.entries(customer_id, payment.time - LOOK_BACK, page)
                if seen := self._seen(payment, terms, entries, final=case.final):
                    return seen
            if held := _unusable(customer, terms):
                return held
            assert terms.price is not None
            if terms.price.cents == 0:
                return credited(0, None)
            if not case.sending:
                return Progress("pending", retry_after=UNSENT_SECONDS)
            return await self._send(session, payment, customer_id, terms.price, begun)

    def cursor(self, gateway: Gateway, customer: Customer) -> ledger.Cursor | None:
        """The cursor a customer carries for a gateway, remembered."""
        cursor = ledger.parse_cursor(customer.value(ledger.cursor_key(gateway.chain_id, gateway.address)))
        self._memory.cursors[customer.id, gateway.address] = cursor
        return cursor

    def _found(self, payment: Payment, page: Page) -> Progress | None:
        """A credit on the newest page. All that could reverse it is newer, so the page tells that too."""
        match = ledger.match(payment, None, page.entries, self._other_credits)
        if match.finding is not Finding.CREDITED or match.entry is None:
            return None
        if ledger.net_cents(match.entry, page.entries) == 0:
            return Progress("reversed", cents=match.entry.cents, credit=match.entry.id)
        return credited(match.entry.cents, match.entry)

    def _seen(self, payment: Payment, terms: _Terms, entries: list[ledger.Entry], *, final: bool) -> Progress | None:
        """What a complete listing says against sending; None where nothing does."""
        if found := self._found(payment, Page(entries, complete=True)):
            return found
        cents = terms.price.cents if terms.price else None
        match = ledger.match(payment, cents, entries, self._other_credits)
        if match.finding is Finding.OTHER_FACTS and not final:
            return Progress("confirming", retry_after=30, detail="its sequence was credited with other facts")
        if match.finding is Finding.ALTERED and match.entry:
            detail = f"{match.entry.id} credits as much and says not what for"
            return Progress("held", cause="ledger_altered", detail=detail)
        return None

    async def _send(
        self, session: Session, payment: Payment, customer_id: str, price: Price, begun: Moment | None
    ) -> Progress:
        """The one write. `begun` is when the look began; None for a fresh quoted payment, which needs none."""
        decided = moment(session.now(), payment.time)
        if decided.quiet:
            wait = until_sending(session.now(), payment.time)
            return Progress("pending", retry_after=wait, detail="waiting for the border between two keys to pass")
        if begun is not None and begun != decided:
            raise NotSent("the look began before the border between two keys")

        def still(now: int) -> bool:
            return moment(now, payment.time) == decided and (begun is not None or is_fresh(now, payment.time))

        entry = await session.create_credit(
            customer_id,
            price.cents,
            ledger.credit_description(payment),
            ledger.credit_metadata(payment, price),
            ledger.credit_key(payment, customer_id, decided.epoch),
            still,
        )
        return credited(entry.cents, entry)

    async def _look_again(self, case: _Case, unclear: Unclear) -> Progress:
        """After an unclear answer: the credit, if the listing shows it; else the same key again, later."""
        payment = case.payment
        try:
            async with self._stripe.session() as session:
                entries = await session.entries(case.customer_id, payment.time - LOOK_BACK)
                if found := self._found(payment, Page(entries, complete=True)):
                    return found
        except StripeFailure as error:
            log.warning("payment %s: could not look either: %s", payment.identity, error)
        return _failed(unclear)


async def _newest(session: Session, payment: Payment, customer_id: str) -> Page | None:
    """The newest page since before the payment; None where Stripe knows no such ledger: its customer tells why."""
    try:
        return await session.newest_entries(customer_id, payment.time - LOOK_BACK)
    except Refused as error:
        if error.code != "resource_missing":
            raise
        return None


async def covers(gateway: Gateway, customer_id: str, cursor: ledger.Cursor, sequence: int) -> bool:
    """Whether a cursor says that this sequence is credited, and is one: it names the payment before it."""
    if sequence >= cursor.next or cursor.next > await gateway.payment_count(customer_id):
        return False
    [before] = await gateway.payments_of(customer_id, cursor.next - 1, cursor.next)
    return before.tx_hash == cursor.before


def _gone(customer: Customer, *, without_entries: bool) -> Progress | None:
    """That the customer was deleted, which takes its entries away too."""
    if customer.deleted:
        return Progress("held", cause="customer_deleted", detail="the Stripe customer was deleted")
    if without_entries:
        raise Down("Stripe has the customer, but not its entries")
    return None


def _unusable(customer: Customer, terms: _Terms) -> Progress | None:
    """Why this customer cannot be credited now."""
    if customer.currency not in (None, ledger.CURRENCY):
        return Progress("held", cause="currency", detail=f"the Stripe customer is billed in {customer.currency}")
    if terms.held:
        cents = terms.price.cents if terms.price else None
        return Progress("held", cents=cents, cause=terms.held, detail=terms.detail)
    return None


def _failed(error: StripeFailure) -> Progress:
    """What a failed call means for the payment."""
    if isinstance(error, Refused):
        causes = {"resource_missing": "customer_invalid", "customer_invalid": "customer_invalid"}
        return Progress("held", cause=causes.get(error.code or "", "stripe_refused"), detail=str(error))
    if isinstance(error, InProgress):
        return Progress("pending", cause="stripe_unclear", retry_after=IN_PROGRESS_SECONDS, detail=str(error))
    if isinstance(error, Unclear):
        return Progress("pending", cause="stripe_unclear", detail=str(error))
    if isinstance(error, RateLimited):
        return Progress("pending", cause="rate_limited", detail=str(error))
    assert isinstance(error, Down | NotSent)
    return Progress("pending", cause="stripe_down", detail=str(error))
