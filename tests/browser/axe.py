"""Runs axe's rules in a page."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Page

from tests.browser.chromium import ROOT

_SCRIPT = (ROOT / "node_modules" / "axe-core" / "axe.min.js").read_text()
_RUN = """
async (rules) => (await axe.run({ resultTypes: ["violations"], ...(rules && { runOnly: rules }) })).violations
  .map((one) => [one.id, one.nodes.map((node) => node.html.slice(0, 200))])
"""
_COLOR_RULES = ["color-contrast", "link-in-text-block"]


def load(page: Page) -> None:
    """Load axe into the page."""
    page.evaluate(_SCRIPT)


def violations(page: Page, *, colors_only: bool = False) -> list[Any]:
    """Return the rules that a page with axe breaks, with the elements.

    `colors_only` is for a page that broke none in its other color scheme, which differs in colors alone.
    """
    found: list[Any] = page.evaluate(_RUN, _COLOR_RULES if colors_only else None)
    return found
