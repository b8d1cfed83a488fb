"""The operators' pages in exceptional states: refused, unclear, empty, held, signed out, offline."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.browser.admin import ADMIN, MODERATOR, Office, ask, fill, judge, started
from tests.browser.conftest import Tabs
from tests.browser.waits import reload_until
from tests.integration.operators import Operator
from tests.integration.shop import Customer

TOKEN = 10**18
LIVE = "sk_live_sandbox"
STRIPE_VERSION = {"authorization": "Bearer sk_test_sandbox", "stripe-version": "2026-10-28.endive"}


@pytest.fixture(scope="module")
def office() -> Iterator[Office]:
    """Run a system for this module."""
    yield from started()


def elsewhere(office: Office, **settings: str) -> Office:
    """Return the same system with another process and other settings."""
    return Office(office.stack, office.stack.serve(**settings), office.shop)


def given(office: Office, cents: int = 310) -> tuple[str, dict[str, object]]:
    """Create a customer with a grant."""
    customer = office.customer(cents)
    return customer, Operator(ADMIN).give(office.service, customer, "1.25")


def held(office: Office, cause: str) -> Customer:
    """Make a held payment and return its customer."""
    shop, service = office.shop, office.stack.serve()
    customer = shop.customer()
    tx_hash = shop.pay(service, customer, 45_000)
    shop.finalize()
    if cause == "customer_deleted":
        gone = office.stack.http.delete(f"{office.stack.sandbox}/v1/customers/{customer.id}", headers=STRIPE_VERSION)
        assert gone.is_success
    shop.claimed(office.service, tx_hash, "held")
    service.stop()
    return customer


def card_of(page: Page, customer: Customer) -> Locator:
    """Return the card of a customer's stuck payment with its form open, once it is final."""
    reload_until(page, lambda: not page.get_by_text("as soon as it is final on the chain").count())
    card = page.locator(".stuck li", has=page.locator(f'a[href$="{customer.id}"]'))
    for closed in card.locator("details:not([open]) > summary").all():
        closed.click()
    return card


# Signing in


def refused_code(tabs: Tabs, office: Office) -> Page:
    page = office.open(tabs, "/login", None)
    page.get_by_label("Your work email").fill("o'neil@example.org")
    page.get_by_role("button", name="Send me a link").click()
    page.get_by_label("Opened the email elsewhere?").fill("AAAA-BBBB")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert").first).to_contain_text("not the email's code")
    return page


def bad_link(tabs: Tabs, office: Office) -> Page:
    page = office.open(tabs, "/login/link?token=cut-off", None)
    expect(page.locator(".panel.bad:visible")).to_contain_text("incomplete or was altered")
    return page


def left(tabs: Tabs, office: Office) -> Page:
    page = office.open(tabs, "/admin")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_text("You are signed out.")).to_be_visible()
    return page


def wallets_only(tabs: Tabs, office: Office) -> Page:
    page = elsewhere(office, RESEND_API_KEY="", MAIL_FROM="").open(tabs, "/login", None)
    expect(page.get_by_label("Your work email")).to_have_count(0)
    page.get_by_role("button", name="Sign in with your wallet").click()
    expect(page.locator("#wallet-result")).to_contain_text("No wallet found")
    return page


def nobody_may(tabs: Tabs, office: Office) -> Page:
    page = elsewhere(office, OPERATORS="", SESSION_SECRETS="").open(tabs, "/login", None)
    expect(page.get_by_text("Nobody can sign in here")).to_be_visible()
    return page


# Finding


def no_question(tabs: Tabs, office: Office) -> Page:
    page = office.open(tabs, "/admin?q=alice")
    expect(page.locator("#q-problem")).to_contain_text("Type an email address, a wallet")
    return page


def several(tabs: Tabs, office: Office) -> Page:
    stamp = time.time_ns()
    for number in range(3):
        office.stack.add_customer(f"O'Neil.{stamp}@Example.org", f"0x{stamp + number:040x}")
    page = office.open(tabs, f"/admin?q=o'neil.{stamp}@example.org")
    expect(page.get_by_role("heading", name="3 customers: choose the right one")).to_be_visible()
    expect(page.get_by_text("may be missing here")).to_be_visible()
    return page


def transaction(tabs: Tabs, office: Office) -> Page:
    service = office.stack.serve()
    tx_hash = office.shop.pay(service, office.shop.customer())
    service.stop()
    page = office.open(tabs, f"/admin?q={tx_hash}")
    expect(page.get_by_role("heading", name="Payments in that transaction")).to_be_visible()
    return page


# A customer


def payments(tabs: Tabs, office: Office) -> Page:
    customer = office.shop.customer()
    service = office.stack.serve()
    office.shop.claimed(service, office.shop.pay(service, customer))
    office.shop.finalize()
    office.shop.pay(service, customer, 45_000, deep=False)
    service.stop()
    page = office.open(tabs, f"/admin/customers/{customer.id}")
    rows = page.locator("tbody tr")
    expect(rows).to_have_count(2)
    expect(rows.nth(0)).to_contain_text("Payment on the chain")
    expect(rows.nth(1)).to_contain_text("+$50.00")
    return page


def taken_back(tabs: Tabs, office: Office) -> Page:
    customer, grant = given(office)
    body = {"reservation": grant["reservation"], "reason": "wrong customer"}
    assert Operator(ADMIN).decide(office.service, "/api/admin/grants/undo", body).is_success
    page = office.open(tabs, f"/admin/customers/{customer}")
    expect(page.get_by_text("taken back by")).to_be_visible()
    expect(page.get_by_text("takes back")).to_be_visible()
    return page


def nothing_yet(tabs: Tabs, office: Office) -> Page:
    page = office.open(tabs, f"/admin/customers/{office.customer()}")
    expect(page.get_by_text("No entries yet")).to_be_visible()
    return page


def nothing_left(tabs: Tabs, office: Office) -> Page:
    limited = elsewhere(office, MAX_GRANTS_PER_DAY_CENTS="100")
    Operator().give(office.service, office.customer(), "1")
    page = limited.open(tabs, f"/admin/customers/{office.customer()}")
    expect(page.get_by_text("You cannot give more now. Part of your limit frees up on")).to_be_visible()
    return page


def not_fit(tabs: Tabs, office: Office) -> Page:
    page = office.open(tabs, f"/admin/customers/{office.customer()}")
    fill(page, amount="7,50")
    page.get_by_role("button", name="Continue").click()
    expect(page.locator("#grant-problem")).to_contain_text("such as 7.50")
    return page


def alike(tabs: Tabs, office: Office) -> Page:
    customer, _ = given(office)
    page = office.open(tabs, f"/admin/customers/{customer}")
    ask(page, amount="1.25")
    expect(page.locator("#grant-alike")).to_contain_text("within the last ten minutes")
    return page


def checking(tabs: Tabs, office: Office) -> Page:
    page = office.open(tabs, f"/admin/customers/{office.customer()}")
    ask(page, amount="3")
    page.route("**/api/admin/grants", lambda route: route.abort())
    page.route("**/api/admin/grants/status", lambda route: route.abort())
    page.get_by_role("button", name="Give $3.00").click()
    expect(page.locator("#grant-outcome")).to_have_text("We do not know yet whether it was given. Checking…")
    expect(page.get_by_role("button", name="Give $3.00")).to_be_hidden()
    return page


def still_unknown(tabs: Tabs, office: Office) -> Page:
    page = checking(tabs, office)
    expect(page.locator("#grant-outcome")).to_have_text("We still do not know whether it was given.", timeout=30_000)
    expect(page.get_by_role("button", name="Check again")).to_be_visible()
    return page


def not_given(tabs: Tabs, office: Office) -> Page:
    page = office.open(tabs, f"/admin/customers/{office.customer()}")
    ask(page, amount="3")
    page.route("**/api/admin/grants", lambda route: route.abort())
    page.get_by_role("button", name="Give $3.00").click()
    expect(page.locator("#grant-outcome")).to_have_text("Nothing was given so far.")
    return page


def refused(tabs: Tabs, office: Office) -> Page:
    """Another operator's grant came first, and only the ledger showed it."""
    page = office.open(tabs, f"/admin/customers/{office.customer()}")
    ask(page, amount="3")

    def answer(route: Route) -> None:
        told = {"state": "refused", "cents": 300, "why": "other operators' came first", "credit": None}
        route.fulfill(json={**told, "after_cents": None})

    page.route("**/api/admin/grants", answer)
    page.get_by_role("button", name="Give $3.00").click()
    expect(page.locator("#grant-outcome")).to_have_text("The grant was refused.")
    return page


def signed_out(tabs: Tabs, office: Office) -> Page:
    page = office.open(tabs, f"/admin/customers/{office.customer()}")
    fill(page)
    page.context.clear_cookies()
    page.get_by_role("button", name="Continue").click()
    expect(page.locator("#grant-detail")).to_contain_text("What you typed is kept.")
    return page


def offline(tabs: Tabs, office: Office) -> Page:
    page = office.open(tabs, f"/admin/customers/{office.customer()}")
    page.context.set_offline(True)
    expect(page.locator("#offline")).to_be_visible()
    return page


def live(tabs: Tabs, office: Office) -> Page:
    stack, key = office.stack, {"STRIPE_API_KEY": LIVE}
    stack.control("POST", "api_keys", {"secret": LIVE, "permissions": None})
    made = stack.run("doctor", "--init", **key)
    assert made.returncode == 0, made.stderr
    record = made.stdout.strip().removeprefix("SERVICE_CUSTOMER_ID=")
    page = elsewhere(office, SERVICE_CUSTOMER_ID=record, **key).open(tabs, "/admin")
    expect(page.locator(".mode")).to_have_text("Live · real customers, real money")
    return page


# Stuck payments and the rate


def over_limit(tabs: Tabs, office: Office) -> Page:
    held(office, "over_limit")
    page = office.open(tabs, "/admin/stuck?cause=over_limit", MODERATOR)
    if page.locator(".line[open]").count() == 0:
        page.locator(".line > summary").first.click()
    expect(page.get_by_text("Ask an admin.").first).to_be_visible()
    expect(page.get_by_role("button", name="Copy a message for the payer").first).to_be_visible()
    return page


def without_a_rate(tabs: Tabs, office: Office) -> Page:
    shop, customer = office.shop, office.shop.customer()
    shop.register(office.service, customer)
    office.stack.control("POST", "price", {"price": "0"})
    try:
        blind = elsewhere(office)
        shop.claimed(blind.service, shop.pay_plainly(customer, 1000 * TOKEN), "held")
        page = blind.open(tabs, "/admin/stuck", ADMIN)
    finally:
        office.stack.control("POST", "price", {"price": "0.006"})
    card = card_of(page, customer)
    expect(card).to_contain_text("no rate for its block")
    for typed, told in (("0.0075", "This credits $7.50."), ("0.00749", "This credits $7.49."), ("0,0075", "")):
        card.get_by_label("Market rate in dollars").fill(typed)
        expect(card.locator(".preview")).to_have_text(told)
    card.get_by_label("Market rate in dollars").fill("0.0075")
    return page


def without_a_customer(tabs: Tabs, office: Office) -> Page:
    customer = held(office, "customer_deleted")
    page = office.open(tabs, "/admin/stuck", ADMIN)
    card = card_of(page, customer)
    expect(card.get_by_label("Customer to credit")).to_be_visible()
    expect(card).to_contain_text("$450.00 as quoted; $450.00 at today's rate")
    expect(card).to_contain_text("Stripe itself refuses a second credit of this payment")
    expect(card.get_by_role("checkbox")).to_have_count(0)
    return page


def by_hand(tabs: Tabs, office: Office) -> Page:
    admin = Operator(ADMIN)
    wish = {"rate": "0.0071", "hours": 2, "reason": "the feed is wrong"}
    assert admin.decide(office.service, "/api/admin/rate", wish).is_success
    page = office.open(tabs, "/admin/rate", ADMIN)
    expect(page.get_by_text("Take it back")).to_be_visible()
    page.get_by_text("Set a rate").click()
    page.get_by_label("Dollars per LITKEY").fill("0.009")
    expect(page.locator(".preview")).to_have_text("That is 50 % above the market's last rate.")
    assert admin.decide(office.service, "/api/admin/rate/end", {"reason": "the feed is right"}).is_success
    return page


def no_rate(tabs: Tabs, office: Office) -> Page:
    office.stack.control("POST", "price", {"price": "0"})
    blind = office.stack.serve()
    page = Office(office.stack, blind, office.shop).open(tabs, "/admin/rate", ADMIN)
    expect(page.get_by_text("No rate:")).to_be_visible()
    office.stack.control("POST", "price", {"price": "0.006"})
    return page


def away(tabs: Tabs, office: Office) -> Page:
    customer = office.customer()
    office.stack.control("POST", "faults", {"effect": "gateway", "times": None})
    try:
        page = office.open(tabs, f"/admin/customers/{customer}")
    finally:
        office.stack.control("DELETE", "faults")
    expect(page.get_by_role("heading", name="Stripe is not answering")).to_be_visible()
    return page


SCENES = (
    *(refused_code, bad_link, left, wallets_only, nobody_may),
    *(no_question, several, transaction),
    *(payments, taken_back, nothing_yet, nothing_left, not_fit, alike, checking, still_unknown, not_given, refused),
    *(signed_out, offline, live),
    *(over_limit, without_a_rate, without_a_customer, by_hand, no_rate, away),
)


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_every_state_is_fit_for_everybody(tabs: Tabs, office: Office, scene: Callable[[Tabs, Office], Page]) -> None:
    judge(scene(tabs, office), scene.__name__.replace("_", "-"))


def test_no_stuck_payments(tabs: Tabs) -> None:
    for office in started():
        page = office.open(tabs, "/admin/stuck")
        expect(page.get_by_text("No stuck payments.")).to_be_visible()
        judge(page, "no-stuck")
