"""What visitors and links give the pay page: read as their locale writes it, or named and kept."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from playwright.sync_api import expect

from stateless_billing.web.pages.assets import STATIC, bundle
from tests.browser.conftest import Tabs
from tests.browser.stand_in import GATEWAY, ORIGIN, WALLET, StandIn, answer, problem, tx_hash

UNREADABLE, AMBIGUOUS = "unreadable", "ambiguous"

AMOUNTS: list[tuple[str, str, int | str]] = [
    *(("en-US", text, 125_000) for text in ("1250", "1,250.00", "$1,250.00", " 1250.0 ")),
    *(("de-DE", text, 123_456) for text in ("1.234,56", "1234,56", "1234.56", "1.234,56 $")),
    *(("fr-FR", text, 123_456) for text in ("1 234,56", "1\u202f234,56", "1234,56")),
    *(("de-CH", text, 123_456) for text in ("1'234.56", "1\u2019234.56")),
    *(("en-IN", text, 12_345_678) for text in ("1,23,456.78", "123456.78")),
    ("ar-EG", "\u0661\u0662\u066b\u0665", 1250),
    *((locale, text, AMBIGUOUS) for locale in ("en-US", "de-DE", "fr-FR") for text in ("1,000", "1.000", "50.555")),
    *(
        ("en-US", text, UNREADABLE)
        for text in ("1.234,56", "1e3", "12,34,567.00", "50.5555", "", "-5", "5.", ".5", "1,,2")
    ),
    *(("de-DE", text, UNREADABLE) for text in ("1,234.56", "12.34,56")),
]


@pytest.mark.parametrize("locale", sorted({locale for locale, _, _ in AMOUNTS}))
def test_amounts_are_read_as_the_locale_writes_them(tabs: Tabs, locale: str) -> None:
    page = tabs.open(locale=locale)
    name = "pay/amount_input.js"
    page.add_script_tag(content=bundle({name: (STATIC / name).read_text()}, name))
    rows = [(text, result) for given, text, result in AMOUNTS if given == locale]
    parse = "(text) => { const cents = parseDollars(text); return typeof cents === 'bigint' ? Number(cents) : cents; }"
    read: list[Any] = page.evaluate(f"(texts) => texts.map({parse})", [text for text, _ in rows])
    assert list(zip([text for text, _ in rows], read, strict=True)) == rows


@pytest.mark.parametrize("usd", ["1,000", "50.555", "1e3"])
@pytest.mark.parametrize("script", [True, False])
def test_amount_of_a_link_is_named_and_kept(tabs: Tabs, service: StandIn, usd: str, script: bool) -> None:
    page = tabs.open(java_script_enabled=script)
    service.attach(page)
    page.goto(f"{ORIGIN}/pay?wallet={WALLET}&usd={usd}")
    expect(page.locator("#limits")).to_contain_text(f"“{usd}” is not written as 50 or 12.50.")
    expect(page.locator("#usd")).to_have_value(usd)
    expect(page.locator("#usd")).to_have_attribute("aria-invalid", "true")
    expect(page.locator("#added")).to_have_text("\N{EN DASH}")
    assert service.count("POST", "/api/quotes") == 0


def test_amount_of_a_link_is_shown_as_the_visitor_writes(tabs: Tabs, service: StandIn) -> None:
    page = tabs.open(locale="de-DE")
    service.attach(page)
    page.goto(f"{ORIGIN}/pay?wallet={WALLET}&usd=1250.50")
    expect(page.locator("#usd")).to_have_value("1250,50")
    page.locator("#usd").fill("1.250,75")
    expect(page.locator("#added")).to_have_text("+1.250,75\u00a0$")
    page.locator("#usd").fill("1.250")
    expect(page.locator("#limits")).to_contain_text("Write the amount as 1000 or 12,50.")
    expect(page.locator("#usd")).to_have_value("1.250")


@pytest.mark.parametrize("text", ["0x12", "payer.eth", WALLET.replace("F79b", "f79b"), f"{WALLET[:9]} {WALLET[9:]}"])
def test_address_that_is_none_is_named_and_kept(tabs: Tabs, service: StandIn, text: str) -> None:
    page = tabs.open()
    service.attach(page)
    page.goto(f"{ORIGIN}/pay?usd=25")
    page.get_by_label("Wallet of the account").fill(text)
    page.get_by_role("button", name="Continue").click()
    expect(page.locator(".panel .title").first).to_have_text("This is not the address of a wallet")
    expect(page.get_by_label("Wallet of the account")).to_have_value(text)
    page.get_by_label("Wallet of the account").fill(WALLET)
    page.get_by_role("button", name="Continue").click()
    expect(page.locator("#added")).to_have_text("+$25.00")


def test_unknown_wallet_has_a_way_back(tabs: Tabs, service: StandIn) -> None:
    service.found = False
    page = tabs.open()
    service.attach(page)
    page.goto(f"{ORIGIN}/pay?wallet={WALLET}&return_url=https://dashboard.test/credits")
    expect(page.get_by_role("link", name="Back to dashboard.test")).to_be_visible()


@pytest.mark.parametrize("script", [True, False])
@pytest.mark.parametrize(
    ("conflict", "title", "cure"),
    [
        (
            "shared",
            "More than one account has this wallet",
            "Ask support to remove the wallet from all but one of them",
        ),
        ("moved", "This wallet is linked to another account", "Ask support to correct the link"),
    ],
)
def test_wallet_of_no_single_account_is_told_why(
    tabs: Tabs, service: StandIn, conflict: str, title: str, cure: str, script: bool
) -> None:
    service.conflict = conflict
    page = tabs.open(java_script_enabled=script)
    service.attach(page)
    page.goto(f"{ORIGIN}/pay?wallet={WALLET}")
    panel = page.locator(".panel.warn:visible")
    expect(panel.locator(".title")).to_have_text(title)
    for text in (WALLET, "Nothing was sent.", cure, "Payments you already made are credited as usual."):
        expect(panel).to_contain_text(text)
    expect(page.locator("body")).not_to_contain_text("No account")
    expect(page.locator("#wallet")).to_be_visible()


@pytest.mark.parametrize("script", [True, False])
@pytest.mark.parametrize("rest", [0, 300])
def test_account_at_its_limit_is_told_when_it_may_pay_again(
    tabs: Tabs, service: StandIn, rest: int, script: bool
) -> None:
    service.maximum_cents, service.resets_at = rest, 1_900_000_000
    page = tabs.open(java_script_enabled=script, timezone_id="UTC")
    service.attach(page)
    page.goto(f"{ORIGIN}/pay?wallet={WALLET}")
    when = "Mar 17, 2030, 5:46 PM" if script else "2030-03-17 17:46:40 UTC"
    said = f"This account's limit of $5,000.00 in 24 hours is reached. More can be paid from {when} on."
    expect(page.locator("#limits")).to_have_text(said.replace("5:46 PM", "5:46\u202fPM"))
    expect(page.locator("#limits")).to_have_class("fine fault")
    expect(page.locator("body")).not_to_contain_text("largest payment")
    expect(page.locator("#primary")).to_have_attribute("aria-disabled", "true")
    assert service.count("POST", "/api/quotes") == 0


def test_account_near_its_limit_is_told_what_is_left(tabs: Tabs, service: StandIn) -> None:
    service.maximum_cents, service.resets_at = 2_000, 1_900_000_000
    page = tabs.open(timezone_id="UTC")
    service.attach(page)
    page.goto(f"{ORIGIN}/pay?wallet={WALLET}&usd=50")
    expect(page.locator("#limits")).to_have_text(
        "$20.00 is left of this account's limit of $5,000.00 in 24 hours, and more from Mar 17, 2030, 5:46\u202fPM on."
    )
    page.locator("#usd").fill("20")
    expect(page.locator("#limits")).to_have_text("From $5.00 to $20.00.")
    expect(page.locator("#added")).to_have_text("+$20.00")


def test_account_whose_payments_are_being_counted_is_told_so(tabs: Tabs, service: StandIn) -> None:
    service.maximum_cents = 0
    page = tabs.open()
    service.attach(page)
    page.goto(f"{ORIGIN}/pay?wallet={WALLET}")
    expect(page.locator("#limits")).to_contain_text("are still being counted. Reload the page in a few seconds.")


def test_limit_that_frees_up_is_taken_up_by_itself(tabs: Tabs, service: StandIn) -> None:
    service.maximum_cents, service.resets_at = 0, int(time.time()) + 3
    page = tabs.open()
    service.attach(page)
    page.goto(f"{ORIGIN}/pay?wallet={WALLET}&usd=50")
    expect(page.locator("#limits")).to_contain_text("is reached")
    service.maximum_cents, service.resets_at = 500_000, None
    expect(page.locator("#limits")).to_have_text("From $5.00 to $5,000.00.")
    expect(page.locator("#added")).to_have_text("+$50.00")


KEPT = {"usd": "12.50", "return_url": "https://dashboard.test/billing", "ref": "order 7"}


@pytest.mark.parametrize("wallet", [WALLET, "payer.eth", ""])
@pytest.mark.parametrize(
    ("state", "title"),
    [
        ("credited", "$50.00 added"),
        ("confirming", "Payment received, confirming"),
        ("unrelated", "This transaction did not pay our contract"),
        ("unknown", "Our servers do not see this transaction yet"),
    ],
)
def test_look_up_without_script_keeps_what_was_given(
    tabs: Tabs, service: StandIn, state: str, title: str, wallet: str
) -> None:
    service.claims = {7: [answer(state, 7)]}
    page = tabs.open(java_script_enabled=False)
    service.attach(page)
    page.goto(f"{ORIGIN}/pay?{urlencode({'wallet': wallet} | KEPT)}")
    page.get_by_label("Transaction hash").fill(tx_hash(7))
    page.get_by_role("button", name="Look it up").click()
    expect(page.locator("#claim-title")).to_have_text(title)
    query = dict(parse_qsl(urlsplit(page.url).query))
    assert query == {"tx_hash": tx_hash(7)} | KEPT | ({"wallet": wallet} if wallet else {})
    expect(page.locator("#hash")).to_have_value(tx_hash(7))
    expect(page.locator("#claim-result")).to_be_in_viewport()
    receipts = page.locator("#claim-payments a")
    expect(receipts).to_have_count(1 if state in ("credited", "confirming") else 0)
    if state == "credited":
        expect(receipts).to_have_attribute("href", f"/receipt/{tx_hash(7)}/0?gateway={GATEWAY}")
    assert service.count("POST", "/api/payments") == 0
    if wallet != WALLET:
        page.locator("#wallet").fill(WALLET)
        page.get_by_role("button", name="Continue").click()
        expect(page.locator("#claim-title")).to_have_text(title)
        expect(page.locator("#usd")).to_have_value("12.50")


def test_look_up_without_script_names_what_is_wrong(tabs: Tabs, service: StandIn) -> None:
    page = tabs.open(java_script_enabled=False)
    service.attach(page)
    page.goto(f"{ORIGIN}/pay?wallet={WALLET}&tx_hash=0x12")
    expect(page.locator("#claim-title")).to_have_text("This is not a transaction hash")
    expect(page.locator("#hash")).to_have_value("0x12")
    expect(page.locator("#hash")).to_have_attribute("aria-invalid", "true")
    service.claims = {7: [problem("chain_unavailable", 503)]}
    page.goto(f"{ORIGIN}/pay?wallet={WALLET}&tx_hash={tx_hash(7)}")
    expect(page.locator("#claim-title")).to_have_text("We cannot read the payment's state right now")
    expect(page.locator("#claim-text")).to_contain_text("You do not need to pay again.")


def test_support_is_linked_without_script(tabs: Tabs, service: StandIn) -> None:
    service.support = "https://help.test/ask"
    service.claims = {7: [answer("unrelated", 7)]}
    service.conflict = "shared"
    page = tabs.open(java_script_enabled=False)
    service.attach(page)
    page.goto(f"{ORIGIN}/pay?wallet={WALLET}&tx_hash={tx_hash(7)}")
    for panel, reference in ((".card .panel.warn >> nth=0", WALLET), ("#claim-result", tx_hash(7))):
        link = page.locator(panel).get_by_role("link", name="Ask support")
        expect(link).to_have_attribute("href", f"https://help.test/ask?reference={reference}")


def test_look_up_of_a_link_goes_on_with_script(tabs: Tabs, service: StandIn) -> None:
    service.claims = {7: [answer("confirming", 7), answer("confirming", 7), answer("credited", 7)]}
    page = tabs.open()
    service.attach(page)
    page.goto(f"{ORIGIN}/pay?wallet={WALLET}&tx_hash={tx_hash(7)}")
    expect(page.locator("#claim-title")).to_have_text("$50.00 added")
    expect(page.locator("#payments .payment")).to_have_count(1)
    expect(page.locator("#claim-payments")).to_have_count(0)
