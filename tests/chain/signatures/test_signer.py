"""Signatures: recovered by the typed data that the contract hashes, written out here once more by hand."""

import pytest
from eth_abi.abi import encode
from eth_account import Account
from eth_keys.datatypes import Signature
from eth_utils.crypto import keccak
from hypothesis import given, settings
from hypothesis import strategies as st

from chain import signatures
from chain.payment import customer_id_to_bytes32
from chain.signatures import Quote, Signer, quote_signer
from tests.fakes.factories import GATEWAY, OTHER_GATEWAY, WALLET

KEY = "0x" + "4c" * 32
SIGNER = Signer(KEY, 8453)
DOMAIN = "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
QUOTE = "Quote(address wallet,uint256 sequence,uint256 amount,uint256 cents,uint256 deadline)"
REGISTRATION = "Registration(address wallet,bytes32 customerId,uint256 deadline)"
UINTS = st.integers(0, 2**256 - 1)


def digest(chain_id: int, gateway: str, struct: bytes) -> bytes:
    """EIP-712's hash of a struct for one gateway."""
    domain = encode(
        ["bytes32", "bytes32", "bytes32", "uint256", "address"],
        [keccak(text=DOMAIN), keccak(text="PaymentGateway"), keccak(text="1"), chain_id, gateway],
    )
    return keccak(b"\x19\x01" + keccak(domain) + keccak(struct))


def quote_struct(quote: Quote) -> bytes:
    """The struct as the contract encodes it."""
    types = ["bytes32", "address", "uint256", "uint256", "uint256", "uint256"]
    values = [keccak(text=QUOTE), quote.wallet, quote.sequence, quote.amount, quote.cents, quote.deadline]
    return encode(types, values)


def recovered(signed: bytes, hashed: bytes) -> str:
    """Who signed."""
    assert len(signed) == 65
    assert signed[64] in (27, 28)  # as OpenZeppelin's ECDSA wants it
    canonical = Signature(signature_bytes=signed[:64] + bytes([signed[64] - 27]))
    return str(canonical.recover_public_key_from_msg_hash(hashed).to_address())


@settings(max_examples=20)
@given(UINTS, UINTS, UINTS, UINTS)
def test_a_quotes_signature_recovers_to_the_signer(sequence: int, amount: int, cents: int, deadline: int) -> None:
    quote = Quote(WALLET, sequence, amount, cents, deadline)
    assert recovered(SIGNER.quote(GATEWAY, quote), digest(8453, GATEWAY, quote_struct(quote))) == SIGNER.address


def test_who_signed_a_quote_is_recovered_as_the_contract_does() -> None:
    quote = Quote(WALLET, 3, 10**21, 5_000, 99)
    signed = SIGNER.quote(GATEWAY, quote)
    assert quote_signer(8453, GATEWAY, quote, signed) == SIGNER.address
    others = [(1, GATEWAY, quote), (8453, OTHER_GATEWAY, quote), (8453, GATEWAY, Quote(WALLET, 4, 10**21, 5_000, 99))]
    for other in others:
        assert quote_signer(*other, signed) not in (SIGNER.address, None)
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    mirrored = (order - int.from_bytes(signed[32:64])).to_bytes(32)
    for refused in (
        signed[:64],
        signed + b"\0",
        b"",
        signed[:64] + bytes([signed[64] - 27]),
        signed[:32] + mirrored + bytes([55 - signed[64]]),
        bytes(64) + b"\x1b",
        b"\xff" * 32 + bytes(31) + b"\x01\x1b",
    ):
        assert quote_signer(8453, GATEWAY, quote, refused) is None


def test_a_registrations_signature_recovers_to_the_signer() -> None:
    types = ["bytes32", "address", "bytes32", "uint256"]
    struct = encode(types, [keccak(text=REGISTRATION), WALLET, customer_id_to_bytes32("cus_a"), 99])
    assert recovered(SIGNER.registration(GATEWAY, WALLET, "cus_a", 99), digest(8453, GATEWAY, struct)) == SIGNER.address


def test_a_signature_holds_for_one_gateway_and_one_chain() -> None:
    quote = Quote(WALLET, 0, 1, 2, 3)
    signed = SIGNER.quote(GATEWAY, quote)
    assert recovered(signed, digest(8453, OTHER_GATEWAY, quote_struct(quote))) != SIGNER.address
    assert recovered(signed, digest(84532, GATEWAY, quote_struct(quote))) != SIGNER.address


def test_the_signers_address() -> None:
    assert SIGNER.address == Account.from_key(KEY).address.lower()


def test_what_is_no_customer_id_is_not_signed() -> None:
    with pytest.raises(ValueError, match="customer ID"):
        SIGNER.registration(GATEWAY, WALLET, "cus_a/../b", 99)


def test_checksum() -> None:
    # https://eips.ethereum.org/EIPS/eip-55
    for address in ("0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359"):
        assert signatures.to_checksum_address(address.lower()) == address
