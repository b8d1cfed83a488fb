"""The receipt in a browser: who sold, its controls, real lengths, and words for every state."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Tabs
from tests.browser.stand_in import ORIGIN, StandIn, payment, tx_hash

SUPPORT = "mailto:help@example.org"
NUMBER = "00000000-0"


def receipt_of(tabs: Tabs, service: StandIn, state: str = "credited", *, options: Any = None, **facts: Any) -> Page:
    """Open the receipt of a payment."""
    service.payments = [payment(state, 1, **facts)]
    page = tabs.open(**(options or {}))
    service.attach(page)
    page.goto(f"{ORIGIN}/receipt/{tx_hash(1)}/0")
    return page


def test_it_says_who_sold_and_whom_to_ask(tabs: Tabs, service: StandIn) -> None:
    service.seller, service.support = "Straße & Söhne", SUPPORT
    page = receipt_of(tabs, service, "held", cause="over_limit")
    expect(page).to_have_title(f"Receipt {NUMBER} from Straße & Söhne")
    expect(page.locator(".seller")).to_have_text("Straße & Söhne")
    expect(page.locator(".top")).to_contain_text(f"Number {NUMBER}")
    for link in page.get_by_role("link", name="Ask support").all():
        expect(link).to_have_attribute("href", f"{SUPPORT}?subject=Payment%20{tx_hash(1)}")
    assert page.get_by_role("link", name="Ask support").count() == 2


def test_print_copy_and_json(tabs: Tabs, service: StandIn, tmp_path: Path) -> None:
    page = receipt_of(tabs, service, options={"permissions": ["clipboard-read", "clipboard-write"]})
    page.evaluate("window.print = () => { document.title = 'printed'; }")
    page.get_by_role("button", name="Print").click()
    expect(page).to_have_title("printed")
    page.get_by_role("button", name="Copy link").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    expect(page.locator("#live")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == f"{ORIGIN}/receipt/{tx_hash(1)}/0"
    with page.expect_download() as download:
        page.get_by_role("link", name="JSON").click()
    assert download.value.suggested_filename == f"receipt-{NUMBER}.json"
    download.value.save_as(tmp_path / "receipt.json")
    facts = json.loads((tmp_path / "receipt.json").read_text())
    assert (facts["tx_hash"], facts["cents"], facts["state"]) == (tx_hash(1), 5000, "credited")


def test_amounts_and_times_follow_the_visitor(tabs: Tabs, service: StandIn) -> None:
    german = {"locale": "de-DE", "timezone_id": "Europe/Berlin"}
    facts: dict[str, Any] = {"cents": 123_456, "amount": "1234567890123456789012", "time": 1_700_000_000}
    page = receipt_of(tabs, service, options=german, **facts)
    expect(page.locator(".sum")).to_have_text("1.234,56 $")
    expect(page.locator(".facts data")).to_have_text("1.234,567890123456789012 LITKEY")
    expect(page.locator("time")).to_contain_text("14. November 2023 um 23:13:20")
    expect(page.locator("time")).to_have_attribute("title", "2023-11-14 22:13:20 UTC")


def test_it_reads_without_a_script(tabs: Tabs, service: StandIn) -> None:
    page = receipt_of(tabs, service, options={"java_script_enabled": False}, time=1_700_000_000)
    expect(page.locator(".sum")).to_have_text("$50.00")
    expect(page.locator("time")).to_have_text("2023-11-14 22:13:20 UTC")
    expect(page.get_by_role("button", name="Print")).to_be_hidden()
    expect(page.get_by_role("link", name="JSON")).to_be_visible()


@pytest.mark.parametrize("cents", [None, 5000, 99_999_999_999_999_999_999])
@pytest.mark.parametrize("amount", ["1234567890123456789012", "9" * 40])
def test_long_amounts_do_not_scroll_sideways(tabs: Tabs, service: StandIn, amount: str, cents: int | None) -> None:
    facts: dict[str, Any] = {"amount": amount, "cents": cents, "credit": "cbtxn_1" + "Q" * 24}
    page = receipt_of(tabs, service, "held" if cents is None else "credited", cause="over_limit", **facts)
    for width in (320, 390):
        page.set_viewport_size({"width": width, "height": 640})
        assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize(
    ("state", "facts", "badge", "words"),
    [
        (
            "credited",
            {"cents": 0, "credit": None},
            "Received",
            "worth less than one cent, so there was no credit to add",
        ),
        ("held", {"cause": "rate_unavailable", "cents": None}, "Held", "no reliable price for its time"),
        ("held", {"cause": "over_limit"}, "Held", "above the limit, so our staff must release it"),
        ("held", {"cause": "not_payable"}, "Held", "switched off for the account"),
        ("reversed", {}, "Reversed", "Our staff took the credit back. Ask support if"),
        ("confirming", {"cause": "node_disagreement"}, "Confirming", "do not show the same state"),
        ("pending", {"cause": "stripe_down"}, "Pending", "does not answer"),
    ],
)
def test_states_have_words_of_their_own(
    tabs: Tabs, service: StandIn, state: str, facts: dict[str, Any], badge: str, words: str
) -> None:
    page = receipt_of(tabs, service, state, **facts)
    expect(page.locator(".badge")).to_have_text(badge)
    expect(page.locator(".card")).to_contain_text(words)
    if facts.get("cents", 1) is None:
        expect(page.locator(".sum")).to_have_text("83.333333333333335 LITKEY")
