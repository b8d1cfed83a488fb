"""Calldata equals what eth_abi and web3's contract objects encode, and known vectors byte for byte."""

import json
from functools import cache
from typing import Any

import pytest
from eth_abi.abi import decode, encode
from eth_utils.address import to_checksum_address
from hypothesis import given
from hypothesis import strategies as st

from chain import contracts
from chain.contracts import ERC20_ABI, GATEWAY_ABI, contract_functions
from chain.payment import customer_id_to_bytes32
from tests.chain.fake_node import ABI, FUNCTIONS, FakeNode

SELECTORS = {name: selector for selector, name in FUNCTIONS.items()}
UINTS = st.integers(0, 2**256 - 1)
ADDRESSES = st.binary(min_size=20, max_size=20).map(lambda raw: "0x" + raw.hex())
BYTES32 = st.binary(min_size=32, max_size=32)
SIGNATURES = st.binary(max_size=200)
CUSTOMERS = st.from_regex(r"cus_[0-9A-Za-z]{1,28}", fullmatch=True)
VALUES = {
    "address": ADDRESSES,
    "uint256": UINTS,
    "uint8": st.integers(0, 255),
    "bytes32": BYTES32,
    "bytes": SIGNATURES,
    "bytes[]": st.lists(SIGNATURES),
}
WALLET = "0xfb6916095ca1df60bb79ce92ce3ea74c37c5d359"


@cache
def _web3_contract(abi: str) -> Any:
    return FakeNode().web3.eth.contract(abi=json.loads((ABI / f"{abi}.json").read_text()))


def expected(function: str, types: list[str], *values: object) -> str:
    """Encode calldata by eth_abi."""
    return "0x" + SELECTORS[function] + encode(types, values).hex()


@given(ADDRESSES, UINTS)
def test_approve(spender: str, amount: int) -> None:
    assert contracts.encode_approve(spender, amount) == expected("approve", ["address", "uint256"], spender, amount)


@given(ADDRESSES, UINTS, UINTS, UINTS, SIGNATURES)
def test_pay_quoted(wallet: str, amount: int, cents: int, deadline: int, signature: bytes) -> None:
    types = ["address", "uint256", "uint256", "uint256", "bytes"]
    assert contracts.encode_pay_quoted(wallet, amount, cents, deadline, signature) == expected(
        "payQuoted", types, wallet, amount, cents, deadline, signature
    )


@given(ADDRESSES, CUSTOMERS, UINTS, SIGNATURES)
def test_register(wallet: str, customer_id: str, deadline: int, signature: bytes) -> None:
    types = ["address", "bytes32", "uint256", "bytes"]
    assert contracts.encode_register(wallet, customer_id, deadline, signature) == expected(
        "register", types, wallet, customer_id_to_bytes32(customer_id), deadline, signature
    )


@given(st.lists(st.binary(max_size=120), max_size=5))
def test_multicall(calls: list[bytes]) -> None:
    assert contracts.encode_multicall(["0x" + call.hex() for call in calls]) == expected(
        "multicall", ["bytes[]"], calls
    )


@pytest.mark.parametrize("abi", [GATEWAY_ABI, ERC20_ABI])
@given(data=st.data())
def test_every_function_encodes_as_a_contract_object_of_web3_does(abi: str, data: st.DataObject) -> None:
    entries = json.loads((ABI / f"{abi}.json").read_text())
    entry = data.draw(st.sampled_from([entry for entry in entries if entry["type"] == "function"]))
    types = [argument["type"] for argument in entry["inputs"]]
    values: list[Any] = [data.draw(VALUES[kind]) for kind in types]
    contract = _web3_contract(abi)
    checksummed = [
        to_checksum_address(value) if kind == "address" else value for kind, value in zip(types, values, strict=True)
    ]
    encoded = contract_functions(abi)[entry["name"]].encode(*values)
    assert encoded == contract.encode_abi(entry["name"], checksummed)
    assert encoded == expected(entry["name"], types, *values)


def test_addresses_in_any_case_encode_alike() -> None:
    customer_of = contract_functions(GATEWAY_ABI)["customerOf"]
    assert customer_of.encode(to_checksum_address(WALLET)) == expected("customerOf", ["address"], WALLET)


def word(value: int) -> str:
    """Write an ABI word in hex."""
    return f"{value:064x}"


PAD = "0" * 24
VECTORS = {
    contracts.encode_approve(WALLET, 10**20): f"0x095ea7b3{PAD}{WALLET[2:]}{word(10**20)}",
    contracts.encode_pay_quoted(WALLET, 1, 2, 3, b"\xab" * 65): (
        f"0x2eaaa15a{PAD}{WALLET[2:]}{word(1)}{word(2)}{word(3)}{word(160)}{word(65)}{'ab' * 65}{'00' * 31}"
    ),
    contracts.encode_register(WALLET, "cus_a", 3, b"\xab" * 65): (
        f"0x4549a27a{PAD}{WALLET[2:]}6375735f61{'00' * 27}{word(3)}{word(128)}{word(65)}{'ab' * 65}{'00' * 31}"
    ),
    contracts.encode_multicall(["0xaa", "0xbbbb"]): (
        f"0xac9650d8{word(32)}{word(2)}{word(64)}{word(128)}{word(1)}aa{'00' * 31}{word(2)}bbbb{'00' * 30}"
    ),
    contract_functions(GATEWAY_ABI)["totalPayments"].encode(): "0x005b4487",
    contract_functions(GATEWAY_ABI)["customerOf"].encode(WALLET): f"0x8fd1d421{PAD}{WALLET[2:]}",
    contract_functions(GATEWAY_ABI)["paymentCount"].encode(b"cus_a".ljust(32, b"\0")): (
        f"0x5456387b6375735f61{'00' * 27}"
    ),
    contract_functions(GATEWAY_ABI)["paymentBlocks"].encode(5, 7): f"0xf0e81aba{word(5)}{word(7)}",
    contract_functions(GATEWAY_ABI)["paymentBlocksOf"].encode(b"cus_a".ljust(32, b"\0"), 5, 7): (
        f"0xf1fea3776375735f61{'00' * 27}{word(5)}{word(7)}"
    ),
    contract_functions(ERC20_ABI)["allowance"].encode(WALLET, "0x" + "11" * 20): (
        f"0xdd62ed3e{PAD}{WALLET[2:]}{PAD}{'11' * 20}"
    ),
}


@pytest.mark.parametrize(("encoded", "vector"), VECTORS.items(), ids=[vector[:10] for vector in VECTORS.values()])
def test_known_vectors_byte_for_byte(encoded: str, vector: str) -> None:
    assert encoded == vector


@given(ADDRESSES, UINTS, UINTS, UINTS, st.binary(min_size=65, max_size=65))
def test_quoted_payments_within_a_multicall_are_read_back(
    wallet: str, amount: int, cents: int, deadline: int, signature: bytes
) -> None:
    register = contracts.encode_register(wallet, "cus_Alice1", deadline, signature)
    pay = contracts.encode_pay_quoted(wallet, amount, cents, deadline, signature)
    both = bytes.fromhex(contracts.encode_multicall([register, pay])[2:])
    assert both[:4].hex() == SELECTORS["multicall"]
    [calls] = decode(["bytes[]"], both[4:], strict=True)
    assert ["0x" + call.hex() for call in calls] == [register, pay]
    assert calls[1][:4].hex() == SELECTORS["payQuoted"]
    types = ["address", "uint256", "uint256", "uint256", "bytes"]
    assert decode(types, calls[1][4:], strict=True) == (wallet, amount, cents, deadline, signature)
    customer = b"cus_Alice1".ljust(32, b"\0")
    assert decode(["address", "bytes32", "uint256", "bytes"], calls[0][4:], strict=True) == (
        wallet,
        customer,
        deadline,
        signature,
    )
