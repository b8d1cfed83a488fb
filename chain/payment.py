"""A payment: one `Payment` event of one gateway. Pure."""

import re
from dataclasses import dataclass

import msgspec

from chain.errors import InvalidResponse

MAX_TIME = 253_402_300_799
"""The last second of the year 9999, in Unix seconds: as far as dates go."""
_CUSTOMER_ID = re.compile(r"cus_[0-9A-Za-z]{1,28}")
_IDENTITY = re.compile(r"[0-9]+:0x[0-9a-f]{40}:(0x[0-9a-f]{64}):([0-9]+)")


@dataclass(frozen=True, slots=True)
class Block:
    """One block's header: `number`, lower-case `hash`, `time` in unix seconds."""

    number: int
    hash: str
    time: int


class Payment(msgspec.Struct, frozen=True, gc=False):
    """One `Payment` event on the canonical chain: a struct, as an audit makes hundreds of thousands.

    Addresses and hashes are lower-case with `0x`; `amount` is in the token's base units; `cents` is what our signer
    promised, 0 for a plain payment; `customer_id` is None where the event's bytes are no Stripe customer ID.
    """

    chain_id: int
    gateway: str
    tx_hash: str
    ordinal: int
    customer_id: str | None
    wallet: str
    payer: str
    sequence: int
    amount: int
    cents: int
    block: int
    block_hash: str
    time: int
    log_index: int

    @property
    def identity(self) -> str:
        """`<chain id>:<gateway>:<tx hash>:<ordinal among this gateway's Payment logs in that EVM transaction>`."""
        return f"{self.chain_id}:{self.gateway}:{self.tx_hash}:{self.ordinal}"

    @property
    def quoted(self) -> bool:
        """Whether the event carries cents that we promised."""
        return self.cents > 0


@dataclass(frozen=True, slots=True)
class PaymentPlace:
    """Where a payment is on the chain: its EVM transaction, and its ordinal as its identity has it."""

    tx_hash: str
    ordinal: str


def parse_identity(text: str) -> PaymentPlace | None:
    """Parse a payment's identity in lower case; None if it is malformed."""
    match = _IDENTITY.fullmatch(text)
    return PaymentPlace(match[1], match[2]) if match else None


def is_customer_id(text: str) -> bool:
    """Whether `text` has the form of a Stripe customer ID that the gateway accepts."""
    return _CUSTOMER_ID.fullmatch(text) is not None


def customer_id_to_bytes32(customer_id: str) -> bytes:
    """The ID as the gateway stores it: ASCII, left-aligned, zero-padded to 32 bytes.

    Raises ValueError where it is not `cus_` followed by ASCII letters and digits, 32 bytes at most.
    """
    if not is_customer_id(customer_id):
        raise ValueError("not a Stripe customer ID that the gateway accepts")
    return customer_id.encode("ascii").ljust(32, b"\0")


def customer_id_from_bytes32(word: bytes) -> str | None:
    """The inverse; None where the 32 bytes are not such an ID."""
    text = word.rstrip(b"\0").decode("latin-1")
    return text if is_customer_id(text) else None


def registered_customer(word: bytes) -> str | None:
    """Decode the 32 bytes that `customerOf` returns; None if the wallet is not registered."""
    customer_id = customer_id_from_bytes32(word)
    if customer_id is None and any(word):
        raise InvalidResponse("customerOf returned something that is no customer ID")
    return customer_id
