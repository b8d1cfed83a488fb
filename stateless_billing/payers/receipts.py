"""The receipt of one payment, rebuilt each time from the chain and from at most one read of Stripe."""

from collections.abc import Sequence
from typing import Any

from chain.gateway import Gateway
from chain.payment import Payment
from stateless_billing.crediting.attempts import MAX_UNSENT_SECONDS
from stateless_billing.crediting.confirmations import Confirmations
from stateless_billing.crediting.credit_case import cursor_covers
from stateless_billing.crediting.payment_status import PaymentStatus, confirming_status, credited_status
from stateless_billing.crediting.processor import CreditProcessor
from stateless_billing.crediting.status_cache import StatusCache
from stateless_billing.domain import money
from stateless_billing.domain.epochs import LISTING_LEAD_SECONDS
from stateless_billing.domain.finality import Heads, is_final
from stateless_billing.payers.claims import payment_response
from stateless_billing.payers.transaction_lookup import TransactionLookup
from stateless_billing.stripe.client import StripeApi
from stateless_billing.stripe.errors import RequestRejected


class Receipts:
    """Finds a payment by its EVM transaction and ordinal, and tells where it stands."""

    def __init__(
        self,
        *,
        transactions: TransactionLookup,
        gateways: Sequence[Gateway],
        stripe: StripeApi,
        confirmations: Confirmations,
        crediting: CreditProcessor,
        status_cache: StatusCache,
    ) -> None:
        self._transactions = transactions
        self._gateways = gateways
        self._stripe = stripe
        self._confirmations = confirmations
        self._crediting = crediting
        self._status_cache = status_cache

    async def find(self, tx_hash: str, ordinal: int, gateway: str | None = None) -> dict[str, Any] | None:
        """The receipt; None where no payment is there. Raises ChainError, StripeFailure, ProblemError.

        Where one EVM transaction paid several gateways, `gateway` tells which; else the newest one's counts.
        """
        heads, found = await self._transactions.find(tx_hash)
        for place in self._gateways:
            for payment in found.payments if found else ():
                wanted = gateway in (None, payment.gateway)
                if payment.gateway == place.address and payment.ordinal == ordinal and wanted:
                    return _receipt(payment, await self._status_of(place, payment, heads))
        return None

    async def _status_of(self, gateway: Gateway, payment: Payment, heads: Heads) -> PaymentStatus:
        memory = self._status_cache
        if known := memory.credited_status(payment) or memory.pending_status(payment) or memory.recent_lookup(payment):
            return known
        depth = await self._confirmations.depth_of(payment, heads)
        if not depth.reached:
            return confirming_status(depth)
        if payment.customer_id is None:
            return PaymentStatus("held", cause="customer_invalid")
        return memory.record_lookup(payment, await self._look_up_status(gateway, payment, payment.customer_id, heads))

    async def _look_up_status(
        self, gateway: Gateway, payment: Payment, customer_id: str, heads: Heads
    ) -> PaymentStatus:
        """The one read: the customer's newest entries, and with them the customer and its cursor."""
        try:
            async with self._stripe.session() as session:
                page, customer = await session.list_entries_and_customer(
                    customer_id, payment.time - LISTING_LEAD_SECONDS
                )
        except RequestRejected as error:
            if error.code != "resource_missing":
                raise
            return PaymentStatus("held", cause="customer_invalid")
        if seen := self._crediting.find_in_page(payment, page):
            # What was reversed here may be credited to another customer, by an order.
            return seen if seen.state == "credited" else await self._crediting.get_status(gateway, payment, heads)
        cursor = self._crediting.cursor(gateway, customer) if customer else None
        if is_final(payment, heads) and cursor and await cursor_covers(gateway, customer_id, cursor, payment.sequence):
            return credited_status(payment.cents or None, None)
        return PaymentStatus("pending", retry_after=MAX_UNSENT_SECONDS)


def _receipt(payment: Payment, status: PaymentStatus) -> dict[str, Any]:
    """What the API tells of a payment, and the rate that its cents and amount come to."""
    facts = payment_response(payment, status)
    rate = money.rate_down(facts["cents"], payment.amount) if facts["cents"] and payment.amount else None
    return {
        "tx_hash": payment.tx_hash,
        "chain_id": payment.chain_id,
        **facts,
        "rate": None if rate is None else money.format_decimal(rate),
        "retry_after": status.retry_after,
    }
