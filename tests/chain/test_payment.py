"""A payment's identity, and customer IDs on their way into the contract and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.payment import customer_id_from_bytes32, customer_id_to_bytes32, is_customer_id
from tests.fakes.factories import payment

ADDRESS = "0xa1b2c3d400000000000000000000000000000000"


def test_identity_and_quoted() -> None:
    one = payment(ordinal=2)
    assert one.identity == f"8453:{ADDRESS}:{one.tx_hash}:2"
    assert one.quoted
    assert not payment(cents=0).quoted


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        ("cus_a", True),
        ("cus_" + "Zz9" * 9 + "0", True),
        ("cus_" + "a" * 29, False),
        ("cus_", False),
        ("", False),
        ("CUS_a", False),
        ("cus_a_b", False),
        ("cus_a/balance", False),
        ("cus_a\n", False),
        ("cus_é", False),
        ("cus_٣", False),
        (" cus_a", False),
        ("acct_a", False),
    ],
)
def test_which_customer_ids_are_accepted(text: str, valid: bool) -> None:
    assert is_customer_id(text) is valid
    if len(text) <= 32:
        assert customer_id_from_bytes32(text.encode().ljust(32, b"\0")) == (text if valid else None)
    if not valid:
        with pytest.raises(ValueError, match="not a Stripe customer ID") as caught:
            customer_id_to_bytes32(text)
        assert not text.strip() or text not in str(caught.value)


@given(st.from_regex(r"cus_[0-9A-Za-z]{1,28}", fullmatch=True))
def test_a_customer_id_survives_the_contract(customer_id: str) -> None:
    stored = customer_id_to_bytes32(customer_id)
    assert len(stored) == 32
    assert stored.startswith(b"cus_")
    assert customer_id_from_bytes32(stored) == customer_id


@given(st.binary(min_size=32, max_size=32))
def test_any_32_bytes_are_one_customer_id_or_none(raw: bytes) -> None:
    found = customer_id_from_bytes32(raw)
    assert found is None or customer_id_to_bytes32(found) == raw


@pytest.mark.parametrize("raw", [b"\0" * 32, b"cus_a\0b".ljust(32, b"\0"), b"\0cus_a".ljust(32, b"\0"), b"\xff" * 32])
def test_bytes_that_are_no_customer_id(raw: bytes) -> None:
    assert customer_id_from_bytes32(raw) is None
