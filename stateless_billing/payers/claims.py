"""What one EVM transaction paid, and where each of its payments stands."""

import asyncio
from collections.abc import Sequence
from typing import Any

from chain.gateway import Gateway
from chain.payment import Payment
from chain.signing import to_checksum_address
from stateless_billing.crediting.payment_status import STATES, PaymentStatus
from stateless_billing.crediting.processor import CreditProcessor
from stateless_billing.payers.transaction_lookup import TransactionLookup

_RETRY_UNKNOWN_SECONDS = 2


class PaymentClaims:
    """Answers `POST` and `GET /api/payments`."""

    def __init__(
        self, transactions: TransactionLookup, gateways: Sequence[Gateway], crediting: CreditProcessor
    ) -> None:
        self._transactions, self._gateways, self._crediting = transactions, gateways, crediting

    async def of(self, tx_hash: str, *, credit: bool) -> dict[str, Any]:
        """The payments of an EVM transaction, credited where due if `credit`. Raises ChainError, ProblemError.

        A hash that no node knows costs Stripe nothing.
        """
        heads, found = await self._transactions.find(tx_hash)
        if found is None or (not found.failed and not found.payments):
            return _answer(tx_hash, "unknown", [], _RETRY_UNKNOWN_SECONDS)
        if found.failed:
            return _answer(tx_hash, "failed", [], None)
        by_address = {gateway.address: gateway for gateway in self._gateways}
        progress = await asyncio.gather(
            *(
                self._crediting.process(by_address[payment.gateway], payment, heads)
                if credit
                else self._crediting.get_status(by_address[payment.gateway], payment, heads)
                for payment in found.payments
            )
        )
        state = min((one.state for one in progress), key=STATES.index)
        waits = [one.retry_after for one in progress if one.retry_after is not None]
        if state == "credited":
            self._transactions.cache_final(tx_hash, heads, found)
        payments = [payment_response(payment, one) for payment, one in zip(found.payments, progress, strict=True)]
        return _answer(tx_hash, state, payments, min(waits, default=None))


def _answer(tx_hash: str, state: str, payments: list[dict[str, Any]], retry_after: int | None) -> dict[str, Any]:
    return {"tx_hash": tx_hash, "state": state, "retry_after": retry_after, "payments": payments}


def payment_response(payment: Payment, status: PaymentStatus) -> dict[str, Any]:
    """One payment as the API shows it. `cents` is null for a plain payment whose price is not settled."""
    return {
        "payment": payment.identity,
        "ordinal": payment.ordinal,
        "gateway": to_checksum_address(payment.gateway),
        "sequence": payment.sequence,
        "wallet": to_checksum_address(payment.wallet),
        "payer": to_checksum_address(payment.payer),
        "amount": str(payment.amount),
        "cents": status.cents if status.cents is not None else payment.cents or None,
        "block": payment.block,
        "time": payment.time,
        "state": status.state,
        "cause": status.cause,
        "confirmed": status.confirmed,
        "needed": status.needed,
        "credit": status.credit,
    }
