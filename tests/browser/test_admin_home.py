"""The operators' home, help and roster in a real browser: what waits, what is known, and that nothing jumps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import pytest
from playwright.sync_api import Page, expect

from tests.browser.admin import ADMIN, AUDITOR, PICTURES, Office, judge, started
from tests.browser.conftest import Tabs

SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
MINUTE = 60_000


@pytest.fixture(scope="module")
def office() -> Iterator[Office]:
    """Run a system for this module."""
    yield from started()


def run_until(page: Page, condition: str, minutes: int = 6) -> None:
    """Let the page's clock run in steps, with real time for the requests in between."""
    for _ in range(minutes * 6):
        if page.evaluate(condition):
            return
        page.clock.run_for(10_000)
        page.wait_for_timeout(50)
    raise AssertionError(condition)


def test_home_help_and_roster_look_right(tabs: Tabs, office: Office) -> None:
    shop, process = office.shop, office.stack.serve()
    shop.claimed(process, shop.pay(process, shop.customer()))
    tx_hash = shop.pay(process, shop.customer(), 45_000)
    shop.finalize()
    shop.claimed(office.service, tx_hash, "held")
    process.stop()
    for scheme in SCHEMES:
        page = office.open(tabs, "/admin", ADMIN, color_scheme=scheme)
        expect(page.locator("#waiting")).to_contain_text("held: over limit")
        expect(page.get_by_role("navigation").get_by_role("link", name="Find")).to_have_attribute(
            "aria-current", "page"
        )
        page.keyboard.press("Escape")
        judge(page, "home", scheme)
        page.keyboard.press("?")
        expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
        judge(page, "keys", scheme)
        for path, name in (("/admin/help#cause-over_limit", "help"), ("/admin/operators", "operators")):
            page.goto(f"{office.service.url}{path}")
            judge(page, name, scheme)
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
    page.evaluate("document.querySelector('#health').dataset.marked = 'served before'")
    run_until(page, "() => document.querySelector('#refreshed').textContent.startsWith('Refreshed at')")
    assert page.evaluate("() => document.querySelector('#health').dataset.marked === undefined"), "nothing was replaced"
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
    run_until(page, "() => document.querySelector('#refreshed').textContent.startsWith('Paused')", 40)
    assert len(requests) <= 31
    before = len(requests)
    page.clock.run_for(10 * MINUTE)
    assert len(requests) == before
    office.sign_in(page, AUDITOR, age=8 * 24 * 3600)  # a session that is over
    page.mouse.move(200, 200)
    run_until(page, "() => !document.querySelector('#ended').hidden")
    expect(page.get_by_role("alert").filter(has_text="You are signed out")).to_be_visible()
