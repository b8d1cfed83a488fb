"""The ledger's constants and forms: what is ours, what an identity is, and what a price says of itself."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stateless_billing.ledger import CURRENCY, KINDS, Price, is_identity, parse_cursor
from tests.factories import entry, payment

GATEWAY = "0x" + "a9" * 20
TX = "0x" + "0f" * 32


def test_what_is_ours() -> None:
    assert set(KINDS) == {"payment", "grant", "reversal", "reservation", "order"}
    assert CURRENCY == "usd"
    assert entry(metadata={"kind": "grant"}).kind == "grant"
    assert entry(metadata={}).kind is None


def test_a_quoted_price_has_no_rate_and_no_discount() -> None:
    assert Price(5_000) == Price(5_000, None, 0)


@given(st.integers(0, 10**20), st.integers(0, 2**160 - 1), st.integers(0, 2**256 - 1), st.integers(0, 10**6))
def test_every_payments_identity_is_one(chain_id: int, gateway: int, tx: int, ordinal: int) -> None:
    one = payment(chain_id=chain_id, gateway=f"0x{gateway:040x}", tx_hash=f"0x{tx:064x}", ordinal=ordinal)
    assert is_identity(one.identity)


@pytest.mark.parametrize(
    "text",
    [
        "",
        f":{GATEWAY}:{TX}:0",
        f"8453:{GATEWAY}:{TX}:",
        f"8453:{GATEWAY}:{TX}",
        f"8453{GATEWAY}:{TX}:0",
        f"8453:{GATEWAY}{TX}:0",
        f"8453:{GATEWAY}:{TX}0",
        f"8453:{GATEWAY[2:]}:{TX}:0",
        f"8453:{GATEWAY}:{TX[2:]}:0",
        f"8453:{GATEWAY[:-1]}:{TX}:0",
        f"8453:{GATEWAY}0:{TX}:0",
        f"8453:{GATEWAY}:{TX[:-1]}:0",
        f"8453:{GATEWAY}:{TX}f:0",
        f"8453:{GATEWAY.upper()}:{TX}:0",
        f"8453:{GATEWAY}:{TX}:0\n",
        f" 8453:{GATEWAY}:{TX}:0",
        f"8453:{GATEWAY}:{TX}:-1",
        f"\u0663:{GATEWAY}:{TX}:0",
    ],
)
def test_what_is_no_identity(text: str) -> None:
    assert not is_identity(text)


@given(st.text(max_size=120))
def test_any_text_is_an_identity_or_not(text: str) -> None:
    assert is_identity(text) is False or text.count(":") == 3


@pytest.mark.parametrize("number", ["1", "10", "9", "1000000000000000000", "9999999999999999999"])
def test_how_small_and_how_large_a_cursor_may_be(number: str) -> None:
    found = parse_cursor(f"{number}:{TX}")
    assert found is not None
    assert (found.next, found.before) == (int(number), TX)


@pytest.mark.parametrize("text", [f"0:{TX}", f"00:{TX}", f"10000000000000000000:{TX}", f"1:{TX}f", f"1:{TX[:-1]}"])
def test_what_is_beyond_a_cursor(text: str) -> None:
    assert parse_cursor(text) is None
