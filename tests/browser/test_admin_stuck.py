"""The stuck page: pending, effective and replaced orders, and confirmations by an admin."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, Page, expect

from stateless_billing.sandbox.stack import Stack
from tests.browser.admin import ADMIN, AUDITOR, Office, judge
from tests.browser.conftest import Tabs
from tests.browser.waits import reload_until
from tests.integration.operators import Operator
from tests.integration.shop import Customer, Shop

HOUR = 3600
EARLY = "as soon as it is final on the chain"
TOKEN = 10**18
BETH = "beth@example.org"
VERSION = {"authorization": "Bearer sk_test_sandbox", "stripe-version": "2026-10-28.endive"}


@pytest.fixture(scope="module")
def office() -> Iterator[Office]:
    """Run a system with a chain 30 hours behind, an older service record, and two admins."""
    settings = {"CONFIRMATIONS": "10000:1s,100000:safe,finalized", "SWEEP": "off"}
    with Stack.start(timestamp=int(time.time()) - 30 * HOUR, settings=settings) as stack:
        grants = stack.stripe(f"customers/{stack.settings['SERVICE_CUSTOMER_ID']}")["metadata"]["grants"]
        metadata = {"stateless_billing": "service", "grants": grants}
        made = stack.control("POST", "customers", {"metadata": metadata, "created": int(time.time()) - 90 * HOUR})
        stack.settings["SERVICE_CUSTOMER_ID"] = made["id"]
        stack.settings["OPERATORS"] += f",{BETH}=admin"
        service = stack.serve(MAX_PAYMENT_CENTS="40000", MAX_ORDER_CENTS="30000", QUOTE_SECONDS="600")
        yield Office(stack, service, Shop(stack))


def paid(office: Office, cents: int = 5000) -> tuple[Customer, str]:
    """Make a final, unclaimed payment."""
    customer, signing = office.shop.customer(), office.stack.serve(QUOTE_SECONDS="600")
    tx_hash = office.shop.pay(signing, customer, cents)
    office.shop.finalize()
    signing.stop()
    return customer, tx_hash


def delete(office: Office, customer: Customer) -> None:
    assert office.stack.http.delete(f"{office.stack.sandbox}/v1/customers/{customer.id}", headers=VERSION).is_success


ALONE = """
(hash) => [...document.querySelectorAll(".stuck > li")]
  .filter((one) => !one.querySelector(`a[href*="${hash}"]`))
  .forEach((one) => one.remove())
"""


def card_of(page: Page, tx_hash: str) -> Locator:
    """Return the line of a stuck payment once it is final, opened and alone on the page for the screenshot."""
    final = page.locator(".stuck > li", has=page.locator(f'a[href*="{tx_hash}"]')).filter(has_not_text=EARLY)
    reload_until(page, lambda: final.count() > 0)
    page.evaluate(ALONE, tx_hash)
    card = page.locator(".stuck > li")
    expect(card).to_have_count(1)
    if card.locator(".line").get_attribute("open") is None:
        card.locator(".line > summary").click()
    return card


def opened(card: Locator, title: str) -> Locator:
    """Return a form of a card, expanded."""
    details = card.locator("details.act", has=card.page.locator("summary", has_text=title))
    if details.get_attribute("open") is None:
        details.locator("summary").click()
    return details.locator("form")


def write(form: Locator, button: str, sentence: str) -> None:
    """Continue to what is shown, and press the button that writes."""
    form.get_by_role("button", name="Continue").click()
    expect(form.locator(".sentence")).to_be_focused()
    expect(form.locator(".sentence")).to_contain_text(sentence)
    form.get_by_role("button", name=button).click()


TWENTY = """
() => {
  const list = document.querySelector(".stuck");
  const closed = [...list.children].find((row) => !row.querySelector(".line").open);
  while (list.children.length < 20) list.append(closed.cloneNode(true));
  return document.querySelector(".stuck > li:nth-child(20)").getBoundingClientRect().bottom + scrollY;
}
"""


def test_the_queue_holds_a_line_for_each_payment(tabs: Tabs, office: Office) -> None:
    _, above = paid(office, 45_000)
    customer, gone = paid(office)
    delete(office, customer)
    for tx_hash in (above, gone):
        office.shop.claimed(office.service, tx_hash, "held")
    page = office.open(tabs, "/admin/stuck")
    judge(page, "queue")
    page.set_viewport_size({"width": 1280, "height": 900})
    page.keyboard.press("j")
    page.keyboard.press("j")
    second = page.locator(".line").nth(1)
    expect(second.locator("> summary")).to_be_focused()
    page.keyboard.press("Enter")
    expect(second).to_have_attribute("open", "")
    page.keyboard.press("k")
    expect(page.locator(".line > summary").first).to_be_focused()
    page.get_by_role("link", name="over limit").click()
    expect(page).to_have_url(f"{office.service.url}/admin/stuck?cause=over_limit")
    expect(page.locator(".causes").get_by_role("link", name="over limit")).to_have_attribute("aria-current", "true")
    expect(page.locator(f'.stuck a[href*="{gone}"]')).to_have_count(0)
    plain = office.open(tabs, f"/admin/stuck?cause=customer_deleted#{gone}", java_script_enabled=False)
    line = plain.locator(".line", has=plain.locator(f'a[href*="{gone}"]'))
    expect(line).to_contain_text("no order")
    if line.get_attribute("open") is None:
        line.locator("> summary").click()
    expect(line.locator("blockquote")).to_contain_text("It is safe. Its account was deleted in our billing system.")
    page.goto(f"{office.service.url}/admin/stuck#payment-{above}-0")
    line = page.locator(".line", has=page.locator(f'a[href*="{above}"]'))
    expect(line).to_have_attribute("open", "")
    judge(page, "queue-opened")
    page.set_viewport_size({"width": 1280, "height": 900})
    line.locator("> summary").click()
    assert page.evaluate(TWENTY) <= 900, "20 payments fit one screen"


def test_an_order_above_the_bound_waits_and_another_admin_confirms_it(tabs: Tabs, office: Office) -> None:
    customer, tx_hash = paid(office, 45_000)
    office.shop.claimed(office.service, tx_hash, "held")
    page = office.open(tabs, "/admin/stuck", ADMIN)
    form = opened(card_of(page, tx_hash), "Release it")
    expect(form.locator(".second")).to_contain_text("This is above what you may decide alone: $300.00 per order")
    form.get_by_label("Why").fill("asked the payer on the phone")
    judge(page, "stuck-above-the-bound")
    write(form, "Propose: credit $450.00", "Credit $450.00 to ")
    expect(page.locator(".kept").first).to_contain_text("It waits until another admin confirms it")
    expect(
        page.get_by_text("This is your own order. Another admin must confirm it on this page.").first
    ).to_be_visible()
    assert office.stack.balance(customer.id) == 0
    judge(page, "stuck-waiting")
    auditor = office.open(tabs, "/admin/stuck", AUDITOR)
    card = card_of(auditor, tx_hash)
    expect(card.get_by_text(f"An admin other than {ADMIN} must confirm it")).to_be_visible()
    expect(card.locator("summary", has_text="Confirm it")).to_have_count(0)
    expect(card.get_by_role("button", name="Try now")).to_have_count(0)
    theirs = office.open(tabs, "/admin/stuck", BETH)
    card = card_of(theirs, tx_hash)
    form = opened(card, "Confirm it")
    expect(form).to_contain_text("for up to $450.00, word for word")
    judge(theirs, "stuck-confirming")
    form.get_by_label("Why").fill("asked them too")
    form.get_by_role("button", name="Continue").click()
    expect(form.locator(".sentence")).to_contain_text("As of now its balance goes from $0.00 to $450.00.")
    judge(theirs, "stuck-shown")
    theirs.keyboard.press("Escape")
    expect(form.locator(".sentence")).to_have_count(0)
    write(form, "Confirm: credit $450.00", "Credit $450.00 to ")
    expect(theirs.locator(".kept").first).to_contain_text("Confirmed. Credited: cbtxn_")
    assert office.stack.balance(customer.id) == 45_000
    listed = office.open(tabs, "/admin/decisions", AUDITOR)
    row = listed.get_by_role("row", name="release").first
    expect(row).to_contain_text(f"Second admin: {BETH}")
    expect(row).to_contain_text("the payment is credited")
    judge(listed, "decisions")


def test_a_deleted_customer_is_answered_for_with_a_yes(tabs: Tabs, office: Office) -> None:
    (customer, tx_hash), other = paid(office), office.shop.customer()
    delete(office, customer)
    office.shop.claimed(office.service, tx_hash, "held")
    page = office.open(tabs, "/admin/stuck", ADMIN)
    card = card_of(page, tx_hash)
    message = card.get_by_role("button", name="Copy a message for the payer").get_attribute("data-copy") or ""
    assert "not credited yet" not in message
    assert "We are checking whether it was credited there before." in message
    form = opened(card, "Credit another customer")
    box = form.get_by_role("checkbox")
    expect(box).not_to_be_checked()
    form.get_by_label("Customer to credit").fill(other.id)
    form.get_by_label("Why").fill("its owner wrote from the new account")
    judge(page, "stuck-gone")
    form.get_by_role("button", name="Continue").click()
    expect(form.locator(".result")).to_be_empty()
    assert office.stack.balance(other.id) == 0, "nothing is sent without the yes"
    box.check()
    write(form, "Order: credit $50.00", "instead of")
    expect(page.locator(".kept").first).to_contain_text("Ordered. Credited: cbtxn_")
    assert office.stack.balance(other.id) == 5000


def test_a_ledger_is_vouched_for_with_a_yes(tabs: Tabs, office: Office) -> None:
    stack, (customer, tx_hash) = office.stack, paid(office)
    used = {"amount": 100, "currency": "usd", "description": "Usage", "count": 5, "every": HOUR}
    stack.control("POST", f"customers/{customer.id}/rows", used | {"created": int(time.time()) - 20 * HOUR})
    path = f"/v1/customers/{customer.id}/balance_transactions"
    stack.control("POST", "faults", {"effect": "listing_hole", "method": "GET", "path": path, "times": None})
    payment = office.shop.claimed(office.service, tx_hash, "pending")["payments"][0]["payment"]
    tried = Operator().post(office.service, "/api/admin/payments/retry", {"payment": payment})
    assert tried.json()["cause"] == "ledger_unproven"
    page = office.open(tabs, "/admin/stuck", ADMIN)
    card = card_of(page, tx_hash)
    expect(card.locator(".read")).to_contain_text(f"the ledger of {customer.id} does not prove")
    form = opened(card, "Vouch for the ledger")
    form.get_by_label("Why").fill("looked at it in the Dashboard")
    judge(page, "stuck-unproven")
    form.get_by_role("button", name="Continue").click()
    expect(form.locator(".result")).to_be_empty()
    assert stack.credits(customer.id) == [], "nothing is sent without the yes"
    form.get_by_role("checkbox").check()
    write(form, "Order: credit $50.00", "Credit $50.00 to ")
    expect(page.locator(".kept").first).to_contain_text("Ordered. Credited: cbtxn_")
    stack.control("DELETE", "faults")


def test_orders_replace_each_other_and_can_be_withdrawn(tabs: Tabs, office: Office) -> None:
    stack, customer, first = office.stack, office.shop.customer(), office.shop.customer()
    office.shop.register(office.service, customer)
    tx_hash = office.shop.pay_plainly(customer, 10_000 * TOKEN)
    delete(office, customer)
    fresh = Office(stack, stack.serve(MAX_ORDER_CENTS="100000"), office.shop)
    fresh.shop.claimed(fresh.service, tx_hash, "held")
    path = f"/v1/customers/{first.id}/balance_transactions"
    stack.control("POST", "faults", {"effect": "lost_before", "method": "POST", "path": path, "times": None})
    page = fresh.open(tabs, "/admin/stuck", ADMIN)
    form = opened(card_of(page, tx_hash), "Credit another customer")
    rate = form.get_by_label("Market rate in dollars")
    rate.fill("0.009")
    expect(form.locator(".second")).to_contain_text("The rate is more than 20 % above the market's.")
    rate.fill("0.0061")
    expect(form.locator(".preview")).to_have_text("This credits $61.00.")
    expect(form.locator(".second")).to_be_hidden()
    form.get_by_label("Customer to credit").fill(first.id)
    form.get_by_label("Why").fill("its owner wrote us")
    form.get_by_role("checkbox").check()
    write(form, "Order: credit $61.00", "instead of")
    expect(page.locator(".kept").first).to_contain_text("The payment is pending now")
    expect(page.locator(".orders li", has_text=f"redirect:{first.id}:0.0061;gone:{customer.id}")).to_be_visible()
    card = card_of(page, tx_hash)
    form = opened(card, "Withdraw the order")
    form.get_by_label("Why").fill("the wrong account")
    judge(page, "stuck-ordered")
    write(form, "Withdraw the order", "Withdraw the order")
    expect(page.locator(".kept").first).to_contain_text("The payment is held now: customer deleted")
    mine = page.locator(".stuck > li", has=page.locator(f'a[href*="{tx_hash}"]'))
    expect(mine.get_by_text("withdrawn", exact=True)).to_be_visible()
    card = card_of(page, tx_hash)
    expect(card.get_by_role("heading", name="Orders, newest first")).to_be_visible()
    expect(card.locator(".orders li").first).to_contain_text("withdraw")
    judge(page, "stuck-withdrawn")
    stack.control("DELETE", "faults")
    assert stack.balance(first.id) == 0


def test_who_confirms_answers_for_the_same(tabs: Tabs, office: Office) -> None:
    stack, (customer, tx_hash), other = office.stack, paid(office, 35_000), office.shop.customer()
    delete(office, customer)
    office.shop.claimed(office.service, tx_hash, "held")
    page = office.open(tabs, "/admin/stuck", ADMIN)
    form = opened(card_of(page, tx_hash), "Credit another customer")
    form.get_by_label("Customer to credit").fill(other.id)
    form.get_by_label("Why").fill("its owner wrote from the new account")
    form.get_by_role("checkbox").check()
    write(form, "Propose: credit $350.00", "instead of")
    expect(page.locator(".kept").first).to_contain_text("It waits until another admin confirms it")
    theirs = office.open(tabs, "/admin/stuck", BETH)
    form = opened(card_of(theirs, tx_hash), "Confirm it")
    form.get_by_label("Why").fill("asked them too")
    judge(theirs, "stuck-confirming-gone")
    form.get_by_role("button", name="Continue").click()
    expect(form.locator(".result")).to_be_empty()
    assert stack.balance(other.id) == 0, "nothing is sent without the yes"
    form.get_by_role("checkbox").check()
    write(form, "Confirm: credit $350.00", "instead of")
    expect(theirs.locator(".kept").first).to_contain_text("Confirmed. Credited: cbtxn_")
    assert stack.balance(other.id) == 35_000
