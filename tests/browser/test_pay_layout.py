"""How the pay page looks: its states are photographed, and what a machine can judge is judged."""

from __future__ import annotations

import gzip
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Tabs
from tests.browser.pay_page import page_of, press
from tests.browser.scripted_wallet import ScriptedWallet
from tests.browser.stand_in import CHAIN_ID, ORIGIN, PAYER, ROOT, Node, StandIn, answer, payment, problem

PICTURES = Path(tempfile.gettempdir()) / "stateless-billing-pictures"
WEIGHT_LIMIT = 30_000
TARGET = 44

SMALL_TARGETS = """
(least) => [...document.querySelectorAll("button, input, .choice")]
  .filter((node) => node.checkVisibility() && node.getBoundingClientRect().height < least)
  .map((node) => node.outerHTML)
"""

# Contrast of every visible text against the nearest opaque background, by the WCAG formula.
LOW_CONTRAST = """
() => {
  const channels = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b]
    .map((v) => v / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, index) => sum + v * [0.2126, 0.7152, 0.0722][index], 0);
  const behind = (node) => {
    const colour = channels(getComputedStyle(node).backgroundColor);
    return colour.length === 3 || colour[3] === 1 || !node.parentElement ? colour : behind(node.parentElement);
  };
  const poor = (node) => {
    const [a, b] = [light(channels(getComputedStyle(node).color)), light(behind(node))].sort((x, y) => y - x);
    return (a + 0.05) / (b + 0.05) < 4.5;
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const found = [];
  while (walker.nextNode()) {
    const node = walker.currentNode.parentElement;
    if (walker.currentNode.data.trim() && node.checkVisibility() && poor(node)) found.push(node.outerHTML);
  }
  return found;
}
"""

Scene = Callable[[Tabs, StandIn, int, Literal["light", "dark"]], Page]


def wallet_with(tokens: int = 10**24) -> ScriptedWallet:
    """Return a wallet on the right network."""
    node = Node()
    node.tokens = tokens
    return ScriptedWallet(node, PAYER, chain_id=CHAIN_ID)


def paid(*states: tuple[str, dict[str, Any]]) -> Scene:
    """Return a scene after paying, with the states in their order."""

    def scene(tabs: Tabs, service: StandIn, width: int, scheme: Literal["light", "dark"]) -> Page:
        service.allowed = True
        service.payments = [payment("credited", 2, cents=2500), payment("credited", 1)]
        service.default_claims = [partial(answer, state, **facts) for state, facts in states]
        page = page_of(tabs, service, wallet_with(), width=width, color_scheme=scheme)
        press(page, "Connect wallet")
        press(page, "Pay 83.33 LITKEY")
        expect(page.locator("#status-title")).not_to_contain_text("Waiting for Base")
        return page

    return scene


def ready(tabs: Tabs, service: StandIn, width: int, scheme: Literal["light", "dark"]) -> Page:
    """Before anything was pressed, with a payment on its way."""
    held = payment("held", 1, cause="over_limit", cents=250_000)
    service.payments = [payment("confirming", 2, confirmed=3, needed=15), held]
    service.claims = {2: [answer("confirming", 2)], 1: [answer("held", 1, cause="over_limit", cents=250_000)]}
    page = page_of(tabs, service, wallet_with(), width=width, color_scheme=scheme)
    expect(page.locator("#amount")).to_have_text("83.33 LITKEY")
    return page


def connected(tabs: Tabs, service: StandIn, width: int, scheme: Literal["light", "dark"]) -> Page:
    """Connected, the allowance comes next."""
    page = page_of(tabs, service, wallet_with(), width=width, color_scheme=scheme)
    press(page, "Connect wallet")
    expect(page.locator("#primary")).to_have_text("Allow 83.33 LITKEY")
    return page


def short(tabs: Tabs, service: StandIn, width: int, scheme: Literal["light", "dark"]) -> Page:
    """Too few tokens."""
    page = page_of(tabs, service, wallet_with(40 * 10**18), width=width, color_scheme=scheme)
    press(page, "Connect wallet")
    expect(page.locator("#notice")).to_be_visible()
    return page


def no_price(tabs: Tabs, service: StandIn, width: int, scheme: Literal["light", "dark"]) -> Page:
    """The service has no price."""
    service.quote_fault = problem("rate_unavailable", 503)
    page = page_of(tabs, service, width=width, color_scheme=scheme)
    expect(page.locator("#notice")).to_be_visible()
    return page


def picker(tabs: Tabs, service: StandIn, width: int, scheme: Literal["light", "dark"]) -> Page:
    """Two wallets to choose from."""
    page = page_of(tabs, service, wallet_with(), wallet_with(), width=width, color_scheme=scheme)
    press(page, "Connect wallet")
    expect(page.locator("#picker")).to_be_visible()
    return page


def ask(tabs: Tabs, service: StandIn, width: int, scheme: Literal["light", "dark"]) -> Page:
    """No wallet given."""
    page = tabs.open(width=width, color_scheme=scheme)
    service.attach(page)
    page.goto(f"{ORIGIN}/pay")
    expect(page.get_by_role("button", name="Continue")).to_be_visible()
    return page


def unknown(tabs: Tabs, service: StandIn, width: int, scheme: Literal["light", "dark"]) -> Page:
    """A wallet that nobody knows."""
    service.found = False
    return page_of(tabs, service, width=width, color_scheme=scheme)


SCENES: dict[str, Scene] = {
    "ask": ask,
    "unknown-wallet": unknown,
    "ready": ready,
    "connected": connected,
    "short": short,
    "no-price": no_price,
    "picker": picker,
    "confirming": paid(("confirming", {"confirmed": 6, "needed": 15})),
    "held": paid(("held", {"cause": "over_limit"})),
    "failed": paid(("failed", {})),
    "credited": paid(("credited", {})),
}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1280])
@pytest.mark.parametrize("name", SCENES)
def test_layout(tabs: Tabs, name: str, width: int, scheme: Literal["light", "dark"]) -> None:
    page = SCENES[name](tabs, StandIn(), width, scheme)
    PICTURES.mkdir(exist_ok=True)
    page.screenshot(path=PICTURES / f"{name}-{width}-{scheme}.png", full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(SMALL_TARGETS, TARGET) == []
    assert page.evaluate(LOW_CONTRAST) == []


def test_every_module_is_preloaded(tabs: Tabs) -> None:
    page = ready(tabs, StandIn(), 1280, "light")
    named = page.locator("link[rel=modulepreload], script[type=module]").evaluate_all(
        "(nodes) => nodes.map((node) => (node.href || node.src).split('/').pop())"
    )
    assert sorted(named) == sorted(file.name for file in (ROOT / "static").glob("*.js"))


def test_weight() -> None:
    """Script and style stay light, each compressed as it is served."""
    files = [file for kind in ("*.js", "*.css") for file in (ROOT / "static").glob(kind)]
    weight = sum(len(gzip.compress(file.read_bytes())) for file in files)
    assert weight <= WEIGHT_LIMIT, f"{weight} bytes"
