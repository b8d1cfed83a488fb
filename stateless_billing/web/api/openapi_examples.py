"""Examples for the API's description, made of the types that answer."""

from collections.abc import Mapping
from typing import Any

import msgspec

from stateless_billing.payers.responses import (
    AccountResponse,
    CallResponse,
    ClaimResponse,
    PaymentResponse,
    QuotePaymentResponse,
    QuoteResponse,
    QuoteStatusResponse,
    ReceiptResponse,
    RegistrationResponse,
)
from stateless_billing.services.readiness import CheckResponse, ReadinessResponse
from stateless_billing.web.api.requests import ClaimRequest, QuoteRequest, QuoteStatusRequest
from stateless_billing.web.http.health import HealthResponse

_WALLET = "0x1111111111111111111111111111111111111111"
_PAYER = "0x2222222222222222222222222222222222222222"
_GATEWAY = "0x3333333333333333333333333333333333333333"
_ERC20 = "0x4444444444444444444444444444444444444444"
_TX_HASH = "0x" + "5a" * 32
_CHAIN_ID = 8453
_AMOUNT = "4166666666666666666667"
_RATE = "0.006000000000000000"
_PAID_RATE = "0.005999999999999999"  # cents over amount, which was rounded up
_BLOCK = 38_000_000
_PAID_AT = 1_795_000_000
_DEADLINE = _PAID_AT + 300
_SIGNATURE = "0x" + "6b" * 64 + "1b"

_PAYMENT = PaymentResponse(
    payment=f"{_CHAIN_ID}:{_GATEWAY}:{_TX_HASH}:0",
    ordinal=0,
    gateway=_GATEWAY,
    sequence=0,
    wallet=_WALLET,
    payer=_PAYER,
    amount=_AMOUNT,
    cents=2500,
    block=_BLOCK,
    time=_PAID_AT,
    state="credited",
    cause=None,
    confirmed=None,
    needed=None,
    credit="cbtxn_1SxExample",
)
_CONFIRMING = msgspec.structs.replace(_PAYMENT, state="confirming", confirmed=6, needed=15, credit=None)
_HELD = msgspec.structs.replace(_PAYMENT, state="held", cause="over_limit", credit=None)

_QUOTE = QuoteResponse(
    wallet=_WALLET,
    cents=2500,
    amount=_AMOUNT,
    rate=_RATE,
    market_rate=_RATE,
    rate_source="coingecko:lit-protocol",
    rate_at=_PAID_AT - 40,
    discount_bps=0,
    gateway=_GATEWAY,
    token=_ERC20,
    chain_id=_CHAIN_ID,
    sequence=0,
    deadline=_DEADLINE,
    signature=_SIGNATURE,
    registered=False,
    registration=RegistrationResponse(customer_id="cus_Example", deadline=_DEADLINE, signature=_SIGNATURE),
    calls=[
        CallResponse(to=_ERC20, data="0x095ea7b3", value="0x0", label="Approve 4,166.67 LITKEY (calldata shortened)"),
        CallResponse(to=_GATEWAY, data="0xac9650d8", value="0x0", label="Register and pay (calldata shortened)"),
    ],
)

EXAMPLES: Mapping[type[msgspec.Struct], Mapping[str, msgspec.Struct]] = {
    QuoteRequest: {"25 dollars": QuoteRequest(wallet=_WALLET, cents=2500, payer=_PAYER)},
    QuoteResponse: {"first payment of a wallet": _QUOTE},
    QuoteStatusRequest: {
        "the quote's fields": QuoteStatusRequest(
            gateway=_GATEWAY,
            wallet=_WALLET,
            sequence=0,
            amount=_AMOUNT,
            cents=2500,
            deadline=_DEADLINE,
            signature=_SIGNATURE,
        )
    },
    QuoteStatusResponse: {
        "paid": QuoteStatusResponse(
            state="paid",
            payment=QuotePaymentResponse(tx_hash=_TX_HASH, ordinal=0, block=_BLOCK, time=_PAID_AT, final=False),
        ),
        "void": QuoteStatusResponse(state="void", payment=None),
    },
    ClaimRequest: {"a transaction": ClaimRequest(tx_hash=_TX_HASH)},
    ClaimResponse: {
        "credited": ClaimResponse(
            tx_hash=_TX_HASH, state="credited", cause=None, retry_after=None, payments=[_PAYMENT]
        ),
        "confirming": ClaimResponse(
            tx_hash=_TX_HASH, state="confirming", cause=None, retry_after=9, payments=[_CONFIRMING]
        ),
        "held": ClaimResponse(tx_hash=_TX_HASH, state="held", cause=None, retry_after=60, payments=[_HELD]),
        "unknown": ClaimResponse(tx_hash=_TX_HASH, state="unknown", cause=None, retry_after=5, payments=[]),
    },
    ReceiptResponse: {
        "credited": ReceiptResponse(
            tx_hash=_TX_HASH,
            chain_id=_CHAIN_ID,
            **msgspec.structs.asdict(_PAYMENT),
            rate=_PAID_RATE,
            retry_after=None,
        )
    },
    AccountResponse: {
        "known": AccountResponse(
            wallet=_WALLET,
            found=True,
            email="c\N{HORIZONTAL ELLIPSIS}s@l\N{HORIZONTAL ELLIPSIS}.com",
            registered=True,
            minimum_cents=500,
            maximum_cents=497_500,
            maximum_resets_at=_PAID_AT + 86_400,
            payments=[_PAYMENT],
        ),
        "unknown": AccountResponse(
            wallet=_WALLET,
            found=False,
            email=None,
            registered=False,
            minimum_cents=500,
            maximum_cents=500_000,
            maximum_resets_at=None,
            payments=[],
        ),
    },
    HealthResponse: {"alive": HealthResponse(ok=True)},
    ReadinessResponse: {
        "ready": ReadinessResponse(ready=True, checks={"chain": CheckResponse(ok=True, age=2, detail="block 38000000")})
    },
}
"""The examples of every body, by type and name."""

PATH_EXAMPLES: Mapping[str, Any] = {
    "wallet": _WALLET,
    "tx_hash": _TX_HASH,
    "ordinal": 0,
    "code": "unknown_wallet",
    "digest": "0123456789abcdef",
    "name": "pay.css",
}

PROBLEM_DETAILS: Mapping[str, str] = {
    "unsupported_media_type": "Send the body as JSON with `Content-Type: application/json`. Nothing was done.",
    "unknown_wallet": "No account has this wallet. Nothing was sent and no money moved. Check the address, or add the"
    " wallet to your account first. `GET /api/accounts/{wallet}` says `found` once an account has it: we may need a"
    " minute to find a new one.",
    "below_minimum": "The smallest payment is $5.00. Nothing was sent and no money moved.",
    "rate_limited": "Nothing was done. Payments you already made are safe. Try again in 3 s.",
}
"""Details of problems that are worded alike at every address."""
