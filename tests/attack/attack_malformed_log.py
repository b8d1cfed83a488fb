"""A node cuts the data of one payment's log, so that nobody else is credited."""

import json

from stateless_billing.sandbox.stack import Service, Stack
from tests.attack.world import World
from tests.integration.shop import Shop, wait_until
from tests.integration.slow_node import SlowNode, served

SETTINGS = {"CONFIRMATIONS": "10000:1s,100000:safe,finalized"}


class CuttingNode(SlowNode):
    """A node that cuts the data of the logs about one customer."""

    victim = ""

    def ask(self, body: bytes) -> bytes:
        """Return the other node's answer, with the victim's logs cut."""
        answer = super().ask(body)
        calls = json.loads(body)
        if not self.victim or not isinstance(calls, dict) or calls["method"] != "eth_getLogs":
            return answer
        parsed = json.loads(answer)
        for log in parsed["result"]:
            if log["topics"][1].startswith(self.victim):
                log["data"] = log["data"][:-64]
        return json.dumps(parsed).encode()


def attack_malformed_log(world: World) -> str:
    """Show that claims and the sweep of all others go on, and that the victim is credited once a node is honest."""
    with world.started(settings=SETTINGS) as stack, served(CuttingNode(stack.chain.url, 0)) as node:
        shop = Shop(stack)
        victim, *others = (shop.customer() for _ in range(4))
        services = [stack.serve(RPC_URLS=node.url) for _ in range(world.processes)]
        for customer in (victim, *others):
            shop.register(services[0], customer)  # with a first payment
        shop.finalize()
        node.victim = "0x" + victim.id.encode().hex()
        shop.pay_plainly(others[0], 10**21)
        shop.pay_plainly(victim, 10**21)
        for customer in others[1:]:
            shop.pay_plainly(customer, 10**21)
        shop.finalize()
        wait_until(lambda: all(len(stack.credits(customer.id)) == 2 for customer in others))
        claimed = shop.claimed(services[-1], shop.pay(services[-1], others[0]))
        assert len(stack.credits(victim.id)) == 1
        wait_until(lambda: all("only these wait" in chain_detail(stack, service) for service in services))
        node.victim = ""
        wait_until(lambda: len(stack.credits(victim.id)) == 2)
        for service in services:
            service.stop()
    return (
        f"{len(others)} plain payments swept and one claim {claimed['state']} beside a cut log (were: none);"
        " the block is named in /readyz; the victim is credited once a node shows it"
    )


def chain_detail(stack: Stack, service: Service) -> str:
    """Return what `/readyz` says of the chain."""
    return str(stack.http.get(f"{service.url}/readyz").json()["checks"]["chain"]["detail"])
