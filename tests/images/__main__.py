"""`python -m tests.images [payers|office]`: makes the screenshots of docs/images, light and dark."""

import sys
from collections.abc import Iterator, Sequence
from typing import get_args

from playwright.sync_api import Browser, Locator, Page, ViewportSize, expect

from tests.browser import chromium
from tests.browser.chromium import ROOT
from tests.browser.conftest import PATIENCE_MS, Tabs
from tests.images.palette import reduce_colors
from tests.images.scenes import PAYERS, Scheme, office_pages, running_office

FOLDER = ROOT / "docs" / "images"
MAX_BYTES = 60_000
OFFICE_SIZE: ViewportSize = {"width": 1280, "height": 640}
FIRST_SCREENS = ("pay-phone", "moderators-home")
SCHEMES: tuple[Scheme, ...] = get_args(Scheme)


def payers_scenes(tabs: Tabs) -> Iterator[tuple[str, Page | Locator]]:
    """Open every page of payers in every scheme."""
    for scheme in SCHEMES:
        for name, scene in PAYERS.items():
            yield f"{name}-{scheme}", scene(tabs, scheme)


def office_scenes(tabs: Tabs) -> Iterator[tuple[str, Page | Locator]]:
    """Open every page of moderators in every scheme."""
    with running_office() as (office, customer):
        for scheme in SCHEMES:
            for name, (path, who, act) in office_pages(customer).items():
                page = office.open(tabs, path, who, color_scheme=scheme)
                page.set_viewport_size(OFFICE_SIZE)
                yield f"{name}-{scheme}", act(page) if act else page


GROUPS = {"payers": payers_scenes, "office": office_scenes}


def scenes(browser: Browser, groups: Sequence[str]) -> Iterator[tuple[str, Page | Locator]]:
    """Open the pages of these groups, or the parts of them that are shown."""
    tabs = Tabs(browser)
    for group in groups:
        yield from GROUPS[group](tabs)
    tabs.close()


def take_screenshot(name: str, shown: Page | Locator) -> bytes:
    """Take a picture of a part, a whole page, or its first screen."""
    if not isinstance(shown, Page):
        return shown.screenshot(animations="disabled")
    return shown.screenshot(full_page=not name.startswith(FIRST_SCREENS), animations="disabled")


def main(groups: Sequence[str]) -> int:
    """Write the images. Return how many are too large."""
    FOLDER.mkdir(exist_ok=True)
    large = 0
    with chromium.started() as browser:
        expect.set_options(timeout=PATIENCE_MS)
        for name, shown in scenes(browser, groups):
            image = reduce_colors(take_screenshot(name, shown))
            (FOLDER / f"{name}.png").write_bytes(image)
            large += len(image) > MAX_BYTES
            print(f"{name}.png {len(image):,} bytes", flush=True)
            (shown if isinstance(shown, Page) else shown.page).close()
    return large


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or list(GROUPS)))
