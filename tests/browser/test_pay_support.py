"""Wherever the pay page says to ask support, it says whom, and the link says what about."""

from __future__ import annotations

from urllib.parse import quote

from playwright.sync_api import Page, expect

from tests.browser.conftest import Tabs
from tests.browser.pay_page import page_of, press
from tests.browser.scripted_wallet import ScriptedWallet
from tests.browser.stand_in import FIRST_HASH, WALLET, StandIn, answer, problem, tx_hash

MAIL, SITE = "mailto:help+pay@example.org", "https://help.example.org/new?team=2#form"
NOTES = ".notes a"


def expect_mail(page: Page, selector: str, reference: str) -> None:
    """Expect a link that writes to support about something."""
    link = page.locator(selector, has_text="sk support")
    expect(link).to_have_attribute("href", f"{MAIL}?subject={quote(f'Payment {reference}')}")


def test_link_names_the_account_then_the_payment(tabs: Tabs, service: StandIn, wallet: ScriptedWallet) -> None:
    service.seller, service.support, service.allowed = "Straße & Söhne", MAIL, True
    service.default_claims = [answer("reversed", FIRST_HASH)]
    page = page_of(tabs, service, wallet)
    expect(page.locator(".seller")).to_have_text("Straße & Söhne")
    expect_mail(page, NOTES, WALLET)
    press(page, "Connect wallet")
    press(page, "Pay 83.33 LITKEY")
    expect_mail(page, "#status-text a", tx_hash(FIRST_HASH))
    expect_mail(page, NOTES, tx_hash(FIRST_HASH))


def test_link_names_the_failed_request(tabs: Tabs, service: StandIn) -> None:
    service.support = SITE
    service.quote_fault = problem("not_payable", 409)
    page = page_of(tabs, service)
    link = page.locator("#notice .text a")
    expect(link).to_have_text("Ask support")
    expect(page.locator("#notice .text")).to_contain_text("Ask support how to pay for this account.")
    expect(link).to_have_attribute("href", "https://help.example.org/new?team=2&reference=req-7F3K#form")


def test_link_names_the_transaction_that_was_looked_up(tabs: Tabs, service: StandIn) -> None:
    service.support = MAIL
    service.claims[7] = [answer("reversed", 7)]
    page = page_of(tabs, service)
    page.locator("#hash").fill(tx_hash(7))
    page.get_by_role("button", name="Look it up").click()
    expect_mail(page, "#claim-text a", tx_hash(7))


def test_text_stays_without_an_address_of_support(tabs: Tabs, service: StandIn) -> None:
    service.quote_fault = problem("not_payable", 409)
    page = page_of(tabs, service)
    expect(page.locator("#notice .text")).to_contain_text("Ask support how to pay")
    expect(page.locator("#notice a, .notes a")).to_have_count(0)


def test_link_works_without_a_script(tabs: Tabs, service: StandIn) -> None:
    service.support = MAIL
    expect_mail(page_of(tabs, service, java_script_enabled=False), NOTES, WALLET)
