"""The parameters of a credit, byte for byte.

They may change only after every process has been stopped for 25 hours.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from stateless_billing.domain.ledger import (
    Cursor,
    Price,
    credit_description,
    credit_key,
    credit_metadata,
    cursor_key,
    parse_cursor,
)
from stateless_billing.domain.money import RATE_SCALE, Rate
from tests.fakes.factories import GATEWAY, payment, tx_hash

TX = "0xdd00000000000000000000000000000000000000000000000000000000000001"
ADDRESS = "0xa1b2c3d400000000000000000000000000000000"


def test_key_and_description() -> None:
    paid = payment(sequence=7)
    assert credit_key(paid, 3) == f"payment:8453:{ADDRESS}:cus_Alice1:7:3"
    without_customer = structs.replace(paid, customer_id=None)
    assert credit_key(without_customer, 0) == f"payment:8453:{ADDRESS}:{paid.tx_hash}:{paid.ordinal}:0"
    assert credit_description(paid) == f"LITKEY payment {TX}"


def test_metadata_of_a_quoted_payment() -> None:
    assert list(credit_metadata(payment(sequence=7, ordinal=2), Price(5_000)).items()) == [
        ("kind", "payment"),
        ("payment", f"8453:{ADDRESS}:{TX}:2"),
        ("sequence", "7"),
        ("block", "100"),
        ("wallet", "0x1111111111111111111111111111111111111111"),
        ("payer", "0x2222222222222222222222222222222222222222"),
        ("amount", "9000000000000000000000"),
        ("rate_source", "quote"),
    ]


def test_metadata_of_a_plain_payment() -> None:
    price = Price(5_400, Rate(6 * RATE_SCALE // 1000, "coingecko:lit-protocol", 1_789_999_999), 250)
    assert list(credit_metadata(payment(cents=0), price).items()) == [
        ("kind", "payment"),
        ("payment", f"8453:{ADDRESS}:{TX}:0"),
        ("sequence", "0"),
        ("block", "100"),
        ("wallet", "0x1111111111111111111111111111111111111111"),
        ("payer", "0x2222222222222222222222222222222222222222"),
        ("amount", "9000000000000000000000"),
        ("rate", "0.006000000000000000"),
        ("rate_source", "coingecko:lit-protocol"),
        ("rate_at", "1789999999"),
        ("discount_bps", "250"),
    ]


def test_the_largest_metadata_fits_stripes_limits() -> None:
    largest = payment(sequence=2**256 - 1, amount=2**256 - 1, block=2**40, ordinal=10**6)
    price = Price(1, Rate(10**24 - 1, "override:" + "o" * 60, 10**11), 9_999)
    metadata = credit_metadata(largest, price)
    assert len(metadata) <= 50
    assert all(len(name) <= 40 and len(value) <= 500 for name, value in metadata.items())
    assert len(credit_key(largest, 10**6)) <= 255


def test_cursor_key() -> None:
    assert cursor_key(8453, GATEWAY) == "gateway:8453:a1b2c3d4"


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "x",
        "3",
        f"0:{TX}",  # a cursor is past the first payment
        f"-1:{TX}",
        f"01:{TX}",
        f"3:{TX[:-1]}",
        f"3:{TX}0",
        f"3: {TX}",
        f"3 :{TX}",
        f"3:{TX}:4",
        f"٣:{TX}",
        f"3:{TX.replace('0x', '')}",
        f"{10**19}:{TX}",
    ],
)
def test_malformed_cursors_count_as_absent(text: str | None) -> None:
    assert parse_cursor(text) is None


@given(st.integers(1, 10**18), st.integers(0, 2**64))
def test_cursors_round_trip(number: int, name: int) -> None:
    cursor = Cursor(number, tx_hash(name))
    assert parse_cursor(str(cursor)) == cursor


@given(st.text())
def test_parse_cursor_takes_any_text(text: str) -> None:
    cursor = parse_cursor(text)
    assert cursor is None or str(cursor) == text.strip().lower()


@pytest.mark.parametrize(
    "text", [f"3:{TX.upper()}", f"3:0x{TX[2:].upper()}", f" 3:{TX}", f"3:{TX} ", f"3:{TX}\n", f"3:{TX}"]
)
def test_case_and_blanks_do_not_change_a_cursor(text: str) -> None:
    assert parse_cursor(text) == Cursor(3, TX)
