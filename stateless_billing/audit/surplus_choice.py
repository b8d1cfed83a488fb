"""Chooses the surplus credit of a payment by reading every customer that may hold one."""

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

_LISTING_DELAY_SECONDS = 3600  # by then lists show the writes of any concurrent repair or order
_OTHER_CREDITS = re.compile(r"(cbtxn_\w+)@(cus_\w+)", re.ASCII)


class RepairRefused(Exception):
    """A repair step was not applied or is not effective yet; the message gives the reason."""


class SurplusChoice:
    """Reads the ledgers and orders of a payment and chooses the entry to reverse."""

    def __init__(self, stripe: StripeApi, orders: order_store.Orders, scope: Scope) -> None:
        self._stripe = stripe
        self._orders = orders
        self._scope = scope

    async def choose_entry(self, payment: Payment, row: Row, *, require_proof: bool) -> Entry | None:
        """Return the surplus entry of a payment, or None, from one reading of its customers.

        With `require_proof`, ledgers and orders must be proven complete, and all credits and orders of the payment
        must be older than an hour.

        Raises: StripeFailure; RepairRefused if the proof is missing.
        """
        orders = await self._orders.find(payment)
        others = [customer for _, customer in _OTHER_CREDITS.findall(row.note or "")]
        customers = dict.fromkeys(
            filter(None, [payment.customer_id, *orders.named_customers, row.stripe_customer, *others])
        )
        ledgers, now = await self._read_ledgers(
            list(customers), payment.time - LISTING_LEAD_SECONDS, require_proof=require_proof
        )
        credits_ = find_credits(payment, ledgers, self._scope)
        # Orders do not matter if all credits are on the event's own customer: any of them may stay.
        elsewhere = any(credit.customer != payment.customer_id for credit in credits_)
        if require_proof and orders.flaw and elsewhere:
            raise RepairRefused(f"the orders are not proven complete: {orders.flaw}")
        written = [credit.created for credit in credits_]
        written += [order.created for order in orders.orders if order.payment == payment.identity]
        if require_proof and any(time > now - _LISTING_DELAY_SECONDS for time in written):
            raise RepairRefused(
                "a credit or an order of this payment is younger than an hour: lists may not show all of them"
            )
        redirects = {payment.identity: orders.effective.target} if orders.effective and orders.effective.target else {}
        target = OrderIndex(redirects, orders=tuple(orders.orders)).target_of(payment, credits_)
        return find_surplus_over(payment, ledgers, target, self._scope)

    async def _read_ledgers(
        self, customer_ids: Sequence[str], since: int, *, require_proof: bool
    ) -> tuple[dict[str, Sequence[Entry]], int]:
        """Read the ledgers of the customers that still exist.

        The time is that of the last read by Stripe's clock.
        """
        ledgers: dict[str, Sequence[Entry]] = {}
        now = 0
        for customer_id in customer_ids:
            async with self._stripe.session() as session:
                reading = await read_or_none(session, customer_id, max(0, since))
                now = session.now()
            if reading is None:
                continue
            if require_proof and (flaw := find_flaw(reading)):
                raise RepairRefused(f"the ledger of {customer_id} is not proven complete: {flaw}")
            ledgers[customer_id] = reading.entries
        return ledgers, now
