"""Moves customers' cursors: everything before a cursor is final and credited, seen in a listing, never remembered."""

import logging
import re
from collections.abc import Sequence

from cachetools import TTLCache

from chain.gateway import Gateway
from chain.payment import Payment
from stateless_billing import ledger
from stateless_billing.clock import Clock
from stateless_billing.crediting import Crediting, covers
from stateless_billing.depth import Heads
from stateless_billing.epochs import LOOK_BACK
from stateless_billing.errors import StripeFailure
from stateless_billing.ledger import Cursor, Finding
from stateless_billing.progress import Memory
from stateless_billing.stripe_ledger import StripeLedger

log = logging.getLogger(__name__)

_LOOK_SECONDS = 60  # a listing may lag: what it does not show yet is not looked for at every sweep


class Sealing:
    """Takes one customer's final payments to their end."""

    def __init__(
        self,
        stripe: StripeLedger,
        crediting: Crediting,
        memory: Memory,
        clock: Clock,
        other_credits: re.Pattern[str],
    ) -> None:
        self._stripe, self._crediting, self._memory = stripe, crediting, memory
        self._other_credits = other_credits
        self._looked: TTLCache[tuple[str, str], None] = TTLCache(10_000, _LOOK_SECONDS, clock.boot)

    async def seal(self, gateway: Gateway, customer_id: str, payments: Sequence[Payment], heads: Heads) -> set[Payment]:
        """Credit what is not credited of a customer's final `payments`; those that Stripe shows credited.

        Raises ChainError. Where Stripe fails, or does not show yet what was written, a later call goes on.
        """
        try:
            cursor = await self._cursor(gateway, customer_id)
            start = cursor.next if cursor else 0
            sealed = {payment for payment in payments if payment.sequence < start}
            rest = [payment for payment in payments if payment.sequence >= start]
            for payment in rest:
                await self._crediting.advance(gateway, payment, heads)
            done = [payment for payment in rest if self._memory.done(payment)]
            if done and (gateway.address, customer_id) not in self._looked:
                shown = await self._look_and_move(gateway, customer_id, done, start)
                if not shown.issuperset(done):
                    self._looked[gateway.address, customer_id] = None
                sealed |= shown
        except StripeFailure as error:
            log.warning("customer %s: could not move the cursor: %s", customer_id, error)
            return set()
        return sealed

    async def _cursor(self, gateway: Gateway, customer_id: str) -> Cursor | None:
        """The customer's cursor, where it is one. What was read before may be behind, which costs work only."""
        key = customer_id, gateway.address
        if key not in self._memory.cursors:
            async with self._stripe.session() as session:
                self._crediting.cursor(gateway, await session.customer(customer_id))
        cursor = self._memory.cursors[key]
        if cursor and not await covers(gateway, customer_id, cursor, cursor.next - 1):
            log.warning("customer %s: cursor %s does not fit the chain and counts as absent", customer_id, cursor)
            return None
        return cursor

    async def _look_and_move(
        self, gateway: Gateway, customer_id: str, done: Sequence[Payment], start: int
    ) -> set[Payment]:
        """List the customer's entries since the first payment that no cursor covers, and move the cursor on."""
        stop = max(payment.sequence for payment in done) + 1
        run = await gateway.payments_of(customer_id, start, stop) if len(done) < stop - start else list(done)
        async with self._stripe.session() as session:
            entries = await session.entries(customer_id, min(payment.time for payment in run) - LOOK_BACK)
            shown = {payment for payment in run if self._shows(payment, entries)}
            end = next((payment.sequence for payment in run if payment not in shown), stop)
            if end > start:
                cursor = Cursor(end, run[end - start - 1].tx_hash)
                await session.set_metadata(
                    customer_id, {ledger.cursor_key(gateway.chain_id, gateway.address): str(cursor)}
                )
                self._memory.cursors[customer_id, gateway.address] = cursor
        return shown

    def _shows(self, payment: Payment, entries: list[ledger.Entry]) -> bool:
        done = self._memory.done(payment)
        if done and done.cents == 0:
            return True  # below one cent: there is nothing to be seen
        return ledger.match(payment, None, entries, self._other_credits).finding is Finding.CREDITED
