"""Waits for a page and its wallet, each of them bounded."""

from __future__ import annotations

import time
from collections.abc import Callable

from playwright.sync_api import Page

from tests.browser.scripted_wallet import ScriptedWallet

WITHIN_S = 60


def wait_until_asked(page: Page, wallet: ScriptedWallet, method: str, times: int = 1) -> None:
    """Wait, in real time, until the wallet was asked so often: what the page waits for then begins there."""
    end = time.monotonic() + WITHIN_S
    while wallet.count(method) < times:
        assert time.monotonic() < end, f"the wallet was not asked for {method}"
        page.wait_for_timeout(50)


def run_until_shown(page: Page, selector: str, text: str, *, step_ms: int = 1000) -> None:
    """Let the page's own time pass in steps until it shows this. What it asks for takes real time in between."""
    box = page.locator(selector)
    end = time.monotonic() + WITHIN_S
    while not (box.is_visible() and text in box.inner_text()):
        assert time.monotonic() < end, f"{selector} never shows {text!r}"
        page.clock.run_for(step_ms)
        page.wait_for_timeout(100)


def reload_until(page: Page, is_shown: Callable[[], bool]) -> None:
    """Load the page again until it shows what is waited for."""
    end = time.monotonic() + WITHIN_S
    while not is_shown():
        assert time.monotonic() < end, "the page never shows it"
        page.wait_for_timeout(300)
        page.reload()
