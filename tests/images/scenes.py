"""What the screenshots show: pages of payers over a scripted service, and moderators' pages of a running one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any, Literal

from playwright.sync_api import Locator, Page, expect

from stateless_billing.sandbox.stack import Stack
from tests.browser.admin import ADMIN, AUDITOR, MODERATOR, Office
from tests.browser.conftest import Tabs
from tests.browser.pay_page import page_of, press
from tests.browser.scripted_wallet import ScriptedWallet
from tests.browser.stand_in import CHAIN_ID, ORIGIN, PAYER, Node, StandIn, answer, payment
from tests.integration.operators import Operator
from tests.integration.shop import Customer, Shop

Scheme = Literal["light", "dark"]
PHONE = 390
PHONE_HEIGHT = 760
REAL_HASH = 0x9F2C41D7A03B5E6688E1B1D4C7F2A95036DE817C4B02F3A1D95E7708C6B4E213
DAY = 86_400
WALLET = "0x52908400098527886e0f7030069857d2e4169ee7"
SHARED_WALLET = "0x8617e340b3d01fa5f11f306f4090fd50e238070d"


def shop_of_payers() -> StandIn:
    """Return a service that sells, with two payments of the account."""
    service = StandIn()
    service.seller, service.support, service.allowed = "Example Inc.", "mailto:help@example.org", True
    now = int(time.time())
    service.payments = [
        payment("credited", REAL_HASH * 7 % 2**256, cents=2500, amount="41666666666666666667", time=now - 3 * DAY),
        payment("credited", REAL_HASH * 11 % 2**256, cents=10_000, amount="166666666666666666667", time=now - 34 * DAY),
    ]
    return service


def pay_page(tabs: Tabs, scheme: Scheme, service: StandIn, width: int = 1280) -> Page:
    """Open the pay page with a wallet."""
    node = Node()
    node.sent = count(REAL_HASH)
    node.gas_price, node.tokens = 6 * 10**6, 2_500 * 10**18
    wallet = ScriptedWallet(node, PAYER, chain_id=CHAIN_ID)
    page = page_of(tabs, service, wallet, color_scheme=scheme, width=width)
    expect(page.locator("#validity")).to_contain_text("Price held for")
    return page


def ready(tabs: Tabs, scheme: Scheme) -> Page:
    """Connected, one press before the payment."""
    page = pay_page(tabs, scheme, shop_of_payers())
    press(page, "Connect wallet")
    expect(page.locator("#primary")).to_have_text("Pay 83.33 LITKEY")
    page.locator("h1").click()
    return page


def phone(tabs: Tabs, scheme: Scheme) -> Page:
    """The first screen of a phone."""
    page = pay_page(tabs, scheme, shop_of_payers(), PHONE)
    page.set_viewport_size({"width": PHONE, "height": PHONE_HEIGHT})
    return page


def paid(tabs: Tabs, scheme: Scheme, state: str, **facts: Any) -> Page:
    """After a payment."""
    service = shop_of_payers()
    service.default_claims = [answer(state, REAL_HASH, time=int(time.time()) - 20, **facts)]
    page = pay_page(tabs, scheme, service)
    press(page, "Connect wallet")
    press(page, "Pay 83.33 LITKEY")
    expect(page.locator("#status-title")).not_to_contain_text("Waiting for Base")
    expect(page.locator("#payments .payment")).to_have_count(3)
    page.mouse.move(5, 5)
    return page


def receipt(tabs: Tabs, scheme: Scheme) -> Page:
    """The receipt of a payment."""
    service = shop_of_payers()
    service.payments = [payment("credited", REAL_HASH, credit="cbtxn_1SX2mKq9RdYw7LzF", block=38_911_204)]
    page = tabs.open(color_scheme=scheme)
    service.attach(page)
    page.goto(f"{ORIGIN}/receipt/0x{REAL_HASH:064x}/0")
    return page


PAYERS: dict[str, Callable[[Tabs, Scheme], Page]] = {
    "pay-ready": ready,
    "pay-phone": phone,
    "pay-credited": lambda tabs, scheme: paid(tabs, scheme, "credited"),
    "pay-held": lambda tabs, scheme: paid(tabs, scheme, "held", cause="over_limit"),
    "receipt": receipt,
}


@contextmanager
def running_office() -> Iterator[tuple[Office, Customer]]:
    """Run a system with a customer that paid, was granted credit, and has a payment that waits for an admin."""
    settings = {"CONFIRMATIONS": "10000:1s,100000:safe,finalized", "SWEEP": "off"}
    with Stack.start(settings=settings) as stack:
        shop = Shop(stack)
        customer = Customer(stack.add_customer("chris@example.org", WALLET), WALLET)
        signing = stack.serve()
        shop.claimed(signing, shop.pay(signing, customer, 5000))
        large = shop.pay(signing, customer, 45_000)
        shop.finalize()
        signing.stop()
        office = Office(stack, stack.serve(MAX_PAYMENT_CENTS="40000"), shop)
        shop.claimed(office.service, large, "held")
        Operator(MODERATOR).give(office.service, customer.id, "12.50")
        stack.add_customer("dana.old@example.org", SHARED_WALLET)
        used = stack.add_customer("dana@example.org", SHARED_WALLET)
        top_up = {
            "amount": -2000,
            "currency": "usd",
            "description": "Top-up via pi_3Q",
            "created": int(time.time()) - DAY,
        }
        stack.control("POST", f"customers/{used}/rows", top_up)
        yield office, customer


def show_release(page: Page) -> Locator:
    """Take the first step of a decision; return the card."""
    form = page.locator("form[data-order]").first
    if not form.is_visible():
        page.locator("summary", has_text="Release it").first.click()
    form.get_by_label("Why").fill("asked the payer on the phone, ticket 123")
    form.get_by_role("button", name="Continue").click()
    expect(page.locator(".sentence")).to_be_visible()
    page.mouse.move(5, 5)
    return page.locator(".stuck > li").first


def show_reversal(page: Page) -> Locator:
    """Take the first step of taking a grant back; return the ledger."""
    page.get_by_text("Take back").click()
    page.locator("form[data-undo]").get_by_label("Why").fill("given to the wrong customer")
    page.locator("form[data-undo]").get_by_role("button", name="Continue").click()
    expect(page.locator(".sentence")).to_be_visible()
    page.mouse.move(5, 5)
    return page.locator("#ledger")


def show_report(page: Page) -> Locator:
    """Wait for the report; return its verdict with the totals."""
    expect(page.locator("#verdict")).to_be_visible(timeout=60_000)
    return page.locator("section[aria-labelledby=verdict]")


def office_pages(customer: Customer) -> dict[str, tuple[str, str, Callable[[Page], Locator] | None]]:
    """Return path, operator, and what is pressed for which part of each moderators' page, by its name."""
    return {
        "moderators-home": ("/admin", ADMIN, None),
        "moderators-find": ("/admin?q=chris@example.org", MODERATOR, None),
        "moderators-customer": (f"/admin/customers/{customer.id}", MODERATOR, None),
        "moderators-undo": (f"/admin/customers/{customer.id}", MODERATOR, show_reversal),
        "moderators-stuck": ("/admin/stuck", ADMIN, None),
        "moderators-decision": ("/admin/stuck", ADMIN, show_release),
        "moderators-duplicates": (f"/admin?q={SHARED_WALLET}", ADMIN, None),
        "moderators-operators": ("/admin/operators", ADMIN, None),
        "auditors-report": ("/audit?run=1", AUDITOR, show_report),
    }
