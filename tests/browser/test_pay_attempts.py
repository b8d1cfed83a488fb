"""Payments that a wallet may have sent without telling: searched for until decided, and never paid twice."""

from __future__ import annotations

import re
import time

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Tabs
from tests.browser.pay_page import page_of, press
from tests.browser.scripted_wallet import ScriptedWallet
from tests.browser.stand_in import CHAIN_ID, FIRST_HASH, PAYER, WALLET, Node, StandIn, answer, payment
from tests.browser.waits import run_until_shown, wait_until_asked

SEND = "eth_sendTransaction"
BATCH = "wallet_sendCalls"
STATUS = "wallet_getCallsStatus"
MINED = 0xD0
MINUTE_MS = 60_000
CLAIMS_TO_KNOW = re.compile("[Nn]othing was sent|did not send the payment$|No payment was sent")


@pytest.fixture
def batching() -> ScriptedWallet:
    """Return a wallet that offers batches."""
    wallet = ScriptedWallet(Node(), PAYER, chain_id=CHAIN_ID)
    wallet.batch = "supported"
    return wallet


def notice(page: Page, title: str, text: str) -> None:
    """Expect a notice that claims nothing about the money."""
    expect(page.locator("#notice .title")).to_have_text(title)
    expect(page.locator("#notice .text")).to_contain_text(text)
    expect(page.locator("#notice")).not_to_contain_text(CLAIMS_TO_KNOW)


def drop_batch(wallet: ScriptedWallet, status: int) -> None:
    """Let the wallet take a batch and report it as failed."""
    wallet.answer_with(BATCH, {"id": "0x1"})
    wallet.answer_with(STATUS, {"status": status})


@pytest.mark.parametrize("code", [-32603, -32602, -32000])
def test_batch_refused_with_an_ordinary_code_is_paid_in_two_steps(
    tabs: Tabs, service: StandIn, batching: ScriptedWallet, code: int
) -> None:
    batching.refuse(BATCH, code)
    page = page_of(tabs, service, batching)
    press(page, "Connect wallet")
    press(page, "Pay 83.33 LITKEY")
    notice(page, "We cannot tell whether your wallet sent the payment", "the contract takes at most one")
    press(page, "Allow 83.33 LITKEY")
    expect(page.locator("#status-title")).to_have_text("$50.00 added")
    assert (batching.count(BATCH), batching.count(SEND)) == (1, 2)


def test_wallet_that_refused_a_batch_is_not_asked_for_another(
    tabs: Tabs, service: StandIn, batching: ScriptedWallet
) -> None:
    batching.refuse(BATCH, -32603)
    page = page_of(tabs, service, batching)
    press(page, "Connect wallet")
    press(page, "Pay 83.33 LITKEY")
    press(page, "Allow 83.33 LITKEY")
    expect(page.locator("#status-title")).to_have_text("$50.00 added")
    page.locator("#again").click()
    expect(page.locator("#primary")).to_have_text("Allow 83.33 LITKEY")


@pytest.mark.parametrize("status", [400, 500, 600])
def test_batch_called_failed_and_mined_later_is_found(
    tabs: Tabs, service: StandIn, batching: ScriptedWallet, status: int
) -> None:
    drop_batch(batching, status)
    service.claims = {MINED: [answer("credited", MINED)]}
    page = page_of(tabs, service, batching)
    press(page, "Connect wallet")
    press(page, "Pay 83.33 LITKEY")
    notice(page, "Your wallet says that it did not send the payment", "Only the chain can tell")
    service.payments = [payment("confirming", MINED, sequence=0)]
    expect(page.locator("#status-title")).to_have_text("$50.00 added")
    expect(page.locator("#notice")).to_be_hidden()


def test_pressing_again_finds_the_batch_before_it_asks(tabs: Tabs, service: StandIn, batching: ScriptedWallet) -> None:
    drop_batch(batching, 400)
    service.claims = {MINED: [answer("credited", MINED)]}
    page = page_of(tabs, service, batching, clock=True)
    press(page, "Connect wallet")
    press(page, "Pay 83.33 LITKEY")
    expect(page.locator("#primary")).to_have_text("Allow 83.33 LITKEY")
    service.payments = [payment("confirming", MINED, sequence=0)]
    press(page, "Allow 83.33 LITKEY")
    expect(page.locator("#status-title")).to_have_text("$50.00 added")
    assert (batching.count(BATCH), batching.count(SEND)) == (1, 0)


def test_another_sequence_is_not_asked_for_while_the_first_is_undecided(
    tabs: Tabs, service: StandIn, batching: ScriptedWallet
) -> None:
    drop_batch(batching, 400)
    page = page_of(tabs, service, batching, clock=True)
    press(page, "Connect wallet")
    press(page, "Pay 83.33 LITKEY")
    expect(page.locator("#primary")).to_have_text("Allow 83.33 LITKEY")
    service.sequence = 1
    page.get_by_role("button", name="$100").click()
    press(page, "Allow 166.67 LITKEY")
    expect(page.locator("#notice .title")).to_have_text("Wait: your earlier payment may still arrive")
    expect(page.locator("#notice .text")).to_have_text(
        "Nothing more was sent. The contract could take both payments now."
        " Wait until this page shows what became of the earlier one."
    )
    assert batching.count(SEND) == 0
    service.payments = [payment("credited", MINED, sequence=0, amount="5", payer=WALLET)]
    press(page, "Allow 166.67 LITKEY")
    notice(page, "There is another payment to this account", "Press the button again only to add more.")
    assert batching.count(SEND) == 0
    press(page, "Allow 166.67 LITKEY")
    expect(page.locator("#status-title")).to_have_text("$50.00 added")
    assert batching.count(SEND) == 2


@pytest.mark.parametrize("at_load", [False, True])
def test_quote_paid_by_another_account_is_paid(
    tabs: Tabs, service: StandIn, wallet: ScriptedWallet, at_load: bool
) -> None:
    service.allowed = True
    wallet.refuse(SEND, -32603)
    service.claims = {MINED: [answer("credited", MINED)]}
    page = page_of(tabs, service, wallet)
    press(page, "Connect wallet")
    press(page, "Pay 83.33 LITKEY")
    notice(page, "We cannot tell whether your wallet sent the payment", "This page keeps looking")
    service.payments = [payment("confirming", MINED, sequence=0, payer=WALLET)]
    if at_load:
        page.reload()
    expect(page.locator("#status-title")).to_have_text("$50.00 added")
    expect(page.locator("#notice")).to_be_hidden()


def test_plain_payment_of_the_same_amount_is_not_this_one(tabs: Tabs, service: StandIn, wallet: ScriptedWallet) -> None:
    service.allowed = True
    wallet.refuse(SEND, -32603)
    page = page_of(tabs, service, wallet)
    press(page, "Connect wallet")
    press(page, "Pay 83.33 LITKEY")
    notice(page, "We cannot tell whether your wallet sent the payment", "This page keeps looking")
    service.payments = [payment("confirming", MINED, sequence=0, cents=None)]
    notice(page, "Another payment to this account came first", "The contract refuses yours and takes no tokens.")
    expect(page.locator("#status-title")).to_be_hidden()


def test_a_payment_in_the_list_decides_nothing_while_the_service_cannot_tell(
    tabs: Tabs, service: StandIn, wallet: ScriptedWallet
) -> None:
    service.allowed = True
    wallet.refuse(SEND, -32603)
    page = page_of(tabs, service, wallet, clock=True)
    page.route("**/api/quotes/status", lambda route: route.abort())
    press(page, "Connect wallet")
    press(page, "Pay 83.33 LITKEY")
    title = "We cannot tell whether your wallet sent the payment"
    notice(page, title, "This page keeps looking")
    service.payments = [payment("confirming", MINED, sequence=0, payer=WALLET)]
    for _ in range(5):
        page.clock.run_for(20_000)
        page.wait_for_timeout(100)
    expect(page.locator("#payments li.payment")).to_have_count(1)
    notice(page, title, "This page keeps looking")


def test_payment_is_searched_for_until_it_can_never_arrive(
    tabs: Tabs, service: StandIn, wallet: ScriptedWallet
) -> None:
    service.allowed = True
    wallet.refuse(SEND, -32603)
    page = page_of(tabs, service, wallet, clock=True)
    press(page, "Connect wallet")
    press(page, "Pay 83.33 LITKEY")
    title = "We cannot tell whether your wallet sent the payment"
    notice(page, title, "This page keeps looking")
    service.chain_time = deadline = int(time.time()) + 400
    run_until_shown(page, "#notice", "Wait: this payment may still arrive", step_ms=MINUTE_MS)
    notice(page, "Wait: this payment may still arrive", "If your wallet sent the payment in time")
    service.finalized_at = deadline - 200
    page.clock.run_for(61_000)
    notice(page, "Wait: this payment may still arrive", "The price has expired")
    service.finalized_at = deadline
    run_until_shown(page, "#notice", "You can safely pay again", step_ms=MINUTE_MS)
    notice(page, "You can safely pay again", "It took no tokens.")
    asked = service.bodies("/api/quotes/status")
    assert {*asked[0]} == {"gateway", "wallet", "sequence", "amount", "cents", "deadline", "signature"}
    press(page, "Pay 83.33 LITKEY")
    expect(page.locator("#status-title")).to_have_text("$50.00 added")


def test_outage_of_ours_decides_nothing(tabs: Tabs, service: StandIn, wallet: ScriptedWallet) -> None:
    service.allowed = True
    wallet.refuse(SEND, -32603)
    page = page_of(tabs, service, wallet, clock=True)
    press(page, "Connect wallet")
    press(page, "Pay 83.33 LITKEY")
    title = "We cannot tell whether your wallet sent the payment"
    notice(page, title, "This page keeps looking")
    page.route("**/api/quotes/status", lambda route: route.abort())
    page.clock.run_for(20_000)
    notice(page, title, "This page keeps looking")
    press(page, "Pay 83.33 LITKEY")
    expect(page.locator("#status-title")).to_have_text("$50.00 added")


def test_two_requests_of_one_sequence_are_both_recognized(tabs: Tabs, service: StandIn, wallet: ScriptedWallet) -> None:
    service.allowed = True
    wallet.refuse(SEND, -32603)
    wallet.refuse(SEND, 4001)
    service.claims = {MINED: [answer("credited", MINED)]}
    page = page_of(tabs, service, wallet)
    press(page, "Connect wallet")
    press(page, "Pay 83.33 LITKEY")
    page.get_by_role("button", name="$100").click()
    press(page, "Pay 166.67 LITKEY")
    notice(page, "You closed the request in your wallet", "Nothing more was sent.")
    service.payments = [payment("confirming", MINED, sequence=0)]
    expect(page.locator("#status-title")).to_have_text("$50.00 added")


def test_all_requests_must_be_void_before_the_payer_is_told(
    tabs: Tabs, service: StandIn, wallet: ScriptedWallet
) -> None:
    """The later of two quotes of one sequence can be paid for longer."""
    service.allowed = True
    wallet.refuse(SEND, -32603)
    page = page_of(tabs, service, wallet, clock=True)
    press(page, "Connect wallet")
    press(page, "Pay 83.33 LITKEY")
    expect(page.locator("#notice .title")).to_have_text("We cannot tell whether your wallet sent the payment")
    service.seconds = 900
    wallet.refuse(SEND, -32603)
    page.get_by_role("button", name="$100").click()
    press(page, "Pay 166.67 LITKEY")
    wait_until_asked(page, wallet, SEND, times=2)
    service.chain_time = service.finalized_at = int(time.time()) + 400
    page.clock.run_for(20_000)
    page.wait_for_timeout(300)
    notice(page, "We cannot tell whether your wallet sent the payment", "the contract takes at most one")
    service.chain_time = service.finalized_at = int(time.time()) + 1_000
    run_until_shown(page, "#notice", "You can safely pay again", step_ms=MINUTE_MS)


def test_tab_closed_at_the_prompt_takes_the_search_up_again(
    tabs: Tabs, service: StandIn, wallet: ScriptedWallet
) -> None:
    service.allowed = True
    wallet.drop_answer(SEND)
    service.claims = {MINED: [answer("credited", MINED)]}
    page = page_of(tabs, service, wallet)
    press(page, "Connect wallet")
    press(page, "Pay 83.33 LITKEY")
    expect(page.locator("#primary")).to_have_text("Confirm the payment in your wallet…")
    page.reload()
    notice(page, "A payment of your last visit may be on its way", "This page keeps looking")
    service.payments = [payment("confirming", MINED, sequence=0)]
    expect(page.locator("#status-title")).to_have_text("$50.00 added")
    page.reload()
    expect(page.locator("#notice")).to_be_hidden()


def test_rejected_payment_leaves_no_trace(tabs: Tabs, service: StandIn, wallet: ScriptedWallet) -> None:
    service.allowed = True
    wallet.refuse(SEND, 4001)
    page = page_of(tabs, service, wallet)
    press(page, "Connect wallet")
    press(page, "Pay 83.33 LITKEY")
    expect(page.locator("#notice .title")).to_have_text("You closed the request in your wallet")
    page.reload()
    expect(page.locator("#amount")).to_have_text("83.33 LITKEY")
    expect(page.locator("#notice")).to_be_hidden()


def test_payment_the_chain_does_not_show_may_be_tried_again(
    tabs: Tabs, service: StandIn, wallet: ScriptedWallet
) -> None:
    service.allowed = True
    service.claims = {FIRST_HASH: [answer("unknown", FIRST_HASH)]}
    page = page_of(tabs, service, wallet, clock=True)
    press(page, "Connect wallet")
    press(page, "Pay 83.33 LITKEY")
    expect(page.locator("#status-title")).to_have_text("Waiting for Base to show your payment")
    page.clock.run_for(182_000)
    press(page, "Start again")
    notice(page, "The chain has not shown your payment", "the contract takes at most one")
    press(page, "Pay 83.33 LITKEY")
    expect(page.locator("#status-title")).to_have_text("$50.00 added")
