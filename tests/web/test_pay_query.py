"""The pay page's query: what is malformed is named and kept."""

import pytest

from stateless_billing.web.pages.links import MAX_REFERENCE_LENGTH
from stateless_billing.web.pages.pay_query import own_query, read_pay_query

WALLET = "0x90F79bf6EB2c4f870365E785982E1f101E93b906"


@pytest.mark.parametrize("wallet", [WALLET, WALLET.lower()])
def test_addresses_get_their_checksum(wallet: str) -> None:
    asked = read_pay_query({"wallet": wallet})
    assert (asked.wallet, asked.wallet_text, asked.wallet_fault) == (WALLET, wallet, "")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("hello", "0x followed by 40 characters"),
        (WALLET[:-1], "0x followed by 40 characters"),
        (WALLET.replace("F79b", "f79b"), "a character was mistyped"),
        ("payer.eth", "This is a name"),
        (f" {WALLET}", "no spaces"),
        (f"{WALLET[:20]} {WALLET[20:]}", "no spaces"),
    ],
)
def test_what_is_wrong_with_an_address_is_named(text: str, words: str) -> None:
    asked = read_pay_query({"wallet": text})
    assert (asked.wallet, asked.wallet_text) == (None, text)
    assert words in asked.wallet_fault
    assert "wallet" not in own_query({"wallet": text}, asked, has_link_back=False)


@pytest.mark.parametrize(("usd", "cents"), [("50", 5000), ("12.50", 1250), ("0.05", 5)])
def test_a_link_writes_amounts_in_one_way(usd: str, cents: int) -> None:
    asked = read_pay_query({"usd": usd})
    assert (asked.cents, asked.usd, asked.usd_fault) == (cents, usd, "")


@pytest.mark.parametrize("usd", ["1,000", "50.555", "1e3", "12.5", "$50", " 50", "-5", "50.", "²"])
def test_other_amounts_are_named_and_kept(usd: str) -> None:
    asked = read_pay_query({"usd": usd})
    assert (asked.cents, asked.usd) == (None, usd)
    assert f"“{usd}” is not written as 50 or 12.50" in asked.usd_fault
    assert own_query({"usd": usd}, asked, has_link_back=False) == {"usd": usd}


def test_nothing_given_is_no_fault() -> None:
    asked = read_pay_query({"wallet": "", "usd": "", "tx_hash": ""})
    assert tuple(asked) == (None, "", "", None, "", "", None, "")


@pytest.mark.parametrize(
    ("text", "tx_hash"),
    [
        ("0x" + "aB" * 32, "0x" + "ab" * 32),
        (" 0x" + "ab" * 32 + "\n", "0x" + "ab" * 32),
        ("0x" + "ab" * 31, None),
        ("ab" * 32, None),
        ("<b>", None),
        ("0x" + "ab" * 320, None),
    ],
)
def test_a_transaction_is_read_or_kept_as_it_was_given(text: str, tx_hash: str | None) -> None:
    asked = read_pay_query({"tx_hash": text})
    assert (asked.tx_hash, asked.tx_text) == (tx_hash, text.strip()[:100])
    assert not own_query({"tx_hash": text}, asked, has_link_back=False), "the page's own address does not carry it"


@pytest.mark.parametrize(("length", "carried"), [(101, True), (MAX_REFERENCE_LENGTH, True), (501, False)])
def test_a_reference_is_carried_whole_or_not_at_all(length: int, carried: bool) -> None:
    query = {"ref": "r" * length}
    assert own_query(query, read_pay_query(query), has_link_back=False) == (query if carried else {})
