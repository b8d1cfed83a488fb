"""Claims: credits what an EVM transaction paid, or only says where each of its payments stands."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from chain.gateway import Gateway, TxPayments
from chain.payment import Payment
from stateless_billing.crediting.payment_status import STATES, PaymentStatus
from stateless_billing.crediting.processor import CreditProcessor
from stateless_billing.crediting.status_cache import StatusCache
from stateless_billing.domain.finality import Heads, is_final
from stateless_billing.payers.responses import ClaimResponse, PaymentResponse, payment_response
from stateless_billing.payers.transaction_lookup import TransactionLookup

_RETRY_UNKNOWN_SECONDS = 2
_RETRY_LATER_SECONDS = 5
_MAX_ATTEMPTS = 20  # in one request: one EVM transaction can hold hundreds of payments


class PaymentClaims:
    """Answers `POST` and `GET /api/payments`."""

    def __init__(
        self,
        transactions: TransactionLookup,
        gateways: Sequence[Gateway],
        crediting: CreditProcessor,
        status_cache: StatusCache,
    ) -> None:
        self._transactions, self._gateways = transactions, gateways
        self._crediting, self._status_cache = crediting, status_cache

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
        if paid is None or not paid.payments:
            return _without_payments(tx_hash, heads, paid)
        by_address = {gateway.address: gateway for gateway in self._gateways}
        ask = self._crediting.claim if credit else self._crediting.get_status
        asked = self._choose(paid.payments, heads, by_attempts=credit)
        answers = await asyncio.gather(*(ask(by_address[payment.gateway], payment, heads) for payment in asked))
        attempted = dict(zip(asked, answers, strict=True))
        statuses = [attempted.get(payment) or self._known_status(payment, heads) for payment in paid.payments]
        state = min((status.state for status in statuses), key=STATES.index)
        waits = [status.retry_after for status in statuses if status.retry_after is not None]
        if state == "credited":
            self._transactions.cache_final(tx_hash, heads, paid)
        payments: list[PaymentResponse] = []
        for payment, status in zip(paid.payments, statuses, strict=True):
            payments.append(payment_response(payment, status))
        retry_after = min(waits, default=None)
        return ClaimResponse(tx_hash=tx_hash, state=state, cause=None, retry_after=retry_after, payments=payments)

    def _choose(self, payments: Sequence[Payment], heads: Heads, *, by_attempts: bool) -> list[Payment]:
        """Choose the payments to ask about: those not looked at for longest, so that none hides the others."""
        cache = self._status_cache
        unknown = [payment for payment in payments if not cache.fresh_status(payment, by_attempts=by_attempts)]
        unknown.sort(key=lambda payment: (cache.looked_at(payment), not is_final(payment, heads)))
        return unknown[:_MAX_ATTEMPTS]

    def _known_status(self, payment: Payment, heads: Heads) -> PaymentStatus:
        """The status of a payment as last known. The next request, or the sweep, attends to one that is not fresh."""
        if known := self._status_cache.known_status(payment) or self._status_cache.fresh_status(payment):
            return known
        state = "pending" if is_final(payment, heads) else "confirming"
        last = self._status_cache.last_answer(payment) or PaymentStatus(state)
        return replace(last, retry_after=_RETRY_LATER_SECONDS)


def _without_payments(tx_hash: str, heads: Heads, paid: TxPayments | None) -> ClaimResponse:
    """Describe an EVM transaction without payments. Until its block is final, another may hold it with some."""
    state, cause = "unknown", None
    retry_after: int | None = _RETRY_UNKNOWN_SECONDS
    if paid and paid.failed:
        state, retry_after = "failed", None
    elif paid:
        is_final = paid.block is not None and paid.block <= heads.finalized.number
        state, retry_after = "unrelated", None if is_final else _RETRY_LATER_SECONDS
        cause = "treasury_transfer" if paid.treasury_transfer else None
    return ClaimResponse(tx_hash=tx_hash, state=state, cause=cause, retry_after=retry_after, payments=[])
