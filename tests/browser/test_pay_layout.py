"""The layout of the pay page: screenshots of its states, and automated checks."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Page, expect

from tests.browser.chromium import ROOT
from tests.browser.conftest import Tabs
from tests.browser.pay_page import page_of, press
from tests.browser.scripted_wallet import ScriptedWallet
from tests.browser.stand_in import (
    ASSETS,
    CHAIN_ID,
    ORIGIN,
    PAYER,
    WALLET,
    Node,
    StandIn,
    answer,
    payment,
    problem,
    tx_hash,
)

PICTURES = Path(tempfile.gettempdir()) / "stateless-billing-pictures"
WEIGHT_LIMIT = 30_000
TARGETS = [44, 24]  # of controls, and of links in text
WIDTHS = (1280, 768, 390, 320)

SMALL_TARGETS = """
([least, leastInText]) => [...document.querySelectorAll("button, input, summary, .button, a, [tabindex='0']")]
  .filter((node) => node.checkVisibility() && !node.matches(".skip"))
  .filter((node) => {
    const isInline = getComputedStyle(node).display === "inline";
    const isInText = node.matches("a.full") || (isInline && node.matches("a:not(.button)"));
    return Math.min(...[...node.getClientRects()].map(({ height }) => height)) < (isInText ? leastInText : least);
  })
  .map((node) => node.outerHTML)
"""

AXE = (ROOT / "node_modules" / "axe-core" / "axe.min.js").read_text()
AUDIT = """
async () => (await axe.run()).violations.map((one) => [one.id, one.nodes.map((node) => node.html.slice(0, 200))])
"""

Scheme = Literal["light", "dark"]
Scene = Callable[[Tabs, StandIn, Scheme], Page]


def wallet_with(tokens: int = 10**24) -> ScriptedWallet:
    """Return a wallet on the right network."""
    node = Node()
    node.tokens = tokens
    return ScriptedWallet(node, PAYER, chain_id=CHAIN_ID)


def paid(*states: tuple[str, dict[str, Any]]) -> Scene:
    """Return a scene after paying, with the states in order."""

    def scene(tabs: Tabs, service: StandIn, scheme: Scheme) -> Page:
        service.allowed = True
        service.payments = [payment("credited", 2, cents=2500), payment("credited", 1)]
        service.default_claims = [partial(answer, state, **facts) for state, facts in states]
        page = page_of(tabs, service, wallet_with(), color_scheme=scheme)
        press(page, "Connect wallet")
        press(page, "Pay 83.33 LITKEY")
        expect(page.locator("#status-title")).not_to_contain_text("Waiting for Base")
        return page

    return scene


def ready(tabs: Tabs, service: StandIn, scheme: Scheme) -> Page:
    """Before any action, with a pending payment."""
    held = payment("held", 1, cause="over_limit", cents=250_000)
    service.payments = [payment("confirming", 2, confirmed=3, needed=15), held]
    service.claims = {2: [answer("confirming", 2)], 1: [answer("held", 1, cause="over_limit", cents=250_000)]}
    page = page_of(tabs, service, wallet_with(), color_scheme=scheme)
    expect(page.locator("#amount")).to_have_text("83.33 LITKEY")
    return page


def connected(tabs: Tabs, service: StandIn, scheme: Scheme) -> Page:
    """Connected; the allowance is next."""
    page = page_of(tabs, service, wallet_with(), color_scheme=scheme)
    press(page, "Connect wallet")
    expect(page.locator("#primary")).to_have_text("Allow 83.33 LITKEY")
    return page


def short(tabs: Tabs, service: StandIn, scheme: Scheme) -> Page:
    """Too few tokens."""
    page = page_of(tabs, service, wallet_with(40 * 10**18), color_scheme=scheme)
    press(page, "Connect wallet")
    expect(page.locator("#notice")).to_be_visible()
    return page


def no_price(tabs: Tabs, service: StandIn, scheme: Scheme) -> Page:
    """The service has no price."""
    service.quote_fault = problem("rate_unavailable", 503)
    page = page_of(tabs, service, color_scheme=scheme)
    expect(page.locator("#notice")).to_be_visible()
    return page


def picker(tabs: Tabs, service: StandIn, scheme: Scheme) -> Page:
    """Two wallets to choose from."""
    page = page_of(tabs, service, wallet_with(), wallet_with(), color_scheme=scheme)
    press(page, "Connect wallet")
    expect(page.locator("#picker")).to_be_visible()
    return page


def ask(tabs: Tabs, service: StandIn, scheme: Scheme) -> Page:
    """No wallet given."""
    page = tabs.open(color_scheme=scheme)
    service.attach(page)
    page.goto(f"{ORIGIN}/pay")
    expect(page.get_by_role("button", name="Continue")).to_be_visible()
    return page


def unknown(tabs: Tabs, service: StandIn, scheme: Scheme) -> Page:
    """An unknown wallet."""
    service.found = False
    return page_of(tabs, service, color_scheme=scheme)


def no_wallet(tabs: Tabs, service: StandIn, scheme: Scheme) -> Page:
    """No wallet in this browser: links to mobile wallets."""
    page = page_of(tabs, service, color_scheme=scheme)
    press(page, "Connect wallet")
    expect(page.locator("#elsewhere")).to_have_attribute("open", "")
    return page


def refused(tabs: Tabs, service: StandIn, scheme: Scheme) -> Page:
    """The contract would reject the payment."""
    service.allowed = True
    wallet = wallet_with()
    page = page_of(tabs, service, wallet, color_scheme=scheme)
    press(page, "Connect wallet")
    node = wallet.node
    assert isinstance(node, Node)
    node.refusal = "0xd93c0665"
    press(page, "Pay 83.33 LITKEY")
    expect(page.locator("#notice .title")).to_have_text("Payments are paused")
    page.get_by_role("button", name="Copy details for support").click()
    expect(page.locator("#support-done")).not_to_be_empty()
    return page


def looked_up(tabs: Tabs, service: StandIn, scheme: Scheme) -> Page:
    """Open a page that looks a transaction up without script, at an account's limit."""
    service.claims = {7: [answer("confirming", 7)]}
    service.maximum_cents, service.resets_at = 0, 1_900_000_000
    service.quote_fault = problem("rate_unavailable", 503)
    page = tabs.open(color_scheme=scheme)
    service.attach(page)
    page.route("**/pay.js", lambda route: route.abort())
    page.goto(f"{ORIGIN}/pay?wallet={WALLET}&tx_hash={tx_hash(7)}")
    return page


def conflict(tabs: Tabs, service: StandIn, scheme: Scheme) -> Page:
    """Open the page of a wallet that two accounts share."""
    service.conflict = "shared"
    page = tabs.open(color_scheme=scheme)
    service.attach(page)
    page.goto(f"{ORIGIN}/pay?wallet={WALLET}")
    return page


def no_address(tabs: Tabs, service: StandIn, scheme: Scheme) -> Page:
    """An address that does not exist, of a seller with support."""
    service.seller, service.support = "Example Inc.", "mailto:help@example.org"
    page = tabs.open(color_scheme=scheme)
    service.attach(page)
    page.goto(f"{ORIGIN}/nowhere")
    expect(page.get_by_role("heading", name="Nothing exists at this address")).to_be_visible()
    return page


def receipt(state: str, **facts: Any) -> Scene:
    """Return a scene with a receipt."""

    def scene(tabs: Tabs, service: StandIn, scheme: Scheme) -> Page:
        service.payments = [payment(state, 1, **facts)]
        page = tabs.open(color_scheme=scheme)
        service.attach(page)
        page.goto(f"{ORIGIN}/receipt/0x/0")
        return page

    return scene


SCENES: dict[str, Scene] = {
    "ask": ask,
    "unknown-wallet": unknown,
    "ready": ready,
    "looked-up": looked_up,
    "conflict": conflict,
    "connected": connected,
    "short": short,
    "no-price": no_price,
    "no-wallet": no_wallet,
    "refused": refused,
    "picker": picker,
    "confirming": paid(("confirming", {"confirmed": 6, "needed": 15})),
    "held": paid(("held", {"cause": "over_limit"})),
    "failed": paid(("failed", {})),
    "unrelated": paid(("unrelated", {"cause": "treasury_transfer"})),
    "credited": paid(("credited", {})),
    "no-address": no_address,
    "receipt": receipt("credited"),
    "receipt-held": receipt("held", cause="over_limit", cents=None),
    "receipt-dust": receipt("credited", cents=0, credit=None, amount="1234567890123456789012"),
}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", SCENES)
def test_layout(tabs: Tabs, name: str, scheme: Scheme) -> None:
    page = SCENES[name](tabs, StandIn(), scheme)
    page.evaluate(AXE)
    PICTURES.mkdir(exist_ok=True)
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        page.screenshot(path=PICTURES / f"{name}-{width}-{scheme}.png", full_page=True)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate(SMALL_TARGETS, TARGETS) == []
        if width not in WIDTHS[1:3]:
            assert page.evaluate(AUDIT) == []


def test_script_is_one_module(tabs: Tabs) -> None:
    service = StandIn()
    page = ready(tabs, service, "light")
    assert page.locator("script:not([type='application/json'])").count() == 1
    assert [name for name in ASSETS.names if name.endswith(".js")] == ["admin.js", "pay.js", "receipt.js", "sign_in.js"]


def test_weight() -> None:
    """Script and style stay small as transferred."""
    weight = sum(ASSETS.weight(name) for name in ("pay.js", "pay.css"))
    assert weight <= WEIGHT_LIMIT, f"{weight} bytes"


def test_receipt_prints_on_one_page(tabs: Tabs) -> None:
    page = SCENES["receipt"](tabs, StandIn(), "light")
    printed = page.pdf(format="A4")
    assert printed.count(b"/Type /Page\n") == 1
