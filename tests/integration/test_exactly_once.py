"""Every payment gets one credit, whatever Stripe answers and whenever a process dies."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from stateless_billing.bookkeeping.records import RECORD_MARKER
from stateless_billing.sandbox.localchain import encode_call
from stateless_billing.sandbox.stack import Service, Stack
from tests.integration.conftest import SETTINGS
from tests.integration.shop import Shop, problem, wait_until

CREATE = "POST /v1/customers/{customer}/balance_transactions"
HOUR = 3600


def only_credit(shop: Shop, customer: str) -> str:
    """Return the id of the customer's only credit."""
    [credit] = shop.stack.credits(customer)
    assert shop.stack.balance(customer) == 5000
    return str(credit["id"])


def test_claimed_fifty_times_at_once_over_three_processes(shop: Shop, stack: Stack) -> None:
    services = [stack.serve() for _ in range(3)]
    customer = shop.customer()
    tx_hash = shop.pay(services[0], customer)

    def claim(service: Service) -> httpx.Response:
        return stack.http.post(f"{service.url}/api/payments", json={"tx_hash": tx_hash})

    with ThreadPoolExecutor(50) as threads:
        answers = list(threads.map(lambda number: claim(services[number % 3]), range(50)))
    for answer in answers:
        assert answer.is_success or problem(answer, 503, "busy"), "the wait queue is bounded"
    credit_ids = {shop.claimed(service, tx_hash)["payments"][0]["credit"] for service in services}
    assert credit_ids == {only_credit(shop, customer.id)}


@pytest.mark.parametrize("effect", ["lost_after", "cut", "shortened", "error_saved_done"])
def test_a_lost_answer_is_found_in_the_listing(shop: Shop, service: Service, effect: str) -> None:
    customer = shop.customer()
    tx_hash = shop.pay(service, customer)
    shop.fault(effect)
    assert shop.claimed(service, tx_hash)["payments"][0]["credit"] == only_credit(shop, customer.id)


@pytest.mark.parametrize(
    "effect", ["lost_before", "error_saved", "error_unsaved", "gateway", "key_in_use", "locked", "limited"]
)
def test_an_unclear_answer_leaves_it_pending_and_never_makes_two(
    shop: Shop, stack: Stack, service: Service, effect: str
) -> None:
    customer = shop.customer()
    tx_hash = shop.pay(service, customer)
    shop.fault(effect)
    [payment] = shop.claimed(service, tx_hash, "pending")["payments"]
    assert payment["cause"] in ("stripe_unclear", "rate_limited")
    stack.control("DELETE", "faults")
    other = stack.serve()  # another process has its own backoff and tries at once
    if effect == "error_saved":
        assert shop.claim(other, tx_hash)["state"] == "pending"
        assert stack.credits(customer.id) == []
    else:
        shop.claimed(other, tx_hash)
        only_credit(shop, customer.id)


def test_killed_between_the_write_and_everything_after(shop: Shop, stack: Stack) -> None:
    service = stack.serve()
    customer = shop.customer()
    tx_hash = shop.pay(service, customer)
    shop.count_from_zero()
    shop.fault("slow", after=20)
    with ThreadPoolExecutor(1) as thread:
        claim = thread.submit(shop.claim, service, tx_hash)
        wait_until(lambda: len(stack.credits(customer.id)) == 1)
        service.kill()
        assert claim.exception() is not None
    credit = only_credit(shop, customer.id)
    stack.control("DELETE", "faults")
    assert stack.run("sweep", "--once").returncode == 0
    assert shop.claimed(stack.serve(), tx_hash)["payments"][0]["credit"] == credit
    only_credit(shop, customer.id)


def test_a_customer_deleted_after_paying_is_held_and_the_next_one_is_not(
    shop: Shop, stack: Stack, service: Service
) -> None:
    gone, present = shop.customer(), shop.customer()
    tx_hash, next_hash = shop.pay(service, gone), shop.pay(service, present)
    headers = {"authorization": "Bearer sk_test_sandbox", "stripe-version": "2026-10-28.endive"}
    assert stack.http.delete(f"{stack.sandbox}/v1/customers/{gone.id}", headers=headers).is_success
    assert shop.claimed(service, tx_hash, "held")["payments"][0]["cause"] == "customer_deleted"
    shop.claimed(service, next_hash)
    only_credit(shop, present.id)


def test_a_customer_billed_in_another_currency_is_held(shop: Shop, stack: Stack, service: Service) -> None:
    customer = shop.customer()
    tx_hash = shop.pay(service, customer)
    stack.control("POST", f"customers/{customer.id}", {"currency": "eur"})
    assert shop.claimed(service, tx_hash, "held")["payments"][0]["cause"] == "currency"
    assert stack.credits(customer.id) == []


def test_no_price_holds_a_plain_payment_and_refuses_a_quote(shop: Shop, stack: Stack, service: Service) -> None:
    customer = shop.customer()
    shop.register(service, customer)
    stack.control("POST", "price", {"price": "0"})
    try:
        tx_hash = shop.pay_plainly(customer, 10**21)
        other = stack.serve()
        assert shop.claimed(other, tx_hash, "held")["payments"][0]["cause"] == "rate_unavailable"
        refused = stack.http.post(f"{other.url}/api/quotes", json={"wallet": customer.wallet, "cents": 5000})
        assert (refused.status_code, refused.json()["type"]) == (503, "/problems/rate_unavailable")
    finally:
        stack.control("POST", "price", {"price": "0.006"})
    shop.claimed(stack.serve(), tx_hash)
    assert stack.balance(customer.id) == 5600


def test_above_a_days_maximum_is_held(shop: Shop, stack: Stack, service: Service) -> None:
    customer = shop.customer()
    first, second = shop.pay(service, customer), shop.pay(service, customer)
    strict = stack.serve(MAX_PAYMENT_CENTS="9000")
    shop.claimed(strict, first)
    assert shop.claimed(strict, second, "held")["payments"][0]["cause"] == "over_limit"
    only_credit(shop, customer.id)
    refused = stack.http.post(f"{strict.url}/api/quotes", json={"wallet": customer.wallet, "cents": 500})
    assert (refused.status_code, refused.json()["type"]) == (422, "/problems/above_maximum")


def test_above_the_first_tier_it_waits_for_finality(shop: Shop, service: Service) -> None:
    tx_hash = shop.pay(service, shop.customer(), cents=150_000)
    [payment] = shop.claim(service, tx_hash)["payments"]
    assert (payment["state"], payment["needed"]) == ("confirming", None)
    shop.finalize()
    shop.claimed(service, tx_hash)


def test_a_reverted_transaction_is_failed_and_an_unheard_of_one_unknown(
    shop: Shop, stack: Stack, service: Service
) -> None:
    quote = shop.quote(service, shop.customer())
    shop.send(quote)
    call = quote["calls"][-1]
    tx_hash = stack.chain.submit(stack.payer, call["to"], call["data"], gas=500_000)  # the quote is used
    assert shop.claimed(service, tx_hash, "failed")["payments"] == []
    shop.count_from_zero()
    unknown = shop.claim(service, "0x" + "ab" * 32)
    assert (unknown["state"], unknown["payments"], shop.counts()) == ("unknown", [], {})


def test_tokens_sent_straight_to_the_treasury_are_told_and_not_credited(
    shop: Shop, stack: Stack, service: Service
) -> None:
    chain = stack.chain
    treasury = "0x" + chain.rpc("eth_call", {"to": stack.gateways[0], "data": "0x61d027b3"}, "latest")[-40:]
    call = encode_call("transfer(address,uint256)", treasury, 10**18)
    direct = chain.send(stack.payer, stack.token, call)["transactionHash"]
    other = chain.send(stack.payer, stack.token, encode_call("approve(address,uint256)", treasury, 1))[
        "transactionHash"
    ]
    shop.count_from_zero()
    answers = [shop.claim(service, tx_hash) for tx_hash in (direct, other)]
    assert [(answer["state"], answer["cause"], answer["payments"]) for answer in answers] == [
        ("unrelated", "treasury_transfer", []),
        ("unrelated", None, []),
    ]
    assert shop.counts() == {}
    shop.finalize()
    wait_until(lambda: shop.claim(service, direct)["retry_after"] is None)
    assert stack.http.get(f"{service.url}/api/payments/{direct}").json() == shop.claim(service, direct)


@pytest.fixture(scope="module")
def old_stack() -> Iterator[Stack]:
    """Run a chain 30 hours behind, so that its payments are 30 hours old. The two records are older."""
    with Stack.start(timestamp=int(time.time()) - 30 * HOUR, settings=SETTINGS) as running:
        created = int(time.time()) - 90 * 24 * HOUR
        grants = running.control("POST", "customers", {"metadata": {RECORD_MARKER: "grants"}, "created": created})["id"]
        metadata = {RECORD_MARKER: "service", "grants": grants}
        record = running.control("POST", "customers", {"metadata": metadata, "created": created})
        running.settings["SERVICE_CUSTOMER_ID"] = record["id"]
        yield running


def old_payment(shop: Shop) -> tuple[str, str]:
    """Return the customer and the EVM transaction of a payment 30 hours old."""
    customer = shop.customer()
    signing = shop.stack.serve(QUOTE_SECONDS="600")
    tx_hash = shop.pay(signing, customer)
    shop.finalize()
    age = time.time() - int(shop.stack.chain.block()["timestamp"], 16)
    assert 29 * HOUR < age < 31 * HOUR
    return customer.id, tx_hash


def test_thirty_hours_old_and_claimed_for_the_first_time(old_stack: Stack) -> None:
    shop = Shop(old_stack)
    customer, tx_hash = old_payment(shop)
    old_stack.control("POST", "keys/age", {"seconds": 30 * HOUR})
    shop.claimed(old_stack.serve(), tx_hash)
    only_credit(shop, customer)


def test_thirty_hours_old_its_keys_forgotten_and_claimed_again(old_stack: Stack) -> None:
    shop = Shop(old_stack)
    customer, tx_hash = old_payment(shop)
    shop.claimed(old_stack.serve(), tx_hash)
    credit = only_credit(shop, customer)
    old_stack.control("POST", "keys/age", {"seconds": 45 * HOUR})
    again = old_stack.serve()
    shop.count_from_zero()
    assert shop.claimed(again, tx_hash)["payments"][0]["credit"] == credit
    assert CREATE not in shop.counts()
    only_credit(shop, customer)
