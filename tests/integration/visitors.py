"""Browsers of people who are not signed in, each with its own address."""

from eth_abi.abi import encode
from eth_account.messages import encode_defunct

from stateless_billing.sandbox.localchain import dev_account
from stateless_billing.sandbox.stack import Service, Stack
from tests.integration.operators import Operator

SERVED = {"CLIENT_IP_HEADER": "x-ip"}


class Visitor(Operator):
    """A signed-out browser with its own address."""

    _addresses = 0

    def __init__(self) -> None:
        super().__init__(cookie="none")
        Visitor._addresses += 1
        self.address = f"10.9.{Visitor._addresses // 250}.{Visitor._addresses % 250}"
        self.cookies = {}

    def _headers(self, **more: str) -> dict[str, str]:
        return super()._headers(**{"x-ip": self.address, **more})


def challenge(service: Service, visitor: Visitor, address: str) -> str:
    answer = visitor.post(service, "/login/wallet/message", {"address": address, "next": "/admin/stuck"})
    assert answer.is_success, answer.text
    visitor.store_cookies(answer)
    return str(answer.json()["message"])


def smart_account_signature(stack: Stack, message: str, *, wrapped: bool) -> str:
    """Sign a message as the owner of a smart account; wrapped as for an account that might not exist yet."""
    signed = bytes(dev_account(6).sign_message(encode_defunct(text=message)).signature)
    if wrapped:
        parts = encode(["address", "bytes", "bytes"], [stack.chain.accounts[0], b"create", signed])
        signed = parts + bytes.fromhex("6492" * 16)
    return f"0x{signed.hex()}"
