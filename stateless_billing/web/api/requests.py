"""The bodies of requests, of the public API and of the operators' pages."""

from collections.abc import Mapping
from typing import Annotated, ClassVar

from msgspec import Meta

from stateless_billing.payers.responses import Address, TxHash
from stateless_billing.web.http.inputs import A_TX_HASH, AN_ADDRESS, RequestBody

MAX_QUOTE_CENTS = 10**9
MAX_EXACT = 2**53 - 1  # the largest whole number that every reader of JSON keeps exactly
MAX_OVERRIDE_HOURS = 24
_ADDRESS_FORM = "In mixed case it must carry its EIP-55 checksum."


class QuoteRequest(RequestBody, frozen=True, kw_only=True):
    """What to quote: `cents` for the account of `wallet`. With `payer`, its allowance is looked at."""

    expected: ClassVar[Mapping[str, str]] = {
        "wallet": AN_ADDRESS,
        "cents": f"a whole number from 1 to {MAX_QUOTE_CENTS}",
        "payer": AN_ADDRESS,
    }
    consequence: ClassVar[str] = "No money moved."
    remedies: ClassVar[Mapping[str, str]] = {
        "wallet": "Send the wallet whose account is to be credited.",
        "cents": "Send what is to be credited in cents, such as 2500 for $25.00.",
    }

    wallet: Annotated[Address, Meta(description=f"The wallet whose account is to be credited. {_ADDRESS_FORM}")]
    cents: Annotated[int, Meta(ge=1, le=MAX_QUOTE_CENTS, description="What is to be credited, in cents.")]
    payer: (
        Annotated[
            Address,
            Meta(description="Who will pay, if known: `calls` then leaves out an approval that is not needed."),
        ]
        | None
    ) = None


class QuoteStatusRequest(RequestBody, frozen=True, kw_only=True):
    """A quote, as `POST /api/quotes` answered it."""

    expected: ClassVar[Mapping[str, str]] = {
        "gateway": AN_ADDRESS,
        "wallet": AN_ADDRESS,
        "sequence": f"a whole number from 0 to {MAX_EXACT}",
        "amount": "a decimal string of base units below 2^256",
        "cents": f"a whole number from 1 to {MAX_QUOTE_CENTS}",
        "deadline": f"a whole number from 0 to {MAX_EXACT}",
        "signature": "0x and 130 hex digits",
    }
    consequence: ClassVar[str] = "Nothing was decided."

    gateway: Annotated[Address, Meta(description="The quote's `gateway`.")]
    wallet: Annotated[Address, Meta(description="The quote's `wallet`.")]
    sequence: Annotated[int, Meta(ge=0, le=MAX_EXACT, description="The quote's `sequence`.")]
    amount: Annotated[str, Meta(pattern="^(0|[1-9][0-9]{0,77})$", description="The quote's `amount`.")]
    cents: Annotated[int, Meta(ge=1, le=MAX_QUOTE_CENTS, description="The quote's `cents`.")]
    deadline: Annotated[int, Meta(ge=0, le=MAX_EXACT, description="The quote's `deadline`.")]
    signature: Annotated[str, Meta(pattern="^0x[0-9a-fA-F]{130}$", description="The quote's `signature`.")]


class ClaimRequest(RequestBody, frozen=True, kw_only=True):
    """The EVM transaction that paid."""

    expected: ClassVar[Mapping[str, str]] = {"tx_hash": A_TX_HASH}
    consequence: ClassVar[str] = "No money moved."
    remedies: ClassVar[Mapping[str, str]] = {"tx_hash": "Send the hash of the transaction that paid."}

    tx_hash: TxHash


class ChallengeRequest(RequestBody, frozen=True, kw_only=True):
    """Who signs in by wallet, and the page to go on to."""

    expected: ClassVar[Mapping[str, str]] = {"address": AN_ADDRESS}

    address: str
    next: str = ""


class SignatureRequest(RequestBody, frozen=True, kw_only=True):
    """The signed challenge."""

    signature: str = ""


class GrantForm(RequestBody, frozen=True, kw_only=True):
    """A filled-in grant form. `again` confirms that it repeats the grant whose reservation is `alike`, or any."""

    expected: ClassVar[Mapping[str, str]] = {"again": "true or false"}
    consequence: ClassVar[str] = "Nothing was given."

    form: str = ""
    amount: str = ""
    reason: str = ""
    note: str = ""
    again: bool = False
    alike: str = ""


class GrantStatusRequest(RequestBody, frozen=True, kw_only=True):
    """The form whose grant is looked for."""

    form: str = ""


class UndoRequest(RequestBody, frozen=True, kw_only=True):
    """The grant to take back, by the ID of its reservation, and why. `shown`: what the first step answered."""

    reservation: str = ""
    reason: str = ""
    shown: str = ""


class OrderForm(RequestBody, frozen=True, kw_only=True):
    """A filled-in order form: an order in words, or the ID of another admin's order that is confirmed.

    `shown`: what the first step answered.
    """

    form: str = ""
    order: str = ""
    confirms: str = ""
    reason: str = ""
    shown: str = ""


class RetryRequest(RequestBody, frozen=True, kw_only=True):
    """The payment to try again now."""

    payment: str = ""


class RateRequest(RequestBody, frozen=True, kw_only=True):
    """A rate in dollars per token that holds for some hours. `shown`: what the first step answered."""

    expected: ClassVar[Mapping[str, str]] = {"hours": f"a whole number from 1 to {MAX_OVERRIDE_HOURS}"}
    consequence: ClassVar[str] = "Nothing was changed."

    rate: str = ""
    hours: Annotated[int, Meta(ge=1, le=MAX_OVERRIDE_HOURS)]
    reason: str = ""
    shown: str = ""


class ProposalRequest(RequestBody, frozen=True, kw_only=True):
    """A proposed rate as the page shows it, to confirm or to withdraw. `shown`: what the first step answered."""

    consequence: ClassVar[str] = "Nothing was changed."

    proposal: str = ""
    reason: str = ""
    shown: str = ""


class RateEndRequest(RequestBody, frozen=True, kw_only=True):
    """Why the market's rate applies again. `shown`: what the first step answered."""

    consequence: ClassVar[str] = "Nothing was changed."

    reason: str = ""
    shown: str = ""
