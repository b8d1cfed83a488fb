"""The operators' home, help and roster in a real browser: what waits, what is known, and that nothing jumps."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.browser.admin import ADMIN, AUDITOR, NOTE, PICTURES, Office, ask, judge, started
from tests.browser.conftest import Tabs
from tests.browser.waits import run_until_shown
from tests.integration.operators import Operator

STEP_MS = 10_000
MINUTE = 60_000


@pytest.fixture(scope="module")
def office() -> Iterator[Office]:
    """Run a system with a payment that was credited elsewhere and one that is held."""
    for running in started():
        shop, process = running.shop, running.stack.serve()
        shop.claimed(process, shop.pay(process, shop.customer()))
        tx_hash = shop.pay(process, shop.customer(), 45_000)
        shop.finalize()
        shop.claimed(running.service, tx_hash, "held")
        process.stop()
        yield running


def test_home_help_and_roster_look_right(tabs: Tabs, office: Office) -> None:
    page = office.open(tabs, "/admin", ADMIN)
    expect(page.locator("#waiting")).to_contain_text("held: over limit")
    expect(page.get_by_role("navigation").get_by_role("link", name="Find")).to_have_attribute("aria-current", "page")
    page.keyboard.press("Escape")
    judge(page, "home")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    judge(page, "keys")
    for path, name in (("/admin/help#cause-over_limit", "help"), ("/admin/operators", "operators")):
        page.goto(f"{office.service.url}{path}")
        judge(page, name)
    page = office.open(tabs, f"/admin/customers/{office.customer(310)}", ADMIN)
    expect(page.get_by_role("navigation").get_by_role("link", name="Find")).to_have_attribute("aria-current", "true")
    card, form = (page.locator(name).bounding_box() for name in (".give", "#grant-entry"))
    assert card
    assert form
    assert form["width"] > 0.6 * card["width"]
    page.screenshot(path=PICTURES / "admin-grant-card-1280.png", full_page=True)
    page = office.open(tabs, "/admin/operators", AUDITOR)
    page.emulate_media(media="print")
    expect(page.get_by_role("button", name="Print")).to_be_hidden()
    expect(page.locator("tbody tr")).to_have_count(4)


def test_home_refreshes_quietly_and_lists_are_walked_by_keys(tabs: Tabs, office: Office) -> None:
    page = office.open(tabs, "/admin/help", ADMIN)
    page.clock.install()
    page.goto(f"{office.service.url}/admin")
    page.wait_for_load_state()
    page.locator("#q").fill("half a quest")
    page.evaluate("scrollTo(0, 300)")
    expect(page.locator("#latest tbody tr")).to_have_count(2)
    office.shop.pay(office.service, office.shop.customer())
    run_until_shown(page, "#refreshed", "Refreshed at", step_ms=STEP_MS)
    expect(page.locator("#latest tbody tr")).to_have_count(3)
    assert page.evaluate("[document.querySelector('#q').value, document.activeElement.id, scrollY]") == [
        "half a quest",
        "q",
        300,
    ]
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    assert page.evaluate("document.activeElement.closest('ul').className") == "waiting"
    page.keyboard.press("k")
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{office.service.url}/admin/stuck?cause=over_limit")
    page.go_back()
    page.wait_for_load_state()
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    run_until_shown(page, "#refreshed", "Paused", step_ms=MINUTE)
    assert len(requests) <= 31
    before = len(requests)
    page.clock.run_for(10 * MINUTE)
    assert len(requests) == before
    office.sign_in(page, AUDITOR, age=8 * 24 * 3600)  # a session that is over
    page.mouse.move(200, 200)
    run_until_shown(page, "#ended", "You are signed out", step_ms=STEP_MS)
    expect(page.get_by_role("alert").filter(has_text="You are signed out")).to_be_visible()


def test_a_form_pressed_again_with_other_words_says_that_the_first_stand(tabs: Tabs, office: Office) -> None:
    page = office.open(tabs, f"/admin/customers/{office.customer()}", ADMIN)
    ask(page, note="The second note, ticket 456")
    form = page.locator("#grant").get_attribute("data-form")
    earlier = {"form": form, "amount": "7.50", "reason": "goodwill", "note": NOTE}
    assert Operator(ADMIN).post(office.service, "/api/admin/grants", earlier).is_success
    page.get_by_role("button", name="Give $7.50").click()
    expect(page.locator("#grant-outcome")).to_have_text("Given: $7.50.")
    expect(page.locator("#grant-detail")).to_contain_text(f"stands: Goodwill, “{NOTE}”. The new words were not stored.")
