"""The pay page against the real service, a real chain and a scripted wallet, up to the credit."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from playwright.sync_api import BrowserContext, Dialog, Page, expect

from stateless_billing.runtime.bounded_http import create_ssl_context
from stateless_billing.sandbox import demo_wallet
from tests.browser.conftest import RunningStack as Stack
from tests.browser.conftest import Tabs
from tests.browser.pay_page import press
from tests.browser.scripted_wallet import ScriptedWallet, rpc
from tests.browser.waits import wait_until_asked

SEND = "eth_sendTransaction"
SIGN = "eth_signTypedData_v4"
NEXT_CALL = re.compile("^(Allow|Pay) ")
CREDITED_MS = 90_000
CENTS = 2500


def wallet_of(stack: Stack) -> ScriptedWallet:
    """Return a wallet on the stack's own network."""
    node = rpc(stack.rpc_url)
    return ScriptedWallet(node, stack.payer, chain_id=int(node("eth_chainId", []), 16))


def open_pay(
    tabs: Tabs, stack: Stack, wallet: ScriptedWallet, prepare: Callable[[BrowserContext], None] | None = None
) -> Page:
    """Open the pay page with a price on it; `prepare` gets its browser profile before."""
    page = tabs.open([wallet])
    if prepare:
        prepare(page.context)
    page.goto(f"{stack.url}/pay?wallet={stack.wallet}&usd={CENTS // 100}")
    expect(page.locator("#amount")).to_contain_text(re.compile(r"\d"))
    return page


def api(stack: Stack, path: str, body: dict[str, Any] | None = None) -> Any:
    """Call the service's API."""
    method = "POST" if body else "GET"
    return (
        httpx.request(method, stack.url + path, json=body, timeout=30, trust_env=False, verify=create_ssl_context())
        .raise_for_status()
        .json()
    )


def payments(stack: Stack) -> list[dict[str, Any]]:
    """Return the account's payments, newest first."""
    latest: list[dict[str, Any]] = api(stack, f"/api/accounts/{stack.wallet}")["payments"]
    return latest


def until(condition: Callable[[], bool]) -> None:
    """Wait for something outside the page."""
    end = time.monotonic() + CREDITED_MS / 1000
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.3)


@pytest.fixture
def before(stack: Stack) -> set[str]:
    """Return the payments from before the test."""
    return {payment["payment"] for payment in payments(stack)}


def one_more_credited(stack: Stack, before: set[str]) -> bool:
    """Whether exactly one payment was added, and is credited."""
    added = [payment for payment in payments(stack) if payment["payment"] not in before]
    assert len(added) <= 1
    return [(payment["state"], payment["cents"]) for payment in added] == [("credited", CENTS)]


def expect_credited(page: Page) -> None:
    """Wait until the page shows the credit."""
    expect(page.locator("#status-title")).to_have_text("$25.00 added", timeout=CREDITED_MS)


def test_pays_until_credited(tabs: Tabs, stack: Stack, before: set[str]) -> None:
    page = open_pay(tabs, stack, wallet_of(stack))
    press(page, "Connect wallet")
    press(page, NEXT_CALL)
    expect_credited(page)
    expect(page.locator("#payments .badge").first).to_have_text("Credited")
    assert one_more_credited(stack, before)


def test_one_prompt_with_a_wallet_that_takes_batches(tabs: Tabs, stack: Stack, before: set[str]) -> None:
    wallet = wallet_of(stack)
    wallet.batch = "supported"
    page = open_pay(tabs, stack, wallet)
    press(page, "Connect wallet")
    press(page, re.compile("^Pay "))
    expect_credited(page)
    assert (wallet.count("wallet_sendCalls"), wallet.count("eth_signTypedData_v4"), wallet.count(SEND)) == (1, 0, 0)
    assert one_more_credited(stack, before)


def test_wallet_without_signatures_allows_and_pays(tabs: Tabs, stack: Stack, before: set[str]) -> None:
    wallet = wallet_of(stack)
    wallet.refuse(SIGN, 4200)
    page = open_pay(tabs, stack, wallet)
    press(page, "Connect wallet")
    press(page, NEXT_CALL)
    expect_credited(page)
    assert wallet.count(SEND) == 2
    assert one_more_credited(stack, before)


def test_safe_is_followed_by_the_accounts_payments(tabs: Tabs, stack: Stack, before: set[str]) -> None:
    wallet = wallet_of(stack)
    wallet.answer_with(SEND, "0x5afe")
    page = open_pay(tabs, stack, wallet)
    press(page, "Connect wallet")
    press(page, NEXT_CALL)
    expect(page.locator("#notice .title")).to_have_text("Your wallet will send the payment later")
    [payment] = [params for method, params in wallet.asked if method == SEND]
    wallet.node(SEND, payment)  # once its last owner has signed
    expect_credited(page)
    assert one_more_credited(stack, before)


def test_same_quote_in_two_tabs_pays_once(tabs: Tabs, stack: Stack, before: set[str]) -> None:
    first, second = wallet_of(stack), wallet_of(stack)
    pages = [open_pay(tabs, stack, wallet) for wallet in (first, second)]
    for page in pages:
        press(page, "Connect wallet")
        expect(page.locator("#primary")).to_have_text(NEXT_CALL)
    press(pages[0], NEXT_CALL)
    expect_credited(pages[0])
    press(pages[1], NEXT_CALL)
    expect(pages[1].locator("#notice .title")).to_have_text("There is another payment to this account")
    assert second.count(SEND) == 0
    assert one_more_credited(stack, before)


def test_too_little_gas_is_told_apart_from_too_few_tokens(tabs: Tabs, stack: Stack) -> None:
    poor = wallet_of(stack)
    node = rpc(stack.rpc_url)
    poor.account = node("eth_accounts", [])[8]
    page = open_pay(tabs, stack, poor)
    press(page, "Connect wallet")
    expect(page.locator("#notice .title")).to_contain_text("This account has 0 LITKEY and needs")
    balance = node("eth_getBalance", [stack.payer, "latest"])
    node("anvil_setBalance", [stack.payer, "0x0"])
    try:
        page = open_pay(tabs, stack, wallet_of(stack))
        press(page, "Connect wallet")
        expect(page.locator("#notice .title")).to_contain_text("The network fee is about")
    finally:
        node("anvil_setBalance", [stack.payer, balance])


def test_receipt_is_the_next_action_and_needs_no_script(tabs: Tabs, stack: Stack, before: set[str]) -> None:
    page = open_pay(tabs, stack, wallet_of(stack))
    press(page, "Connect wallet")
    press(page, NEXT_CALL)
    expect_credited(page)
    press(page, "See receipt")
    expect(page.locator(".sum")).to_have_text("$25.00")
    plain = tabs.open(java_script_enabled=False)
    plain.goto(page.url)
    expect(plain.locator(".badge")).to_have_text("Credited")
    expect(plain.locator(".qr")).to_be_visible()
    assert one_more_credited(stack, before)


def test_demo_pays_with_the_wallet_it_brings(tabs: Tabs, stack: Stack, before: set[str]) -> None:
    with demo_wallet.pages(stack.url, stack.rpc_url, stack.payer) as url:
        page = tabs.open()
        messages: list[str] = []

        def agree(dialog: Dialog) -> None:
            messages.append(dialog.message)
            dialog.accept()

        page.on("dialog", agree)
        page.goto(f"{url}/pay?wallet={stack.wallet}&usd={CENTS // 100}")
        press(page, "Connect wallet")
        press(page, NEXT_CALL)
        expect_credited(page)
        page.close()
    assert len(messages) == 3
    assert one_more_credited(stack, before)


def test_pays_by_keyboard_alone(tabs: Tabs, stack: Stack, before: set[str]) -> None:
    page = open_pay(tabs, stack, wallet_of(stack))
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "primary":
            break
    page.keyboard.press("Enter")
    expect(page.locator("#primary")).to_have_text(NEXT_CALL)
    page.keyboard.press("Enter")
    expect_credited(page)
    expect(page.locator("#status-title")).to_be_focused()
    assert one_more_credited(stack, before)


def test_tab_closed_after_broadcast_is_credited(tabs: Tabs, stack: Stack, before: set[str]) -> None:
    wallet = wallet_of(stack)
    wallet.drop_answer(SEND)
    page = open_pay(tabs, stack, wallet)
    claims: list[str] = []
    page.on("request", lambda request: claims.append(request.url) if request.url.endswith("/api/payments") else None)
    press(page, "Connect wallet")
    press(page, NEXT_CALL)
    wait_until_asked(page, wallet, SEND)
    page.close()
    assert claims == []
    until(lambda: one_more_credited(stack, before))


def test_answer_lost_after_broadcast_is_found(tabs: Tabs, stack: Stack, before: set[str]) -> None:
    wallet = wallet_of(stack)
    wallet.drop_answer(SEND)
    page = open_pay(tabs, stack, wallet)
    press(page, "Connect wallet")
    press(page, NEXT_CALL)
    expect_credited(page)
    assert one_more_credited(stack, before)


@pytest.mark.parametrize("refused", [SIGN, SEND])
def test_refused_call_moves_nothing(tabs: Tabs, stack: Stack, before: set[str], refused: str) -> None:
    wallet = wallet_of(stack)
    wallet.refuse(refused, 4001)
    page = open_pay(tabs, stack, wallet)
    press(page, "Connect wallet")
    press(page, NEXT_CALL)
    expect(page.locator("#notice .title")).to_have_text("You closed the request in your wallet")
    assert {payment["payment"] for payment in payments(stack)} == before
    press(page, NEXT_CALL)
    expect_credited(page)
    assert one_more_credited(stack, before)


def test_wrong_network_is_switched_first(tabs: Tabs, stack: Stack, before: set[str]) -> None:
    wallet = wallet_of(stack)
    wallet.chain = "0x1"
    page = open_pay(tabs, stack, wallet)
    press(page, "Connect wallet")
    press(page, re.compile("^Switch to "))
    press(page, NEXT_CALL)
    expect_credited(page)
    assert one_more_credited(stack, before)


def test_asks_for_the_wallet_when_none_is_given(tabs: Tabs, stack: Stack) -> None:
    page = tabs.open()
    page.goto(f"{stack.url}/pay")
    expect(page.get_by_role("button", name="Continue")).to_be_visible()
