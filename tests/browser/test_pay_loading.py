"""The pay page on a slow network: usable after two round trips, with little to transfer."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import expect

from tests.browser.conftest import RunningStack as Stack
from tests.browser.conftest import Tabs
from tests.browser.measure import SLOW_4G, USABLE

MAX_BYTES = 36_000  # headers included; the page's script and style alone may be 30,000
LOADED = """() => [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")]
  .filter(({ name }) => !new URL(name).pathname.startsWith("/api/"))
  .map((entry) => [new URL(entry.name).pathname.split("/").pop(), entry.renderBlockingStatus, entry.transferSize])"""


def test_usable_on_slow_4g_before_the_service_answers_anything(tabs: Tabs, stack: Stack) -> None:
    page = tabs.open(width=390)
    initiators: dict[str, str] = {}

    def note(event: dict[str, Any]) -> None:
        initiators[urlsplit(event["request"]["url"]).path.rsplit("/", 1)[1]] = event["initiator"]["type"]

    session = page.context.new_cdp_session(page)
    session.on("Network.requestWillBeSent", note)
    session.send("Network.enable")
    session.send("Network.emulateNetworkConditions", SLOW_4G)
    page.route("**/api/**", lambda route: None)  # never answered
    page.goto(f"{stack.url}/pay?wallet={stack.wallet}&usd=50", wait_until="commit")
    page.wait_for_function(USABLE, polling=10)
    page.wait_for_function("performance.getEntriesByName('first-contentful-paint').length === 1")
    loaded = page.evaluate(LOADED)
    assert [(name, blocks) for name, blocks, _ in loaded] == [
        ("pay", "non-blocking"),
        ("pay.css", "blocking"),
        ("pay.js", "non-blocking"),
    ]
    assert sum(size for *_, size in loaded) <= MAX_BYTES
    assert [initiators[name] for name in ("pay.css", "pay.js")] == ["parser"] * 2, "found in the document"
    expect(page.locator("#primary")).to_have_text("Connect wallet")
    expect(page.locator(".who")).to_contain_text("…")
    expect(page.locator("#usd")).to_have_value("50")
    expect(page.locator("#amount")).to_have_text("8,333.33 LITKEY")
    expect(page.locator("#added")).to_have_text("+$50.00")
    page.get_by_role("button", name="$100").click()
    expect(page.locator("#usd")).to_have_value("100")
    expect(page.locator("#added")).to_have_text("\N{EN DASH}")
    page.locator("#usd").fill("2")
    expect(page.locator("#limits")).to_contain_text("The smallest payment is")
