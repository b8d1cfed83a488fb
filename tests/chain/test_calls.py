"""Calldata equals what eth_abi encodes."""

from eth_abi.abi import encode
from hypothesis import given
from hypothesis import strategies as st

from chain import calls
from chain.calls import SELECTORS
from chain.payment import customer_id_to_bytes32

UINTS = st.integers(0, 2**256 - 1)
ADDRESSES = st.binary(min_size=20, max_size=20).map(lambda raw: "0x" + raw.hex())
SIGNATURES = st.binary(max_size=200)
CUSTOMERS = st.from_regex(r"cus_[0-9A-Za-z]{1,28}", fullmatch=True)


def expected(function: str, types: list[str], *values: object) -> str:
    """The calldata by eth_abi."""
    return "0x" + SELECTORS[function] + encode(types, values).hex()


@given(ADDRESSES, UINTS)
def test_approve(spender: str, amount: int) -> None:
    assert calls.approve(spender, amount) == expected("approve", ["address", "uint256"], spender, amount)


@given(ADDRESSES, UINTS, UINTS, UINTS, SIGNATURES)
def test_pay_quoted(wallet: str, amount: int, cents: int, deadline: int, signature: bytes) -> None:
    types = ["address", "uint256", "uint256", "uint256", "bytes"]
    assert calls.pay_quoted(wallet, amount, cents, deadline, signature) == expected(
        "payQuoted", types, wallet, amount, cents, deadline, signature
    )


@given(ADDRESSES, CUSTOMERS, UINTS, SIGNATURES)
def test_register(wallet: str, customer_id: str, deadline: int, signature: bytes) -> None:
    types = ["address", "bytes32", "uint256", "bytes"]
    assert calls.register(wallet, customer_id, deadline, signature) == expected(
        "register", types, wallet, customer_id_to_bytes32(customer_id), deadline, signature
    )


@given(st.lists(st.binary(max_size=120), max_size=5))
def test_multicall(inner: list[bytes]) -> None:
    assert calls.multicall(["0x" + one.hex() for one in inner]) == expected("multicall", ["bytes[]"], inner)


@given(CUSTOMERS.map(customer_id_to_bytes32), UINTS, UINTS)
def test_views(customer: bytes, start: int, stop: int) -> None:
    assert calls.view("paymentBlocksOf", customer, start, stop) == expected(
        "paymentBlocksOf", ["bytes32", "uint256", "uint256"], customer, start, stop
    )


def test_checksummed_addresses_encode_alike() -> None:
    mixed = "0xFB6916095ca1df60bB79Ce92cE3Ea74c37c5d359"
    assert calls.view("customerOf", mixed) == expected("customerOf", ["address"], mixed)
