"""The pay page in every state of a payment and of the service, against scripted answers."""

from __future__ import annotations

import re
import time

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Tabs
from tests.browser.pay_page import page_of, press
from tests.browser.scripted_wallet import ScriptedWallet
from tests.browser.stand_in import (
    CHAIN_ID,
    FIRST_HASH,
    GATEWAY,
    ORIGIN,
    PAYER,
    PRICE,
    WALLET,
    Answer,
    Node,
    StandIn,
    answer,
    payment,
    problem,
    tx_hash,
)

UNKNOWN = "\N{EN DASH}"
WRITE_MARKUP = """() => {
  try {
    document.createElement("div")["inner" + "HTML"] = "<b>";
  } catch (error) {
    return error.name;
  }
}"""


def test_pays_until_credited(tabs: Tabs, service: StandIn, wallet: ScriptedWallet) -> None:
    service.default_claims = [
        lambda number: answer("unknown", number),
        lambda number: answer("confirming", number, confirmed=4, needed=15),
        lambda number: answer("credited", number),
    ]
    page = page_of(tabs, service, wallet)
    expect(page.locator("#amount")).to_have_text("83.33 LITKEY")
    expect(page.locator("#added")).to_have_text("+$50.00")
    press(page, "Connect wallet")
    press(page, "Allow 83.33 LITKEY")
    expect(page.locator("#status-title")).to_have_text("$50.00 added")
    expect(page.locator("#status-title")).to_be_focused()
    expect(page.locator("#live")).to_have_text("$50.00 added")
    expect(page.locator("#steps li.done")).to_have_count(5)
    expect(page.locator("#payments .badge")).to_have_text("Credited")
    sent = [params[0] for method, params in wallet.asked if method == "eth_sendTransaction"]
    assert [call["data"] for call in sent] == ["0x01", "0x02"]
    assert all(call["from"] == PAYER and call["value"] == "0x0" for call in sent)


def test_claims_before_the_wallet_knows_a_receipt(tabs: Tabs, service: StandIn) -> None:
    node = Node()
    node.receipts = False
    service.allowed = True
    page = page_of(tabs, service, ScriptedWallet(node, PAYER, chain_id=CHAIN_ID))
    press(page, "Connect wallet")
    press(page, "Pay 83.33 LITKEY")
    expect(page.locator("#status-title")).to_have_text("$50.00 added")


def test_second_payment_starts_afresh(tabs: Tabs, service: StandIn, wallet: ScriptedWallet) -> None:
    service.allowed = True
    page = page_of(tabs, service, wallet)
    press(page, "Connect wallet")
    press(page, "Pay 83.33 LITKEY")
    expect(page.locator("#primary")).to_have_text("See receipt")
    page.get_by_role("button", name="Pay again").click()
    press(page, "Pay 83.33 LITKEY")
    expect(page.locator("#payments .payment")).to_have_count(2)


def test_says_how_far_confirmation_is(tabs: Tabs, service: StandIn, wallet: ScriptedWallet) -> None:
    service.allowed = True
    service.default_claims = [lambda number: answer("confirming", number, confirmed=4, needed=15)]
    page = page_of(tabs, service, wallet)
    press(page, "Connect wallet")
    press(page, "Pay 83.33 LITKEY")
    expect(page.locator("#status-text")).to_contain_text("4 of 15 seconds")
    expect(page.locator("#primary")).to_have_text("Waiting for Base…")
    expect(page.locator("#steps [aria-current=step]")).to_contain_text("Credit")


def test_payment_is_followed_again_after_a_reload(tabs: Tabs, service: StandIn, wallet: ScriptedWallet) -> None:
    service.allowed = True
    service.default_claims = [lambda number: answer("unknown", number)]
    page = page_of(tabs, service, wallet)
    press(page, "Connect wallet")
    press(page, "Pay 83.33 LITKEY")
    expect(page.locator("#status-title")).to_have_text("Waiting for Base to show your payment")
    page.reload()
    expect(page.locator("#status-title")).to_have_text("Waiting for Base to show your payment")
    service.claims[FIRST_HASH] = [answer("credited", FIRST_HASH)]
    expect(page.locator("#status-title")).to_have_text("$50.00 added")


@pytest.mark.parametrize(
    ("code", "status", "title"),
    [
        ("rate_unavailable", 503, "There is no reliable price right now"),
        ("paused", 503, "Payments are paused"),
        ("below_minimum", 422, "The amount is below the minimum"),
        ("unknown_wallet", 404, "No account has this wallet"),
        ("wallet_conflict", 409, "We cannot tell which account this wallet pays for"),
        ("not_payable", 409, "This account does not take payments here"),
        ("chain_unavailable", 503, "We cannot read the chain right now"),
        ("internal", 500, "Something went wrong on our side"),
    ],
)
def test_service_faults_are_explained(tabs: Tabs, service: StandIn, code: str, status: int, title: str) -> None:
    service.quote_fault = problem(code, status)
    page = page_of(tabs, service)
    expect(page.locator("#notice .title")).to_have_text(title)
    expect(page.locator("#notice .text")).to_contain_text("Nothing was sent.")
    expect(page.locator("#notice p.fine")).to_contain_text("req-7F3K")


def test_without_a_price_the_page_goes_on_by_itself(tabs: Tabs, service: StandIn, wallet: ScriptedWallet) -> None:
    service.quote_fault = problem("paused", 503)
    page = page_of(tabs, service, wallet, clock=True)
    expect(page.locator("#primary")).to_have_text(re.compile(r"Trying again in 0:1\d"))
    expect(page.locator("#primary")).to_have_attribute("aria-disabled", "true")
    expect(page.locator("#steps [aria-current=step]")).to_contain_text("Connect")
    service.quote_fault = None
    page.clock.run_for(16_000)
    press(page, "Connect wallet")
    expect(page.locator("#primary")).to_have_text("Allow 83.33 LITKEY")


@pytest.mark.parametrize(
    ("typed", "text"),
    [
        ("4.99", "The smallest payment is $5.00."),
        ("5000.01", "The largest payment is $5,000.00."),
        ("fifty", "Write the amount in dollars, for example 50 or 12.50."),
        ("-5", "Write the amount in dollars, for example 50 or 12.50."),
        ("1e3", "Write the amount in dollars, for example 50 or 12.50."),
    ],
)
def test_amounts_that_cannot_be_paid(tabs: Tabs, service: StandIn, typed: str, text: str) -> None:
    page = page_of(tabs, service)
    expect(page.locator("#amount")).to_have_text("83.33 LITKEY")
    page.locator("#usd").fill(typed)
    expect(page.locator("#limits")).to_have_text(text)
    expect(page.locator("#usd")).to_have_attribute("aria-invalid", "true")
    expect(page.locator("#primary")).to_have_attribute("aria-disabled", "true")
    page.get_by_role("button", name="$100").click()
    expect(page.locator("#amount")).to_have_text("166.67 LITKEY")


@pytest.mark.parametrize(("typed", "cents"), [("$1,250.00", 125_000), ("12,5", 1250), (" 7 ", 700)])
def test_amounts_as_people_type_them(tabs: Tabs, service: StandIn, typed: str, cents: int) -> None:
    page = page_of(tabs, service)
    page.locator("#usd").fill(typed)
    expect(page.locator("#added")).to_have_text(f"+${cents / 100:,.2f}")
    assert service.bodies("/api/quotes")[-1]["cents"] == cents


def test_unknown_wallet_can_be_corrected(tabs: Tabs, service: StandIn) -> None:
    service.found = False
    page = page_of(tabs, service)
    expect(page.locator(".panel .title").first).to_have_text("No account has this wallet")
    service.found = True
    page.get_by_label("Wallet of the account to be credited").fill(WALLET)
    page.get_by_role("button", name="Continue").click()
    expect(page.locator(".who")).to_have_text("c…s@l….com")
    assert re.search(r"wallet=0x90F7.*usd=50", page.url)


def test_account_that_cannot_be_read_is_not_called_unknown(tabs: Tabs, service: StandIn) -> None:
    service.readable = False
    page = page_of(tabs, service)
    expect(page.locator(".panel .title").first).to_have_text("We cannot read the account right now")
    service.readable = True
    page.get_by_role("button", name="Continue").click()
    expect(page.locator(".who")).to_have_text("c…s@l….com")


def test_short_lived_price_is_renewed_before_the_wallet_opens(
    tabs: Tabs, service: StandIn, wallet: ScriptedWallet
) -> None:
    service.seconds = 20
    service.allowed = True
    page = page_of(tabs, service, wallet)
    press(page, "Connect wallet")
    expect(page.locator("#primary")).to_have_text("Pay 83.33 LITKEY")
    service.seconds, service.price = 300, service.price * 2
    press(page, "Pay 83.33 LITKEY")
    expect(page.locator("#notice .title")).to_have_text("The new price is a little higher")
    assert wallet.count("eth_sendTransaction") == 0
    press(page, "Pay 166.67 LITKEY")
    expect(page.locator("#status-title")).to_have_text("$50.00 added")


def test_outage_while_following_says_the_payment_is_safe(tabs: Tabs, service: StandIn, wallet: ScriptedWallet) -> None:
    service.allowed = True
    service.default_claims = [problem("internal", 503)]
    page = page_of(tabs, service, wallet)
    press(page, "Connect wallet")
    press(page, "Pay 83.33 LITKEY")
    expect(page.locator("#status-title")).to_have_text("We cannot read the payment's state right now")
    expect(page.locator("#status-text")).to_contain_text("You do not need to pay again.")
    service.default_claims = [lambda number: answer("credited", number)]
    service.claims.clear()
    expect(page.locator("#status-title")).to_have_text("$50.00 added")


@pytest.mark.parametrize(
    ("state", "cause", "title", "text"),
    [
        ("pending", "stripe_unclear", "Paid, the credit is on its way", "cannot be added twice"),
        ("pending", "stripe_down", "Paid, the credit is on its way", "does not answer"),
        ("held", "over_limit", "Paid, the credit is held", "Our staff must release this one."),
        ("held", "currency", "Paid, the credit is held", "not billed in dollars"),
        ("reversed", None, "This credit was taken back", "Ask support"),
        ("failed", None, "The payment failed", "No tokens were taken"),
        ("unrelated", None, "This transaction did not pay our contract", "nothing is credited for it"),
        ("unrelated", "treasury_transfer", "These tokens went straight to the treasury", "Ask support"),
    ],
)
def test_states_have_their_sentence(
    tabs: Tabs, service: StandIn, wallet: ScriptedWallet, state: str, cause: str | None, title: str, text: str
) -> None:
    service.allowed = True
    service.default_claims = [lambda number: answer(state, number, cause=cause)]
    page = page_of(tabs, service, wallet)
    press(page, "Connect wallet")
    press(page, "Pay 83.33 LITKEY")
    expect(page.locator("#status-title")).to_have_text(title)
    expect(page.locator("#status-text")).to_contain_text(text)


def test_unfinished_payments_are_claimed_and_move(tabs: Tabs, service: StandIn) -> None:
    hour_ago = int(time.time()) - 3700
    service.payments = [payment("pending", 2, time=hour_ago), payment("credited", 1, time=hour_ago)]
    service.claims[2] = [answer("pending", 2, time=hour_ago), answer("credited", 2, time=hour_ago)]
    page = page_of(tabs, service)
    expect(page.locator("#warning .title")).to_contain_text("A payment of $50.00 is already under way, sent 1 hour")
    expect(page.locator("#payments .badge")).to_have_text(["Credited", "Credited"])
    expect(page.locator("#warning")).to_be_hidden()
    assert {body["tx_hash"] for verb, _, body in service.asked if "tx_hash" in body} == {tx_hash(2)}


def test_pasted_hash_is_claimed(tabs: Tabs, service: StandIn) -> None:
    page = page_of(tabs, service)
    page.get_by_label("Transaction hash").fill("0x12")
    page.get_by_role("button", name="Look it up").click()
    expect(page.locator("#claim-text")).to_contain_text("64 characters")
    service.claims[7] = [answer("credited", 7)]
    page.get_by_label("Transaction hash").fill(tx_hash(7))
    page.get_by_role("button", name="Look it up").click()
    expect(page.locator("#claim-title")).to_have_text("$50.00 added")
    expect(page.locator("#payments .payment")).to_have_count(1)


def test_pays_by_keyboard_alone(tabs: Tabs, service: StandIn, wallet: ScriptedWallet) -> None:
    page = page_of(tabs, service, wallet, ScriptedWallet(Node(), WALLET, chain_id=CHAIN_ID, name="Other"))
    amount = page.locator("#usd")
    for _ in range(20):
        page.keyboard.press("Tab")
        if amount.evaluate("node => node === document.activeElement"):
            break
    page.keyboard.press("Control+A")
    page.keyboard.type("25")
    page.keyboard.press("Enter")
    expect(page.locator("#picker .choice").first).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#primary")).to_have_text("Allow 41.67 LITKEY")
    page.locator("#usd").press("Enter")
    expect(page.locator("#status-title")).to_be_focused()


def test_page_tells_its_facts_without_script(tabs: Tabs, service: StandIn) -> None:
    service.payments = [payment("credited", 1)]
    page = page_of(tabs, service, java_script_enabled=False)
    expect(page.locator(".who")).to_have_text("c…s@l….com")
    expect(page.locator("#limits")).to_have_text("From $5.00 to $5,000.00.")
    expect(page.locator("#payments .worth")).to_have_text("$50.00")
    assert "needs JavaScript" in page.content()


def test_tokens_may_be_typed_instead(tabs: Tabs, service: StandIn) -> None:
    page = page_of(tabs, service)
    expect(page.locator("#tokens")).to_have_value("83.33")
    page.locator("#tokens").fill("1000")
    expect(page.locator("#usd")).to_have_value("599.99")
    expect(page.locator("#added")).to_have_text("+$599.99")
    expect(page.locator("#tokens")).to_have_value("1000")
    page.locator("#usd").fill("60")
    expect(page.locator("#tokens")).to_have_value("100")
    page.locator("#tokens").fill("a lot")
    expect(page.locator("#limits")).to_contain_text("Write the amount")


def test_what_is_shown_before_any_script_runs(tabs: Tabs, service: StandIn) -> None:
    service.payments = [payment("credited", 1, cents=None)]
    page = page_of(tabs, service, usd="25", java_script_enabled=False)
    expect(page.locator("#amount")).to_have_text("41.67 LITKEY")
    expect(page.locator("#added")).to_have_text("+$25.00")
    expect(page.locator("#rate")).to_have_text("$0.60 per LITKEY")
    expect(page.locator("#payments .worth")).to_have_text(UNKNOWN)
    expect(page.locator("#payments a")).to_have_attribute("href", f"/receipt/{tx_hash(1)}/0")
    page.locator("#elsewhere summary").click()
    expect(page.locator(".qr")).to_be_visible()


def test_credit_of_unknown_worth_is_never_nothing(tabs: Tabs, service: StandIn, wallet: ScriptedWallet) -> None:
    service.allowed = True
    service.default_claims = [lambda number: answer("credited", number, cents=None)]
    service.payments = [payment("credited", 3, cents=None), payment("confirming", 2, cents=None)]
    service.claims[2] = [answer("confirming", 2, cents=None)]
    page = page_of(tabs, service, wallet)
    expect(page.locator("#payments .worth")).to_have_text([UNKNOWN, "priced when final"])
    press(page, "Connect wallet")
    press(page, "Pay 83.33 LITKEY")
    expect(page.locator("#notice .title")).to_have_text("There is another payment to this account")
    press(page, "Pay 83.33 LITKEY")
    expect(page.locator("#status-title")).to_have_text("Credited")
    expect(page.locator("main")).not_to_contain_text("$0.00")


def test_after_a_minute_the_page_may_be_closed(tabs: Tabs, service: StandIn, wallet: ScriptedWallet) -> None:
    service.allowed = True
    service.default_claims = [lambda number: answer("unknown", number)]
    page = page_of(tabs, service, wallet, clock=True)
    press(page, "Connect wallet")
    press(page, "Pay 83.33 LITKEY")
    expect(page.locator("#status-title")).to_have_text("Waiting for Base to show your payment")
    page.clock.run_for(62_000)
    expect(page.locator("#status-title")).to_have_text("Base does not show this transaction yet")
    expect(page.locator("#status-text")).to_contain_text("this page and our server keep looking")
    expect(page.locator("#status-hint")).to_have_text("You can close this page: the credit does not need it.")


def test_of_a_transaction_for_several_accounts_the_page_shows_its_own(
    tabs: Tabs, service: StandIn, wallet: ScriptedWallet
) -> None:
    def several(own: str, *, twice: bool) -> list[Answer]:
        status, body = answer(
            "held", FIRST_HASH, wallet=PAYER, cents=2500, cause="over_limit", amount=str(2500 * PRICE)
        )
        mine = [payment(own, FIRST_HASH, ordinal=number) for number in range(1, 3 if twice else 2)]
        return [(status, {**body, "payments": [*body["payments"], *mine]})]

    service.allowed = True
    service.claims = {FIRST_HASH: several("pending", twice=False)}
    page = page_of(tabs, service, wallet)
    press(page, "Connect wallet")
    press(page, "Pay 83.33 LITKEY")
    expect(page.locator("#status-title")).to_have_text("Paid, the credit is on its way")
    service.claims = {FIRST_HASH: several("credited", twice=True)}
    expect(page.locator("#status-title")).to_have_text("$100.00 added")
    expect(page.locator("#result-paid")).to_have_text("166.67 LITKEY")
    credited = answer("credited", 7, wallet=PAYER), answer("credited", 7, wallet=GATEWAY, cents=100)
    both = [paid for _, body in credited for paid in body["payments"]]
    service.claims[7] = [(200, {**credited[0][1], "payments": both})]
    page.get_by_label("Transaction hash").fill(tx_hash(7))
    page.get_by_role("button", name="Look it up").click()
    expect(page.locator("#claim-title")).to_have_text("Credited")
    expect(page.locator("#claim-text")).to_have_text("Each credit is on its account. You are done.")


def test_reload_takes_the_payment_up_again(tabs: Tabs, service: StandIn, wallet: ScriptedWallet) -> None:
    service.allowed = True
    service.default_claims = [lambda number: answer("confirming", number, confirmed=1, needed=15)]
    page = page_of(tabs, service, wallet)
    press(page, "Connect wallet")
    press(page, "Pay 83.33 LITKEY")
    expect(page.locator("#status-title")).to_have_text("Payment received, confirming")
    page.reload()
    expect(page.locator("#status-title")).to_have_text("Payment received, confirming")
    expect(page.locator("#primary")).to_have_text("Waiting for Base…")


def test_way_back_tells_how_it_went(tabs: Tabs, service: StandIn, wallet: ScriptedWallet) -> None:
    service.allowed = True
    page = tabs.open([wallet])
    service.attach(page)
    page.goto(f"{ORIGIN}/pay?wallet={WALLET}&return_url=https://dashboard.test/credits&ref=inv-7")
    back = page.get_by_role("link", name="Back to dashboard.test")
    expect(back).to_have_attribute("href", "https://dashboard.test/credits?ref=inv-7")
    press(page, "Connect wallet")
    press(page, "Pay 83.33 LITKEY")
    sent = tx_hash(FIRST_HASH)
    expect(back).to_have_attribute("href", f"https://dashboard.test/credits?ref=inv-7&status=credited&tx={sent}")


def test_result_takes_the_place_of_the_form(tabs: Tabs, service: StandIn, wallet: ScriptedWallet) -> None:
    service.allowed = True
    page = tabs.open([wallet])
    service.attach(page)
    page.goto(f"{ORIGIN}/pay?wallet={WALLET}&return_url=https://dashboard.test/credits")
    press(page, "Connect wallet")
    press(page, "Pay 83.33 LITKEY")
    expect(page.locator("#status-title")).to_have_text("$50.00 added")
    for gone in ("#usd", "#rate", "#fee", "#prompts", "#payer", "#steps", "#elsewhere"):
        expect(page.locator(gone)).to_be_hidden()
    expect(page.locator("#result")).to_contain_text("c…s@l….com")
    expect(page.locator("#result-paid")).to_have_text("83.33 LITKEY")
    expect(page.locator("#result-time")).not_to_be_empty()
    actions = page.locator("#checkout > a:visible, #checkout > button:visible")
    expect(actions).to_have_text(["Back to dashboard.test", "See receipt", "Pay again"])
    page.get_by_role("button", name="Pay again").click()
    expect(page.locator("#primary")).to_have_text("Pay 83.33 LITKEY")
    expect(page.get_by_role("button", name="Pay again")).to_be_hidden()
    expect(page.locator("#usd")).to_be_visible()


def test_held_payment_offers_its_receipt_before_another_payment(
    tabs: Tabs, service: StandIn, wallet: ScriptedWallet
) -> None:
    service.allowed = True
    service.default_claims = [lambda number: answer("held", number, cause="over_limit")]
    page = page_of(tabs, service, wallet)
    press(page, "Connect wallet")
    press(page, "Pay 83.33 LITKEY")
    expect(page.locator("#status-title")).to_have_text("Paid, the credit is held")
    expect(page.locator("#status-title")).to_be_focused()
    expect(page.locator("#usd")).to_be_hidden()
    actions = page.locator("#checkout > a:visible, #checkout > button:visible")
    expect(actions).to_have_text(["See receipt", "Pay again"])
    expect(page.locator("#result")).to_contain_text("c…s@l….com")


def test_after_signing_the_wallet_asks_once_more(tabs: Tabs, service: StandIn, wallet: ScriptedWallet) -> None:
    wallet.behave("eth_sendTransaction", 1)
    wallet.refuse("eth_sendTransaction", 4001)
    page = page_of(tabs, service, wallet)
    press(page, "Connect wallet")
    expect(page.locator("#prompts")).to_contain_text("Your wallet asks twice")
    press(page, "Allow 83.33 LITKEY")
    expect(page.locator("#notice .title")).to_have_text("You closed the request in your wallet")
    expect(page.locator("#prompts")).to_have_text("Your wallet asks once more, for the payment.")


def test_details_for_support(tabs: Tabs, service: StandIn, wallet: ScriptedWallet) -> None:
    service.allowed = True
    service.default_claims = [problem("internal", 503)]
    page = page_of(tabs, service, wallet, permissions=["clipboard-read", "clipboard-write"])
    press(page, "Connect wallet")
    press(page, "Pay 83.33 LITKEY")
    expect(page.locator("#status-reference")).to_have_text("Reference: req-7F3K")
    page.get_by_role("button", name="Copy details for support").click()
    expect(page.locator("#support-done")).to_have_text("Copied")
    copied = page.evaluate("navigator.clipboard.readText()")
    for expected in (WALLET, PAYER, tx_hash(FIRST_HASH), "State: unknown", "req-7F3K", "Test wallet", "8453"):
        assert expected in copied


def test_numbers_and_dates_follow_the_visitor(tabs: Tabs, service: StandIn) -> None:
    service.payments = [payment("credited", 1, cents=123_456, time=1_700_000_000)]
    page = tabs.open([], locale="de-DE", timezone_id="Europe/Berlin")
    service.attach(page)
    page.goto(f"{ORIGIN}/pay?wallet={WALLET}&usd=1250.50")
    expect(page.locator("#added")).to_have_text("+1.250,50 $")
    expect(page.locator("#payments .worth")).to_have_text("1.234,56 $")
    expect(page.locator("#payments time")).to_contain_text("14.11.2023, 23:13")
    expect(page.locator("#payments time")).to_have_attribute("title", "2023-11-14T22:13:20.000Z")


def test_policy_refuses_what_is_not_ours(tabs: Tabs, service: StandIn) -> None:
    page = page_of(tabs, service)
    with page.expect_console_message(lambda message: message.text.startswith("content policy: ")):
        refused = page.evaluate(WRITE_MARKUP)
    assert refused == "TypeError"
    assert "content policy: require-trusted-types-for trusted-types-sink" in tabs.faults
    tabs.faults.clear()


def test_unrelated_transaction_is_watched_until_its_block_is_final(
    tabs: Tabs, service: StandIn, wallet: ScriptedWallet
) -> None:
    service.allowed = True
    waiting = answer("unrelated", FIRST_HASH, cause="treasury_transfer")
    settled = waiting[0], waiting[1] | {"retry_after": None}
    service.claims = {FIRST_HASH: [waiting, waiting, settled]}
    page = page_of(tabs, service, wallet)
    press(page, "Connect wallet")
    press(page, "Pay 83.33 LITKEY")
    expect(page.locator("#status-title")).to_have_text("These tokens went straight to the treasury")
    expect(page.locator("#primary")).to_have_text("Start again")
    page.wait_for_timeout(4_000)
    assert service.count("POST", "/api/payments") == 3
    page.locator("#hash").fill(tx_hash(FIRST_HASH))
    page.get_by_role("button", name="Look it up").click()
    expect(page.locator("#claim-title")).to_have_text("These tokens went straight to the treasury")
    expect(page.locator("#claim-text")).to_contain_text("Do not send more this way.")
