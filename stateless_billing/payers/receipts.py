"""Rebuilds the receipt of a payment from the chain and, where that shows its credit, one read of Stripe."""

from collections.abc import Sequence

import msgspec

from chain.gateway import Gateway
from chain.payment import Payment
from stateless_billing.crediting.confirmations import Confirmations
from stateless_billing.crediting.credit_case import cursor_covers
from stateless_billing.crediting.payment_status import PaymentStatus, confirming_status
from stateless_billing.crediting.processor import CreditProcessor
from stateless_billing.crediting.status_cache import StatusCache
from stateless_billing.crediting.stripe_outcomes import covered_status, reverses_older
from stateless_billing.domain import money
from stateless_billing.domain.epochs import LISTING_LEAD_SECONDS
from stateless_billing.domain.finality import Heads, is_final
from stateless_billing.payers.responses import ReceiptResponse, payment_response
from stateless_billing.payers.transaction_lookup import TransactionLookup
from stateless_billing.stripe.client import StripeApi
from stateless_billing.stripe.errors import RequestRejected


class Receipts:
    """Finds a payment by its EVM transaction and ordinal, and its status."""

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

    async def find(self, tx_hash: str, ordinal: int, gateway: str | None = None) -> ReceiptResponse | None:
        """Return the receipt, or None without such a payment.

        If the EVM transaction paid several gateways, `gateway` is the address of one; by default the newest counts.
        Raises: ChainError, StripeFailure, ProblemError.
        """
        heads, paid = await self._transactions.find(tx_hash)
        for candidate in self._gateways:
            if gateway not in (None, candidate.address):
                continue
            for payment in paid.payments if paid else ():
                if payment.gateway == candidate.address and payment.ordinal == ordinal:
                    return _receipt(payment, await self._status_of(candidate, payment, heads))
        return None

    async def _status_of(self, gateway: Gateway, payment: Payment, heads: Heads) -> PaymentStatus:
        if fresh := self._status_cache.fresh_status(payment):
            return fresh
        if self._status_cache.known_status(payment):
            return await self._crediting.get_status(gateway, payment, heads)
        depth = await self._confirmations.depth_of(payment, heads)
        if not depth.reached:
            return confirming_status(depth)
        credited = await self._find_credit(gateway, payment, heads)
        return credited or await self._crediting.get_status(gateway, payment, heads)

    async def _find_credit(self, gateway: Gateway, payment: Payment, heads: Heads) -> PaymentStatus | None:
        """Read the customer's newest entries, and with them the customer and its cursor.

        None if they do not settle it: an order may have credited another customer.
        """
        if payment.customer_id is None:
            return None
        try:
            async with self._stripe.session() as session:
                page, customer = await session.list_entries_and_customer(
                    payment.customer_id, payment.time - LISTING_LEAD_SECONDS
                )
        except RequestRejected as error:
            if error.code != "resource_missing":
                raise
            return None
        if status := self._crediting.find_in_page(payment, page):
            return self._status_cache.record_lookup(payment, status) if status.state == "credited" else None
        if page.complete or reverses_older(page.entries) or not payment.quoted or not is_final(payment, heads):
            return None  # a plain one may be worth less than a cent
        cursor = self._crediting.cursor(gateway, customer) if customer else None
        if cursor and await cursor_covers(gateway, payment.customer_id, cursor, payment.sequence):
            return self._status_cache.record_lookup(payment, covered_status(payment))
        return None


def _receipt(payment: Payment, status: PaymentStatus) -> ReceiptResponse:
    """Describe a payment, with the rate that its cents and amount come to."""
    response = payment_response(payment, status)
    rate = money.rate_down(response.cents, payment.amount) if response.cents and payment.amount else None
    return ReceiptResponse(
        tx_hash=payment.tx_hash,
        chain_id=payment.chain_id,
        **msgspec.structs.asdict(response),
        rate=None if rate is None else money.format_decimal(rate),
        retry_after=status.retry_after,
    )
