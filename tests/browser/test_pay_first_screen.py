"""The pay page's first screen: what a payer needs, and the next action, without scrolling."""

from __future__ import annotations

from itertools import pairwise

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Tabs
from tests.browser.pay_page import page_of, press
from tests.browser.scripted_wallet import ScriptedWallet
from tests.browser.stand_in import Node, StandIn, problem

SCREENS = [(1280, 720), (390, 664), (320, 640)]
ORDER = ["#usd", "#amount", "#added", "#validity", "#primary", "#more summary"]
TOPS = "(ids) => ids.map((id) => document.querySelector(id).getBoundingClientRect().top)"
LINKS = "#elsewhere li a"


def bottom(page: Page, selector: str) -> float:
    """Return the lower edge of an element within the window."""
    box = page.locator(selector).bounding_box()
    assert box
    return box["y"] + box["height"]


@pytest.mark.parametrize(("width", "height"), SCREENS)
@pytest.mark.parametrize("usd", ["50", "5000"])
def test_next_action_is_on_the_first_screen(
    tabs: Tabs, service: StandIn, wallet: ScriptedWallet, width: int, height: int, usd: str
) -> None:
    page = page_of(tabs, service, wallet, usd=usd)
    page.set_viewport_size({"width": width, "height": height})
    expect(page.locator("#validity")).to_contain_text("Price held for")
    assert bottom(page, "#primary") <= height
    tops = page.evaluate(TOPS, ORDER)
    assert tops == sorted(tops)
    press(page, "Connect wallet")
    expect(page.locator("#holding")).to_contain_text("afterwards")
    assert page.evaluate("scrollY") == 0
    assert bottom(page, "#primary") <= height


def test_quiet_line_opens(tabs: Tabs, service: StandIn) -> None:
    page = page_of(tabs, service)
    line = page.locator("#more summary")
    expect(line).to_have_text("Base · fee usually about a cent · credited in about 20 seconds")
    expect(page.locator("#spender")).to_be_hidden()
    line.click()
    expect(page.locator("#spender a")).to_be_visible()
    expect(page.locator("#rate-source")).to_contain_text("CoinGecko, ")
    expect(page.locator("#more dl")).to_contain_text("the tokens are rounded up to their smallest unit")
    expect(page.locator("#rate-source")).not_to_contain_text("lit-protocol")


@pytest.mark.parametrize(
    ("gas_price", "coin_price", "line", "fee"),
    [
        (10**9, 3000 * 10**8, "about $0.84", "about $0.84 (0.00028 ETH)"),
        (2 * 10**6, 3000 * 10**8, "under $0.01", "under $0.01 (0.00000056 ETH)"),
        (10**9, 0, "about 0.00028 ETH", "about 0.00028 ETH"),  # no feed
        (10**9, 2**255, "about 0.00028 ETH", "about 0.00028 ETH"),  # not a price
        (0, 3000 * 10**8, "usually about a cent", "usually about a cent"),
    ],
)
def test_fee_is_in_dollars(
    tabs: Tabs, service: StandIn, wallet: ScriptedWallet, gas_price: int, coin_price: int, line: str, fee: str
) -> None:
    assert isinstance(wallet.node, Node)
    wallet.node.gas_price, wallet.node.coin_price = gas_price, coin_price
    page = page_of(tabs, service, wallet)
    press(page, "Connect wallet")
    expect(page.locator("#primary")).to_have_text("Allow 83.33 LITKEY")
    expect(page.locator("#more .fee")).to_have_text(line)
    expect(page.locator("#fee")).to_have_text(fee)


def test_rate_of_our_staff_has_a_name(tabs: Tabs, service: StandIn) -> None:
    service.rate_source = "override"
    page = page_of(tabs, service, java_script_enabled=False)
    page.locator("#more summary").click()
    expect(page.locator("#rate-source")).to_contain_text("set by our staff, ")


@pytest.mark.parametrize("height", [664, 640])
def test_connect_on_a_phone_shows_the_links_into_wallets(tabs: Tabs, service: StandIn, height: int) -> None:
    page = page_of(tabs, service, has_touch=True, is_mobile=True)
    page.set_viewport_size({"width": 390, "height": height})
    press(page, "Connect wallet")
    expect(page.locator("#notice .title")).to_have_text("No wallet found in this browser")
    expect(page.locator(LINKS)).to_have_count(3)
    for link in page.locator(LINKS).all():
        expect(link).to_be_in_viewport(ratio=1)
    expect(page.locator(".qr")).to_be_hidden()  # a phone cannot scan itself


def test_connect_without_an_address_of_ours(tabs: Tabs, service: StandIn) -> None:
    service.has_address = False
    page = page_of(tabs, service)
    press(page, "Connect wallet")
    expect(page.locator("#notice .title")).to_have_text("No wallet found in this browser")
    expect(page.locator("#primary")).to_have_text("Connect wallet")


def test_only_the_current_step_is_named_where_names_would_touch(tabs: Tabs, service: StandIn) -> None:
    page = page_of(tabs, service)
    for width, names in ((320, 1), (390, 5)):
        page.set_viewport_size({"width": width, "height": 640})
        boxes = [step.bounding_box() for step in page.locator("#steps .step").all()]
        seen = [box for box in boxes if box and box["width"] > 1]
        assert len(seen) == names
        assert all(left["x"] + left["width"] + 4 <= right["x"] for left, right in pairwise(seen))
    expect(page.locator("#steps")).to_contain_text("Credit")


def test_without_a_price_the_button_says_when(tabs: Tabs, service: StandIn) -> None:
    service.quote_fault = problem("rate_unavailable", 503)
    page = page_of(tabs, service)
    page.set_viewport_size({"width": 320, "height": 640})
    expect(page.locator("#primary")).to_contain_text("Trying again in 0:")
    assert bottom(page, "#primary") <= 640
