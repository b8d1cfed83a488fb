"""Credits one payment, exactly once, whatever has happened to earlier tries.

No step here is durable but Stripe's own write, so a crash anywhere begins again from the chain.
"""

import logging
import re
from dataclasses import dataclass

from chain.errors import Inconsistent
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

IN_PROGRESS_SECONDS = 5

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Terms:
    """What is to be credited, or why nothing may be: decided before Stripe is asked."""

    price: Price | None
    held: str | None
    detail: str = ""


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
        depth = await self._confirmations.of(payment, heads)
        if not depth.reached:
            return confirming(depth)
        if payment.customer_id is None:
            return self._held(payment, "customer_invalid", "the event carries no Stripe customer ID")
        async with self._memory.lock(payment.customer_id):
            if found := self._memory.done(payment) or self._memory.waiting(payment):
                return found
            progress = await self._try(gateway, payment, payment.customer_id, final=is_final(payment, heads))
            log.info("payment %s: %s %s %s", payment.identity, progress.state, progress.cause or "", progress.detail)
            return self._memory.remember(payment, progress)

    async def observe(self, payment: Payment, heads: Heads) -> Progress:
        """The same answer without writing: at most one Stripe read, and none for what was looked up a moment ago."""
        if found := self._memory.done(payment) or self._memory.waiting(payment) or self._memory.looked(payment):
            return found
        depth = await self._confirmations.of(payment, heads)
        if not depth.reached:
            return confirming(depth)
        if payment.customer_id is None:
            return self._held(payment, "customer_invalid", "the event carries no Stripe customer ID")
        progress = Progress("pending", retry_after=5)
        try:
            async with self._stripe.session() as session:
                page = await session.newest_entries(payment.customer_id, payment.time - LOOK_BACK)
                progress = self._found(payment, page) or progress
        except StripeFailure as error:
            progress = _failed(error)
        return self._memory.remember_look(payment, progress)

    def _held(self, payment: Payment, cause: str, detail: str) -> Progress:
        return self._memory.remember(payment, Progress("held", cause=cause, detail=detail))

    async def _try(self, gateway: Gateway, payment: Payment, customer_id: str, *, final: bool) -> Progress:
        terms = await self._terms(payment, customer_id)
        try:
            try:
                return await self._attempt(gateway, payment, customer_id, terms, final=final)
            except NotSent as error:
                log.info("payment %s: %s; trying once more", payment.identity, error)
                return await self._attempt(gateway, payment, customer_id, terms, final=final)
        except Unclear as error:
            log.warning("payment %s: outcome unknown, looking: %s", payment.identity, error)
            return await self._look_again(payment, customer_id, error)
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

    async def _attempt(
        self, gateway: Gateway, payment: Payment, customer_id: str, terms: _Terms, *, final: bool
    ) -> Progress:
        """One look and, where it finds nothing, one write, over one connection."""
        # Of a final payment one listing tells all, however often it is asked for.
        fresh = payment.quoted and not final and is_fresh(int(self._clock.wall()), payment.time)
        async with self._stripe.session() as session:
            page, begun = None, None
            if not fresh:
                page = await _newest(session, payment, customer_id)
                begun = moment(session.now(), payment.time)
                if page and (found := self._found(payment, page)):
                    return found
            await session.granted(Endpoint.READ_CUSTOMER, Endpoint.CREATE_ENTRY)
            customer = await session.customer(customer_id)
            if customer.deleted:
                return Progress("held", cause="customer_deleted", detail="the Stripe customer was deleted")
            if not fresh and page is None:
                raise Down("Stripe has the customer, but not its entries")
            cursor = self.cursor(gateway, customer)
            if final and cursor and await covers(gateway, customer_id, cursor, payment.sequence):
                return credited(payment.cents or None, None)
            if page:
                entries = await session.entries(customer_id, payment.time - LOOK_BACK, page)
                if seen := self._seen(payment, terms, entries, final=final):
                    return seen
            if held := _unusable(customer, terms):
                return held
            assert terms.price is not None
            if terms.price.cents == 0:
                return credited(0, None)
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

    async def _look_again(self, payment: Payment, customer_id: str, unclear: Unclear) -> Progress:
        """After an unclear answer: the credit, if the listing shows it; else the same key again, later."""
        try:
            async with self._stripe.session() as session:
                entries = await session.entries(customer_id, payment.time - LOOK_BACK)
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
    if sequence >= cursor.next:
        return False
    try:
        [before] = await gateway.payments_of(customer_id, cursor.next - 1, cursor.next)
    except Inconsistent:
        return False
    return before.tx_hash == cursor.before


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
