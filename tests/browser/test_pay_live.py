"""Payments made elsewhere: an open page shows them within three seconds and warns before it takes another."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import RunningStack as Stack
from tests.browser.conftest import Tabs
from tests.browser.pay_page import page_of, press
from tests.browser.scripted_wallet import ScriptedWallet, rpc
from tests.browser.stand_in import GATEWAY, ORIGIN, WALLET, StandIn, answer, payment
from tests.browser.test_pay import CREDITED_MS, api, expect_credited, open_pay, payments, wallet_of
from tests.browser.waits import wait_until_asked

SEND = "eth_sendTransaction"
SHOWN_MS = 3000
NEXT_CALL = re.compile("^(Allow|Pay) ")
ACCOUNT = re.compile(r"/api/accounts/0x[0-9a-fA-F]{40}$")
SILENT_STREAMS = """window.streams = [];
window.EventSource = class extends EventTarget {
  static CLOSED = 2;
  readyState = 1;
  constructor() { super(); streams.push(this); }
  close() { this.readyState = 2; }
};"""
DOUBLED = "There is another payment to this account"


def pay_elsewhere(stack: Stack, cents: int = 3000) -> str:
    """Pay to the account as another client, without the page, and return when the chain has it."""
    node = rpc(stack.rpc_url)
    quote = api(stack, "/api/quotes", {"wallet": stack.wallet, "cents": cents, "payer": stack.payer})
    sent = ""
    for call in quote["calls"]:
        fields = {"from": stack.payer, "to": call["to"], "data": call["data"], "gas": hex(500_000)}
        sent = node(SEND, [fields])
        while node("eth_getTransactionReceipt", [sent]) is None:
            time.sleep(0.05)
    return str(sent)


def row(page: Page, tx_hash: str) -> Any:
    """Return the payment's row of the list."""
    return page.locator(f"#payments li[data-payment*='{tx_hash}']")


def test_a_payment_of_another_client_is_shown_in_time_and_must_be_confirmed(tabs: Tabs, stack: Stack) -> None:
    wallet = wallet_of(stack)
    page = open_pay(tabs, stack, wallet)
    press(page, "Connect wallet")
    expect(page.locator("#primary")).to_have_text(NEXT_CALL)
    tx_hash = pay_elsewhere(stack)
    expect(row(page, tx_hash)).to_have_count(1, timeout=SHOWN_MS)
    expect(page.locator("#warning .title")).to_contain_text("A payment of $30.00")
    press(page, NEXT_CALL)
    expect(page.locator("#notice .title")).to_have_text(DOUBLED)
    assert not {SEND, "eth_signTypedData_v4", "wallet_sendCalls"} & {method for method, _ in wallet.asked}
    press(page, NEXT_CALL)
    expect_credited(page)


def test_a_page_whose_stream_is_refused_polls(tabs: Tabs, stack: Stack) -> None:
    page = tabs.open([wallet_of(stack)])
    page.route("**/events", lambda route: route.fulfill(status=502, body="bad gateway"))
    page.goto(f"{stack.url}/pay?wallet={stack.wallet}&usd=25")
    expect(page.locator("#amount")).to_contain_text(re.compile(r"\d"))
    expect(row(page, pay_elsewhere(stack))).to_have_count(1, timeout=SHOWN_MS + 500)


def test_a_browser_that_refuses_locks_polls(tabs: Tabs, stack: Stack) -> None:
    page = tabs.open([wallet_of(stack)])
    page.add_init_script("navigator.locks.request = () => Promise.reject(new DOMException('no', 'SecurityError'));")
    page.goto(f"{stack.url}/pay?wallet={stack.wallet}&usd=25")
    expect(page.locator("#amount")).to_contain_text(re.compile(r"\d"))
    expect(row(page, pay_elsewhere(stack))).to_have_count(1, timeout=SHOWN_MS + 500)


@pytest.mark.parametrize("missing", ["EventSource", "locks"])
def test_a_browser_without_streams_or_locks_polls(tabs: Tabs, stack: Stack, missing: str) -> None:
    page = tabs.open([wallet_of(stack)])
    target = "window" if missing == "EventSource" else "Navigator.prototype"
    page.add_init_script(f"Object.defineProperty({target}, '{missing}', {{ value: undefined }});")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{stack.url}/pay?wallet={stack.wallet}&usd=25")
    expect(page.locator("#amount")).to_contain_text(re.compile(r"\d"))
    expect(row(page, pay_elsewhere(stack))).to_have_count(1, timeout=SHOWN_MS + 500)
    assert not [url for url in asked if url.endswith("/events")]


def test_seven_visible_tabs_of_one_browser_load_and_all_show_the_payment(tabs: Tabs, stack: Stack) -> None:
    first = tabs.open([wallet_of(stack)])
    pages = [first, *(first.context.new_page() for _ in range(6))]
    streams: list[str] = []
    polls = {page: count_polls(page) for page in pages}
    for page in pages:
        page.on("request", lambda request: streams.append(request.url) if request.url.endswith("/events") else None)
        page.goto(f"{stack.url}/pay?wallet={stack.wallet}&usd=25")
        expect(page.locator("#validity")).to_contain_text("Price held")
        assert page.evaluate("document.visibilityState") == "visible"
    assert len(streams) == 3
    tx_hash = pay_elsewhere(stack)
    for page in pages:
        expect(row(page, tx_hash)).to_have_count(1)
    assert sum(len(asked) > 1 for asked in polls.values()) == 4
    for page in pages:
        page.locator("#usd").fill("40")
        expect(page.locator("#added")).to_have_text("+$40.00")


def count_polls(page: Page) -> list[str]:
    """Record the page's readings of the account."""
    polls: list[str] = []
    page.on("request", lambda request: polls.append(request.url) if ACCOUNT.search(request.url) else None)
    return polls


def expect_polls(page: Page, polls: list[str], count: int) -> None:
    """Expect so many readings of the account: an answer takes real time, also where the page's time stands still."""
    end = time.monotonic() + 10
    while len(polls) < count and time.monotonic() < end:
        page.wait_for_timeout(20)
    page.wait_for_timeout(100)
    assert len(polls) == count


def test_a_page_without_a_stream_asks_every_two_seconds_while_it_is_visible(tabs: Tabs, service: StandIn) -> None:
    page = tabs.open()
    page.add_init_script("delete Navigator.prototype.locks;")
    page.clock.install()
    service.attach(page)
    polls = count_polls(page)
    page.goto(f"{ORIGIN}/pay?wallet={WALLET}&usd=50")
    expect(page.locator("#amount")).to_contain_text("83.33")
    expect_polls(page, polls, 1)
    for asked in range(2, 7):
        page.clock.run_for(2000)
        expect_polls(page, polls, asked)
    service.payments = [payment("credited", 7)]
    page.clock.run_for(2000)
    expect(page.locator("#payments li[data-payment]")).to_have_count(1)


def test_a_stream_that_falls_silent_or_a_new_network_is_replaced(tabs: Tabs, service: StandIn) -> None:
    page = tabs.open()
    page.add_init_script(SILENT_STREAMS)
    page.clock.install()
    service.attach(page)
    polls = count_polls(page)
    page.goto(f"{ORIGIN}/pay?wallet={WALLET}&usd=50")
    page.wait_for_function("streams.length === 1")
    account = json.dumps(service.account())
    tell = "([name, data]) => { streams.at(-1).dispatchEvent(new MessageEvent(name, { data })); }"
    page.evaluate(tell, ["account", account])
    for _ in range(6):
        page.clock.run_for(15_000)
        page.evaluate(tell, ["alive", ""])
    assert page.evaluate("streams.length") == 1
    before = len(polls)
    page.clock.run_for(29_000)
    assert (page.evaluate("streams.length"), len(polls)) == (1, before)
    service.payments = [payment("credited", 7)]
    page.clock.run_for(6000)
    page.wait_for_function("streams.length === 2 && streams[0].readyState === 2")
    expect(page.locator("#payments li[data-payment]")).to_have_count(1)
    page.evaluate(tell, ["account", json.dumps(service.account())])
    for number, event in ((3, "new Event('online')"), (4, "new PageTransitionEvent('pageshow', { persisted: true })")):
        service.payments = [payment("credited", 7 + count) for count in range(number - 1)]
        page.evaluate(f"dispatchEvent({event})")
        page.clock.run_for(1)
        page.wait_for_function(f"streams.length === {number} && streams.filter((s) => s.readyState < 2).length === 1")
        expect(page.locator("#payments li[data-payment]")).to_have_count(number - 1)
        page.evaluate(tell, ["account", json.dumps(service.account())])
    page.evaluate("streams.at(-1).readyState = 0; streams.at(-1).dispatchEvent(new Event('error'))")
    for _ in range(4):  # it never tells anything again, as behind a proxy that holds it back
        page.clock.run_for(10_000)
        page.wait_for_timeout(100)
    assert page.evaluate("streams.filter((s) => s.readyState < 2).length") == 0, "polled for a while instead"
    assert page.evaluate("streams.length") == 4


def test_a_hidden_page_asks_nothing_and_is_current_when_it_returns(tabs: Tabs, stack: Stack) -> None:
    page = open_pay(tabs, stack, wallet_of(stack))
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    show = """(state) => {
      Object.defineProperty(document, "visibilityState", { value: state, configurable: true });
      Object.defineProperty(document, "hidden", { value: state === "hidden", configurable: true });
      document.dispatchEvent(new Event("visibilitychange"));
    }"""
    page.wait_for_timeout(1000)
    page.evaluate(show, "hidden")
    asked.clear()
    tx_hash = pay_elsewhere(stack)
    page.wait_for_timeout(6000)
    assert [url for url in asked if "/accounts/" in url] == []
    expect(row(page, tx_hash)).to_have_count(0)
    page.evaluate(show, "visible")
    expect(row(page, tx_hash)).to_have_count(1, timeout=SHOWN_MS)


def test_two_tabs_of_one_payer_pay_once_without_a_second_confirmation(tabs: Tabs, stack: Stack) -> None:
    wallet = wallet_of(stack)
    first = open_pay(tabs, stack, wallet)
    second = first.context.new_page()
    second.goto(first.url)
    for page in (first, second):
        press(page, "Connect wallet")
        expect(page.locator("#primary")).to_have_text(NEXT_CALL)
    press(first, NEXT_CALL)
    expect_credited(first)
    expect(second.locator("#warning .title")).to_contain_text("A payment of $25.00")
    press(second, NEXT_CALL)
    expect(second.locator("#notice .title")).to_have_text(DOUBLED)
    assert len(payments(stack)) == 1


def test_a_tab_killed_at_broadcast_and_opened_again_finds_its_payment(tabs: Tabs, stack: Stack) -> None:
    wallet = wallet_of(stack)
    page = open_pay(tabs, stack, wallet)
    press(page, "Connect wallet")
    wallet.drop_answer(SEND)
    press(page, re.compile("^Allow "))
    wait_until_asked(page, wallet, SEND)
    url, context = page.url, page.context
    page.close()
    again = context.new_page()
    again.goto(url)
    expect(again.locator("#status-title")).to_have_text("$25.00 added", timeout=CREDITED_MS)
    assert (len(payments(stack)), wallet.count(SEND)) == (1, 1)


def test_a_used_price_is_refused_and_the_list_shows_who_used_it(
    tabs: Tabs, service: StandIn, wallet: ScriptedWallet
) -> None:
    service.allowed = True
    page = page_of(tabs, service, wallet, clock=True)  # its time stands still: nothing polls
    press(page, "Connect wallet")
    expect(page.locator("#primary")).to_have_text("Pay 83.33 LITKEY")
    service.payments = [payment("credited", 7, payer=GATEWAY, time=int(time.time()) - 3600)]
    wallet.node.refusal = "0x8baa579f"  # type: ignore[attr-defined]
    press(page, "Pay 83.33 LITKEY")
    expect(page.locator("#notice .title")).to_have_text("This price was already used or is no longer valid")
    expect(page.locator("#payments li[data-payment]")).to_have_count(1)
    assert wallet.count(SEND) == 0


@pytest.mark.parametrize("state", ["confirming", "pending", "held", "credited"])
def test_every_recent_payment_must_be_confirmed_once(
    tabs: Tabs, service: StandIn, wallet: ScriptedWallet, state: str
) -> None:
    service.allowed = True
    page = page_of(tabs, service, wallet, clock=True)
    press(page, "Connect wallet")
    expect(page.locator("#primary")).to_have_text("Pay 83.33 LITKEY")
    expect(page.locator("#warning")).to_be_hidden()
    service.payments = [payment(state, 7, payer=GATEWAY, sequence=5)]
    press(page, "Pay 83.33 LITKEY")
    expect(page.locator("#notice .title")).to_have_text(DOUBLED)
    expect(page.locator("#warning .title")).to_contain_text("A payment of $50.00")
    assert wallet.count(SEND) == 0
    press(page, "Pay 83.33 LITKEY")
    expect(page.locator("#status-title")).to_have_text("$50.00 added")
    page.locator("#again").click()
    expect(page.locator("#status")).to_be_hidden()
    press(page, "Pay 83.33 LITKEY")
    expect(page.locator("#status")).to_be_visible()
    assert wallet.count(SEND) == 2, "who pays again on purpose is not asked again"


def test_a_reversed_or_old_payment_needs_no_confirmation(tabs: Tabs, service: StandIn, wallet: ScriptedWallet) -> None:
    service.allowed = True
    service.payments = [payment("reversed", 8), payment("credited", 7, time=int(time.time()) - 700)]
    page = page_of(tabs, service, wallet)
    press(page, "Connect wallet")
    expect(page.locator("#warning")).to_be_hidden()
    press(page, "Pay 83.33 LITKEY")
    expect(page.locator("#status-title")).to_have_text("$50.00 added")


def test_a_payer_decides_whether_to_pay_while_the_account_cannot_be_read(
    tabs: Tabs, service: StandIn, wallet: ScriptedWallet
) -> None:
    service.allowed = True
    page = page_of(tabs, service, wallet)
    press(page, "Connect wallet")
    expect(page.locator("#primary")).to_have_text("Pay 83.33 LITKEY")
    page.route("**/api/accounts/**", lambda route: route.abort())
    press(page, "Pay 83.33 LITKEY")
    expect(page.locator("#notice .title")).to_have_text("We cannot look for other payments right now")
    expect(page.locator("#notice .text")).to_contain_text("Your wallet was not asked to pay.")
    assert wallet.count(SEND) == 0
    press(page, "Pay 83.33 LITKEY")
    expect(page.locator("#status-title")).to_have_text("$50.00 added")


def test_what_a_claim_told_is_not_replaced_by_a_process_that_knows_less(
    tabs: Tabs, service: StandIn, wallet: ScriptedWallet
) -> None:
    service.payments = [payment("pending", 7)]
    service.claims = {7: [answer("held", 7, cause="over_limit")] * 99}
    page = page_of(tabs, service, wallet)
    expect(page.locator("#payments .badge")).to_have_text("Held")
    page.route("**/api/payments", lambda route: route.abort())
    page.wait_for_timeout(4500)  # two readings of the account
    expect(page.locator("#payments .badge")).to_have_text("Held")
