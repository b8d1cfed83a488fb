"""`python -m tests.images`: makes every screenshot of docs/images, light and dark."""

import sys
from collections.abc import Iterator
from typing import get_args

from playwright.sync_api import Browser, Page, ViewportSize, expect

from tests.browser import chromium
from tests.browser.chromium import ROOT
from tests.browser.conftest import PATIENCE_MS, Tabs
from tests.images.palette import reduce_colors
from tests.images.scenes import PAYERS, Scheme, office_pages, running_office

FOLDER = ROOT / "docs" / "images"
MAX_BYTES = 60_000
OFFICE_SIZE: ViewportSize = {"width": 1280, "height": 640}
SCHEMES: tuple[Scheme, ...] = get_args(Scheme)


def scenes(browser: Browser) -> Iterator[tuple[str, Page]]:
    """Open every page in every scheme."""
    tabs = Tabs(browser)
    for scheme in SCHEMES:
        for name, scene in PAYERS.items():
            yield f"{name}-{scheme}", scene(tabs, scheme)
    with running_office() as (office, customer):
        for scheme in SCHEMES:
            for name, (path, who) in office_pages(customer).items():
                page = office.open(tabs, path, who, color_scheme=scheme)
                page.set_viewport_size(OFFICE_SIZE)
                yield f"{name}-{scheme}", page
    tabs.close()


def main() -> int:
    """Write the images. Return how many are too large."""
    FOLDER.mkdir(exist_ok=True)
    large = 0
    with chromium.started() as browser:
        expect.set_options(timeout=PATIENCE_MS)
        for name, page in scenes(browser):
            is_first_screen = "phone" in name
            image = reduce_colors(page.screenshot(full_page=not is_first_screen, animations="disabled"))
            (FOLDER / f"{name}.png").write_bytes(image)
            large += len(image) > MAX_BYTES
            print(f"{name}.png {len(image):,} bytes", flush=True)
            page.close()
    return large


if __name__ == "__main__":
    sys.exit(main())
