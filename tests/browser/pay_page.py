"""Steps on a page, and its time where a test controls it."""

from __future__ import annotations

import re
import time
from typing import Any

from playwright.sync_api import Page, expect

from tests.browser.conftest import Tabs
from tests.browser.scripted_wallet import ScriptedWallet
from tests.browser.stand_in import ORIGIN, WALLET, StandIn

SHOWN_WITHIN_S = 30


def page_of(
    tabs: Tabs, service: StandIn, *wallets: ScriptedWallet, usd: str = "50", clock: bool = False, **options: Any
) -> Page:
    """Open the pay page of the known wallet on a stand-in; `clock` lets the test control the page's time."""
    page = tabs.open(wallets, **options)
    if clock:
        page.clock.install()
    service.attach(page)
    page.goto(f"{ORIGIN}/pay?wallet={WALLET}&usd={usd}")
    return page


def press(page: Page, label: str | re.Pattern[str]) -> None:
    """Press the primary button once it has the expected label and is enabled."""
    button = page.locator("#primary")
    expect(button).to_have_text(label)
    expect(button).to_have_attribute("aria-disabled", "false")
    button.click()


def wait_until_asked(page: Page, wallet: ScriptedWallet, method: str, times: int = 1) -> None:
    """Wait, in real time, until the wallet was asked so often: what the page waits for then begins there."""
    end = time.monotonic() + SHOWN_WITHIN_S
    while wallet.count(method) < times:
        assert time.monotonic() < end, f"the wallet was not asked for {method}"
        page.wait_for_timeout(50)


def run_until_shown(page: Page, selector: str, text: str, *, step_ms: int = 1000) -> None:
    """Let the page's time pass in steps until it shows this. What it asks for takes real time in between."""
    box = page.locator(selector)
    end = time.monotonic() + SHOWN_WITHIN_S
    while not (box.is_visible() and text in box.inner_text()):
        assert time.monotonic() < end, f"{selector} never shows {text!r}"
        page.clock.run_for(step_ms)
        page.wait_for_timeout(100)
