"""Measures the pay page: `python -m tests.browser.measure`. Prints figures without asserting them.

1. Time until the page is usable on slow 4G (1.6 Mbit/s down, 750 kbit/s up, 150 ms round trips, a CPU four times
   slower, cold cache), with the browser's own throttling.
2. Time from the first block that makes a payment deep enough until the page shows `credited`, and its parts: until the
   next poll, the claim that credits (round trips to the chain and Stripe), and rendering.
"""

import re
import statistics
import threading
import time
from collections.abc import Sequence
from typing import Any

from playwright.sync_api import Browser, Page, Request, expect

from stateless_billing.sandbox.localchain import encode_call
from stateless_billing.sandbox.stack import Service, Stack
from tests.browser import chromium
from tests.browser.pay_page import press
from tests.browser.scripted_wallet import ScriptedWallet, install, rpc

WALLET = "0x00000000000000000000000000000000c0ffee01"
LOADS = 9
PAYMENTS = 20
DEPTH_SECONDS = 2
SLOW_4G = {
    "offline": False,
    "latency": 150,
    "downloadThroughput": 1_600_000 // 8,
    "uploadThroughput": 750_000 // 8,
}
WATCH = """() => {
  const title = document.querySelector("#status-title");
  const watch = new MutationObserver(() => {
    if (!title.textContent.endsWith("added")) return;
    watch.disconnect();
    requestAnimationFrame(() => (window.shownAt = Date.now()));
  });
  watch.observe(title, { childList: true, characterData: true, subtree: true });
}"""
USABLE = """() => {
  const label = document.querySelector("#primary");
  return label?.getAttribute("aria-disabled") === "false" ? performance.now() : null;
}"""


def main() -> None:
    """Measure both and print them."""
    settings = {"CONFIRMATIONS": f"10000:{DEPTH_SECONDS}s,100000:safe,finalized", "MAX_PAYMENT_CENTS": "100000000"}
    with chromium.started() as browser, Stack.start(block_time=1, slots_in_an_epoch=5, settings=settings) as stack:
        stack.add_customer("payer@example.org", WALLET)
        service = stack.serve(SWEEP="off")
        _report("usable on slow 4G", [_load(browser, service) for _ in range(LOADS)])
        names = ("from deep enough to `credited` on the page", "until the page asks", "the claim", "showing it")
        for name, times in zip(names, zip(*_payments(browser, stack, service), strict=True), strict=True):
            _report(name, times)


def _load(browser: Browser, service: Service) -> float:
    context = browser.new_context(viewport={"width": 390, "height": 844}, reduced_motion="reduce")
    page = context.new_page()
    session = context.new_cdp_session(page)
    session.send("Network.enable")
    session.send("Network.emulateNetworkConditions", SLOW_4G)
    session.send("Emulation.setCPUThrottlingRate", {"rate": 4})
    page.goto(f"{service.url}/pay?wallet={WALLET}&usd=50", wait_until="commit")
    usable = float(page.wait_for_function(USABLE, polling=10).json_value())
    context.close()
    return usable / 1000


class _Heads(threading.Thread):
    """Records when each new block was first seen."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self._node = rpc(url)
        self.seen: dict[int, float] = {}
        self.ended = False

    def run(self) -> None:
        """Poll the head."""
        while not self.ended:
            at = int(self._node("eth_getBlockByNumber", ["latest", False])["timestamp"], 16)
            self.seen.setdefault(at, time.time())
            time.sleep(0.01)

    def reached(self, at: int) -> float:
        """Return when a block of this time or later was first seen."""
        return min(moment for stamp, moment in self.seen.items() if stamp >= at)


def _payments(browser: Browser, stack: Stack, service: Service) -> list[tuple[float, ...]]:
    context = browser.new_context(reduced_motion="reduce")
    install(context, [ScriptedWallet(rpc(stack.chain.url), stack.payer, chain_id=stack.chain.chain_id)])
    stack.chain.send(stack.payer, stack.token, encode_call("approve(address,uint256)", stack.gateways[0], 10**30))
    heads = _Heads(stack.chain.url)
    heads.start()
    page = context.new_page()
    page.goto(f"{service.url}/pay?wallet={WALLET}&usd=5")
    press(page, "Connect wallet")
    measured = []
    for number in range(PAYMENTS):
        measured.append(_payment(page, heads))
        if number < PAYMENTS - 1:
            page.get_by_role("button", name="Pay again").click()
    heads.ended = True
    heads.join()
    context.close()
    return measured


def _payment(page: Page, heads: _Heads) -> tuple[float, ...]:
    claims: list[Request] = []

    def note(request: Request) -> None:
        if request.url.endswith("/api/payments"):
            claims.append(request)

    page.on("requestfinished", note)
    page.evaluate(WATCH)
    press(page, re.compile("^Pay "))
    expect(page.locator("#status-title")).to_have_text("$5.00 added", timeout=60_000)
    while not claims or _answer_body(claims[-1])["state"] != "credited":
        page.wait_for_timeout(10)
    page.remove_listener("requestfinished", note)
    shown_at = page.evaluate("window.shownAt") / 1000
    deep = heads.reached(_answer_body(claims[-1])["payments"][0]["time"] + DEPTH_SECONDS)
    timing = claims[-1].timing
    requested_at, answered_at = timing["startTime"] / 1000, (timing["startTime"] + timing["responseEnd"]) / 1000
    return shown_at - deep, requested_at - deep, answered_at - requested_at, shown_at - answered_at


def _answer_body(claim: Request) -> dict[str, Any]:
    answer = claim.response()
    assert answer
    body: dict[str, Any] = answer.json()
    return body


def _report(name: str, seconds: Sequence[float]) -> None:
    median = statistics.median(seconds)
    print(f"{name:45} median {median:6.3f} s of {len(seconds)}, {min(seconds):.3f} to {max(seconds):.3f}", flush=True)


if __name__ == "__main__":
    main()
