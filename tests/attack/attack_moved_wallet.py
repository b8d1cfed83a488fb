"""A stranger registers a wallet for the account that it has left, so that its next payment credits that one."""

import time
from typing import Any

from chain.contracts import encode_register
from stateless_billing.sandbox.localchain import Reverted, RpcError
from stateless_billing.sandbox.stack import Service, Stack
from tests.attack.world import World
from tests.integration.shop import Customer, Shop, problem

QUOTE_SECONDS = 30
SETTINGS = {"CONFIRMATIONS": "10000:1s,100000:safe,finalized", "QUOTE_SECONDS": str(QUOTE_SECONDS), "SWEEP": "off"}


def attack_moved_wallet(world: World) -> str:
    """Show that a registration dies with its quote, and that a wallet registered before it moved gets no quote."""
    with world.started(settings=SETTINGS) as stack:
        services, shop = world.serve_all(stack), Shop(stack)
        former = shop.customer()
        hoarded = [shop.quote(service, former) for service in services]
        longest = max(quote["registration"]["deadline"] - time.time() for quote in hoarded)
        assert longest <= QUOTE_SECONDS + 2
        registered = shop.customer()
        assert not register(stack, shop.quote(services[0], registered)), "in time it binds"
        owner = move(stack, former)
        conflicts = refused_quotes(stack, world, registered)
        time.sleep(max(0.0, hoarded[-1]["deadline"] + 1 - time.time()))
        refused = [register(stack, quote) for quote in hoarded]
        assert all(refused), "an old registration bound the wallet"
        for service in world.serve_all(stack):  # that have not cached the former account
            shop.claimed(service, shop.pay(service, owner))
        assert (stack.balance(former.id), stack.balance(owner.id)) == (0, 5000 * world.processes)
    return (
        f"registrations live {longest:.0f} s (were 86,400); {len(refused)} submitted later: refused;"
        f" {world.processes} payments credit the owner; {conflicts} quotes for a wallet registered before: 409"
    )


def move(stack: Stack, customer: Customer) -> Customer:
    """Move a wallet to a new account in Stripe."""
    stack.control("POST", f"customers/{customer.id}", {"metadata": {"note": "moved"}})
    return Customer(stack.add_customer(f"owner-of-{customer.wallet}@example.org", customer.wallet), customer.wallet)


def refused_quotes(stack: Stack, world: World, customer: Customer) -> int:
    """Move a wallet that the chain has registered; return how many processes refuse a quote."""
    move(stack, customer)
    services: list[Service] = world.serve_all(stack)
    for service in services:
        answer = stack.http.post(f"{service.url}/api/quotes", json={"wallet": customer.wallet, "cents": 5000})
        assert "no money moved" in problem(answer, 409, "wallet_conflict")["detail"].lower()
    return len(services)


def register(stack: Stack, quote: dict[str, Any]) -> str:
    """Submit a quote's registration alone, as anybody may; return why the gateway refused it."""
    given = quote["registration"]
    signature = bytes.fromhex(given["signature"][2:])
    data = encode_register(quote["wallet"], given["customer_id"], given["deadline"], signature)
    try:
        stack.chain.send(stack.chain.accounts[9], quote["gateway"], data)
    except (Reverted, RpcError) as refusal:
        return str(refusal)
    return ""
