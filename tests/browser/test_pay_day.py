"""A payer's day: each payment is credited once, and at each moment the page says nothing untrue."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import RunningStack, Tabs
from tests.browser.pay_page import press
from tests.browser.scripted_wallet import ScriptedWallet
from tests.browser.test_pay import CREDITED_MS, NEXT_CALL, SEND, SIGN, expect_credited, open_pay, until, wallet_of
from tests.browser.test_pay_live import pay_elsewhere
from tests.browser.waits import wait_until_asked
from tests.browser.witness import Witness

ACCOUNTS = "eth_requestAccounts"
ASKED_AGAIN_MS = 40_000


class Day:
    """A payer with a wallet, whose pages are watched."""

    def __init__(self, tabs: Tabs, stack: RunningStack, witness: Witness) -> None:
        self.tabs = tabs
        self.stack = stack
        self.witness = witness
        self.wallet: ScriptedWallet = wallet_of(stack)

    def open(self) -> Page:
        """Open the pay page in a browser of its own."""
        return open_pay(self.tabs, self.stack, self.wallet, prepare=self.witness.watch)

    def pay(self, page: Page) -> None:
        """Press the button for the payment or its allowance."""
        expect(page.locator("#primary")).to_have_text(NEXT_CALL)
        self.witness.presses.append(time.time())
        press(page, NEXT_CALL)

    def kill(self, page: Page, method: str, times: int = 1) -> Page:
        """Close the tab once the wallet was asked for this, and open the page again."""
        wait_until_asked(page, self.wallet, method, times)
        url, context = page.url, page.context
        page.close()
        again = context.new_page()
        again.goto(url)
        return again


def phone(day: Day) -> None:
    """The page is open on a computer, and the phone pays."""
    page = day.open()
    day.witness.presses.append(time.time())
    pay_elsewhere(day.stack, cents=2500)
    expect(page.locator("#payments .badge")).to_have_text("Credited", timeout=CREDITED_MS)


def second_tab(day: Day) -> None:
    """Two tabs are ready to pay; the second notices the first."""
    first = day.open()
    second = first.context.new_page()
    second.goto(first.url)
    for page in (first, second):
        press(page, "Connect wallet")
    day.pay(first)
    expect_credited(first)
    day.pay(second)
    expect(second.locator("#notice .title")).to_have_text("There is another payment to this account")


def killed_while_connecting(day: Day) -> None:
    """The tab is killed while the wallet asks whether to connect."""
    day.wallet.hang(ACCOUNTS)
    page = day.open()
    press(page, "Connect wallet")
    page = day.kill(page, ACCOUNTS)
    press(page, "Connect wallet")
    day.pay(page)
    expect_credited(page)


def killed_while_signing(day: Day) -> None:
    """The tab is killed while the wallet asks for the permit's signature."""
    day.wallet.hang(SIGN)
    page = day.open()
    press(page, "Connect wallet")
    day.pay(page)
    page = day.kill(page, SIGN)
    press(page, "Connect wallet")
    day.pay(page)
    expect_credited(page)


def killed_at_the_allowance(day: Day) -> None:
    """The wallet signs no permits; the tab is killed once it sent the allowance."""
    day.wallet.refuse(SIGN, 4200)
    day.wallet.drop_answer(SEND)
    page = day.open()
    press(page, "Connect wallet")
    day.pay(page)
    page = day.kill(page, SEND)
    press(page, "Connect wallet")
    day.pay(page)
    expect_credited(page)


def killed_at_broadcast(day: Day) -> None:
    """The tab is killed once the wallet sent the payment."""
    day.wallet.drop_answer(SEND)
    page = day.open()
    press(page, "Connect wallet")
    day.pay(page)
    page = day.kill(page, SEND)
    expect_credited(page)


def killed_while_crediting(day: Day) -> None:
    """The tab is killed once the page follows the payment."""
    page = day.open()
    press(page, "Connect wallet")
    day.pay(page)
    expect(page.locator("#status-title")).to_have_text(re.compile("."))
    page = day.kill(page, SEND)
    expect(page.locator("#payments .badge")).to_have_text("Credited", timeout=CREDITED_MS)


def hanging_wallet(day: Day) -> None:
    """The wallet never answers the first request for the payment."""
    day.wallet.hang(SEND)
    page = day.open()
    press(page, "Connect wallet")
    day.pay(page)
    again = page.get_by_role("button", name="Ask again")
    expect(again).to_be_visible(timeout=ASKED_AGAIN_MS)
    day.witness.presses.append(time.time())
    again.click()
    expect_credited(page)


def lying_wallet(day: Day) -> None:
    """The wallet says that its batch failed, and the batch is mined all the same."""
    day.wallet.batch = "supported"
    day.wallet.answer_with("wallet_getCallsStatus", {"version": "2.0.0", "id": "0xbatch", "status": 400})
    page = day.open()
    press(page, "Connect wallet")
    day.pay(page)
    expect_credited(page)


@pytest.fixture
def day(tabs: Tabs, stack: RunningStack) -> Iterator[Day]:
    """Watch the pages of one account, and compare what they showed with what was true."""
    with Witness(stack.mined, lambda: stack.balance() // 2500) as witness:
        yield Day(tabs, stack, witness)
    assert witness.texts, "the page's texts are kept"
    assert witness.untrue() == []


@pytest.mark.parametrize(
    "scene",
    [
        phone,
        second_tab,
        killed_while_connecting,
        killed_while_signing,
        killed_at_the_allowance,
        killed_at_broadcast,
        killed_while_crediting,
        hanging_wallet,
        lying_wallet,
    ],
)
def test_each_payment_is_credited_once(day: Day, scene: Callable[[Day], None]) -> None:
    scene(day)
    until(lambda: day.stack.balance() == 2500)
    assert day.stack.mined() == 1
