"""`POST /api/quotes/status` on a real chain: whether a quote was paid, and whether it still can be."""

import time
from typing import Any

import httpx
import pytest

from stateless_billing.sandbox.localchain import Reverted, encode_call
from stateless_billing.sandbox.stack import Service, Stack
from tests.integration.shop import Shop, problem

FIELDS = ("gateway", "wallet", "sequence", "amount", "cents", "deadline", "signature")


def test_a_quote_from_its_signature_to_its_proof(shop: Shop, stack: Stack, service: Service) -> None:
    customer = shop.customer()
    unpaid = shop.quote(service, customer)
    paid = shop.quote(service, customer, 6_000)

    def ask(quote: dict[str, Any], **changes: Any) -> httpx.Response:
        body = {name: quote[name] for name in FIELDS} | changes
        return stack.http.post(f"{service.url}/api/quotes/status", json=body)

    shop.count_from_zero()
    assert ask(unpaid).json() == ask(paid).json() == {"state": "open", "payment": None}
    tx_hash = shop.send(paid)
    answer = ask(paid).json()
    assert answer["state"] == "paid"
    assert (answer["payment"]["tx_hash"], answer["payment"]["ordinal"]) == (tx_hash, 0)
    assert answer["payment"]["final"] is False
    assert ask(unpaid).json() == {"state": "superseded", "payment": None}
    shop.finalize()
    assert ask(paid).json()["payment"]["final"] is True
    problem(ask(paid, cents=6_001), 422, "invalid_input")
    problem(ask(paid, gateway=stack.token), 422, "invalid_input")
    problem(ask(paid, signature="0x" + "00" * 65), 422, "invalid_input")
    problem(ask(paid, amount=str(2**256)), 422, "invalid_input")
    assert shop.counts() == {}, "from the chain alone"


def test_quotes_that_were_never_paid_and_one_that_was_before_its_wallet_was_moved(shop: Shop, stack: Stack) -> None:
    service = stack.serve(QUOTE_SECONDS="30")
    payer, moved, new, heir = (shop.customer() for _ in range(4))
    for customer in (payer, moved):
        shop.register(service, customer)
    quotes = [shop.quote(service, customer) for customer in (payer, moved, new)]
    tx_hash = shop.send(quotes[0])

    def states() -> list[str]:
        bodies = [{name: quote[name] for name in FIELDS} for quote in quotes]
        answers = [stack.http.post(f"{service.url}/api/quotes/status", json=body).json() for body in bodies]
        assert {answer["payment"]["tx_hash"] for answer in answers if answer["payment"]} <= {tx_hash}
        return [answer["state"] for answer in answers]

    assert states() == ["paid", "open", "open"]
    for customer in (payer, moved):
        correct = encode_call("correctCustomer(address,bytes32)", customer.wallet, heir.id.encode())
        stack.chain.send(stack.chain.accounts[0], stack.gateways[0], correct)
    stack.chain.mine(1, interval=max(quote["deadline"] for quote in quotes) + 1 - int(time.time()))
    assert states() == ["paid", "undecided", "undecided"]
    shop.finalize()
    assert states() == ["paid", "void", "void"]
    for quote in quotes[1:]:
        with pytest.raises(Reverted):
            shop.send(quote)
