"""Words for an EVM transaction that a visitor looks up without script. Pure."""

from collections.abc import Sequence
from typing import NamedTuple

from stateless_billing.crediting.payment_status import STATES
from stateless_billing.domain import money
from stateless_billing.payers.responses import ClaimResponse, PaymentResponse

_NO_NEED = "You do not need to pay again."


class LookupWords(NamedTuple):
    """A panel: its tone, title and text."""

    tone: str
    title: str
    text: str


MALFORMED = LookupWords(
    "bad",
    "This is not a transaction hash",
    "A transaction hash is 0x followed by 64 characters (0-9, a-f). No money moved. Copy it again from your wallet.",
)
UNREADABLE = LookupWords(
    "warn",
    "We cannot read the payment's state right now",
    "If you paid through our contract, the payment is safe, and we look at it again."
    f" {_NO_NEED} Look it up again in a minute.",
)
_DUST = LookupWords(
    "good", "Payment received", "It is worth less than one cent, so no credit could be added. Nothing is left to do."
)
_TREASURY_TRANSFER = LookupWords(
    "warn",
    "These tokens went straight to the treasury",
    "The transaction moved tokens to the treasury without our contract, so this page cannot credit them. Do not send"
    " more this way. Ask support and name the transaction.",
)
_WORDS = {
    "unknown": LookupWords(
        "warn",
        "Our servers do not see this transaction yet",
        "If you just sent it, look it up again in a minute: a payment that arrives is credited automatically. If your"
        " wallet shows it as failed, canceled or dropped, no tokens were taken.",
    ),
    "unrelated": LookupWords(
        "warn",
        "This transaction did not pay our contract",
        "It is on the chain, and nothing is credited for it. Check in your wallet that it is the one you meant."
        " Ask support and name the transaction if it took tokens for this account.",
    ),
    "failed": LookupWords(
        "bad",
        "The transaction failed",
        "It was refused on the chain. No tokens were taken. You paid only the network fee.",
    ),
    "confirming": LookupWords(
        "progress", "Payment received, confirming", f"We credit it once it is confirmed on the chain. {_NO_NEED}"
    ),
    "pending": LookupWords(
        "progress",
        "Paid, the credit is on its way",
        f"Your payment is on the chain. We are adding the credit. {_NO_NEED}",
    ),
    "held": LookupWords(
        "warn",
        "Paid, the credit is held",
        f"The payment is on the chain. Our staff or a price must release its credit. {_NO_NEED} Its receipt says why.",
    ),
    "reversed": LookupWords("warn", "This credit was taken back", "Our staff reversed it. Ask support for the reason."),
}


def describe_lookup(answer: ClaimResponse, wallet: str | None = None) -> LookupWords:
    """Describe where an EVM transaction stands, as the page's script does.

    Of a transaction that pays for several accounts, the payments of `wallet` count, or all if it has none.
    """
    if answer.cause == "treasury_transfer":
        return _TREASURY_TRANSFER
    payments = [payment for payment in answer.payments if wallet and payment.wallet.lower() == wallet.lower()]
    state = min((payment.state for payment in payments), key=STATES.index) if payments else answer.state
    return _describe_credits(payments or answer.payments) if state == "credited" else _WORDS[state]


def _describe_credits(payments: Sequence[PaymentResponse]) -> LookupWords:
    cents = [payment.cents for payment in payments]
    known = [amount for amount in cents if amount is not None]
    if len(known) < len(cents) or len({payment.wallet for payment in payments}) > 1:
        return LookupWords("good", "Credited", "Each credit is on its account. You are done.")
    if not sum(known):
        return _DUST
    added = f"{money.format_dollars(sum(known))} added"
    return LookupWords("good", added, "The credit is on the account. You are done.")
