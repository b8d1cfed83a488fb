"""A browser for the package; pages fail their test on any violation of the content security policy."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from chain.payment import customer_id_to_bytes32
from stateless_billing.sandbox.localchain import encode_call
from stateless_billing.sandbox.stack import Stack
from tests.browser import chromium, other_site
from tests.browser.scripted_wallet import ScriptedWallet, install
from tests.browser.stand_in import CHAIN_ID, PAYER, Node, StandIn, answer

PATIENCE_MS = 15_000
FIRST_WALLET = 0xC0FFEE01
WATCH_POLICY = """
window.addEventListener("securitypolicyviolation", (event) =>
  console.error(`content policy: ${event.effectiveDirective} ${event.blockedURI}`));
"""


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Start one Chromium for all tests of this package."""
    expect.set_options(timeout=PATIENCE_MS)
    with chromium.started() as started:
        yield started


class Tabs:
    """Opens pages with wallets and records their errors."""

    def __init__(self, browser: Browser) -> None:
        self.browser = browser
        self.faults: list[str] = []
        self._contexts: list[BrowserContext] = []

    def open(
        self,
        wallets: Sequence[ScriptedWallet] = (),
        *,
        width: int = 1280,
        color_scheme: Literal["light", "dark"] = "light",
        **options: Any,
    ) -> Page:
        """Open an empty page in a new browser profile."""
        context = self.browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme=color_scheme,
            reduced_motion="reduce",
            **{"locale": "en-US", **options},
        )
        self._contexts.append(context)
        context.set_default_timeout(PATIENCE_MS)
        install(context, wallets)
        context.add_init_script(WATCH_POLICY)
        page = context.new_page()
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("console", lambda message: self._record(message.type, message.text))
        return page

    def close(self) -> None:
        """Close every profile that was opened."""
        for context in self._contexts:
            context.close()

    def _record(self, kind: str, text: str) -> None:
        # An error status is part of the test, not an error of the page.
        if kind == "error" and not text.startswith("Failed to load resource"):
            self.faults.append(text)


@pytest.fixture
def tabs(browser: Browser) -> Iterator[Tabs]:
    """Provide pages to a test and fail it on any error in them."""
    opened = Tabs(browser)
    yield opened
    opened.close()
    assert opened.faults == []


@pytest.fixture
def service() -> StandIn:
    """Return a service that credits every claim."""
    stand_in = StandIn()
    stand_in.default_claims = [lambda number: answer("credited", number)]
    return stand_in


@pytest.fixture
def wallet() -> ScriptedWallet:
    """Return a wallet on the right network."""
    return ScriptedWallet(Node(), PAYER, chain_id=CHAIN_ID)


@dataclass(frozen=True)
class RunningStack:
    """The real service and its chain, the payer, and the credited wallet.

    `mined` counts the account's payments on the chain, and `balance` is its credit in Stripe in cents.
    """

    url: str
    rpc_url: str
    payer: str
    wallet: str
    mined: Callable[[], int]
    balance: Callable[[], int]


@pytest.fixture(scope="package")
def shop_port() -> Iterator[int]:
    """Serve an empty page, whose origin may call the API."""
    with other_site.started() as port:
        yield port


@pytest.fixture(scope="package")
def system(shop_port: int) -> Iterator[Callable[[], RunningStack]]:
    """Run the whole system, sweeping, on a chain with one block per second; each call adds an account."""
    wallets = itertools.count(FIRST_WALLET)
    settings = {
        "CONFIRMATIONS": "10000:1s,100000:safe,finalized",
        "CORS_ORIGINS": f"http://127.0.0.1:{shop_port}",
    }
    with Stack.start(block_time=1, settings=settings) as running:
        url = running.serve().url

        def add_account() -> RunningStack:
            wallet = f"0x{next(wallets):040x}"
            customer = running.add_customer(f"payer@{wallet[-4:]}.example.org", wallet)
            count = {
                "to": running.gateways[0],
                "data": encode_call("paymentCount(bytes32)", customer_id_to_bytes32(customer)),
            }
            return RunningStack(
                url,
                running.chain.url,
                running.payer,
                wallet,
                mined=lambda: int(running.chain.rpc("eth_call", count, "latest"), 16),
                balance=lambda: -int(running.control("GET", f"customers/{customer}")["balance"]),
            )

        yield add_account


@pytest.fixture
def stack(system: Callable[[], RunningStack]) -> RunningStack:
    """Return the running system with an account that nobody has paid to yet."""
    return system()
