"""A payment becomes a credit with the documented number of calls."""

import time

import pytest

from stateless_billing.sandbox.localchain import Reverted, encode_call
from stateless_billing.sandbox.stack import Service, Stack
from tests.integration.shop import Shop, wait_until

READ_CUSTOMER = "GET /v1/customers/{customer}"
WRITE_CUSTOMER = "POST /v1/customers/{customer}"
LIST = "GET /v1/customers/{customer}/balance_transactions"
CREATE = "POST /v1/customers/{customer}/balance_transactions"
TOKEN = 10**18


def test_a_fresh_quoted_credit_costs_one_read_and_one_write(shop: Shop, service: Service) -> None:
    customer = shop.customer()
    tx_hash = shop.pay(service, customer)
    shop.count_from_zero()
    [payment] = shop.claimed(service, tx_hash)["payments"]
    assert shop.counts() == {READ_CUSTOMER: 1, CREATE: 1}
    [credit] = shop.stack.credits(customer.id)
    assert (payment["credit"], payment["cents"], credit["amount"]) == (credit["id"], 5000, -5000)
    assert shop.stack.balance(customer.id) == 5000


def test_polling_again_in_the_same_process_costs_nothing(shop: Shop, service: Service) -> None:
    tx_hash = shop.pay(service, shop.customer())
    first = shop.claimed(service, tx_hash)
    shop.count_from_zero()
    assert shop.claim(service, tx_hash) == first
    assert shop.stack.http.get(f"{service.url}/api/payments/{tx_hash}").json() == first
    assert shop.counts() == {}


@pytest.mark.parametrize("older", [10, 100_000])
def test_polling_after_a_restart_costs_one_read_for_any_ledger_length(shop: Shop, stack: Stack, older: int) -> None:
    service = stack.serve()
    customer = shop.customer()
    rows = {"amount": 1, "currency": "usd", "count": older, "every": 1, "created": int(time.time()) - 2 * older - 9999}
    stack.control("POST", f"customers/{customer.id}/rows", rows)
    tx_hash = shop.pay(service, customer)
    first = shop.claimed(service, tx_hash)
    shop.finalize()
    assert stack.run("sweep", "--once").returncode == 0
    service.kill()
    service = stack.serve()
    shop.count_from_zero()
    assert shop.claimed(service, tx_hash) == first
    assert shop.counts() == {LIST: 1}


def test_a_plain_payment_is_credited_at_the_price_of_its_block_when_final(shop: Shop, service: Service) -> None:
    customer = shop.customer()
    shop.register(service, customer)
    tx_hash = shop.pay_plainly(customer, 1_000 * TOKEN)
    [payment] = shop.claimed(service, tx_hash)["payments"]
    assert payment["cents"] == 600
    newest = shop.stack.credits(customer.id)[0]["metadata"]
    assert newest["rate"] == "0.006000000000000000"
    assert newest["rate_source"] == "coingecko:lit-protocol"
    assert newest["discount_bps"] == "0"
    assert shop.stack.balance(customer.id) == 5600


def test_a_plain_payment_below_one_cent_is_credited_with_nothing(shop: Shop, service: Service) -> None:
    customer = shop.customer()
    shop.register(service, customer)
    [payment] = shop.claimed(service, shop.pay_plainly(customer, TOKEN))["payments"]
    assert (payment["state"], payment["cents"], payment["credit"]) == ("credited", 0, None)
    assert shop.stack.balance(customer.id) == 5000


def test_an_unregistered_wallet_reverts_and_no_token_moves(shop: Shop) -> None:
    stack = shop.stack
    gateway, wallet = stack.gateways[0], shop.customer().wallet
    shop.approve(gateway, 10 * TOKEN)
    before = stack.chain.balance(stack.token, stack.payer)
    with pytest.raises(Reverted):
        stack.chain.send(stack.payer, gateway, encode_call("pay(address,uint256)", wallet, 10 * TOKEN))
    assert stack.chain.balance(stack.token, stack.payer) == before


def test_registration_in_the_same_multicall_lets_it_pass(shop: Shop, service: Service) -> None:
    customer = shop.customer()
    quote = shop.quote(service, customer)
    assert quote["registration"]["customer_id"] == customer.id
    assert len(quote["calls"]) == 2  # approve; register and pay in one call
    tx_hash = shop.send(quote)
    shop.deepen()
    assert shop.claimed(service, tx_hash)["payments"][0]["wallet"].lower() == customer.wallet
    again = shop.quote(service, customer)
    assert (again["registered"], again["registration"], again["sequence"]) == (True, None, 1)


def test_a_quote_pays_once(shop: Shop, service: Service) -> None:
    quote = shop.quote(service, shop.customer())
    shop.send(quote)
    with pytest.raises(Reverted):
        shop.stack.chain.send(shop.stack.payer, quote["calls"][-1]["to"], quote["calls"][-1]["data"])


def test_three_payments_of_one_evm_transaction_are_three_credits(shop: Shop, service: Service) -> None:
    stack = shop.stack
    customers = [shop.customer() for _ in range(3)]
    batcher = stack.chain.deploy("Batcher", [], [])
    stack.chain.mint(stack.token, batcher, 10**6 * TOKEN)
    quotes = [shop.quote(service, customer) for customer in customers]
    old, registrations = stack.gateways[1], [quote["calls"][-1] for quote in quotes[:2]]
    shop.register(service, customers[2])
    third = shop.stack.serve(GATEWAY_ADDRESSES=old)
    quotes[2] = shop.quote(third, customers[2])
    approvals = [
        (stack.token, encode_call("approve(address,uint256)", gateway, 10**6 * TOKEN)) for gateway in stack.gateways
    ]
    calls = approvals + [(call["to"], call["data"]) for call in [*registrations, quotes[2]["calls"][-1]]]
    data = encode_call(
        "run(address[],bytes[])", [to for to, _ in calls], [bytes.fromhex(call[2:]) for _, call in calls]
    )
    tx_hash = str(stack.chain.send(stack.payer, batcher, data)["transactionHash"])
    shop.finalize()
    payments = shop.claimed(service, tx_hash)["payments"]
    assert [payment["ordinal"] for payment in payments] == [0, 1, 0]
    assert len({payment["credit"] for payment in payments}) == 3
    assert [len(stack.credits(customer.id)) for customer in customers] == [1, 1, 2]


def test_the_sweep_credits_and_finalizes_unclaimed_payments(shop: Shop, service: Service) -> None:
    stack, customer = shop.stack, shop.customer()
    tx_hash = shop.pay(service, customer)
    shop.count_from_zero()
    sweeper = stack.sweeper()
    wait_until(lambda: stack.balance(customer.id) == 5000)
    shop.finalize()
    cursor = f"gateway:{stack.chain.chain_id}:{stack.gateways[0][2:10].lower()}"
    time.sleep(2)
    sweeper.stop()
    assert cursor not in stack.stripe(f"customers/{customer.id}")["metadata"], "half an hour later"
    assert stack.run("sweep", "--once").returncode == 0
    assert stack.stripe(f"customers/{customer.id}")["metadata"][cursor] == f"1:{tx_hash}", (
        "the command waits for nothing"
    )
    assert len(stack.credits(customer.id)) == 1


def test_an_idle_sweep_sends_no_stripe_reads(shop: Shop) -> None:
    stack = shop.stack
    shop.finalize()
    assert stack.run("sweep", "--once").returncode == 0
    shop.count_from_zero()
    sweeper = stack.sweeper()  # reads the two bookkeeping customers at start
    wait_until(lambda: shop.counts().get(READ_CUSTOMER, 0) >= 2)
    shop.count_from_zero()
    time.sleep(3)
    assert shop.counts() == {}
    sweeper.stop()
