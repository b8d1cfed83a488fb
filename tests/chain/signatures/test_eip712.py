"""EIP-712 written out by hand from https://eips.ethereum.org/EIPS/eip-712, with another keccak and another recovery."""

from typing import Any

import pytest
from Crypto.Hash import keccak as pycryptodome
from hypothesis import given, settings
from hypothesis import strategies as st
from py_ecc.secp256k1 import secp256k1

from chain.payment import customer_id_to_bytes32
from chain.signatures import Quote, Signer, domain_separator

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
KEYS = st.integers(1, ORDER - 1)
UINTS = st.integers(0, 2**256 - 1)
CHAINS = st.integers(1, 2**63)
ADDRESSES = st.binary(min_size=20, max_size=20)
CUSTOMERS = st.from_regex(r"cus_[0-9A-Za-z]{1,28}", fullmatch=True)
FEW = settings(max_examples=40)


def keccak(data: bytes) -> bytes:
    """keccak256, not the SHA-3 that NIST made of it."""
    return pycryptodome.new(digest_bits=256, data=data).digest()


def words(*values: int | bytes) -> bytes:
    """encodeData: every member is one word; numbers and addresses stand right, 32 bytes as they are."""
    return b"".join(value.to_bytes(32) if isinstance(value, int) else value.rjust(32, b"\0") for value in values)


def digest(chain_id: int, gateway: bytes, struct: str, *values: int | bytes) -> bytes:
    """`\\x19\\x01 ‖ domainSeparator ‖ hashStruct(message)`, hashed."""
    domain = b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
    separator = keccak(words(keccak(domain), keccak(b"PaymentGateway"), keccak(b"1"), chain_id, gateway))
    return keccak(b"\x19\x01" + separator + keccak(words(keccak(struct.encode()), *values)))


def quote_digest(chain_id: int, gateway: bytes, wallet: bytes, *numbers: int) -> bytes:
    """The hash of a quote: sequence, amount, cents, deadline."""
    struct = "Quote(address wallet,uint256 sequence,uint256 amount,uint256 cents,uint256 deadline)"
    return digest(chain_id, gateway, struct, wallet, *numbers)


def address_of(public: tuple[int, int]) -> str:
    """An account's address: the last twenty bytes of its key's hash."""
    return "0x" + keccak(words(*public))[-20:].hex()


def signer_of(signed: bytes, hashed: bytes) -> str:
    """Who signed `hashed`, by the rules of the contract's ECDSA: 65 bytes, v of 27 or 28, the lower of the two s."""
    assert len(signed) == 65
    assert signed[64] in (27, 28)
    assert int.from_bytes(signed[32:64]) <= ORDER // 2
    r, s = int.from_bytes(signed[:32]), int.from_bytes(signed[32:64])
    return address_of(secp256k1.ecdsa_raw_recover(hashed, (signed[64], r, s)))


def text(address: bytes) -> str:
    """An address as chain/ writes it."""
    return "0x" + address.hex()


def test_keccak_is_ethereums() -> None:
    assert keccak(b"").hex() == "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"


def test_the_eips_own_example() -> None:
    # https://github.com/ethereum/EIPs/blob/master/assets/eip-712/Example.js
    assert address_of(secp256k1.privtopub(keccak(b"cow"))) == "0xcd2a3d9f938e13cd947ec05abc7fe734df8dd826"
    person = keccak(b"Person(string name,address wallet)")
    verifier = bytes.fromhex("CcCCccccCCCCcCCCCCCcCcCccCcCCCcCcccccccC")
    domain = keccak(b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")
    separator = keccak(words(domain, keccak(b"Ether Mail"), keccak(b"1"), 1, verifier))
    assert separator.hex() == "f2cee375fa42b42143804025fc449deafd50cc031ca257e0b194a650a912090f"
    sender = words(person, keccak(b"Cow"), bytes.fromhex("CD2a3d9F938E13CD947Ec05AbC7FE734Df8DD826"))
    reader = words(person, keccak(b"Bob"), bytes.fromhex("bBbBBBBbbBBBbbbBbbBbbbbBBbBbbbbBbBbbBBbB"))
    mail = keccak(b"Mail(Person from,Person to,string contents)Person(string name,address wallet)")
    message = keccak(words(mail, keccak(sender), keccak(reader), keccak(b"Hello, Bob!")))
    assert keccak(b"\x19\x01" + separator + message).hex() == (
        "be609aee343fb3c4b28e1df9e632fca64fcfaede20f02e86244efddf30957bd2"
    )


@FEW
@given(KEYS, CHAINS, ADDRESSES, ADDRESSES, st.tuples(UINTS, UINTS, UINTS, UINTS))
def test_any_quote_recovers_to_its_signer(
    key: int, chain_id: int, gateway: bytes, wallet: bytes, numbers: tuple[int, int, int, int]
) -> None:
    signer = Signer(f"0x{key:064x}", chain_id)
    signed = signer.quote(text(gateway), Quote(text(wallet), *numbers))
    assert signer_of(signed, quote_digest(chain_id, gateway, wallet, *numbers)) == signer.address
    assert signer.address == address_of(secp256k1.privtopub(key.to_bytes(32)))


@FEW
@given(KEYS, CHAINS, ADDRESSES, ADDRESSES, CUSTOMERS, UINTS)
def test_any_registration_recovers_to_its_signer(
    key: int, chain_id: int, gateway: bytes, wallet: bytes, customer_id: str, deadline: int
) -> None:
    signer = Signer(f"0x{key:064x}", chain_id)
    struct = "Registration(address wallet,bytes32 customerId,uint256 deadline)"
    hashed = digest(chain_id, gateway, struct, wallet, customer_id_to_bytes32(customer_id), deadline)
    assert signer_of(signer.registration(text(gateway), text(wallet), customer_id, deadline), hashed) == signer.address


@given(CHAINS, ADDRESSES, st.text(max_size=20), st.text(max_size=20))
def test_the_separator_of_any_domain(chain_id: int, contract: bytes, name: str, version: str) -> None:
    kind = b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
    hashed = [keccak(name.encode()), keccak(version.encode())]
    separator = keccak(words(keccak(kind), *hashed, chain_id, contract))
    assert domain_separator(name, version, chain_id, text(contract)) == separator


CHANGED = {
    "another chain": {"chain_id": 84532},
    "another gateway": {"gateway": b"\xb7" * 20},
    "another wallet": {"wallet": b"\x12" * 20},
    "another sequence": {"sequence": 1},
    "another amount": {"amount": 3},
    "more cents": {"cents": 4},
    "a later deadline": {"deadline": 5},
}


@pytest.mark.parametrize("changed", CHANGED.values(), ids=list(CHANGED))
def test_a_quote_holds_for_nothing_but_what_it_says(changed: dict[str, Any]) -> None:
    usual: dict[str, Any] = {"chain_id": 8453, "gateway": b"\xa1" * 20, "wallet": b"\x11" * 20}
    usual |= {"sequence": 0, "amount": 2, "cents": 3, "deadline": 4}
    signer = Signer("0x" + "4c" * 32, 8453)
    signed = signer.quote(text(usual["gateway"]), Quote(text(usual["wallet"]), 0, 2, 3, 4))
    assert signer_of(signed, quote_digest(*usual.values())) == signer.address
    assert signer_of(signed, quote_digest(*(usual | changed).values())) != signer.address
