"""The layout of the pay page: screenshots of its states, and automated checks."""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Page, expect

from tests.browser import axe
from tests.browser.conftest import Tabs
from tests.browser.pay_page import page_of, press
from tests.browser.scripted_wallet import ScriptedWallet
from tests.browser.stand_in import (
    ASSETS,
    CHAIN_ID,
    FIRST_HASH,
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
from tests.browser.waits import run_until_shown, wait_until_asked

PICTURES = Path(tempfile.gettempdir()) / "stateless-billing-pictures"
WEIGHT_LIMIT = 30_000
TARGETS = [44, 24]  # of controls, and of links in text
WIDTHS = (1280, 768, 390, 320)
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
PICTURED = {(1280, "light"), (320, "dark")}
SEND = "eth_sendTransaction"

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

Flow = Callable[[Tabs, StandIn], Iterator[tuple[str, Page]]]


def wallet_with(tokens: int = 10**24) -> ScriptedWallet:
    """Return a wallet on the right network."""
    node = Node()
    node.tokens = tokens
    return ScriptedWallet(node, PAYER, chain_id=CHAIN_ID)


def asked_in_vain(tabs: Tabs, service: StandIn) -> Iterator[tuple[str, Page]]:
    """A wallet that hangs, and one that may have paid, until it is known that it did not."""
    held = payment("held", 1, cause="over_limit", cents=250_000)
    service.payments = [payment("confirming", 2, confirmed=3, needed=15), held]
    service.claims = {2: [answer("confirming", 2)], 1: [answer("held", 1, cause="over_limit", cents=250_000)]}
    wallet = wallet_with()
    wallet.hang(SEND)
    wallet.behave(SEND, 1)
    wallet.refuse(SEND, -32603, message="Internal JSON-RPC error.")
    page = page_of(tabs, service, wallet, clock=True)
    expect(page.locator("#amount")).to_have_text("83.33 LITKEY")
    yield "ready", page
    press(page, "Connect wallet")
    expect(page.locator("#primary")).to_have_text("Allow 83.33 LITKEY")
    yield "connected", page
    press(page, "Allow 83.33 LITKEY")
    expect(page.locator("#notice .title")).to_have_text("There is another payment to this account")
    yield "doubled", page
    press(page, "Allow 83.33 LITKEY")
    expect(page.locator("#primary")).to_have_text("Confirm the allowance in your wallet…")
    wait_until_asked(page, wallet, SEND)
    run_until_shown(page, "#waiting", "Your wallet has not answered yet")
    yield "waiting", page
    page.get_by_role("button", name="Ask again").click()
    run_until_shown(page, "#notice", "We cannot tell whether your wallet sent the payment")
    yield "attempt", page
    service.chain_time = int(time.time()) + 3600
    run_until_shown(page, "#notice", "The price has expired.", step_ms=60_000)
    yield "expired-attempt", page
    service.finalized_at = service.chain_time
    run_until_shown(page, "#notice", "You can safely pay again", step_ms=60_000)
    yield "void-attempt", page


def paid(tabs: Tabs, service: StandIn) -> Iterator[tuple[str, Page]]:
    """Payments one after another, each with another end."""
    service.allowed = True
    page = page_of(tabs, service, wallet_with())
    press(page, "Connect wallet")
    for number, (state, facts) in enumerate(ENDS.items(), start=FIRST_HASH):
        service.claims[number] = [answer("confirming", number, confirmed=6, needed=15)]
        press(page, "Pay 83.33 LITKEY")
        expect(page.locator("#status-title")).to_have_text("Payment received, confirming")
        if number == FIRST_HASH:
            yield "confirming", page
        service.claims[number] = [answer(state, number, **facts)]
        expect(page.locator("#primary")).to_have_text(re.compile("^(See receipt|Start again)$"))
        yield state, page
        page.locator("#again, #primary").locator("visible=true").last.click()


def without_success(tabs: Tabs, service: StandIn) -> Iterator[tuple[str, Page]]:
    """Wallets to choose from, too few tokens, and a contract that refuses."""
    service.allowed = True
    wallet = wallet_with(40 * 10**18)
    page = page_of(tabs, service, wallet, wallet_with())
    press(page, "Connect wallet")
    expect(page.locator("#picker")).to_be_visible()
    yield "picker", page
    page.locator("#picker .choice").first.click()
    expect(page.locator("#notice")).to_be_visible()
    yield "short", page
    node = wallet.node
    assert isinstance(node, Node)
    node.refusal = "0xd93c0665"
    page.locator("#pay-less").click()
    press(page, re.compile("^Pay "))
    expect(page.locator("#notice .title")).to_have_text("Payments are paused")
    page.get_by_role("button", name="Copy details for support").click()
    expect(page.locator("#support-done")).not_to_be_empty()
    yield "refused", page


def without_wallet(tabs: Tabs, service: StandIn) -> Iterator[tuple[str, Page]]:
    """No wallet in this browser, then no price."""
    page = page_of(tabs, service)
    press(page, "Connect wallet")
    expect(page.locator("#elsewhere")).to_have_attribute("open", "")
    yield "no-wallet", page
    service.quote_fault = problem("rate_unavailable", 503)
    page.locator("#usd").fill("60")
    expect(page.locator("#notice .title")).to_have_text("There is no reliable price right now")
    yield "no-price", page


def without_script(tabs: Tabs, service: StandIn) -> Iterator[tuple[str, Page]]:
    """The pages that come as they are: questions, refusals and a lookup."""
    service.claims = {7: [answer("confirming", 7)]}
    page = tabs.open()
    service.attach(page)
    page.goto(f"{ORIGIN}/pay")
    expect(page.get_by_role("button", name="Continue")).to_be_visible()
    yield "ask", page
    service.found = False
    page.goto(f"{ORIGIN}/pay?wallet={WALLET}")
    yield "unknown-wallet", page
    service.found, service.conflict = True, "shared"
    page.goto(f"{ORIGIN}/pay?wallet={WALLET}")
    yield "conflict", page
    service.conflict, service.seller, service.support = "", "Example Inc.", "mailto:help@example.org"
    page.goto(f"{ORIGIN}/nowhere")
    expect(page.get_by_role("heading", name="Nothing exists at this address")).to_be_visible()
    yield "no-address", page
    service.maximum_cents, service.resets_at = 0, 1_900_000_000
    service.quote_fault = problem("rate_unavailable", 503)
    page.route("**/pay.js", lambda route: route.abort())
    page.goto(f"{ORIGIN}/pay?wallet={WALLET}&tx_hash={tx_hash(7)}")
    yield "looked-up", page


def receipts(tabs: Tabs, service: StandIn) -> Iterator[tuple[str, Page]]:
    """A receipt of a credit, of a held payment, and of one below a cent."""
    page = tabs.open()
    service.attach(page)
    for name, shown in RECEIPTS.items():
        service.payments = [shown]
        page.goto(f"{ORIGIN}/receipt/0x/0")
        yield name, page


ENDS: dict[str, dict[str, Any]] = {
    "failed": {},
    "unrelated": {"cause": "treasury_transfer"},
    "held": {"cause": "over_limit"},
    "credited": {},
}
RECEIPTS = {
    "receipt": payment("credited", 1),
    "receipt-held": payment("held", 1, cause="over_limit", cents=None),
    "receipt-dust": payment("credited", 1, cents=0, credit=None, amount="1234567890123456789012"),
}
FLOWS: tuple[Flow, ...] = (asked_in_vain, paid, without_success, without_wallet, without_script, receipts)


@pytest.mark.parametrize("flow", FLOWS, ids=lambda flow: flow.__name__)
def test_layout(tabs: Tabs, flow: Flow) -> None:
    for name, page in flow(tabs, StandIn()):
        axe.load(page)
        judge(page, name)


def judge(page: Page, name: str) -> None:
    """Check axe's rules, sideways scrolling and targets at every width, light and dark; keep two screenshots."""
    window = page.viewport_size
    assert window
    PICTURES.mkdir(exist_ok=True)
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": window["height"]})
            assert page.evaluate("document.documentElement.scrollWidth") <= width, (name, width)
            assert page.evaluate(SMALL_TARGETS, TARGETS) == [], (name, width)
            assert axe.violations(page, colors_only=scheme != SCHEMES[0]) == [], (name, width, scheme)
            if (width, scheme) in PICTURED:
                page.screenshot(path=PICTURES / f"{name}-{width}-{scheme}.png", full_page=True)
    page.set_viewport_size(window)


def test_script_is_one_module(tabs: Tabs) -> None:
    service = StandIn()
    page = page_of(tabs, service)
    assert page.locator("script:not([type='application/json'])").count() == 1
    assert [name for name in ASSETS.names if name.endswith(".js")] == ["admin.js", "pay.js", "receipt.js", "sign_in.js"]


def test_weight() -> None:
    """Script and style stay small as transferred."""
    weight = sum(ASSETS.weight(name) for name in ("pay.js", "pay.css"))
    assert weight <= WEIGHT_LIMIT, f"{weight} bytes"


def test_receipt_prints_on_one_page(tabs: Tabs) -> None:
    _, page = next(receipts(tabs, StandIn()))
    printed = page.pdf(format="A4")
    assert printed.count(b"/Type /Page\n") == 1
