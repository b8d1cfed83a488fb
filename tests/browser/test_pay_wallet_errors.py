"""Errors of real wallets, by their shape: what each means, and what the page says about the money."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import expect

from stateless_billing.web.pages.assets import STATIC, bundle
from tests.browser.conftest import Tabs
from tests.browser.pay_page import page_of, press
from tests.browser.scripted_wallet import ScriptedWallet
from tests.browser.stand_in import CHAIN_ID, StandIn

SEND = "eth_sendTransaction"
FUNDS = "insufficient funds for gas * price + value: balance 0, tx cost 21000, overshot 21000"
INTERNAL = "Internal JSON-RPC error."
NO, MAYBE = False, True

# A wallet's error, its meaning, and whether a payment may have been sent all the same.
SHAPES: list[tuple[Any, str, bool]] = [
    # MetaMask
    ({"code": 4001, "message": "MetaMask Tx Signature: User denied transaction signature."}, "rejected", NO),
    ({"code": 4001, "message": "User rejected", "data": {"cause": "rejectAllApprovals"}}, "rejected", NO),
    ({"code": -32603, "message": INTERNAL, "data": {"originalError": {"code": 4001}}}, "rejected", NO),
    ({"code": -32603, "message": INTERNAL, "data": {"code": -32000, "message": FUNDS}}, "no_gas", NO),
    ({"code": -32603, "message": f'{INTERNAL}\n{{"code": -32000, "message": "{FUNDS}"}}'}, "no_gas", NO),
    ({"code": -32603, "message": INTERNAL, "data": {"cause": {"message": FUNDS}}}, "no_gas", NO),
    ({"code": -32002, "message": "Request of type 'wallet_requestPermissions' already pending"}, "busy", MAYBE),
    ({"code": 4100, "message": "The requested account has not been authorized by the user."}, "locked", NO),
    ({"code": 4902, "message": "Unrecognized chain ID"}, "unknown_chain", NO),
    ({"code": 5750, "message": "User rejected the upgrade"}, "no_batch", NO),
    # WalletConnect
    ({"code": 5000, "message": "User rejected."}, "rejected", NO),
    ({"code": "5000", "message": ""}, "rejected", NO),
    ({"code": 4900, "message": "disconnected"}, "disconnected", MAYBE),
    # Coinbase, Trust, OKX, Rabby, Phantom: rejections without 4001, or without a code
    ({"code": -32603, "message": "User denied transaction signature"}, "rejected", NO),
    ({"code": -32603, "message": "The user rejected the request"}, "rejected", NO),
    ({"code": -32603, "message": "Rejected by user"}, "rejected", NO),
    ({"code": -32000, "message": "User canceled"}, "rejected", NO),
    ({"message": "User closed modal"}, "rejected", NO),
    ("User rejected the request", "rejected", NO),
    ({"code": -32603, "message": INTERNAL, "data": {"cause": {"code": 4001}}}, "rejected", NO),
    ({"code": -32603, "message": "Request rejected"}, "refused", MAYBE),
    ({"code": -32603, "message": "Transaction denied"}, "refused", MAYBE),
    ({"message": "cancelled"}, "refused", MAYBE),
    # ethers and viem in the wallet's own page
    ({"code": "ACTION_REJECTED", "reason": "rejected", "info": {"error": {"code": 4001}}}, "rejected", NO),
    ({"code": "UNKNOWN_ERROR", "error": {"code": 4001, "message": "x"}}, "rejected", NO),
    ({"code": "INSUFFICIENT_FUNDS", "message": "x"}, "no_gas", NO),
    ({"name": "UnknownRpcError", "cause": {"cause": {"code": -32000, "message": FUNDS}}}, "no_gas", NO),
    # Nodes and bundlers behind the wallet
    ({"code": -32000, "message": "gas required exceeds allowance (0)"}, "no_gas", NO),
    ({"code": -32603, "message": "execution reverted: ERC20: transfer amount exceeds balance"}, "no_tokens", NO),
    ({"code": -32603, "message": INTERNAL, "data": {"data": "0xe450d38c" + "00" * 96}}, "no_tokens", NO),
    ({"code": 4200, "message": "x"}, "unsupported", NO),
    ({"code": -32601, "message": "the method eth_x does not exist/is not available"}, "unsupported", NO),
    ({"code": -32602, "message": "Provided chainId does not match the currently active chain"}, "other_chain", MAYBE),
    ({"code": -32603, "message": "Transaction rejected by the node: already known"}, "unclear", MAYBE),
    ({"code": -32000, "message": "transaction rejected: nonce too low"}, "unclear", MAYBE),
    ({"code": -32603, "message": INTERNAL}, "unclear", MAYBE),
    ({"code": -32000, "message": ""}, "unclear", MAYBE),
    ({"message": "Failed to fetch"}, "unclear", MAYBE),
    (None, "unclear", MAYBE),
]

CHAIN_IDS = [
    *(("0x2105", "0x2105"), ("0x02105", "0x2105"), ("8453", "0x2105"), (8453, "0x2105"), ("eip155:8453", "0x2105")),
    *((None, None), ("", None), ("base", None), ({}, None), (-1, None), ("eip155:", None)),
]


def call(tabs: Tabs, function: str, *arguments: Any) -> Any:
    """Call a function of the module in the browser."""
    page = tabs.open()
    source = bundle({"pay/wallet_errors.js": (STATIC / "pay" / "wallet_errors.js").read_text()}, "pay/wallet_errors.js")
    page.add_script_tag(content=source)
    return page.evaluate(f"(calls) => calls.map((given) => {function}(...given))", list(arguments))


def test_every_shape_has_its_meaning(tabs: Tabs) -> None:
    read = call(tabs, "readWalletError", *([error, SEND] for error, _, _ in SHAPES))
    assert [
        (shape[0], answer["meaning"], answer["mayHaveSent"]) for shape, answer in zip(SHAPES, read, strict=True)
    ] == SHAPES
    asked = call(tabs, "readWalletError", *([error, "eth_requestAccounts"] for error, _, _ in SHAPES))
    assert not any(answer["mayHaveSent"] for answer in asked), "only a request to send can have sent"


def test_the_message_quoted_is_the_one_that_says_most(tabs: Tabs) -> None:
    nested = {"code": -32603, "message": INTERNAL, "data": {"message": "the bundler is down"}}
    circular = {"message": "x" * 500}
    read = call(tabs, "readWalletError", [nested, SEND], [circular, SEND], [{"code": 7}, SEND])
    assert [answer["message"] for answer in read] == ["the bundler is down", "x" * 200, ""]


def test_networks_are_read_as_wallets_write_them(tabs: Tabs) -> None:
    assert call(tabs, "parseChainId", *([given] for given, _ in CHAIN_IDS)) == [chain for _, chain in CHAIN_IDS]


@pytest.mark.parametrize(
    "error",
    [
        {"code": 5000, "message": "User rejected."},
        {"code": -32603, "message": "User denied transaction signature"},
        {"code": "ACTION_REJECTED", "message": "x"},
        "User rejected the request",
    ],
)
@pytest.mark.parametrize("allowed", [True, False])
def test_rejections_without_4001_send_nothing(
    tabs: Tabs, service: StandIn, wallet: ScriptedWallet, error: Any, allowed: bool
) -> None:
    service.allowed = allowed
    wallet.throw(SEND, error)
    page = page_of(tabs, service, wallet)
    label = "Pay 83.33 LITKEY" if allowed else "Allow 83.33 LITKEY"
    press(page, "Connect wallet")
    press(page, label)
    expect(page.locator("#notice .title")).to_have_text("You closed the request in your wallet")
    expect(page.locator("#notice .text")).to_contain_text("Nothing was sent.")
    press(page, label)
    expect(page.locator("#status-title")).to_have_text("$50.00 added")


@pytest.mark.parametrize(
    ("error", "title"),
    [
        ({"code": -32603, "message": "Request rejected"}, "Your wallet refused the request"),
        ({"code": 4900, "message": "disconnected"}, "Your wallet is not connected to its network"),
        (None, "We cannot tell whether your wallet sent the payment"),
    ],
)
def test_where_a_payment_may_have_been_sent_the_page_does_not_deny_it(
    tabs: Tabs, service: StandIn, wallet: ScriptedWallet, error: Any, title: str
) -> None:
    service.allowed = True
    wallet.throw(SEND, error)
    page = page_of(tabs, service, wallet)
    press(page, "Connect wallet")
    press(page, "Pay 83.33 LITKEY")
    expect(page.locator("#notice .title")).to_have_text(title)
    expect(page.locator("main")).not_to_contain_text("Nothing was sent.")


def test_an_allowance_that_may_have_been_sent_is_no_payment(
    tabs: Tabs, service: StandIn, wallet: ScriptedWallet
) -> None:
    wallet.throw(SEND, {"code": -32603, "message": INTERNAL})
    page = page_of(tabs, service, wallet)
    press(page, "Connect wallet")
    press(page, "Allow 83.33 LITKEY")
    expect(page.locator("#notice .title")).to_have_text("Your wallet reported a problem")
    expect(page.locator("#notice .text")).to_contain_text("No payment was sent.")


@pytest.mark.parametrize("chain", ["eip155:8453", "8453", CHAIN_ID])
def test_other_ways_to_write_the_network(tabs: Tabs, service: StandIn, wallet: ScriptedWallet, chain: Any) -> None:
    service.allowed = True
    for _ in range(2):
        wallet.answer_with("eth_chainId", chain)
    page = page_of(tabs, service, wallet)
    press(page, "Connect wallet")
    press(page, "Pay 83.33 LITKEY")
    expect(page.locator("#status-title")).to_have_text("$50.00 added")


def test_a_wallet_that_names_no_network_is_told_so(tabs: Tabs, service: StandIn, wallet: ScriptedWallet) -> None:
    for _ in range(3):
        wallet.answer_with("eth_chainId", None)
        wallet.answer_with("net_version", None)
    page = page_of(tabs, service, wallet)
    press(page, "Connect wallet")
    press(page, "Switch to Base")
    expect(page.locator("#notice .title")).to_have_text("Your wallet does not say which network it is on")
    expect(page.locator("#notice .text")).to_contain_text("Nothing was sent.")


def test_the_version_of_the_network_serves_too(tabs: Tabs, service: StandIn, wallet: ScriptedWallet) -> None:
    wallet.answer_with("eth_chainId", None)
    wallet.answer_with("net_version", str(CHAIN_ID))
    page = page_of(tabs, service, wallet)
    press(page, "Connect wallet")
    expect(page.locator("#primary")).to_have_text("Allow 83.33 LITKEY")
