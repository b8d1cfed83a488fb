"""Claims: credits what an EVM transaction paid, or only says where each of its payments stands."""

import asyncio
from collections.abc import Sequence

from chain.gateway import Gateway
from stateless_billing.crediting.payment_status import STATES
from stateless_billing.crediting.processor import CreditProcessor
from stateless_billing.payers.responses import ClaimResponse, PaymentResponse, payment_response
from stateless_billing.payers.transaction_lookup import TransactionLookup

_RETRY_UNKNOWN_SECONDS = 2


class PaymentClaims:
    """Answers `POST` and `GET /api/payments`."""

    def __init__(
        self, transactions: TransactionLookup, gateways: Sequence[Gateway], crediting: CreditProcessor
    ) -> None:
        self._transactions, self._gateways, self._crediting = transactions, gateways, crediting

    async def claim(self, tx_hash: str) -> ClaimResponse:
        """Credit the payments of an EVM transaction that are due.

        A hash that no node knows costs no Stripe request. Raises: ChainError, ProblemError.
        """
        return await self._answer(tx_hash, credit=True)

    async def status(self, tx_hash: str) -> ClaimResponse:
        """Answer as `claim` does, without writing. Raises: ChainError, ProblemError."""
        return await self._answer(tx_hash, credit=False)

    async def _answer(self, tx_hash: str, *, credit: bool) -> ClaimResponse:
        heads, paid = await self._transactions.find(tx_hash)
        if paid is None or (not paid.failed and not paid.payments):
            return _without_payments(tx_hash, "unknown", _RETRY_UNKNOWN_SECONDS)
        if paid.failed:
            return _without_payments(tx_hash, "failed", None)
        by_address = {gateway.address: gateway for gateway in self._gateways}
        ask = self._crediting.process if credit else self._crediting.get_status
        statuses = await asyncio.gather(
            *(ask(by_address[payment.gateway], payment, heads) for payment in paid.payments)
        )
        state = min((status.state for status in statuses), key=STATES.index)
        waits = [status.retry_after for status in statuses if status.retry_after is not None]
        if state == "credited":
            self._transactions.cache_final(tx_hash, heads, paid)
        payments: list[PaymentResponse] = []
        for payment, status in zip(paid.payments, statuses, strict=True):
            payments.append(payment_response(payment, status))
        return ClaimResponse(tx_hash=tx_hash, state=state, retry_after=min(waits, default=None), payments=payments)


def _without_payments(tx_hash: str, state: str, retry_after: int | None) -> ClaimResponse:
    return ClaimResponse(tx_hash=tx_hash, state=state, retry_after=retry_after, payments=[])
