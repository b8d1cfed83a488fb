"""Follows docs/deploying.md, "Replacing the gateway", while payments to the old one are in flight."""

import json
from typing import Any

import pytest

from stateless_billing.sandbox.localchain import Reverted, encode_call
from stateless_billing.sandbox.stack import CEILING, Service, Stack
from tests.integration.conftest import SETTINGS
from tests.integration.shop import Shop

TOKEN = 10**18


@pytest.fixture(scope="module")
def stack() -> Any:
    """Run a system with one gateway, the old one."""
    with Stack.start(gateways=1, settings=SETTINGS) as running:
        yield running


def gateways_of(service: Service, stack: Stack, wallet: str) -> str:
    """Return the gateway of a service's quotes."""
    request = {"wallet": wallet, "cents": 5000, "payer": stack.payer}
    return str(stack.http.post(f"{service.url}/api/quotes", json=request).json()["gateway"])


def test_replacing_the_gateway_loses_and_doubles_nothing(shop: Shop) -> None:
    stack, chain = shop.stack, shop.stack.chain
    [old] = stack.gateways
    owner = chain.accounts[0]
    before = stack.serve()
    claimed, crossing, late, plain = (shop.customer() for _ in range(4))
    shop.register(before, claimed)
    shop.register(before, plain)

    # In flight: paid but not claimed; quoted but not paid; paid without a quote but not final.
    unclaimed = shop.pay(before, claimed, deep=False)
    open_quote = shop.quote(before, crossing)
    unregistered = shop.quote(before, late)
    shop.approve(old, 100 * TOKEN)
    unfinal = chain.send(stack.payer, old, encode_call("pay(address,uint256)", plain.wallet, 100 * TOKEN))

    # 1. Deploy the new one, 2. register everybody there, as any account may.
    new = chain.deploy_gateway(stack.token, stack.treasury, owner, stack.chain.accounts[3], TOKEN, CEILING)
    both = f"{new},{old}"
    batches = stack.run("register", "--calldata", GATEWAY_ADDRESSES=both)
    assert batches.returncode == 0, batches.stderr
    for line in batches.stdout.splitlines():
        batch = json.loads(line)
        assert batch["to"].lower() == new.lower()
        chain.send(chain.accounts[9], batch["to"], batch["data"])

    # 3. New processes use both, newest first; the old process is still running.
    after = stack.serve(GATEWAY_ADDRESSES=both)
    assert gateways_of(before, stack, claimed.wallet).lower() == old.lower()
    assert gateways_of(after, stack, claimed.wallet).lower() == new.lower()

    # Payments in flight are credited by the new process, also one paid only now with a quote of the old gateway.
    crossed = shop.send(open_quote)
    shop.deepen()
    for tx_hash in (unclaimed, crossed):
        assert shop.claimed(after, tx_hash)["payments"][0]["gateway"].lower() == old.lower()
    first_new = shop.pay(after, claimed)
    [payment] = shop.claimed(after, first_new)["payments"]
    assert (payment["gateway"].lower(), payment["sequence"]) == (new.lower(), 0)
    shop.finalize()
    assert shop.claimed(after, str(unfinal["transactionHash"]))["payments"][0]["cents"] == 60

    # 4. The old processes end; when their last quotes have expired, the old gateway is paused.
    before.stop()
    chain.send(owner, old, encode_call("pause()"))
    with pytest.raises(Reverted):
        shop.send(unregistered)
    assert chain.balance(stack.token, old) == 0
    shop.claimed(after, shop.pay(after, late))

    # 5. Both stay configured: a fresh process finds all payments, credits nothing twice, and finalizes both.
    shop.finalize()
    assert stack.run("sweep", "--once", GATEWAY_ADDRESSES=both).returncode == 0
    service = stack.settings["SERVICE_CUSTOMER_ID"]
    keys = {address: f"swept:{chain.chain_id}:{address[2:10].lower()}" for address in (old, new)}
    totals = {address: chain.call(address, "totalPayments()", returns="uint256") for address in (old, new)}
    assert totals == {old: 5, new: 2}
    record = stack.stripe(f"customers/{service}")["metadata"]
    assert {address: record[keys[address]] for address in (old, new)} == {old: "5", new: "2"}
    assert [len(stack.credits(customer.id)) for customer in (claimed, crossing, late, plain)] == [3, 1, 1, 2]
    assert [stack.balance(customer.id) for customer in (claimed, crossing, late, plain)] == [15000, 5000, 5000, 5060]
    identities = [
        row["metadata"]["payment"]
        for customer in (claimed, crossing, late, plain)
        for row in stack.credits(customer.id)
    ]
    assert len(set(identities)) == len(identities) == sum(totals.values())
