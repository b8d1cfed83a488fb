"""Calldata of any input, and of calls within calls, read back by eth_abi."""

from eth_abi.abi import decode, encode
from hypothesis import given
from hypothesis import strategies as st

from chain import calls
from chain.calls import SELECTORS

UINTS = st.integers(0, 2**256 - 1)
ADDRESSES = st.binary(min_size=20, max_size=20).map(lambda raw: "0x" + raw.hex())
BYTES32 = st.binary(min_size=32, max_size=32)
SIGNATURES = st.binary(min_size=65, max_size=65)
STATIC = st.one_of(
    st.tuples(st.just("uint256"), UINTS),
    st.tuples(st.just("address"), ADDRESSES),
    st.tuples(st.just("bytes32"), BYTES32),
)


@given(st.sampled_from(sorted(SELECTORS)), st.lists(STATIC, max_size=6))
def test_a_view_of_any_static_arguments_equals_eth_abis(
    function: str, arguments: list[tuple[str, int | str | bytes]]
) -> None:
    types, values = [kind for kind, _ in arguments], [value for _, value in arguments]
    assert calls.view(function, *values) == "0x" + SELECTORS[function] + encode(types, values).hex()


@given(ADDRESSES, UINTS, UINTS, UINTS, SIGNATURES)
def test_quoted_payments_within_a_multicall_are_read_back(
    wallet: str, amount: int, cents: int, deadline: int, signature: bytes
) -> None:
    registered = calls.register(wallet, "cus_Alice1", deadline, signature)
    paid = calls.pay_quoted(wallet, amount, cents, deadline, signature)
    both = bytes.fromhex(calls.multicall([registered, paid])[2:])
    assert both[:4].hex() == SELECTORS["multicall"]
    [inner] = decode(["bytes[]"], both[4:], strict=True)
    assert ["0x" + one.hex() for one in inner] == [registered, paid]
    assert inner[1][:4].hex() == SELECTORS["payQuoted"]
    types = ["address", "uint256", "uint256", "uint256", "bytes"]
    assert decode(types, inner[1][4:], strict=True) == (wallet, amount, cents, deadline, signature)
    customer = b"cus_Alice1".ljust(32, b"\0")
    assert decode(["address", "bytes32", "uint256", "bytes"], inner[0][4:], strict=True) == (
        wallet,
        customer,
        deadline,
        signature,
    )
