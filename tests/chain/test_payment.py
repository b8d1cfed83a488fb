"""A payment's identity, and customer IDs on their way into the contract and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.payment import (
    PaymentPlace,
    customer_id_from_bytes32,
    customer_id_to_bytes32,
    is_customer_id,
    parse_identity,
)
from tests.fakes.factories import payment

ADDRESS = "0xa1b2c3d400000000000000000000000000000000"


def test_identity_and_quoted() -> None:
    third = payment(ordinal=2)
    assert third.identity == f"8453:{ADDRESS}:{third.tx_hash}:2"
    assert third.quoted
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
    decoded = customer_id_from_bytes32(raw)
    assert decoded is None or customer_id_to_bytes32(decoded) == raw


@pytest.mark.parametrize("raw", [b"\0" * 32, b"cus_a\0b".ljust(32, b"\0"), b"\0cus_a".ljust(32, b"\0"), b"\xff" * 32])
def test_bytes_that_are_no_customer_id(raw: bytes) -> None:
    assert customer_id_from_bytes32(raw) is None


class TestPadding:
    """Only zero bytes are padding, and a refusal does not repeat its input."""

    @pytest.mark.parametrize("customer_id", ["cus_X", "cus_endsInX", "cus_XX", "cus_0", "cus_endsIn0"])
    def test_only_zero_bytes_are_padding(self, customer_id: str) -> None:
        assert customer_id_from_bytes32(customer_id_to_bytes32(customer_id)) == customer_id

    def test_the_smallest_quote_is_a_quote(self) -> None:
        assert payment(cents=1).quoted is True
        assert payment(cents=0).quoted is False

    def test_a_longest_and_a_shortest_customer_id(self) -> None:
        assert is_customer_id("cus_" + "Z" * 28)
        assert is_customer_id("cus_0")

    def test_the_refusal_does_not_repeat_what_was_given(self) -> None:
        with pytest.raises(ValueError, match=r"^not a Stripe customer ID that the gateway accepts$"):
            customer_id_to_bytes32("cus_/../secret")


class TestIdentities:
    """What an identity in metadata says of its place on the chain."""

    def test_an_identity_names_its_place(self) -> None:
        paid = payment(ordinal=12)
        assert parse_identity(paid.identity) == PaymentPlace(paid.tx_hash, "12")

    @pytest.mark.parametrize("text", ["", ":::", "abc", "1:2:3:4", "{}:0", "x{}", "{} ", "{}\n", "-{}"])
    def test_anything_else_names_none(self, text: str) -> None:
        assert parse_identity(text.format(payment().identity)) is None
        assert parse_identity(payment().identity.upper()) is None
