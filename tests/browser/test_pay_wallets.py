"""The pay page with wallets that reject, fail or misbehave."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import expect

from chain import contracts
from tests.browser.conftest import Tabs
from tests.browser.pay_page import page_of, press
from tests.browser.scripted_wallet import ScriptedWallet
from tests.browser.stand_in import (
    CHAIN_ID,
    FIRST_HASH,
    GATEWAY,
    PAYER,
    PRICE,
    TOKEN,
    WALLET,
    Node,
    StandIn,
    answer,
    payment,
    tx_hash,
)

ELSEWHERE = 1


@pytest.mark.parametrize(("method", "label"), [("allow", "Allow 83.33 LITKEY"), ("pay", "Pay 83.33 LITKEY")])
def test_refusal_in_the_wallet_leads_back(
    tabs: Tabs, service: StandIn, wallet: ScriptedWallet, method: str, label: str
) -> None:
    service.allowed = method == "pay"
    wallet.refuse("eth_sendTransaction", 4001)
    page = page_of(tabs, service, wallet)
    press(page, "Connect wallet")
    press(page, label)
    expect(page.locator("#notice .title")).to_have_text("You closed the request in your wallet")
    expect(page.locator("#notice .text")).to_contain_text("Nothing was sent.")
    press(page, label)
    expect(page.locator("#status-title")).to_have_text("$50.00 added")
    expect(page.locator("#notice")).to_be_hidden()


@pytest.mark.parametrize(
    ("code", "title"),
    [
        (-32002, "Your wallet already has an open request"),
        (4100, "Your wallet is locked or does not share this account"),
        (4900, "Your wallet is not connected to its network"),
        (4200, "This wallet does not support the payment"),
        (-32000, "Your wallet reported a problem"),
    ],
)
def test_faults_on_connecting_say_that_nothing_was_sent(
    tabs: Tabs, service: StandIn, wallet: ScriptedWallet, code: int, title: str
) -> None:
    wallet.refuse("eth_requestAccounts", code)
    page = page_of(tabs, service, wallet)
    press(page, "Connect wallet")
    expect(page.locator("#notice .title")).to_have_text(title)
    expect(page.locator("#notice .text")).to_contain_text("Nothing was sent.")
    press(page, "Connect wallet")
    expect(page.locator("#primary")).to_have_text("Allow 83.33 LITKEY")


def test_other_network_is_switched(tabs: Tabs, service: StandIn, wallet: ScriptedWallet) -> None:
    wallet.chain = hex(ELSEWHERE)
    page = page_of(tabs, service, wallet)
    press(page, "Connect wallet")
    press(page, "Switch to Base")
    expect(page.locator("#primary")).to_have_text("Allow 83.33 LITKEY")
    assert wallet.count("wallet_addEthereumChain") == 0


@pytest.mark.parametrize("inner", [None, 4902])
def test_unknown_network_is_added_and_then_switched(
    tabs: Tabs, service: StandIn, wallet: ScriptedWallet, inner: int | None
) -> None:
    wallet.chain = hex(ELSEWHERE)
    wallet.known_chains = {hex(ELSEWHERE)}
    if inner:
        wallet.refuse("wallet_switchEthereumChain", -32603, inner=inner)
    page = page_of(tabs, service, wallet)
    press(page, "Connect wallet")
    press(page, "Switch to Base")
    expect(page.locator("#primary")).to_have_text("Allow 83.33 LITKEY")
    assert wallet.count("wallet_switchEthereumChain") == 2
    assert wallet.chain == hex(CHAIN_ID)


def test_network_left_before_paying_is_noticed(tabs: Tabs, service: StandIn, wallet: ScriptedWallet) -> None:
    page = page_of(tabs, service, wallet)
    press(page, "Connect wallet")
    expect(page.locator("#primary")).to_have_text("Allow 83.33 LITKEY")
    wallet.chain = hex(ELSEWHERE)
    press(page, "Allow 83.33 LITKEY")
    expect(page.locator("#notice .title")).to_have_text("Your wallet is still on another network")
    expect(page.locator("#primary")).to_have_text("Switch to Base")
    assert wallet.count("eth_sendTransaction") == 0


def test_account_left_before_paying_is_noticed(tabs: Tabs, service: StandIn, wallet: ScriptedWallet) -> None:
    page = page_of(tabs, service, wallet)
    press(page, "Connect wallet")
    expect(page.locator("#payer")).to_contain_text("0x7099…79C8")
    wallet.account = WALLET
    press(page, "Allow 83.33 LITKEY")
    expect(page.locator("#notice .title")).to_have_text("Your wallet switched to another account")
    expect(page.locator("#payer")).to_have_text("Paying from 0x90F7…b906")
    assert wallet.count("eth_sendTransaction") == 0


def test_several_wallets_are_offered_by_name(tabs: Tabs, service: StandIn) -> None:
    first, second = (
        ScriptedWallet(Node(), PAYER, chain_id=CHAIN_ID, name=name) for name in ("First wallet", "Second wallet")
    )
    page = page_of(tabs, service, first, second)
    press(page, "Connect wallet")
    expect(page.locator("#picker .choice")).to_have_text(["First wallet", "Second wallet"])
    expect(page.locator("#picker img")).to_have_count(2)
    assert first.count("eth_requestAccounts") + second.count("eth_requestAccounts") == 0
    page.get_by_role("button", name="Second wallet").click()
    expect(page.locator("#primary")).to_have_text("Allow 83.33 LITKEY")
    assert (first.connected, second.connected) == (False, True)
    page.reload()
    press(page, "Connect wallet")
    expect(page.locator("#picker .choice")).to_have_text(["Second wallet", "First wallet"])


def test_wallet_without_announcement_is_found(tabs: Tabs, service: StandIn) -> None:
    page = page_of(tabs, service, ScriptedWallet(Node(), PAYER, chain_id=CHAIN_ID, legacy=True))
    page.wait_for_timeout(400)
    press(page, "Connect wallet")
    expect(page.locator("#primary")).to_have_text("Allow 83.33 LITKEY")


def test_no_wallet_is_explained(tabs: Tabs, service: StandIn) -> None:
    page = page_of(tabs, service)
    press(page, "Connect wallet")
    expect(page.locator("#notice .title")).to_have_text("No wallet found in this browser")
    expect(page.locator("#notice .text")).to_contain_text("open this page in the browser of your wallet's app")


def test_too_few_tokens_are_told_before_the_prompt(tabs: Tabs, service: StandIn) -> None:
    node = Node()
    node.tokens = 40 * 10**18
    wallet = ScriptedWallet(node, PAYER, chain_id=CHAIN_ID)
    page = page_of(tabs, service, wallet)
    press(page, "Connect wallet")
    expect(page.locator("#notice .title")).to_have_text("This account has 40 LITKEY and needs 83.33 LITKEY")
    expect(page.locator("#primary")).to_have_text("Not enough LITKEY")
    page.get_by_role("button", name="Pay $23.99 instead").click()
    expect(page.locator("#primary")).to_have_text("Allow 39.98 LITKEY")
    assert wallet.count("eth_sendTransaction") == 0


def test_missing_network_fee_is_told_before_the_prompt(tabs: Tabs, service: StandIn) -> None:
    node = Node()
    node.coins = 0
    page = page_of(tabs, service, ScriptedWallet(node, PAYER, chain_id=CHAIN_ID))
    press(page, "Connect wallet")
    expect(page.locator("#notice .title")).to_have_text("The network fee is about $0.84, and this account has 0 ETH")


def test_allowance_edited_down_is_noticed(tabs: Tabs, service: StandIn) -> None:
    node = Node()
    node.allowance = 10**18
    wallet = ScriptedWallet(node, PAYER, chain_id=CHAIN_ID)
    page = page_of(tabs, service, wallet)
    press(page, "Connect wallet")
    press(page, "Allow 83.33 LITKEY")
    expect(page.locator("#notice .title")).to_contain_text("Your wallet allowed 1 LITKEY; this payment needs 83.33")
    expect(page.locator("#notice .text")).to_contain_text("No payment was sent.")
    assert wallet.count("eth_sendTransaction") == 1


@pytest.mark.parametrize("knob", ["drop_answer", "fail_after"])
def test_payment_is_found_when_the_wallet_does_not_tell(
    tabs: Tabs, service: StandIn, wallet: ScriptedWallet, knob: str
) -> None:
    service.allowed = True
    getattr(wallet, knob)("eth_sendTransaction")
    service.claims[FIRST_HASH] = [answer("credited", FIRST_HASH)]
    page = page_of(tabs, service, wallet)
    press(page, "Connect wallet")
    press(page, "Pay 83.33 LITKEY")
    if knob == "fail_after":
        expect(page.locator("#notice .title")).to_have_text("We cannot tell whether your wallet sent the payment")
        expect(page.locator("#notice p.fine")).to_contain_text("Internal JSON-RPC error.")
    service.payments = [payment("confirming", FIRST_HASH, sequence=0)]
    expect(page.locator("#status-title")).to_have_text("$50.00 added")


def test_smart_account_answer_is_not_taken_for_a_hash(tabs: Tabs, service: StandIn, wallet: ScriptedWallet) -> None:
    service.allowed = True
    wallet.answer_with("eth_sendTransaction", "0x1234")
    page = page_of(tabs, service, wallet)
    press(page, "Connect wallet")
    press(page, "Pay 83.33 LITKEY")
    expect(page.locator("#notice .title")).to_have_text("Your wallet will send the payment later")
    assert service.count("POST", "/api/payments") == 0


PERMIT = {"name": "Test LITKEY", "version": "1"}


def batching(status: str) -> ScriptedWallet:
    """Return a wallet that supports batched calls."""
    wallet = ScriptedWallet(Node(), PAYER, chain_id=CHAIN_ID)
    wallet.batch = status
    return wallet


@pytest.mark.parametrize("status", ["supported", "ready"])
def test_one_prompt_where_the_wallet_takes_batches(tabs: Tabs, service: StandIn, status: str) -> None:
    wallet = batching(status)
    page = page_of(tabs, service, wallet)
    press(page, "Connect wallet")
    expect(page.locator("#prompts")).to_have_text("Your wallet asks once.")
    press(page, "Pay 83.33 LITKEY")
    expect(page.locator("#status-title")).to_have_text("$50.00 added")
    [wish] = [params[0] for method, params in wallet.asked if method == "wallet_sendCalls"]
    assert (wish["version"], wish["chainId"], wish["atomicRequired"]) == ("2.0.0", hex(CHAIN_ID), True)
    assert [call["data"] for call in wish["calls"]] == ["0x01", "0x02"]
    assert wallet.count("eth_sendTransaction") == 0
    assert service.bodies("/api/payments")[-1] == {"tx_hash": wallet.sent[-1]}


@pytest.mark.parametrize("code", [4200, -32601, 5700, 5750, 5760])
def test_batches_that_are_not_to_be_fall_back_silently(tabs: Tabs, service: StandIn, code: int) -> None:
    wallet = batching("ready")
    wallet.refuse("wallet_sendCalls", code)
    page = page_of(tabs, service, wallet)
    press(page, "Connect wallet")
    press(page, "Pay 83.33 LITKEY")
    expect(page.locator("#status-title")).to_have_text("$50.00 added")
    assert (wallet.count("wallet_sendCalls"), wallet.count("eth_sendTransaction")) == (1, 2)


def test_batch_refused_by_the_payer_sends_nothing(tabs: Tabs, service: StandIn) -> None:
    wallet = batching("supported")
    wallet.refuse("wallet_sendCalls", 4001)
    page = page_of(tabs, service, wallet)
    press(page, "Connect wallet")
    press(page, "Pay 83.33 LITKEY")
    expect(page.locator("#notice .text")).to_contain_text("Nothing was sent.")
    expect(page.locator("#primary")).to_have_text("Pay 83.33 LITKEY")
    assert wallet.count("eth_sendTransaction") == 0


def test_a_signature_does_for_an_allowance(tabs: Tabs, service: StandIn, wallet: ScriptedWallet) -> None:
    service.permit = PERMIT
    page = page_of(tabs, service, wallet)
    press(page, "Connect wallet")
    expect(page.locator("#prompts")).to_contain_text("for a signature, then for the payment")
    press(page, "Allow 83.33 LITKEY")
    expect(page.locator("#status-title")).to_have_text("$50.00 added")
    [(account, typed)] = [params for method, params in wallet.asked if method == "eth_signTypedData_v4"]
    signed = json.loads(typed)
    assert (account, signed["primaryType"]) == (PAYER, "Permit")
    assert signed["domain"] == {**PERMIT, "chainId": CHAIN_ID, "verifyingContract": TOKEN}
    assert signed["message"]["spender"] == GATEWAY
    assert (signed["message"]["value"], signed["message"]["nonce"]) == (str(5000 * PRICE), "7")
    [sent] = [params[0]["data"] for method, params in wallet.asked if method == "eth_sendTransaction"]
    words = [5000 * PRICE, int(signed["message"]["deadline"]), 27, int("11" * 32, 16), int("22" * 32, 16)]
    assert sent == contracts.encode_multicall(["0x8024cfd4" + "".join(f"{word:064x}" for word in words), "0x02"])


@pytest.mark.parametrize("how", ["unsupported", "smart account", "no nonce", "bad in the token's eyes"])
def test_signatures_that_do_not_work_fall_back_to_an_allowance(tabs: Tabs, service: StandIn, how: str) -> None:
    service.permit = PERMIT
    node = Node()
    wallet = ScriptedWallet(node, PAYER, chain_id=CHAIN_ID)
    if how == "unsupported":
        wallet.refuse("eth_signTypedData_v4", 4200)
    elif how == "smart account":
        node.signature = "0x" + "11" * 200
    elif how == "no nonce":
        node.nonces = False
    else:
        node.refuses_permits = True
    page = page_of(tabs, service, wallet)
    press(page, "Connect wallet")
    press(page, "Allow 83.33 LITKEY")
    expect(page.locator("#status-title")).to_have_text("$50.00 added")
    assert wallet.count("eth_sendTransaction") == 2


def test_signature_refused_by_the_payer_sends_nothing(tabs: Tabs, service: StandIn, wallet: ScriptedWallet) -> None:
    service.permit = PERMIT
    wallet.refuse("eth_signTypedData_v4", 4001)
    page = page_of(tabs, service, wallet)
    press(page, "Connect wallet")
    press(page, "Allow 83.33 LITKEY")
    expect(page.locator("#notice .text")).to_contain_text("Nothing was sent.")
    press(page, "Allow 83.33 LITKEY")
    expect(page.locator("#status-title")).to_have_text("$50.00 added")
    assert wallet.count("eth_sendTransaction") == 1


@pytest.mark.parametrize(
    ("selector", "title"),
    [
        ("0xd93c0665", "Payments are paused"),
        ("0x8baa579f", "This price was already used or is no longer valid"),
        ("0xbfb22adf", "The price has expired"),
        ("0xbd49034f", "The amount is below the contract's minimum"),
        ("0xe450d38c", "This account has too few tokens"),
        ("0xdeadbeef", "The contract would refuse this payment"),
    ],
)
def test_what_the_contract_would_refuse_never_reaches_the_wallet(
    tabs: Tabs, service: StandIn, selector: str, title: str
) -> None:
    service.allowed = True
    node = Node()
    node.refusal = selector + "00" * 32
    wallet = ScriptedWallet(node, PAYER, chain_id=CHAIN_ID)
    page = page_of(tabs, service, wallet)
    press(page, "Connect wallet")
    press(page, "Pay 83.33 LITKEY")
    expect(page.locator("#notice .title")).to_have_text(title)
    expect(page.locator("#notice .text")).to_contain_text("Nothing was sent.")
    assert wallet.count("eth_sendTransaction") == 0


def test_fee_that_cannot_be_paid_is_told_by_the_wallet_too(
    tabs: Tabs, service: StandIn, wallet: ScriptedWallet
) -> None:
    service.allowed = True
    wallet.refuse("eth_sendTransaction", -32000, message="insufficient funds for gas * price + value")
    page = page_of(tabs, service, wallet)
    press(page, "Connect wallet")
    press(page, "Pay 83.33 LITKEY")
    expect(page.locator("#notice .title")).to_contain_text("cannot pay the network fee")
    expect(page.locator("#notice .text")).to_contain_text("Nothing was sent.")


def test_sped_up_payment_is_followed(tabs: Tabs, service: StandIn, wallet: ScriptedWallet) -> None:
    service.allowed = True
    service.claims = {FIRST_HASH: [answer("unknown", FIRST_HASH)], 0xB0: [answer("credited", 0xB0)]}
    page = page_of(tabs, service, wallet, clock=True)
    press(page, "Connect wallet")
    press(page, "Pay 83.33 LITKEY")
    expect(page.locator("#status-title")).to_have_text("Waiting for Base to show your payment")
    service.payments = [payment("confirming", 0xB0, sequence=0)]
    page.clock.fast_forward(16_000)
    expect(page.locator("#status-title")).to_have_text("$50.00 added")
    expect(page.locator("#status-tx")).to_contain_text("00b0")


def test_payment_overtaken_by_another_is_told(tabs: Tabs, service: StandIn, wallet: ScriptedWallet) -> None:
    service.allowed = True
    wallet.drop_answer("eth_sendTransaction")
    service.claims = {0xC0: [answer("credited", 0xC0)]}
    page = page_of(tabs, service, wallet, clock=True)
    press(page, "Connect wallet")
    press(page, "Pay 83.33 LITKEY")
    service.payments = [payment("credited", 0xC0, sequence=0, amount="5", payer=WALLET)]
    page.clock.fast_forward(10_000)
    expect(page.locator("#notice .title")).to_have_text("Another payment to this account came first")


def test_another_wallets_payment_in_the_list_does_not_decide(
    tabs: Tabs, service: StandIn, wallet: ScriptedWallet
) -> None:
    service.allowed = True
    wallet.drop_answer("eth_sendTransaction")
    page = page_of(tabs, service, wallet, clock=True)
    paid = {"tx_hash": tx_hash(FIRST_HASH), "ordinal": 0, "block": 1, "time": 1, "final": False}
    page.route("**/api/quotes/status", lambda route: route.fulfill(json={"state": "paid", "payment": paid}))
    press(page, "Connect wallet")
    press(page, "Pay 83.33 LITKEY")
    service.payments = [payment("credited", 0xC0, sequence=0, amount="5", wallet=PAYER)]
    page.clock.run_for(3000)
    expect(page.locator("#payments li[data-payment]")).to_have_count(1)
    expect(page.locator("#notice")).to_be_hidden()
    page.clock.run_for(10_000)
    expect(page.locator("#status-title")).to_have_text("$50.00 added")


def test_after_an_allowance_a_rejected_payment_is_not_called_nothing(
    tabs: Tabs, service: StandIn, wallet: ScriptedWallet
) -> None:
    wallet.refuse("eth_signTypedData_v4", 4200)
    wallet.behave("eth_sendTransaction", 1)
    wallet.refuse("eth_sendTransaction", 4001)
    page = page_of(tabs, service, wallet)
    press(page, "Connect wallet")
    press(page, "Allow 83.33 LITKEY")
    expect(page.locator("#notice .text")).to_contain_text("No payment was sent.")
    expect(page.locator("#notice")).not_to_contain_text("Nothing was sent")
