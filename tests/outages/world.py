"""What an outage is played against: the whole system, with a relay before Stripe, the prices and every node."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from stateless_billing.sandbox.localchain import encode_call
from stateless_billing.sandbox.stack import TOKEN, Service, Stack
from stateless_billing.services.startup import STARTED
from tests.integration.shop import Customer, Shop
from tests.integration.slow_node import served
from tests.outages.faulty_node import FaultyNode
from tests.outages.observer import Observer, observing
from tests.outages.relay import Relay, relayed

BLOCK_SECONDS = 1
SLOTS_IN_AN_EPOCH = 3  # `safe` is 3 s behind the head, `finalized` 6 s
SETTINGS = {"CONFIRMATIONS": "10000:2s,100000:safe,finalized", "SWEEP_SECONDS": "1", "STRIPE_RATE": "25"}
PATIENCE_SECONDS = 150.0
_PAYMENT_GAS = 1_000_000  # an estimate counts no storage slot that an earlier payment of the same block fills
_ALLOWANCE = 10**8 * TOKEN


@dataclass(frozen=True)
class Recovery:
    """How an outage went.

    `seconds` pass from the end of the outage (or from the fault, where nothing may stop) until everything due is
    credited. `limit_seconds` bounds them. `payers` and `readiness` are what was said meanwhile; `unsaid` is what should
    have been.
    """

    seconds: float
    limit_seconds: float
    payers: str
    readiness: str
    unsaid: Sequence[str] = ()
    note: str = ""

    @property
    def holds(self) -> bool:
        """Whether the bound is kept and nothing is unsaid."""
        return self.seconds <= self.limit_seconds and not self.unsaid


@dataclass(frozen=True)
class Bill:
    """A payment to make: the call of the payer, and the customer's balance in cents once it is credited."""

    customer: Customer
    call: Mapping[str, str]
    balance: int


class Scene(Shop):
    """A running system behind relays, with the steps of payers."""

    def __init__(
        self, stack: Stack, stripe: Relay, prices: Relay, nodes: list[Relay], faulty: list[FaultyNode]
    ) -> None:
        super().__init__(stack)
        self.stripe = stripe
        self.prices = prices
        self.nodes = nodes
        self.faulty = faulty

    def start(self, **settings: str) -> tuple[Service, Service]:
        """Start one process that serves and one that sweeps, and wait until both have made their checks."""
        sweeper = self.stack.sweeper(**settings)
        web = self.stack.serve(SWEEP="off", **settings)
        end = time.monotonic() + PATIENCE_SECONDS
        while STARTED not in sweeper.log():
            assert sweeper.process.poll() is None, sweeper.log()
            assert time.monotonic() < end, "the sweeping process does not start"
            time.sleep(0.05)
        return web, sweeper

    def bills(self, web: Service, *cents: int) -> list[Bill]:
        """Request a quote for each of these cents, of a customer each, with the allowance in place."""
        self.approve(self.stack.gateways[0], _ALLOWANCE)
        return [self.bill(web, self.customer(), amount) for amount in cents]

    def bill(self, web: Service, customer: Customer, cents: int, *, before: int = 0) -> Bill:
        """Request a quote for a customer whose balance is `before`; the allowance must be in place."""
        return Bill(customer, self.quote(web, customer, cents)["calls"][-1], before + cents)

    def plain_bill(self, web: Service) -> Bill:
        """Prepare a plain payment of $6; the customer has registered with a quoted one of $5, credited."""
        [first] = self.bills(web, 500)
        self.pay_all([first])
        self.seconds_until_credited([first], time.monotonic())
        data = encode_call("pay(address,uint256)", first.customer.wallet, 1_000 * TOKEN)
        return Bill(first.customer, {"to": self.stack.gateways[0], "data": data}, first.balance + 600)

    def pay_all(self, bills: Sequence[Bill]) -> list[str]:
        """Make the payments in one block or two and return the hashes of their EVM transactions."""
        chain = self.stack.chain
        calls = [(bill.call["to"], bill.call["data"]) for bill in bills]
        hashes = [chain.submit(self.stack.payer, to, data, gas=_PAYMENT_GAS) for to, data in calls]
        assert all(int(chain.receipt(tx_hash)["status"], 16) == 1 for tx_hash in hashes)
        return hashes

    def fail_stripe(self, effect: str, *, times: int | None = None, method: str = "", **arguments: object) -> None:
        """Make Stripe's next requests fail with an effect; all of them without `times`."""
        template = "/v1/customers/{customer}/balance_transactions" if method == "POST" else ""
        fault = {"effect": effect, "with": arguments, "times": times, "method": method, "template": template}
        self.stack.control("POST", "faults", fault)

    def restore_stripe(self) -> float:
        """End Stripe's faults; when they ended."""
        self.stack.control("DELETE", "faults")
        return time.monotonic()

    def wait_for_fault(self) -> float:
        """Wait until Stripe's faults have hit; when the last did."""
        end = time.monotonic() + PATIENCE_SECONDS
        while self.stack.control("GET", "state")["faults"]:
            assert time.monotonic() < end, "the fault hit no request"
            time.sleep(0.02)
        return time.monotonic()

    def wait_until_final(self, tx_hash: str) -> None:
        """Wait until a payment is final on the chain."""
        block = int(self.stack.chain.receipt(tx_hash)["blockNumber"], 16)
        end = time.monotonic() + PATIENCE_SECONDS
        while self.stack.chain.height("finalized") < block:
            assert time.monotonic() < end, "the chain does not become final"
            time.sleep(0.2)

    def is_credited(self, bill: Bill) -> bool:
        """Whether the customer's balance shows the payment; not counted as a request to Stripe."""
        customer = self.stack.control("GET", f"customers/{bill.customer.id}")
        return int(customer["balance"]) == -bill.balance

    def seconds_until_credited(self, bills: Sequence[Bill], since: float) -> float:
        """Wait until all payments are credited once; the seconds since a time of the monotonic clock."""
        end = time.monotonic() + PATIENCE_SECONDS
        waiting = list(bills)
        while waiting := [bill for bill in waiting if not self.is_credited(bill)]:
            assert time.monotonic() < end, f"{len(waiting)} of {len(bills)} payments were not credited in time"
            time.sleep(0.05)
        return time.monotonic() - since

    @contextmanager
    def observe(self, web: Service, hashes: Sequence[str] = ()) -> Iterator[Observer]:
        """Watch what the API tells the payers of these EVM transactions, and what `/readyz` says."""
        with observing(web.url, hashes) as observer:
            yield observer


@dataclass(frozen=True)
class World:
    """The size of the outages: as operators meet them, or `short`, as `make test` plays them."""

    short: bool = False

    def lasting(self, seconds: float, short: float) -> float:
        """Return how long an outage lasts."""
        return short if self.short else seconds

    @contextmanager
    def started(
        self, *, nodes: int = 1, timestamp: int | None = None, settings: dict[str, str] | None = None
    ) -> Iterator[Scene]:
        """Run a chain that mines each second, with this many nodes, and the stand-ins."""
        with ExitStack() as running:
            stack = running.enter_context(
                Stack.start(
                    block_time=BLOCK_SECONDS,
                    slots_in_an_epoch=SLOTS_IN_AN_EPOCH,
                    timestamp=timestamp,
                    settings=SETTINGS | (settings or {}),
                )
            )
            faulty = [running.enter_context(served(FaultyNode(stack.chain.url))) for _ in range(nodes)]
            stripe, prices, *node_relays = (
                running.enter_context(relayed(url))
                for url in (stack.sandbox, stack.sandbox, *(node.url for node in faulty))
            )
            stack.settings["STRIPE_API_BASE"] = stripe.url
            stack.settings["PRICE_API_BASE"] = prices.url
            stack.settings["RPC_URLS"] = ",".join(relay.url for relay in node_relays)
            try:
                yield Scene(stack, stripe, prices, node_relays, faulty)
            finally:
                stack.stop_services()  # before what they read
