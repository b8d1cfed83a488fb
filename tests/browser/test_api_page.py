"""`/docs/api` on phones and desktops, light and dark."""

from pathlib import Path
from typing import Literal

import pytest

from tests.browser import axe
from tests.browser.conftest import RunningStack, Tabs


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1280, "light")])
def test_the_reference_is_accessible_and_fits(
    tabs: Tabs, stack: RunningStack, tmp_path: Path, width: int, scheme: Literal["light", "dark"]
) -> None:
    page = tabs.open(width=width, color_scheme=scheme)
    page.goto(f"{stack.url}/docs/api")
    page.screenshot(path=tmp_path / f"api-{width}-{scheme}.png")
    page.get_by_role("link", name="POST /api/quotes", exact=True).click()
    assert page.evaluate("location.hash") == "#createQuote"
    page.screenshot(path=tmp_path / f"operation-{width}-{scheme}.png")
    assert page.evaluate("document.scrollingElement.scrollWidth") <= width
    axe.load(page)
    assert axe.violations(page) == []
