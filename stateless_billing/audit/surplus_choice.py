"""Chooses which credit of a payment is one too many, by one look at every customer that may carry one."""

import re
from collections.abc import Sequence

from chain.payment import Payment
from stateless_billing.audit.rules.facts import OrderIndex, Scope
from stateless_billing.audit.rules.rows import Row
from stateless_billing.audit.rules.surplus import find_credits, find_surplus_over
from stateless_billing.bookkeeping import orders as order_store
from stateless_billing.domain.balance_chain import find_flaw
from stateless_billing.domain.epochs import LISTING_LEAD_SECONDS
from stateless_billing.domain.ledger import Entry
from stateless_billing.stripe.client import StripeApi
from stateless_billing.stripe.ledger_reader import read_or_none

_SETTLING_SECONDS = 3600  # after this, whoever else decides about the same credits has sent, and lists show it
_OTHER_CREDITS = re.compile(r"(cbtxn_\w+)@(cus_\w+)", re.ASCII)


class RepairRefused(Exception):
    """A step was not taken, or led nowhere yet; the message says why."""


class SurplusChoice:
    """Looks, and chooses."""

    def __init__(self, stripe: StripeApi, orders: order_store.Orders, scope: Scope) -> None:
        self._stripe, self._orders, self._scope = stripe, orders, scope

    async def choose_entry(self, payment: Payment, row: Row, *, strict: bool) -> Entry | None:
        """The surplus entry of a payment, by one look at all customers that may carry a credit of it.

        `strict`: only from ledgers and orders that prove what they show, and are older than an hour; else NotTaken.
        Raises StripeFailure.
        """
        orders = await self._orders.find(payment)
        others = [customer for _, customer in _OTHER_CREDITS.findall(row.note or "")]
        places = dict.fromkeys(
            filter(None, [payment.customer_id, *orders.named_customers, row.stripe_customer, *others])
        )
        ledgers, now = await self._read_ledgers(list(places), payment.time - LISTING_LEAD_SECONDS, strict=strict)
        credits_found = find_credits(payment, ledgers, self._scope)
        # Of several credits on the event's own customer any one may stay, whatever orders there were.
        elsewhere = any(one.customer != payment.customer_id for one in credits_found)
        if strict and orders.flaw and elsewhere:
            raise RepairRefused(f"the orders are not proven: {orders.flaw}")
        written = [one.created for one in credits_found]
        written += [one.created for one in orders.orders if one.payment == payment.identity]
        if strict and any(time > now - _SETTLING_SECONDS for time in written):
            raise RepairRefused(
                "a credit or an order of this payment is younger than an hour: lists may not show all of them"
            )
        redirects = {payment.identity: orders.effective.target} if orders.effective and orders.effective.target else {}
        target = OrderIndex(redirects, rows=tuple(orders.orders)).target_of(payment, credits_found)
        return find_surplus_over(payment, ledgers, target, self._scope)

    async def _read_ledgers(
        self, places: Sequence[str], since: int, *, strict: bool
    ) -> tuple[dict[str, Sequence[Entry]], int]:
        """The ledgers of those customers that are still there, and when the last was read by Stripe's clock."""
        ledgers: dict[str, Sequence[Entry]] = {}
        now = 0
        for place in places:
            async with self._stripe.session() as session:
                reading = await read_or_none(session, place, max(0, since))
                now = session.now()
            if reading is None:
                continue
            if strict and (fault := find_flaw(reading)):
                raise RepairRefused(f"the ledger of {place} is not proven: {fault}")
            ledgers[place] = reading.entries
        return ledgers, now
