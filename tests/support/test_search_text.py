"""The search box reads every valid address, ID and link, however it was copied."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stateless_billing.support.search_text import SearchText, is_email_address, is_entry_id, parse_search

HASH, WALLET = "0x" + "aB" * 32, "0x" + "Cd" * 20
CUSTOMER, ENTRY = "cus_QXg1o8vcGmoR32", "cbtxn_1MrU9qLkdIwHu7ixhdjxGBgI"
DASHBOARD = "https://dashboard.stripe.com"


@pytest.mark.parametrize(
    "email",
    [
        "ann@example.org",
        "O'Neil.Mac+tag@Example.org",
        "bounce+a=b@ex.io",
        '"a b"@ex.io',
        '"a@b"@ex.io',
        '"a\\"b"@ex.io',
        "!#$%&'*+-/=?^_`{|}~@ex.io",
        "jörg@bücher.example",
        "a@[192.0.2.1]",
        "a@localhost",
    ],
)
def test_any_valid_address_is_searched_for_as_it_is(email: str) -> None:
    for text in (email, f" {email}\n", f"{email}.", f"Ann B <{email}>", f'"B, Ann" <{email}>;', f"<{email}>"):
        assert parse_search(text) == SearchText("email", email), text


@pytest.mark.parametrize(
    ("text", "email"),
    [
        ("mailto:ann@ex.io", "ann@ex.io"),
        ("MAILTO:bounce%2Ba=b@ex.io?subject=Hi%20there", "bounce+a=b@ex.io"),
        ("(ann@ex.io)", "ann@ex.io"),
        ("\u200bann@ex.io\u200e", "ann@ex.io"),
        ('"ann@ex.io",', "ann@ex.io"),
    ],
)
def test_what_surrounds_an_address_is_dropped(text: str, email: str) -> None:
    assert parse_search(text) == SearchText("email", email)


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        (HASH, "transaction", HASH.lower()),
        (HASH[2:], "transaction", HASH.lower()),
        (f"https://basescan.org/tx/{HASH}#eventlog", "transaction", HASH.lower()),
        (f"https://pay.example/receipt/{HASH}/0", "transaction", HASH.lower()),
        (WALLET.upper(), "wallet", WALLET.lower()),
        (f"https://basescan.org/address/{WALLET}", "wallet", WALLET.lower()),
        (f"https://basescan.org/token/0x{'11' * 20}?a={WALLET}", "wallet", WALLET.lower()),
        (f"https://pay.example/pay?wallet={WALLET}&usd=50", "wallet", WALLET.lower()),
        (f"ethereum:{WALLET}@8453", "wallet", WALLET.lower()),
        (f"eip155:8453:{WALLET}", "wallet", WALLET.lower()),
        (f"{CUSTOMER},", "customer", CUSTOMER),
        (f"{DASHBOARD}/test/customers/{CUSTOMER}", "customer", CUSTOMER),
        (f"{DASHBOARD}/acct_1Abc/customers/{CUSTOMER}?tab=x", "customer", CUSTOMER),
        (f"https://desk.example/admin/customers/{CUSTOMER}#top", "customer", CUSTOMER),
        (f"https://desk.example/admin?q={CUSTOMER}", "customer", CUSTOMER),
        (ENTRY, "entry", ENTRY),
    ],
)
def test_ids_hashes_and_links_are_read(text: str, kind: str, value: str) -> None:
    parsed = parse_search(text)
    assert parsed
    assert (parsed.kind, parsed.value) == (kind, value)


def test_a_link_to_an_entry_names_its_customer() -> None:
    for link in (
        f"{DASHBOARD}/test/customers/{CUSTOMER}/balance_transactions/{ENTRY}",
        f"https://desk.example/admin/customers/{CUSTOMER}#{ENTRY}",
    ):
        assert parse_search(link) == SearchText("entry", ENTRY, CUSTOMER)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  ",
        "ann",
        "@ex.io",
        "ann@",
        "a@b@c.io",
        "ann @ex.io",
        "0x12",
        "cus_",
        "cbtxn_",
        "https://[",
        "https://ex.io/",
    ],
)
def test_anything_else_is_not_searched_for(text: str) -> None:
    assert parse_search(text) is None


def test_an_overlong_address_is_none() -> None:
    assert not is_email_address("a" * 65 + "@ex.io")
    assert not is_email_address("a@" + "b" * 256)
    assert not is_entry_id("cbtxn_" + "a" * 65)


@given(st.text(max_size=400))
def test_no_text_raises(text: str) -> None:
    parse_search(text)
    parse_search(f"https://{text}")
