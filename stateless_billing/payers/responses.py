"""The answers of the public API. JSON and `/openapi.json` are made from these types, fields in this order."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from chain.payment import Payment
from chain.signatures import to_checksum_address
from stateless_billing.crediting.payment_status import (
    CONFIRMING_CAUSES,
    HELD_CAUSES,
    PENDING_CAUSES,
    STATES,
    UNRELATED_CAUSES,
    PaymentStatus,
)

MAX_SHOWN_PAYMENTS = 20

_NOT_OF_A_PAYMENT = ("unknown", "unrelated", "failed")

Address = Annotated[
    str,
    Meta(
        pattern="^0x[0-9a-fA-F]{40}$",
        description="An address. In mixed case it must carry its EIP-55 checksum; answers always do.",
    ),
]
TxHash = Annotated[str, Meta(pattern="^0x[0-9a-fA-F]{64}$", description="The hash of an EVM transaction.")]
Hex = Annotated[str, Meta(pattern="^0x([0-9a-f]{2})*$")]
TokenUnits = Annotated[str, Meta(pattern="^[0-9]+$", description="Tokens in base units (10^-18 tokens).")]
DecimalRate = Annotated[str, Meta(pattern=r"^[0-9]+\.[0-9]{18}$", description="Dollars per whole token, rounded down.")]
DiscountedRate = Annotated[
    str,
    Meta(
        pattern=r"^[0-9]+\.[0-9]{18}$",
        description="Dollars per whole token after the discount, rounded down, for display.",
    ),
]
Cents = Annotated[int, Meta(ge=0, description="Cents.")]
PaymentCents = Annotated[int, Meta(ge=0, description="Null for a plain payment whose price is not settled.")]
PayableCents = Annotated[int, Meta(ge=0, description="What may still be paid now.")]
Count = Annotated[int, Meta(ge=0)]
ChainId = Annotated[Count, Meta(description="The chain's number: 8453 is Base.")]
Ordinal = Annotated[Count, Meta(description="The position among the payments of its EVM transaction, from 0.")]
Sequence = Annotated[
    Count, Meta(description="The number of the customer's payments before it, as the contract counts.")
]
Block = Annotated[Count, Meta(description="The block's number.")]
BasisPoints = Annotated[Count, Meta(description="The discount in basis points: 2500 credits the market value / 0.75.")]
GatewayAddress = Annotated[Address, Meta(description="The contract that takes the payment.")]
CreditedWallet = Annotated[Address, Meta(description="The wallet whose account is credited.")]
Payer = Annotated[Address, Meta(description="Who paid. Anybody may pay for a wallet.")]
UnixTime = Annotated[int, Meta(description="Unix seconds.")]
BlockTime = Annotated[UnixTime, Meta(description="The block's time in Unix seconds.")]
Deadline = Annotated[UnixTime, Meta(description="Until when the contract accepts it, in Unix seconds.")]
Signature = Annotated[Hex, Meta(description="Our signer's EIP-712 signature.")]
Seconds = Annotated[int, Meta(ge=0, description="Seconds. Null where the depth is not counted in seconds.")]
RetrySeconds = Annotated[int, Meta(ge=0, description="When asking again makes sense; null where nothing will change.")]
CustomerId = Annotated[str, Meta(pattern="^cus_[0-9A-Za-z]{1,28}$", description="The customer in Stripe.")]
PaymentIdentity = Annotated[str, Meta(description="Its identity: chain id, gateway, transaction hash and ordinal.")]
CreditId = Annotated[str, Meta(pattern="^cbtxn_", description="The balance transaction in Stripe.")]
State = Annotated[
    str, Meta(description="The least advanced of the payments'.", extra_json_schema={"enum": list(STATES)})
]
PaymentState = Annotated[
    str,
    Meta(
        description="Only `credited` and `reversed` are settled.",
        extra_json_schema={"enum": [state for state in STATES if state not in _NOT_OF_A_PAYMENT]},
    ),
]
Cause = Annotated[
    str,
    Meta(
        description="Why it waits: of `confirming` and `pending` where it takes longer than usual, of `held` always.",
        extra_json_schema={"enum": [*CONFIRMING_CAUSES, *PENDING_CAUSES, *HELD_CAUSES]},
    ),
]

UnrelatedCause = Annotated[
    str,
    Meta(
        description="Of `unrelated` alone: tokens went straight to the treasury.",
        extra_json_schema={"enum": list(UNRELATED_CAUSES)},
    ),
]


class PaymentResponse(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One payment, and where it stands."""

    payment: PaymentIdentity
    ordinal: Ordinal
    gateway: GatewayAddress
    sequence: Sequence
    wallet: CreditedWallet
    payer: Payer
    amount: TokenUnits
    cents: PaymentCents | None
    block: Block
    time: BlockTime
    state: PaymentState
    cause: Cause | None
    confirmed: Seconds | None
    needed: Seconds | None
    credit: CreditId | None


class ClaimResponse(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The payments of one EVM transaction."""

    tx_hash: TxHash
    state: State
    cause: UnrelatedCause | None
    retry_after: RetrySeconds | None
    payments: Annotated[list[PaymentResponse], Meta(description="Empty where it paid none of our gateways.")]


class ReceiptResponse(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One payment, with the rate that its cents and amount come to."""

    tx_hash: TxHash
    chain_id: ChainId
    payment: PaymentIdentity
    ordinal: Ordinal
    gateway: GatewayAddress
    sequence: Sequence
    wallet: CreditedWallet
    payer: Payer
    amount: TokenUnits
    cents: PaymentCents | None
    block: Block
    time: BlockTime
    state: PaymentState
    cause: Cause | None
    confirmed: Seconds | None
    needed: Seconds | None
    credit: CreditId | None
    rate: DecimalRate | None
    retry_after: RetrySeconds | None


class AccountResponse(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What payers may see of a wallet's account."""

    wallet: CreditedWallet
    found: Annotated[bool, Meta(description="Whether an account has this wallet.")]
    email: Annotated[str, Meta(description="Masked.")] | None
    registered: Annotated[bool, Meta(description="Whether the newest gateway knows the wallet.")]
    minimum_cents: Annotated[Cents, Meta(description="The smallest payment.")]
    maximum_cents: PayableCents
    maximum_resets_at: (
        Annotated[UnixTime, Meta(description="When more may be paid; null while nothing is used up.")] | None
    )
    payments: Annotated[
        list[PaymentResponse],
        Meta(max_length=MAX_SHOWN_PAYMENTS, description="The latest of the account, newest first."),
    ]


class Offer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An unsigned price, for the pay page."""

    cents: Cents
    amount: TokenUnits
    rate: DiscountedRate
    market_rate: DecimalRate
    rate_source: Annotated[str, Meta(description="Who gave the price: a feed, or our staff.")]
    rate_at: Annotated[UnixTime, Meta(description="Of when the price is, in Unix seconds.")]
    discount_bps: BasisPoints


class RegistrationResponse(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A signed statement that a wallet belongs to a customer. A quote has none where the gateway knows the wallet."""

    customer_id: CustomerId
    deadline: Deadline
    signature: Signature


class CallResponse(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A call that the payer's wallet sends."""

    to: Annotated[Address, Meta(description="The contract to call.")]
    data: Annotated[Hex, Meta(description="The calldata.")]
    value: Annotated[Literal["0x0"], Meta(description="No ether is sent.")]
    label: Annotated[str, Meta(description="What the call does, for people.")]


class QuoteResponse(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A signed price, and the calls that pay it."""

    wallet: CreditedWallet
    cents: Cents
    amount: TokenUnits
    rate: DiscountedRate
    market_rate: DecimalRate
    rate_source: Annotated[str, Meta(description="Who gave the price: a feed, or our staff.")]
    rate_at: Annotated[UnixTime, Meta(description="Of when the price is, in Unix seconds.")]
    discount_bps: BasisPoints
    gateway: GatewayAddress
    token: Annotated[Address, Meta(description="The token's contract.")]
    chain_id: ChainId
    sequence: Sequence
    deadline: Deadline
    signature: Signature
    registered: Annotated[bool, Meta(description="Whether the gateway knows the wallet.")]
    registration: RegistrationResponse | None
    calls: Annotated[list[CallResponse], Meta(min_length=1, description="To be sent in this order.")]


class QuotePaymentResponse(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The payment of a quote."""

    tx_hash: TxHash
    ordinal: Ordinal
    block: Block
    time: BlockTime
    final: Annotated[bool, Meta(description="Whether its block can no longer be replaced.")]


class QuoteStatusResponse(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether a quote was paid, and whether it still can be."""

    state: Annotated[
        Literal["paid", "open", "superseded", "undecided", "void"],
        Meta(
            description="`open`: can still be paid. `superseded`: another payment has its sequence. `undecided`: its"
            " deadline is over, and that it was not paid is not final yet. `void`: not paid, and never will be."
        ),
    ]
    payment: Annotated[QuotePaymentResponse, Meta(description="Of `paid` alone.")] | None


def payment_response(payment: Payment, status: PaymentStatus) -> PaymentResponse:
    """Describe one payment. `cents` is None for a plain payment whose price is not settled."""
    return PaymentResponse(
        payment=payment.identity,
        ordinal=payment.ordinal,
        gateway=to_checksum_address(payment.gateway),
        sequence=payment.sequence,
        wallet=to_checksum_address(payment.wallet),
        payer=to_checksum_address(payment.payer),
        amount=str(payment.amount),
        cents=status.cents if status.cents is not None else payment.cents or None,
        block=payment.block,
        time=payment.time,
        state=status.state,
        cause=status.cause,
        confirmed=status.confirmed,
        needed=status.needed,
        credit=status.credit,
    )
