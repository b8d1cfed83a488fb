"""What the integration tests do again and again: make customers, quote, pay, claim, wait."""

import time
from dataclasses import dataclass
from itertools import count
from typing import Any

import httpx

from stateless_billing.sandbox.localchain import encode_call
from stateless_billing.sandbox.stack import Service, Stack

PATIENCE = 30.0
_NUMBERS = count(0xABC0_0001)


@dataclass(frozen=True)
class Customer:
    """A Stripe customer and the wallet that is credited to it."""

    id: str
    wallet: str


class Shop:
    """A stack, and the steps of payers and customers on it."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack

    def customer(self) -> Customer:
        """A new customer with a wallet of its own."""
        number = next(_NUMBERS)
        wallet = f"0x{number:040x}"
        return Customer(self.stack.add_customer(f"payer{number}@example.org", wallet), wallet)

    def quote(self, service: Service, customer: Customer, cents: int = 5000) -> dict[str, Any]:
        """A quote for the stack's payer."""
        asked = {"wallet": customer.wallet, "cents": cents, "payer": self.stack.payer}
        answer = self.stack.http.post(f"{service.url}/api/quotes", json=asked)
        assert answer.is_success, answer.text
        quote: dict[str, Any] = answer.json()
        return quote

    def send(self, quote: dict[str, Any]) -> str:
        """Send a quote's calls; the hash of the payment's EVM transaction."""
        tx_hash = ""
        for call in quote["calls"]:
            tx_hash = self.stack.chain.send(self.stack.payer, call["to"], call["data"])["transactionHash"]
        return tx_hash

    def pay(self, service: Service, customer: Customer, cents: int = 5000, *, deep: bool = True) -> str:
        """A quoted payment, as deep as the first tier asks unless told otherwise."""
        tx_hash = self.send(self.quote(service, customer, cents))
        if deep:
            self.deepen()
        return tx_hash

    def pay_plainly(self, customer: Customer, amount: int) -> str:
        """A plain payment of base units for a wallet that is registered, made final."""
        gateway = self.stack.gateways[0]
        self.approve(gateway, amount)
        pay = encode_call("pay(address,uint256)", customer.wallet, amount)
        tx_hash = self.stack.chain.send(self.stack.payer, gateway, pay)["transactionHash"]
        self.finalize()
        return str(tx_hash)

    def approve(self, spender: str, amount: int) -> None:
        """Let `spender` take the payer's tokens."""
        self.stack.chain.send(
            self.stack.payer, self.stack.token, encode_call("approve(address,uint256)", spender, amount)
        )

    def register(self, service: Service, customer: Customer) -> None:
        """Register the customer's wallet at the newest gateway, with a payment."""
        self.claimed(service, self.pay(service, customer))

    def deepen(self) -> None:
        """Mine what the first tier of confirmations asks, and no more than that."""
        self.stack.chain.mine(1, interval=2)

    def finalize(self) -> None:
        """Mine until everything so far is final."""
        self.stack.chain.mine(4, interval=1)

    def claim(self, service: Service, tx_hash: str) -> dict[str, Any]:
        """Claim once."""
        answer = self.stack.http.post(f"{service.url}/api/payments", json={"tx_hash": tx_hash})
        assert answer.is_success, answer.text
        claimed: dict[str, Any] = answer.json()
        return claimed

    def claimed(self, service: Service, tx_hash: str, state: str = "credited") -> dict[str, Any]:
        """Claim until the payments stand at `state`."""
        end, answer = time.monotonic() + PATIENCE, {}
        while time.monotonic() < end:
            answer = self.claim(service, tx_hash)
            if answer["state"] == state:
                return answer
            time.sleep(0.2)
        raise AssertionError(f"not {state} in time: {answer}\n{service.log()}")

    def counts(self) -> dict[str, int]:
        """Stripe calls by endpoint since they were last counted from 0."""
        counts: dict[str, int] = self.stack.control("GET", "state")["counts"]
        return counts

    def count_from_zero(self) -> None:
        """Forget the calls so far."""
        self.stack.control("DELETE", "state")

    def fault(self, effect: str, *, method: str = "POST", times: int = 1, **arguments: object) -> None:
        """Have Stripe fail in one of its ways at the next `times` calls for balance transactions."""
        template = "/v1/customers/{customer}/balance_transactions"
        body = {"effect": effect, "with": arguments, "method": method, "template": template, "times": times}
        self.stack.control("POST", "faults", body)


def next_second() -> None:
    """Wait for a new second to begin: an audit reads Stripe up to the last whole one, as the running one may grow."""
    time.sleep(1.01 - time.time() % 1)


def wait_until(true: Any, seconds: float = PATIENCE) -> None:
    """Wait for a condition; fail if it does not come."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.1)


def problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """A problem+json answer, checked for its form."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert body["type"] == f"/problems/{code}"
    assert body["status"] == status
    assert body["title"]
    assert body["detail"]
    assert body["request_id"] == answer.headers["x-request-id"]
    return body
