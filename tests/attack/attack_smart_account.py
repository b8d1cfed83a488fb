"""Somebody signs in as an operator's smart account: with another key, an old owner's, or the help of a lying node."""

import json

from eth_account.messages import encode_defunct

from stateless_billing.sandbox.localchain import dev_account, encode_call
from stateless_billing.sandbox.stack import Service, Stack
from tests.attack.world import World
from tests.integration.slow_node import SlowNode, served
from tests.integration.visitors import SERVED, Visitor, challenge, smart_account_signature

IS_VALID = "1626ba7e"
OWNER, STRANGER = 6, 7


class LyingNode(SlowNode):
    """A node that says yes for every signature."""

    def ask(self, body: bytes) -> bytes:
        """Return the other node's answer, unless asked about a signature."""
        calls = json.loads(body)
        if isinstance(calls, dict) and IS_VALID in json.dumps(calls["params"])[:200]:
            answer = {"jsonrpc": "2.0", "id": calls["id"], "result": f"0x{IS_VALID}{'0' * 56}"}
            return json.dumps(answer).encode()
        return super().ask(body)


def attack_smart_account(world: World) -> str:
    """Show that the owner of a smart account signs in with each form of signature, and nobody else."""
    with world.started(settings={"SWEEP": "off"}) as stack:
        account = stack.chain.deploy("SmartAccount", ["address"], [stack.chain.accounts[OWNER]]).lower()
        operators = f"{account}=admin,{stack.chain.accounts[4]}=admin"
        services = world.serve_all(stack, **SERVED, OPERATORS=operators)
        held = [own_signatures(stack, service, account) for service in services]
        refused = [foreign_signatures(stack, service, account) for service in services]
        with served(LyingNode(stack.chain.url, 0)) as liar:
            nodes = f"{liar.url},{stack.settings['RPC_URLS']}"
            deceived = stack.serve(**SERVED, OPERATORS=operators, RPC_URLS=nodes)
            refused.append(foreign_signatures(stack, deceived, account))
            assert liar.most, "the lying node was asked"
            deceived.stop()
    return f"{sum(held)} signatures of the owner sign in; {sum(refused)} others do not, also with a node that lies"


def post(service: Service, visitor: Visitor, signature: str) -> int:
    """Send a signature and return the status."""
    return visitor.post(service, "/login/wallet", {"signature": signature}).status_code


def own_signatures(stack: Stack, service: Service, account: str) -> int:
    """Sign in with each form of signature; return how many there are."""
    for wrapped in (False, True):
        visitor = Visitor()
        signature = smart_account_signature(stack, challenge(service, visitor, account), wrapped=wrapped)
        assert post(service, visitor, signature) == 200
        assert post(service, visitor, signature) == 401, "a message works once"
    visitor, key = Visitor(), dev_account(4)
    signed = key.sign_message(encode_defunct(text=challenge(service, visitor, key.address)))
    compact = signed.r.to_bytes(32) + (signed.s | (signed.v - 27) << 255).to_bytes(32)
    assert post(service, visitor, f"0x{compact.hex()}") == 200
    return 3


def foreign_signatures(stack: Stack, service: Service, account: str) -> int:
    """Try signatures that are not the account's; return how many were refused."""
    tried = 0
    for text in ("the message", "another message"):
        for signer in (STRANGER, OWNER):
            visitor = Visitor()
            message = challenge(service, visitor, account)
            if text == "the message" and signer == OWNER:
                stack.chain.send(stack.chain.accounts[0], account, owner_call(stack, STRANGER))
            signed = dev_account(signer).sign_message(encode_defunct(text=message if text == "the message" else text))
            assert post(service, visitor, f"0x{signed.signature.hex()}") == 401
            stack.chain.send(stack.chain.accounts[0], account, owner_call(stack, OWNER))
            tried += 1
    absent = Visitor()
    challenge(service, absent, stack.chain.accounts[8])
    assert post(service, absent, "0x" + "00" * 65) == 401
    return tried + 1


def owner_call(stack: Stack, index: int) -> str:
    """Encode the call that gives the account to another owner."""
    return encode_call("setOwner(address)", stack.chain.accounts[index])
