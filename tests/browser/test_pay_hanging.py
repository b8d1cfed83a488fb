"""Wallets that never answer, and the change from one wallet to another."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Tabs
from tests.browser.pay_page import page_of, press
from tests.browser.scripted_wallet import ScriptedWallet
from tests.browser.stand_in import CHAIN_ID, PAYER, WALLET, Node, StandIn, answer, payment
from tests.browser.waits import run_until_shown, wait_until_asked

SEND = "eth_sendTransaction"
SIGN = "eth_signTypedData_v4"
MINED = 0xD0
STEP_MS = 7000


def named(name: str, account: str = PAYER) -> ScriptedWallet:
    """Return a wallet with a name."""
    return ScriptedWallet(Node(), account, chain_id=CHAIN_ID, name=name)


def wait_for_offer(page: Page, wallet: ScriptedWallet, method: str, text: str) -> None:
    """Wait until the page no longer waits in silence for the wallet's answer."""
    wait_until_asked(page, wallet, method)
    expect(page.locator("#waiting")).to_be_hidden()
    run_until_shown(page, "#waiting", "Your wallet has not answered yet", step_ms=STEP_MS)
    expect(page.locator("#waiting .text")).to_contain_text(text)


@pytest.mark.parametrize(
    ("method", "presses", "text"),
    [
        ("eth_requestAccounts", ["Connect wallet"], "share an account. Open it"),
        ("eth_accounts", ["Connect wallet", "Allow 83.33 LITKEY"], "name its account and network"),
        (SEND, ["Connect wallet", "Allow 83.33 LITKEY"], "confirm the allowance in it"),
    ],
)
def test_what_the_page_waits_for_is_said_and_asked_again(
    tabs: Tabs, service: StandIn, wallet: ScriptedWallet, method: str, presses: list[str], text: str
) -> None:
    wallet.hang(method)
    page = page_of(tabs, service, wallet, clock=True)
    for label in presses:
        press(page, label)
    wait_for_offer(page, wallet, method, text)
    page.get_by_role("button", name="Ask again").click()
    if len(presses) == 1:
        press(page, "Allow 83.33 LITKEY")
    expect(page.locator("#status-title")).to_have_text("$50.00 added")
    expect(page.locator("#waiting")).to_be_hidden()


def test_network_switch_that_hangs_is_asked_again(tabs: Tabs, service: StandIn, wallet: ScriptedWallet) -> None:
    wallet.chain = "0x1"
    wallet.hang("wallet_switchEthereumChain")
    page = page_of(tabs, service, wallet, clock=True)
    press(page, "Connect wallet")
    press(page, "Switch to Base")
    wait_for_offer(page, wallet, "wallet_switchEthereumChain", "change the network")
    page.get_by_role("button", name="Ask again").click()
    expect(page.locator("#primary")).to_have_text("Allow 83.33 LITKEY")


def test_payment_that_hangs_may_be_asked_for_again(tabs: Tabs, service: StandIn, wallet: ScriptedWallet) -> None:
    service.allowed = True
    wallet.hang(SEND)
    page = page_of(tabs, service, wallet, clock=True)
    press(page, "Connect wallet")
    press(page, "Pay 83.33 LITKEY")
    wait_for_offer(page, wallet, SEND, "the contract takes at most one of the two payments")
    expect(page.locator("#waiting")).not_to_contain_text("Nothing was sent")
    page.get_by_role("button", name="Ask again").click()
    expect(page.locator("#status-title")).to_have_text("$50.00 added")
    assert wallet.count(SEND) == 2


def test_payment_sent_in_silence_is_not_asked_for_again(tabs: Tabs, service: StandIn, wallet: ScriptedWallet) -> None:
    service.allowed = True
    wallet.drop_answer(SEND)
    service.claims = {MINED: [answer("credited", MINED)]}
    page = page_of(tabs, service, wallet, clock=True)
    press(page, "Connect wallet")
    press(page, "Pay 83.33 LITKEY")
    wait_for_offer(page, wallet, SEND, "confirm the payment in it")
    service.payments = [payment("confirming", MINED, sequence=0)]
    page.get_by_role("button", name="Ask again").click()
    expect(page.locator("#status-title")).to_have_text("$50.00 added")
    assert wallet.count(SEND) == 1


@pytest.mark.parametrize("method", ["eth_requestAccounts", "eth_chainId", "wallet_getCapabilities"])
def test_hanging_wallet_does_not_lock_out_the_other(tabs: Tabs, service: StandIn, method: str) -> None:
    service.allowed = True
    hanging, working = named("Hanging"), named("Working")
    hanging.hang(method)
    page = page_of(tabs, service, hanging, working, clock=True)
    press(page, "Connect wallet")
    page.get_by_role("button", name="Hanging").click()
    page.get_by_role("button", name="Change wallet").click()
    page.get_by_role("button", name="Working").click()
    press(page, "Pay 83.33 LITKEY")
    expect(page.locator("#status-title")).to_have_text("$50.00 added")
    assert (hanging.count(SEND), working.count(SEND)) == (0, 1)


def test_late_answer_of_the_wallet_that_was_left_changes_nothing(tabs: Tabs, service: StandIn) -> None:
    late, working = named("Late", WALLET), named("Working")
    late.delay("eth_requestAccounts", 2)
    page = page_of(tabs, service, late, working)
    press(page, "Connect wallet")
    page.get_by_role("button", name="Late").click()
    page.get_by_role("button", name="Change wallet").click()
    page.get_by_role("button", name="Working").click()
    expect(page.locator("#payer")).to_contain_text("0x7099…79C8")
    page.wait_for_timeout(2500)
    expect(page.locator("#payer")).to_contain_text("0x7099…79C8")
    expect(page.locator("#primary")).to_have_text("Allow 83.33 LITKEY")


def test_other_wallet_is_offered_after_a_while(tabs: Tabs, service: StandIn) -> None:
    service.allowed = True
    hanging, working = named("Hanging"), named("Working", WALLET)
    hanging.hang(SEND)
    page = page_of(tabs, service, hanging, working, clock=True)
    press(page, "Connect wallet")
    page.get_by_role("button", name="Hanging").click()
    press(page, "Pay 83.33 LITKEY")
    wait_for_offer(page, hanging, SEND, "confirm the payment in it")
    page.get_by_role("button", name="Use another wallet").click()
    page.get_by_role("button", name="Working").click()
    expect(page.locator("#notice .title")).to_have_text("Your wallet gave no answer")
    expect(page.locator("#notice .text")).to_contain_text("It may still send the payment")
    press(page, "Pay 83.33 LITKEY")
    expect(page.locator("#status-title")).to_have_text("$50.00 added")
    assert working.count(SEND) == 1


def test_wallet_can_be_changed_and_disconnected(tabs: Tabs, service: StandIn) -> None:
    first, second = named("First"), named("Second", WALLET)
    page = page_of(tabs, service, first, second)
    expect(page.get_by_role("button", name="Disconnect")).to_be_hidden()
    press(page, "Connect wallet")
    page.get_by_role("button", name="First").click()
    expect(page.locator("#payer")).to_contain_text("0x7099…79C8")
    page.get_by_role("button", name="Change wallet").click()
    page.get_by_role("button", name="Second").click()
    expect(page.locator("#payer")).to_have_text("Paying from 0x90F7…b906")
    page.get_by_role("button", name="Disconnect").click()
    expect(page.locator("#payer")).to_have_text("")
    press(page, "Connect wallet")
    expect(page.locator("#picker .choice")).to_have_text(["Second", "First"])


def test_wallet_that_announces_itself_several_times_is_one(tabs: Tabs, service: StandIn) -> None:
    first, second = named("First"), named("Second")
    first.twins = True
    page = page_of(tabs, service, first, second)
    press(page, "Connect wallet")
    expect(page.locator("#picker .choice")).to_have_text(["First", "Second"])


def test_only_wallet_with_twins_needs_no_choice(tabs: Tabs, service: StandIn, wallet: ScriptedWallet) -> None:
    wallet.twins = True
    page = page_of(tabs, service, wallet)
    press(page, "Connect wallet")
    expect(page.locator("#primary")).to_have_text("Allow 83.33 LITKEY")
