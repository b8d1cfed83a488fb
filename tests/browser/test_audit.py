"""The audit page in a real browser: start, progress, report, filters, links and print."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.admin import AUDITOR, PICTURES, Office, judge, started
from tests.browser.conftest import Tabs
from tests.integration.shop import next_second

LABEL_HEIGHTS = """
() => [...document.querySelectorAll("figure svg text")]
  .filter((node) => node.checkVisibility())
  .map((node) => node.getBoundingClientRect().height)
"""


@pytest.fixture(scope="module")
def office() -> Iterator[Office]:
    """Run a system with three settled payments and one credited twice."""
    for office in started():
        shop, customers = office.shop, [office.shop.customer() for _ in range(3)]
        for customer, cents in zip(customers, (2500, 5000, 7500), strict=True):
            shop.claimed(office.service, shop.pay(office.service, customer, cents))
        shop.finalize()
        [credit] = office.stack.credits(customers[-1].id)
        copied = {name: credit[name] for name in ("amount", "currency", "description", "metadata")}
        office.stack.control("POST", f"customers/{customers[-1].id}/rows", copied)
        next_second()
        yield office


def begun(tabs: Tabs, office: Office, **options: Any) -> Page:
    """Start a report with the button."""
    page = office.open(tabs, "/audit", AUDITOR, **options)
    page.get_by_role("button", name="Run the audit").click()
    expect(page.locator("#verdict")).to_have_text("1 EXCEPTION")
    return page


def test_an_auditor_begins_reads_filters_and_links(tabs: Tabs, office: Office) -> None:
    page = begun(tabs, office)
    expect(page.locator(".running")).to_be_hidden()
    expect(page.get_by_text("Difference").locator("xpath=following-sibling::dd")).to_have_text("$75.00")
    expect(page.locator("tbody tr[id]").first).to_contain_text("duplicate credit")
    expect(page.locator("figure svg")).to_have_count(4)
    page.locator("select[name=status]").select_option("matched")
    page.get_by_role("button", name="Show").click()
    expect(page.locator("tbody tr[id]")).to_have_count(2)
    assert "status=matched" in page.url
    page.locator("select[name=status]").select_option("exceptions")
    page.get_by_role("button", name="Show").click()
    page.locator("tbody tr[id] th a").click()
    expect(page.locator(".story")).to_contain_text("Verdict: duplicate_credit.")
    expect(page.get_by_role("row", name="rule", exact=False).first).to_be_visible()
    page.get_by_role("link", name="The full report").click()
    with page.expect_download() as download:
        page.get_by_role("link", name="CSV").click()
    assert download.value.path().read_text("utf-8-sig").startswith("schema_version,row_id,status")


def test_a_deep_audit_says_its_cost_before_it_reads_and_who_ran_it(tabs: Tabs, office: Office) -> None:
    begun(tabs, office)
    page = office.open(tabs, "/audit", AUDITOR)
    deep = page.locator("section[aria-labelledby=deep]")
    expect(deep).to_contain_text(
        "there were 3 customers: reading every entry of every customer: 3 Stripe reads or more"
    )
    expect(deep).to_contain_text("at least 10,000 a month")
    deep.get_by_role("button", name="Run the deep audit").click()
    expect(page.locator("#verdict")).to_have_text("1 EXCEPTION")
    expect(page.locator("main")).to_contain_text(f"Run by {AUDITOR}, ")
    expect(page.locator("main")).to_contain_text(re.compile(r"audit --at \d+:\d+ --deep"))
    page.locator("tbody tr[id] th a").first.click()
    page.get_by_role("link", name="The full report").click()
    expect(page.locator("main")).to_contain_text("of all customers")


def test_it_works_without_scripts_and_prints(tabs: Tabs, office: Office) -> None:
    page = begun(tabs, office, java_script_enabled=False)
    page.emulate_media(media="print")
    expect(page.locator("figure table").first).to_be_visible()
    expect(page.get_by_role("button", name="Show")).to_be_hidden()
    expect(page.locator(".mode")).to_contain_text("Test mode")
    expect(page.get_by_role("navigation", name="Pages", exact=True)).to_be_hidden()
    expect(page.get_by_text(f"Run by {AUDITOR}")).to_be_visible()
    scope = page.locator("p.verdict")
    expect(scope).to_have_text(re.compile("^NOT LOOKED AT: ledgers of customers that never paid were not read; "))
    sizes = page.locator(".verdict").evaluate_all("nodes => nodes.map((node) => getComputedStyle(node).fontSize)")
    assert len(sizes) == 2
    assert sizes[0] == sizes[1]
    PICTURES.mkdir(exist_ok=True)
    page.set_viewport_size({"width": 800, "height": 900})
    page.screenshot(path=PICTURES / "admin-audit-print.png", full_page=True)


@pytest.mark.parametrize("name", ["start", "report", "row", "unheld", "failure"])
def test_every_state_is_fit_for_everybody(tabs: Tabs, office: Office, name: str) -> None:
    if name == "report":
        page = begun(tabs, office)
        page.locator("summary").first.click()
    elif name == "row":
        page = begun(tabs, office)
        page.locator("tbody tr[id] th a").first.click()
    else:
        path = {"start": "/audit", "unheld": "/audit?at=1:2", "failure": "/audit?run=1&since=yesterday"}[name]
        page = office.open(tabs, path, AUDITOR)
    expect(page.locator("h1")).to_be_visible()
    judge(page, f"audit-{name}")
    page.set_viewport_size({"width": 390, "height": 900})
    assert min([11, *page.evaluate(LABEL_HEIGHTS)]) >= 11, "the charts' labels are legible on a phone"


def test_what_is_seen_while_it_reads_is_fit_for_everybody(tabs: Tabs, office: Office) -> None:
    ledgers = "/v1/customers/{customer}/balance_transactions"
    slow = {"effect": "slow", "with": {"before": 12.0}, "method": "GET", "skip": 2, "times": 1, "template": ledgers}
    office.stack.control("POST", "faults", slow)
    page = office.open(tabs, "/audit", AUDITOR)
    page.goto(f"{office.service.url}/audit?run=1", wait_until="commit")
    expect(page.locator(".step:visible")).to_contain_text("ledgers: ")
    expect(page.locator(".step:visible progress")).to_be_visible()
    expect(page.locator(".said").last).to_contain_text("Stripe reads or more")
    judge(page, "audit-reading")
    expect(page.locator("#verdict")).to_have_text("1 EXCEPTION", timeout=60_000)
    expect(page.locator(".running")).to_be_hidden()
