"""What receipts say besides the payment itself."""

import base64
import json

import pytest

from stateless_billing.payers.responses import ReceiptResponse
from stateless_billing.web.pages.receipt_page import receipt_context, receipt_kind, receipt_number

TX_HASH = "0xab12cd34" + "0" * 56


def receipt(state: str = "credited", cents: int | None = 5000) -> ReceiptResponse:
    """Return a receipt."""
    return ReceiptResponse(
        tx_hash=TX_HASH,
        chain_id=8453,
        payment=f"8453:0x{'ab' * 20}:{TX_HASH}:2",
        ordinal=2,
        gateway=f"0x{'ab' * 20}",
        sequence=1,
        wallet=f"0x{'cd' * 20}",
        payer=f"0x{'ef' * 20}",
        amount="1000",
        cents=cents,
        block=7,
        time=1_700_000_000,
        state=state,
        cause=None,
        confirmed=None,
        needed=None,
        credit=None,
        rate=None,
        retry_after=None,
    )


def test_number_is_short_and_names_the_payment() -> None:
    assert receipt_number(TX_HASH, 2) == "AB12CD34-2"


@pytest.mark.parametrize(
    ("state", "cents", "kind"),
    [("credited", 5000, "credited"), ("credited", 0, "dust"), ("credited", None, "credited"), ("held", 0, "held")],
)
def test_dust_is_a_kind_of_its_own(state: str, cents: int | None, kind: str) -> None:
    assert receipt_kind(receipt(state, cents)) == kind


def test_context_holds_the_document_and_a_link_to_support() -> None:
    context = receipt_context(receipt(), "Lit", "https://help.example.org")
    document = json.loads(base64.b64decode(context["document"]))
    assert (document["tx_hash"], document["cents"], document["amount"]) == (TX_HASH, 5000, "1000")
    assert context["support"] == f"https://help.example.org?reference={TX_HASH}"
    assert receipt_context(receipt(), None, None)["support"] is None
