"""Operators' tasks in a real browser: sign in, find, grant, reverse, release, set the rate."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from eth_account.messages import encode_defunct
from playwright.sync_api import Page, Route, expect

from stateless_billing.sandbox.localchain import dev_account
from tests.browser.admin import ADMIN, AUDITOR, MODERATOR, NOTE, Office, ask, fill, judge, started
from tests.browser.conftest import Tabs
from tests.integration.operators import code_in, mail_to

PROVIDER = """
window.ethereum = { request: ({ method, params }) => window.__wallet(method, params ?? []) };
"""


@pytest.fixture(scope="module")
def office() -> Iterator[Office]:
    """Run a system for this module."""
    yield from started()


def link_in(mail: dict[str, Any]) -> str:
    """Return the link in a mail."""
    found = re.search(r"https?://\S+", mail["text"])
    assert found
    return found[0]


def test_sign_in_by_link_find_give_and_take_back_by_keyboard_alone(tabs: Tabs, office: Office) -> None:
    customer = office.customer(310)
    email = office.stack.stripe(f"customers/{customer}")["email"]
    page = office.open(tabs, "/admin", None)
    expect(page).to_have_title("Sign in")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    expect(page.get_by_label("Your work email")).to_be_focused()
    page.keyboard.type("Moderator@Example.org")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Check your email")).to_be_visible()
    page.goto(link_in(mail_to(office.stack, MODERATOR)))
    page.locator("main").get_by_role("button", name="Sign in").press("Enter")
    expect(page.get_by_role("heading", name="Find a customer")).to_be_visible()
    page.wait_for_load_state()  # the script handles the keys
    expect(page.locator("#q")).to_be_focused()
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    expect(page.locator("#q")).to_be_focused()
    page.keyboard.type(email.upper())
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="1 customer")).to_be_visible()
    page.wait_for_load_state()
    page.keyboard.press("j")
    expect(page.get_by_role("link", name=email)).to_be_focused()
    page.keyboard.press("Enter")
    page.get_by_label("Amount in dollars").focus()
    page.keyboard.type("7.50")
    page.keyboard.press("Tab")
    page.keyboard.type("Good")
    page.keyboard.press("Tab")
    page.keyboard.type(NOTE)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    sentence = page.locator("#grant-sentence")
    wallet = page.locator("dl.facts .hex").first.inner_text()
    told = f"Give $7.50 to {email} ({customer}, wallet {wallet}), balance $3.10 → $10.60, because: Goodwill."
    expect(sentence).to_have_text(told, ignore_case=True)
    expect(sentence).to_be_focused()
    expect(page.locator("#grant-why")).to_have_text(f"Note: {NOTE}")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#grant-outcome")).to_have_text("Given: $7.50.")
    expect(page.locator("#grant-outcome")).to_be_focused()
    assert office.stack.balance(customer) == 1060
    expect(page.locator("#ledger tbody tr")).to_have_count(2)  # the page is as new as the result, which stays
    expect(page.locator("#caps")).to_contain_text("$92.50 left of $100.00")
    expect(page.locator("#grant-outcome")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#grant-outcome")).to_have_text("Given: $7.50.")
    row = page.get_by_role("row", name="Grant")
    row.locator("summary").press("Enter")
    row.get_by_label("Why").focus()
    page.keyboard.type("wrong customer")
    page.keyboard.press("Enter")
    expect(row.locator(".sentence")).to_be_focused()
    expect(row.locator(".sentence")).to_contain_text("As of now its balance goes from $10.60 to $3.10.")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator(".kept")).to_contain_text("Taken back: $7.50 by cbtxn_")
    expect(page.locator(".kept")).to_be_focused()
    expect(page.locator("tbody tr").first).to_contain_text("Taken back")
    assert office.stack.balance(customer) == 310
    back, grant = page.locator("tbody tr").nth(0), page.locator("tbody tr").nth(1)
    assert back.get_by_text("takes back").locator("a").get_attribute("href") == f"#{grant.get_attribute('id')}"
    assert grant.get_by_text("taken back by").locator("a").get_attribute("href") == f"#{back.get_attribute('id')}"


def test_the_mail_opened_elsewhere_shows_a_code_to_type(tabs: Tabs, office: Office) -> None:
    asking = office.open(tabs, "/login?next=/admin/rate", None)
    asking.get_by_label("Your work email").fill(AUDITOR)
    asking.get_by_role("button", name="Send me a link").click()
    mail = mail_to(office.stack, AUDITOR)
    phone = office.open(tabs, link_in(mail).partition(office.service.url)[2], None, width=390)
    expect(phone.get_by_text(code_in(mail))).to_be_visible()
    expect(phone.get_by_role("button", name="Sign in")).to_have_count(0)
    asking.get_by_label("Opened the email elsewhere?").fill(code_in(mail).lower())
    asking.get_by_role("button", name="Sign in").click()
    expect(asking.get_by_role("heading", name="Rate", exact=True)).to_be_visible()


def test_a_wallet_signs_in(tabs: Tabs, office: Office) -> None:
    account, asked = dev_account(4), list[str]()

    def wallet(method: str, params: list[Any]) -> Any:
        asked.append(method)
        if method == "eth_requestAccounts":
            return [account.address]
        text = bytes.fromhex(params[0][2:]).decode()
        return "0x" + account.sign_message(encode_defunct(text=text)).signature.hex()

    page = tabs.open()
    page.expose_function("__wallet", wallet)
    page.add_init_script(PROVIDER)
    page.goto(f"{office.service.url}/login")
    page.get_by_role("button", name="Sign in with your wallet").click()
    expect(page.get_by_role("heading", name="Find a customer")).to_be_visible()
    assert asked == ["eth_requestAccounts", "personal_sign"]
    assert office.stack.chain.accounts[4][:6].lower() in page.locator(".who").inner_text().lower()


def test_without_a_wallet_the_page_says_so(tabs: Tabs, office: Office) -> None:
    page = office.open(tabs, "/login", None)
    page.get_by_role("button", name="Sign in with your wallet").click()
    expect(page.locator("#wallet-result")).to_contain_text("No wallet found")


def test_an_answer_that_is_lost_is_looked_for_before_another_press(tabs: Tabs, office: Office) -> None:
    customer = office.customer()
    page = office.open(tabs, f"/admin/customers/{customer}")
    ask(page, amount="4.44")

    def lose(route: Route) -> None:
        route.fetch()
        route.abort()

    page.route("**/api/admin/grants", lose)
    page.get_by_role("button", name="Give $4.44").click()
    expect(page.locator("#grant-outcome")).to_have_text("Given: $4.44.")
    assert office.stack.balance(customer) == 444


def test_a_press_that_never_arrived_may_be_repeated_with_the_same_form(tabs: Tabs, office: Office) -> None:
    customer = office.customer()
    page = office.open(tabs, f"/admin/customers/{customer}")
    ask(page, amount="3")
    for path in ("grants", "grants/status"):
        page.route(f"**/api/admin/{path}", lambda route: route.abort())
    page.get_by_role("button", name="Give $3.00").click()
    expect(page.locator("#grant-outcome")).to_have_text("We do not know yet whether it was given. Checking…")
    page.unroute("**/api/admin/grants/status")
    expect(page.locator("#grant-outcome")).to_have_text("Nothing was given so far.")
    page.unroute("**/api/admin/grants")
    page.get_by_role("button", name="Give $3.00").click()
    expect(page.locator("#grant-outcome")).to_have_text("Given: $3.00.")
    assert office.stack.balance(customer) == 300


def test_the_same_grant_again_is_warned_of(tabs: Tabs, office: Office) -> None:
    customer = office.customer()
    for number in (1, 2):
        page = office.open(tabs, f"/admin/customers/{customer}")
        ask(page, amount="2")
        expect(page.locator("#grant-alike")).to_be_visible(visible=number == 2)
        expect(page.locator("#grant-alike")).to_contain_text(f"{MODERATOR} gave this customer" if number == 2 else "")
        page.get_by_role("button", name="Give $2.00 once more" if number == 2 else "Give $2.00").click()
        expect(page.locator("#grant-outcome")).to_have_text("Given: $2.00.")
    assert office.stack.balance(customer) == 400


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"amount": ""}, "Write the amount in dollars"),
        ({"amount": "7,50"}, "such as 7.50"),
        ({"amount": "20.01"}, "One grant may be at most $20.00"),
        ({"reason": ""}, "Choose a reason"),
        ({"note": "short"}, "at least 10 characters"),
        ({"note": "n" * 10_000}, "10,000 characters. At most 400 fit"),
    ],
)
def test_what_does_not_fit_is_said_and_what_was_typed_stays(
    tabs: Tabs, office: Office, values: dict[str, str], sentence: str
) -> None:
    customer = office.customer()
    page = office.open(tabs, f"/admin/customers/{customer}")
    fill(page, **values)
    page.get_by_role("button", name="Continue").click()
    expect(page.locator("#grant-problem")).to_contain_text(sentence)
    assert page.get_by_label("Note for your colleagues").input_value() == values.get("note", NOTE)
    assert page.get_by_label("Amount in dollars").input_value() == values.get("amount", "7.50")
    assert office.stack.balance(customer) == 0


def test_signed_out_while_typing_nothing_typed_is_lost(tabs: Tabs, office: Office) -> None:
    customer = office.customer()
    page = office.open(tabs, f"/admin/customers/{customer}")
    fill(page, amount="6")
    office.sign_in(page, MODERATOR, age=13 * 3600)
    page.get_by_role("button", name="Continue").click()
    expect(page.locator("#grant-outcome")).to_have_text("Sign in first.")
    page.get_by_role("link", name="Sign in").click()
    expect(page).to_have_title("Sign in")
    office.sign_in(page, MODERATOR)
    page.goto(f"{office.service.url}/admin/customers/{customer}")
    assert page.get_by_label("Note for your colleagues").input_value() == NOTE
    page.get_by_role("button", name="Continue").click()
    page.get_by_role("button", name="Give $6.00").click()
    expect(page.locator("#grant-outcome")).to_have_text("Given: $6.00.")


def test_back_leaves_everything_as_it_was(tabs: Tabs, office: Office) -> None:
    customer = office.customer()
    page = office.open(tabs, f"/admin/customers/{customer}")
    ask(page)
    page.keyboard.press("Escape")
    expect(page.get_by_label("Amount in dollars")).to_be_focused()
    assert page.get_by_label("Amount in dollars").input_value() == "7.50"
    assert office.stack.balance(customer) == 0


def test_being_offline_is_told(tabs: Tabs, office: Office) -> None:
    page = office.open(tabs, f"/admin/customers/{office.customer()}")
    expect(page.locator("#offline")).to_be_hidden()
    page.context.set_offline(True)
    expect(page.locator("#offline")).to_be_visible()
    page.context.set_offline(False)
    expect(page.locator("#offline")).to_be_hidden()


def held(office: Office) -> tuple[str, str]:
    """Make a held payment; return its hash and customer."""
    shop, other = office.shop, office.stack.serve()
    customer = shop.customer()
    tx_hash = shop.pay(other, customer, 45_000)
    shop.finalize()
    shop.claimed(office.service, tx_hash, "held")
    other.stop()
    return tx_hash, customer.id


def test_a_held_payment_is_released_by_an_admin(tabs: Tabs, office: Office) -> None:
    tx_hash, customer = held(office)
    moderator = office.open(tabs, "/admin/stuck")
    card = moderator.locator(".stuck li", has=moderator.locator(f'a[href*="{tx_hash}"]'))
    expect(card).to_contain_text("$450.00 waits for")
    expect(card).to_contain_text("held: over limit")
    expect(card).to_contain_text("Ask an admin.")
    page = office.open(tabs, "/admin/stuck", ADMIN)
    card = page.locator(".stuck li", has=page.locator(f'a[href*="{tx_hash}"]'))
    if card.locator(".line:not([open])").count():
        card.locator(".line > summary").click()
    card.get_by_label("Why").fill("checked by telephone")
    card.get_by_role("button", name="Continue").click()
    expect(card.locator(".sentence")).to_contain_text("As of now its balance goes from $0.00 to $450.00.")
    card.get_by_role("button", name="Order: credit $450.00").click()
    expect(page.locator(f'a[href*="{tx_hash}"]')).to_have_count(0)
    assert office.stack.balance(customer) == 45_000


def test_the_rate_is_set_by_hand_and_taken_back(tabs: Tabs, office: Office) -> None:
    page = office.open(tabs, "/admin/rate", ADMIN)
    page.locator("summary").click()
    page.get_by_label("Dollars per LITKEY").fill("0.0071")
    page.get_by_label("For how many hours").fill("1.9")
    page.get_by_label("Why").fill("the feed is wrong")
    page.get_by_role("button", name="Continue").click()
    expect(page.locator("[data-rate] .result")).to_contain_text("`hours` must be a whole number from 1 to 24")
    page.get_by_label("For how many hours").fill("2")
    page.get_by_label("Why").fill("the feed is wrong")
    page.get_by_role("button", name="Continue").click()
    expect(page.locator(".sentence")).to_contain_text("It goes from $0.006 (market) to $0.0071.")
    page.get_by_role("button", name="Set $0.0071").click()
    expect(page.get_by_text("Set by hand", exact=True)).to_be_visible()
    expect(page.locator(".balance strong")).to_have_text("$0.0071")
    expect(page.locator(".kept")).to_contain_text("Set. All processes use it within a minute.")
    page.reload()
    page.locator(".kept").get_by_role("button", name="Dismiss").click()
    page.reload()
    expect(page.locator(".kept")).to_have_count(0)
    page.get_by_text("Take it back", exact=True).click()
    page.locator("[data-rate-end]").get_by_label("Why").fill("the feed is right")
    page.locator("[data-rate-end]").get_by_role("button", name="Continue").click()
    page.get_by_role("button", name="End it").click()
    expect(page.get_by_text("Set by hand", exact=True)).to_have_count(0)
    expect(page.locator(".balance strong")).to_have_text("$0.006")
    expect(page.locator("tbody tr")).to_have_count(1)


def test_hostile_texts_are_texts(tabs: Tabs, office: Office) -> None:
    customer = office.customer()
    row = {"amount": 5, "currency": "usd", "description": '<img src=x onerror="document.title=1">'}
    office.stack.control("POST", f"customers/{customer}/rows", row)
    page = office.open(tabs, f"/admin/customers/{customer}")
    ask(page, amount="1", note='<img src=x onerror="document.title=1"> & <b>bold</b>')
    expect(page.locator("#grant-why")).to_contain_text("<b>bold</b>")
    page.get_by_role("button", name="Give $1.00").click()
    page.get_by_role("link", name="See it in the ledger").click()
    expect(page.locator(".note")).to_contain_text("<b>bold</b>")
    assert page.locator("img").count() == 0


def scene(name: str, tabs: Tabs, office: Office) -> Page:
    """Open one state of one page."""
    customer = office.customer(310)
    path, who = {
        "login": ("/login", None),
        "mail": ("/login", None),
        "elsewhere": ("/login", None),
        "find": ("/admin", MODERATOR),
        "found": (f"/admin?q={customer}", MODERATOR),
        "nobody": ("/admin?q=nobody@nowhere.example", MODERATOR),
        "customer": (f"/admin/customers/{customer}", MODERATOR),
        "confirm": (f"/admin/customers/{customer}", MODERATOR),
        "given": (f"/admin/customers/{customer}", MODERATOR),
        "ledger": (f"/admin/customers/{customer}", ADMIN),
        "auditor": (f"/admin/customers/{customer}", AUDITOR),
        "grants": ("/admin/grants", ADMIN),
        "no-grants": ("/admin/grants?customer=cus_None", AUDITOR),
        "stuck": ("/admin/stuck", ADMIN),
        "rate": ("/admin/rate", ADMIN),
        "failure": ("/admin/customers/cus_Nobody", MODERATOR),
    }[name]
    if name == "stuck":
        held(office)
    if name in ("ledger", "grants"):
        other = office.open(tabs, f"/admin/customers/{customer}", ADMIN)
        ask(other, amount="1.25", note="انتظر العميل ساعة كاملة، التذكرة 123")
        other.get_by_role("button", name="Give $1.25").click()
        expect(other.locator("#grant-outcome")).to_have_text("Given: $1.25.")
    page = office.open(tabs, path, who)
    if name == "mail":
        page.get_by_label("Your work email").fill("o'neil@example.org")
        page.get_by_role("button", name="Send me a link").click()
    if name == "elsewhere":
        from tests.integration.operators import TOKENS

        page.goto(f"{office.service.url}/login/link?token={TOKENS.seal('link', {'email': MODERATOR, 'minute': 1})}")
    if name in ("confirm", "given"):
        ask(page)
    if name == "given":
        page.get_by_role("button", name="Give $7.50").click()
        expect(page.locator("#grant-outcome")).to_have_text("Given: $7.50.")
    if name == "ledger":
        page.locator("summary").first.click()
    expect(page.locator("h1")).to_be_visible()
    return page


SCENES = (
    *("login", "mail", "elsewhere", "find", "found", "nobody", "customer", "confirm", "given", "ledger", "auditor"),
    *("grants", "no-grants", "stuck", "rate", "failure"),
)


@pytest.mark.parametrize("name", SCENES)
def test_every_page_is_fit_for_everybody(tabs: Tabs, office: Office, name: str) -> None:
    judge(scene(name, tabs, office), name)


def test_duplicates_are_compared_and_an_admin_picks_one(tabs: Tabs, office: Office) -> None:
    """The wallet's other customer takes no payments; then the pick is written, shown, and kept until dismissed."""
    shop = office.shop
    holder, twin = shop.customer(), office.customer(700)
    metadata = {"wallet_address": holder.wallet, "gateway_payments": "off"}
    office.stack.control("POST", f"customers/{twin}", {"metadata": metadata})
    page = office.open(tabs, f"/admin?q={holder.wallet}", ADMIN)
    expect(page.locator("#matches ~ .panel").first).to_contain_text(f"Suggested: {holder.id}, because no other")
    card = page.locator(".matches > li", has=page.get_by_text(holder.id).first)
    expect(card.locator("h3 .badge")).to_have_text("suggested")
    expect(page.locator(".matches")).to_contain_text("Payments and grants are switched off for this customer")
    card.locator("summary").click()
    card.get_by_label("Why").fill("the owner wrote from it")
    card.get_by_role("button", name="Continue").click()
    expect(card.locator(".sentence")).to_contain_text(f"({holder.id}, wallet {holder.wallet}) when it pays next.")
    judge(page, "duplicates")
    card.get_by_role("button", name=f"Register it for {holder.id}").click()
    expect(page.locator(".kept")).to_contain_text(f"Ordered: customer:{holder.id}. Quotes follow it")
    expect(page.locator("#matches ~ .panel").first).to_contain_text(f"registered for {holder.id} when it pays")
    expect(page.get_by_text("Take the choice back")).to_be_visible()
    judge(page, "duplicates-picked")
    page.goto(f"{office.service.url}/admin/customers/{twin}")
    expect(page.get_by_text("It gets no quotes and no grants")).to_be_visible()
    expect(page.locator("#grant")).to_have_count(0)
    judge(page, "not-payable")
    shop.register(office.service, holder)
    page.goto(f"{office.service.url}/admin/customers/{twin}")
    expect(page.get_by_text(f"On the chain the wallet {holder.wallet} belongs to {holder.id}")).to_be_visible()
    office.stack.control("POST", f"customers/{twin}", {"metadata": {"wallet_address": holder.wallet}})
    page.goto(f"{office.service.url}/admin/customers/{twin}")
    ask(page)
    expect(page.locator("#grant-sentence")).to_contain_text(f"({twin}, wallet 0x")
    expect(page.locator("#grant-sentence")).to_contain_text(
        f", which on the chain belongs to {holder.id}), balance $7.00"
    )
    expect(page.locator("#grant-warnings")).to_contain_text("What it pays is credited to that customer")
    judge(page, "grant-elsewhere")


TAKES_PRESSES = """
(button) => {
  const { left, width, top, bottom } = button.getBoundingClientRect();
  const isHit = (y) => document.elementFromPoint(left + width / 2, y) === button;
  return bottom - top + 16 >= 44 && isHit(top - 7.5) && isHit(bottom + 7.5);
}
"""


def test_copy_buttons_take_presses_on_44_pixels(tabs: Tabs, office: Office) -> None:
    page = office.open(tabs, f"/admin/customers/{office.customer(310)}")
    buttons = page.locator(".copy")
    expect(buttons).to_have_count(2)
    for button in buttons.all():
        button.scroll_into_view_if_needed()
        assert button.evaluate(TAKES_PRESSES)
