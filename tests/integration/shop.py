"""Common steps of the integration tests: create customers, quote, pay, claim, wait."""

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
    """A Stripe customer and its wallet."""

    id: str
    wallet: str


class Shop:
    """A stack, with the steps of payers and customers."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack

    def customer(self) -> Customer:
        """Create a customer with its own wallet."""
        number = next(_NUMBERS)
        wallet = f"0x{number:040x}"
        return Customer(self.stack.add_customer(f"payer{number}@example.org", wallet), wallet)

    def quote(self, service: Service, customer: Customer, cents: int = 5000) -> dict[str, Any]:
        """Request a quote for the stack's payer."""
        request = {"wallet": customer.wallet, "cents": cents, "payer": self.stack.payer}
        answer = self.stack.http.post(f"{service.url}/api/quotes", json=request)
        assert answer.is_success, answer.text
        quote: dict[str, Any] = answer.json()
        return quote

    def send(self, quote: dict[str, Any]) -> str:
        """Send a quote's calls and return the hash of the payment's EVM transaction."""
        tx_hash = ""
        for call in quote["calls"]:
            tx_hash = self.stack.chain.send(self.stack.payer, call["to"], call["data"])["transactionHash"]
        return tx_hash

    def pay(self, service: Service, customer: Customer, cents: int = 5000, *, deep: bool = True) -> str:
        """Make a quoted payment, by default as deep as the first tier requires."""
        tx_hash = self.send(self.quote(service, customer, cents))
        if deep:
            self.deepen()
        return tx_hash

    def pay_plainly(self, customer: Customer, amount: int) -> str:
        """Make a plain payment of base units for a registered wallet, and make it final."""
        gateway = self.stack.gateways[0]
        self.approve(gateway, amount)
        pay = encode_call("pay(address,uint256)", customer.wallet, amount)
        tx_hash = self.stack.chain.send(self.stack.payer, gateway, pay)["transactionHash"]
        self.finalize()
        return str(tx_hash)

    def approve(self, spender: str, amount: int) -> None:
        """Approve `spender` for the payer's tokens."""
        self.stack.chain.send(
            self.stack.payer, self.stack.token, encode_call("approve(address,uint256)", spender, amount)
        )

    def register(self, service: Service, customer: Customer) -> None:
        """Register the customer's wallet at the newest gateway, with a payment."""
        self.claimed(service, self.pay(service, customer))

    def deepen(self) -> None:
        """Mine exactly the depth that the first tier requires."""
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
        """Claim until the payments reach `state`."""
        end, answer = time.monotonic() + PATIENCE, {}
        while time.monotonic() < end:
            answer = self.claim(service, tx_hash)
            if answer["state"] == state:
                return answer
            time.sleep(0.2)
        raise AssertionError(f"not {state} in time: {answer}\n{service.log()}")

    def counts(self) -> dict[str, int]:
        """Return the Stripe calls by endpoint since the last reset."""
        counts: dict[str, int] = self.stack.control("GET", "state")["counts"]
        return counts

    def count_from_zero(self) -> None:
        """Reset the call counts."""
        self.stack.control("DELETE", "state")

    def fault(self, effect: str, *, method: str = "POST", times: int = 1, **arguments: object) -> None:
        """Make the next `times` Stripe calls for balance transactions fail with an effect."""
        template = "/v1/customers/{customer}/balance_transactions"
        body = {"effect": effect, "with": arguments, "method": method, "template": template, "times": times}
        self.stack.control("POST", "faults", body)


def next_second() -> None:
    """Wait for the next second: an audit covers Stripe's whole seconds only."""
    time.sleep(1.01 - time.time() % 1)


def wait_until(true: Any, seconds: float = PATIENCE) -> None:
    """Wait for a condition; fail on timeout."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.1)


def problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """Check a problem+json answer and return it."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert body["type"] == f"/problems/{code}"
    assert body["status"] == status
    assert body["title"]
    assert body["detail"]
    assert body["request_id"] == answer.headers["x-request-id"]
    return body
