"""A page of another origin calls the public API, and nothing else."""

from typing import Any

from playwright.sync_api import Page

from tests.browser import other_site
from tests.browser.conftest import RunningStack, Tabs

ASK = """async ([url, options]) => {
  try {
    const answer = await fetch(url, options);
    return [answer.status, (await answer.json()).type ?? "", (answer.headers.get("x-request-id") ?? "").length];
  } catch (error) { return error.name; }
}"""
LISTEN = """(url) => new Promise((resolve) => {
  const stream = new EventSource(url);
  stream.addEventListener("account", (event) => { stream.close(); resolve(JSON.parse(event.data).wallet); });
  stream.onerror = () => { stream.close(); resolve("refused"); };
})"""


def test_another_origin_calls_the_public_api_and_nothing_else(tabs: Tabs, stack: RunningStack, shop_port: int) -> None:
    quote = {
        "method": "POST",
        "headers": {"content-type": "application/json"},
        "body": f'{{"wallet": "{stack.wallet}", "cents": 2500}}',
    }
    shop = open_at(tabs, f"http://127.0.0.1:{shop_port}")
    account = f"{stack.url}/api/accounts/{stack.wallet}"
    assert ask(shop, account) == [200, "", 16]
    assert ask(shop, f"{stack.url}/api/quotes", quote) == [200, "", 16], "JSON needs a preflight"
    assert ask(shop, f"{stack.url}/api/quotes", {**quote, "body": "{}"}) == [422, "/problems/invalid_input", 16]
    assert ask(shop, f"{stack.url}/abi.json") == [200, "", 16]
    assert shop.evaluate(LISTEN, f"{account}/events").lower() == stack.wallet
    assert ask(shop, account, {"credentials": "include"}) == "TypeError"
    for path in ("/api/admin/find", "/pay", "/readyz"):
        assert ask(shop, stack.url + path) == "TypeError"
    with other_site.started() as port:
        stranger = open_at(tabs, f"http://127.0.0.1:{port}")
        assert ask(stranger, account) == "TypeError"
        assert ask(stranger, f"{stack.url}/api/quotes", quote) == "TypeError"
        assert stranger.evaluate(LISTEN, f"{account}/events") == "refused"
    tabs.faults[:] = [fault for fault in tabs.faults if "CORS policy" not in fault]


def open_at(tabs: Tabs, origin: str) -> Page:
    """Open an empty page of an origin."""
    page = tabs.open()
    page.goto(origin)
    return page


def ask(page: Page, url: str, options: dict[str, Any] | None = None) -> Any:
    """Fetch in the page; the status, the problem's type and the length of the request's ID, or the error's name."""
    return page.evaluate(ASK, [url, options or {}])
