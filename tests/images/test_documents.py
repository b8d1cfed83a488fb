"""Screenshots are small, exist in both schemes, and are all shown somewhere."""

import re

from tests.browser.chromium import ROOT
from tests.images.__main__ import FOLDER, MAX_BYTES, SCHEMES
from tests.images.scenes import PAYERS, office_pages
from tests.integration.shop import Customer

DOCUMENTS = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
NAMES = {*PAYERS, *office_pages(Customer("", ""))}


def test_every_page_has_its_screenshots() -> None:
    assert {path.name for path in FOLDER.iterdir()} == {f"{name}-{scheme}.png" for name in NAMES for scheme in SCHEMES}
    assert not [path.name for path in FOLDER.iterdir() if path.stat().st_size > MAX_BYTES]


def test_every_screenshot_is_shown() -> None:
    shown = {
        (document.parent / address).resolve()
        for document in DOCUMENTS
        for address in re.findall(r'(?:src|srcset)="([^"]*\.png)"', document.read_text())
    }
    assert shown == set(FOLDER.resolve().iterdir())
