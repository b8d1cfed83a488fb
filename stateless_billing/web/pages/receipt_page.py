"""What a receipt's page shows of a payment. Pure."""

import base64
from typing import Any

import msgspec

from stateless_billing.payers.responses import ReceiptResponse
from stateless_billing.web.pages import links

_NUMBER_DIGITS = 8


def receipt_context(receipt: ReceiptResponse, seller: str | None, support_url: str | None) -> dict[str, Any]:
    """Return the values that the template needs besides the network's."""
    return {
        "payment": receipt,
        "kind": receipt_kind(receipt),
        "number": receipt_number(receipt.tx_hash, receipt.ordinal),
        "document": base64.b64encode(msgspec.json.encode(receipt)).decode(),
        "seller": seller,
        "support": links.support_link(support_url, receipt.tx_hash),
    }


def receipt_number(tx_hash: str, ordinal: int) -> str:
    """Return a short number for people; the transaction's hash says the same exactly."""
    return f"{tx_hash[2 : 2 + _NUMBER_DIGITS].upper()}-{ordinal}"


def receipt_kind(receipt: ReceiptResponse) -> str:
    """Return the key of what the receipt says: the state, or `dust` where no cent was left to credit."""
    return "dust" if receipt.state == "credited" and receipt.cents == 0 else receipt.state
