"""The operators' pages of a real service in a real browser, and checks that apply to each of them."""

from __future__ import annotations

import secrets
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from playwright.sync_api import Page, expect

from stateless_billing.operators.signed_tokens import Tokens
from stateless_billing.runtime.clock import SystemClock
from stateless_billing.sandbox.stack import SESSION_SECRET, Service, Stack
from tests.browser import axe
from tests.browser.conftest import Tabs
from tests.integration.shop import Shop

PICTURES = Path(tempfile.gettempdir()) / "stateless-billing-pictures"
WIDTHS = (1280, 390, 320)
Scheme: TypeAlias = Literal["light", "dark"]
SCHEMES: tuple[Scheme, ...] = ("light", "dark")
PICTURED = ((1280, "light"), (390, "dark"))
ADMIN, MODERATOR, AUDITOR = "admin@example.org", "moderator@example.org", "auditor@example.org"
NOTE = "They waited for an hour, ticket 123"
SMALL_TARGETS = """
() => [...document.querySelectorAll("button:not(.copy), .button, summary, input, select, nav a")]
  .map((node) => node.closest("label.yes") ?? node)
  .filter((node) => {
    const { width, height } = node.getBoundingClientRect();
    const isRow = node.matches(".line > summary") && width > 800; // dense on purpose, and as wide as the page
    return node.checkVisibility() && height < (isRow ? 30 : 44);
  })
  .map((node) => node.outerHTML)
"""
SIDEWAYS = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"


@dataclass
class Office:
    """A running system and its operators' access."""

    stack: Stack
    service: Service
    shop: Shop

    def open(self, tabs: Tabs, path: str, who: str | None = MODERATOR, *, width: int = 1280, **options: Any) -> Page:
        """Open a page as a signed-in operator."""
        page = tabs.open(width=width, **options)
        if who:
            self.sign_in(page, who)
        page.goto(f"{self.service.url}{path}")
        return page

    def sign_in(self, page: Page, who: str, age: int = 0) -> None:
        """Set a session cookie as the service signs it."""
        tokens = Tokens((SESSION_SECRET,), SystemClock())
        now = int(time.time())
        value = tokens.seal("session", {"who": who, "id": secrets.token_hex(16), "since": now - age}, now)
        page.context.add_cookies(
            [
                {
                    "name": "__Host-session",
                    "value": value,
                    "url": f"https://{self.service.url.partition('://')[2]}",
                    "secure": True,
                }
            ]
        )

    def customer(self, cents: int = 0) -> str:
        """Create a customer with a balance."""
        made = self.shop.customer().id
        if cents:
            row = {
                "amount": -cents,
                "currency": "usd",
                "description": "Top-up via pi_3Q",
                "created": int(time.time()) - 9000,
            }
            self.stack.control("POST", f"customers/{made}/rows", row)
        return made


def started() -> Iterator[Office]:
    """Run a system for one module."""
    with Stack.start(settings={"CONFIRMATIONS": "10000:1s,100000:safe,finalized", "SWEEP": "off"}) as stack:
        stack.control("POST", "mails/settings", {"per_second": None})
        yield Office(stack, stack.serve(MAX_PAYMENT_CENTS="40000"), Shop(stack))


def fill(page: Page, amount: str = "7.50", reason: str = "goodwill", note: str = NOTE) -> None:
    """Fill in the grant form."""
    page.get_by_label("Amount in dollars").fill(amount)
    page.get_by_label("Reason").select_option(reason)
    page.get_by_label("Note for your colleagues").fill(note)


def ask(page: Page, **values: str) -> None:
    """Fill in the form and continue to the summary."""
    fill(page, **values)
    page.get_by_role("button", name="Continue").click()
    expect(page.locator("#grant-sentence")).to_be_focused()


def judge(page: Page, name: str) -> None:
    """Check axe rules at every width in both schemes, horizontal scrolling and target sizes; take two screenshots."""
    PICTURES.mkdir(exist_ok=True)
    axe.load(page)
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate(SIDEWAYS) <= 0, f"{name} scrolls sideways at {width}"
        assert page.evaluate(SMALL_TARGETS) == [], f"{name} has small targets at {width}"
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme)
            assert axe.violations(page, colors_only=scheme != SCHEMES[0]) == [], f"{name} at {width}, {scheme}"
            if (width, scheme) in PICTURED:
                page.screenshot(path=PICTURES / f"admin-{name}-{scheme}-{width}.png", full_page=True)
    page.emulate_media(color_scheme="light")
    page.set_viewport_size({"width": WIDTHS[0], "height": 900})
