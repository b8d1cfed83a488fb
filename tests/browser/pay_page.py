"""Steps on the pay page."""

from __future__ import annotations

import re
from typing import Any

from playwright.sync_api import Page, expect

from tests.browser.conftest import Tabs
from tests.browser.scripted_wallet import ScriptedWallet
from tests.browser.stand_in import ORIGIN, WALLET, StandIn


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
