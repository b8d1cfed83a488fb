"""One customer's many payments beside an honest payer whom nobody claims, with real processes and a real chain.

`python -m tests.attack.attack_busy_customer [COUNT]` runs all forms. The chain's blocks are two seconds apart and
lie in the past, so that they can be mined faster.
"""

import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from chain import contracts
from stateless_billing.sandbox.localchain import encode_call
from stateless_billing.sandbox.stack import KEY, TOKEN, Service, Stack
from tests.bench import busy_customer
from tests.integration.shop import Customer, Shop
from tests.integration.slow_node import slow_node

COUNT = 1_000
TOGETHER = 400  # payments in one EVM transaction
BLOCK_SECONDS = 2
NODE_SECONDS = 0.02  # a node elsewhere answers no sooner; without a way, calls cost the service's own time only
MAX_CREDIT = 1.5  # times the usual time to a credit
MAX_QUOTE = 2.0
MAX_COST = 2.0
_AMOUNT = 20 * TOKEN  # about 12 cents
_SEND_SECONDS = 0.2
_EVERY = 15  # payments of the busy customer between two of the honest one
_WAIT_SECONDS = 600.0


class Street:
    """A stack with a busy and an honest customer, both registered, and one process that sweeps."""

    def __init__(self, stack: Stack) -> None:
        self.stack, self.shop = stack, Shop(stack)
        stack.chain.rpc("evm_setBlockGasLimit", hex(10**10))
        stack.chain.rpc("anvil_setBlockTimestampInterval", BLOCK_SECONDS)
        self.service: Service = stack.serve(SWEEP_SECONDS="3")
        self.busy, self.honest = self.shop.customer(), self.shop.customer()
        for customer in (self.busy, self.honest):
            tx_hash = self.shop.pay(self.service, customer, deep=False)
            stack.chain.mine(20)
            self.shop.claimed(self.service, tx_hash)
        self.shop.approve(stack.gateways[0], 10**8 * TOKEN)
        self._waiting: list[tuple[int, float]] = []
        self._credited = len(stack.credits(self.honest.id))
        self._honest_paid = self._credited
        self.times: list[float] = []
        self.quotes: list[float] = []

    def pay(self, customer: Customer) -> None:
        """Make one plain payment; it is mined at once."""
        call = encode_call("pay(address,uint256)", customer.wallet, _AMOUNT)
        self.stack.chain.send(self.stack.payer, self.stack.gateways[0], call)

    def pay_together(self) -> None:
        """Make many payments of the busy customer in one EVM transaction."""
        call = encode_call("pay(address,uint256)", self.busy.wallet, _AMOUNT)
        data = contracts.encode_multicall([call] * TOGETHER)
        self.stack.chain.send(self.stack.payer, self.stack.gateways[0], data, gas=10**9)

    def pay_honestly(self) -> None:
        """Make a payment of the honest customer, and note when."""
        self.pay(self.honest)
        self.shop.finalize()
        self._honest_paid += 1
        self._waiting.append((self._honest_paid, time.monotonic()))

    def look(self) -> None:
        """Note how long payments of the honest customer took that are credited now."""
        credited = len(self.stack.credits(self.honest.id))
        while self._waiting and self._waiting[0][0] <= credited:
            self.times.append(time.monotonic() - self._waiting.pop(0)[1])

    def ask(self) -> None:
        """Ask for a quote for the busy wallet, and note how long that took."""
        began = time.monotonic()
        request = {"wallet": self.busy.wallet, "cents": 500, "payer": self.stack.payer}
        answer = self.stack.http.post(f"{self.service.url}/api/quotes", json=request)
        assert answer.status_code == 200, answer.text
        self.quotes.append(time.monotonic() - began)

    def watch(self, seconds: float) -> None:
        """Watch the honest customer's credits for a while."""
        end = time.monotonic() + seconds
        self.look()
        while time.monotonic() < end:
            time.sleep(0.05)
            self.look()

    def wait(self, done: Callable[[], bool]) -> None:
        """Watch until something holds, and the honest customer's payments are credited."""
        end = time.monotonic() + _WAIT_SECONDS
        while not done() or self._waiting:
            assert time.monotonic() < end, f"waited in vain\n{self.service.log()[-3_000:]}"
            self.watch(0.3)

    def usual(self) -> tuple[float, float]:
        """The longest time to a credit, and the median one to a quote, without the attack."""
        for _ in range(8):
            self.pay_honestly()
            self.ask()
            self.watch(2.7)
        self.wait(lambda: True)
        figures = max(self.times), statistics.median(self.quotes)
        self.times.clear()
        self.quotes.clear()
        return figures

    def entries(self) -> int:
        """Count the busy customer's credits by their balance."""
        return self.stack.balance(self.busy.id)

    def opened(self) -> list[str]:
        """Return what customers have open in the service record."""
        record = self.stack.stripe(f"customers/{self.stack.settings['SERVICE_CUSTOMER_ID']}")["metadata"]
        return [value for name, value in record.items() if name.startswith("open:")]

    def judge(self, name: str, usual: tuple[float, float]) -> str:
        """Return the figures as a line. Raises: AssertionError."""
        slowest, quote = max(self.times), statistics.median(self.quotes)
        line = (
            f"{name}: honest payments credited in {slowest:.1f} s at most, usually {usual[0]:.1f};"
            f" quotes in {quote * 1_000:.0f} ms, usually {usual[1] * 1_000:.0f}"
        )
        assert slowest <= MAX_CREDIT * usual[0], line
        assert quote <= MAX_QUOTE * usual[1], line
        return line


@contextmanager
def _street() -> Iterator[Stack]:
    begun = int(time.time()) - (COUNT + 1_500) * BLOCK_SECONDS - 3_600
    with Stack.start(timestamp=begun) as stack, slow_node(stack.chain.url, NODE_SECONDS) as node:
        stack.settings["RPC_URLS"] = node.url
        try:
            yield stack
        finally:
            stack.stop_services()  # before their node ends


def attack_many_payments(count: int = COUNT) -> str:
    """Many small payments, one a block in blocks of two seconds."""
    with _street() as stack:
        street = Street(stack)
        usual = street.usual()
        for number in range(1, count + 1):
            street.pay(street.busy)
            if number % _EVERY == 0:
                street.pay_honestly()
                street.ask()
            street.watch(_SEND_SECONDS)
        street.wait(lambda: True)
        return street.judge(f"{count} payments, one a block", usual)


def attack_thousandth_payment(count: int = COUNT) -> str:
    """The cost of the tenth and of the last payment, in virtual time."""
    costs = busy_customer.measure(count)
    tenth, last = busy_customer.average(costs[9:39]), busy_customer.average(costs[-30:])
    line = f"{busy_customer.report('the 10th payment', tenth)}; {busy_customer.report(f'the {count}th', last)}"
    for first, later in zip(tenth, last, strict=True):
        assert later <= MAX_COST * first, line
    return line


def attack_payments_in_one_transaction() -> str:
    """400 small payments in one EVM transaction."""
    with _street() as stack:
        street = Street(stack)
        usual = street.usual()
        before = street.entries()
        street.pay_together()
        paid = before + TOGETHER * _cents(street)
        while street.entries() < paid:
            street.pay_honestly()
            street.ask()
            street.watch(3)
        street.wait(lambda: True)
        return street.judge(f"{TOGETHER} payments in one EVM transaction", usual)


def _cents(street: Street) -> int:
    """The cents of one small payment, from the honest customer's last credit."""
    return -int(street.stack.credits(street.honest.id)[0]["amount"])


def attack_many_held_payments(count: int = COUNT) -> str:
    """Many payments of a customer who may not be credited."""
    with _street() as stack:
        street = Street(stack)
        usual = street.usual()
        answer = stack.http.post(
            f"{stack.sandbox}/v1/customers/{street.busy.id}",
            data={"metadata[gateway_payments]": "off"},
            headers={"authorization": f"Bearer {KEY}", "stripe-version": "2026-10-28.endive"},
        )
        assert answer.is_success, answer.text
        call = encode_call("pay(address,uint256)", street.busy.wallet, _AMOUNT)
        for number in range(count // 10):
            data = contracts.encode_multicall([call] * 10)
            stack.chain.send(stack.payer, stack.gateways[0], data, gas=10**8)
            if number % 3 == 0:
                street.pay_honestly()
            street.watch(10 * _SEND_SECONDS)
        street.quotes = [usual[1]]  # there are none for this customer
        street.wait(lambda: bool(street.opened()))
        assert len(street.opened()) == 1, street.opened()
        return (
            street.judge(f"{count} held payments", usual) + f"; in the record: {street.opened()[0].partition(':')[2]}"
        )


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else COUNT
    print(attack_many_held_payments(count), flush=True)
    print(attack_payments_in_one_transaction(), flush=True)
    print(attack_many_payments(count), flush=True)
    print(attack_thousandth_payment(count), flush=True)
