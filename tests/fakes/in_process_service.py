"""The whole service in one process and in virtual time, with fake nodes and a fake Stripe."""

import asyncio
import json
import random
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs

import httpx

from chain.errors import NodeError
from chain.payment import Payment
from chain.signatures import keccak_of_text
from stateless_billing.crediting.payment_status import PaymentStatus
from stateless_billing.domain.ledger import cursor_key
from stateless_billing.sandbox.answers import Delivery
from stateless_billing.sandbox.api_keys import DEFAULT_KEY, ApiKey
from stateless_billing.sandbox.records import Contact, Customer, Transaction
from stateless_billing.sandbox.stripe_api import StripeStandIn
from stateless_billing.services.container import Services
from stateless_billing.services.startup import Token
from stateless_billing.settings import SWEEP, load
from tests.chain.fake_node import FakeNode
from tests.fakes.factories import BLOCK_SECONDS, CHAIN_ID, GATEWAY, START
from tests.fakes.tracing_transport import BODY, HEADERS
from tests.fakes.virtual_time import run_virtually

HOUR = 3600
BEGIN = START + 2 * HOUR  # when each test starts
NOW_BLOCK = 2 * HOUR // BLOCK_SECONDS
FINALITY = 600  # blocks
SERVICE, GRANTS = "cus_Service", "cus_Grants"
SHORT = GATEWAY[2:10]
CREDITS = "POST /v1/customers/{customer}/balance_transactions"
LISTS = "GET /v1/customers/{customer}/balance_transactions"
READS = "GET /v1/customers/{customer}"
UPDATES = "POST /v1/customers/{customer}"


class LoopClock:
    """Both clocks follow the loop's time."""

    def wall(self) -> float:
        """Unix seconds."""
        return BEGIN + asyncio.get_running_loop().time()

    def boot(self) -> float:
        """Return seconds."""
        return 1_000 + asyncio.get_running_loop().time()


class StripeLine(httpx.AsyncBaseTransport):
    """One connection to the stand-in; it reports its steps as httpcore does."""

    def __init__(self, town: "Town") -> None:
        self._town = town
        self._open = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Connect if needed, write and respond. A failure closes the connection."""
        trace = request.extensions.get("trace")
        if trace and not self._open:
            await trace("connection.connect_tcp.started", {})
        was_open, self._open = self._open, False
        self._town.connections += not was_open
        for step in (HEADERS, BODY):
            if trace:
                await trace(step, {})
        await asyncio.sleep(0.01)
        self._town.meddle(request)
        path = request.url.raw_path.decode()
        answer = self._town.stripe.handle(request.method, path, request.headers, request.content)
        if answer.delivery in (Delivery.LOST, Delivery.CUT):
            raise httpx.ReadError("the connection closed")
        self._open = answer.delivery is Delivery.WHOLE
        return httpx.Response(answer.status, headers=answer.headers, content=answer.body)


class NodesLine(httpx.AsyncBaseTransport):
    """A transport to all nodes, by host name, and to the price feed."""

    def __init__(self, town: "Town") -> None:
        self._town = town

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Respond without delay."""
        town = self._town
        if request.url.host == "prices.test":
            return httpx.Response(200, text=self._prices(parse_qs(request.url.query.decode())))
        node = town.nodes[int(request.url.host[4])]
        latest = int(LoopClock().wall() - town.lag - START) // BLOCK_SECONDS
        node.tags = {"latest": latest, "safe": latest - FINALITY // 2, "finalized": latest - FINALITY}
        calls = json.loads(request.content)
        if isinstance(calls, dict):
            return httpx.Response(200, json=_respond(node, calls))
        return httpx.Response(200, json=[_respond(node, call) for call in calls])

    def _prices(self, query: dict[str, list[str]]) -> str:
        first, last = (int(query[name][0]) for name in ("from", "to"))
        points = [f"[{time}000, {self._town.price}]" for time in range(first, last + 1, 300)]
        return f'{{"prices": [{", ".join(points)}]}}'


def _respond(node: FakeNode, call: dict[str, Any]) -> dict[str, Any]:
    head = {"jsonrpc": "2.0", "id": call["id"]}
    try:
        return head | {"result": node.answer(call["method"], call["params"])}
    except NodeError as error:
        return head | {"error": {"message": str(error)}}


class Town:
    """A chain with payments, a Stripe account with their customers, and service processes."""

    def __init__(
        self, payments: Sequence[Payment], *, strangers: Sequence[str] = (), key: str = DEFAULT_KEY, **record: str
    ) -> None:
        self.nodes = [FakeNode(payments)]
        self.lag = 0.0  # seconds by which the nodes lag
        self.price = Decimal("0.006")
        self.meddle: Callable[[httpx.Request], None] = lambda _: None
        self.connections = 0
        self.key = key
        self.stripe = StripeStandIn(LoopClock().wall, random.Random(1), keys=(ApiKey(key),))
        self.stripe.limits.enabled = False
        customer_ids = {payment.customer_id for payment in payments if payment.customer_id} - set(strangers)
        metadata = {name.replace("__", ":"): value for name, value in record.items()}
        self.add(SERVICE, {"stateless_billing": "service", "grants": GRANTS, **metadata})
        self.add(GRANTS, {"stateless_billing": "grants"})
        for customer_id in sorted(customer_ids):
            self.add(customer_id)

    def add(self, customer_id: str, metadata: dict[str, str] | None = None) -> None:
        """Add a Stripe customer created before the first block."""
        created = START - 30 * 24 * HOUR
        contact = Contact(metadata=metadata or {})
        self.stripe.account.add_customer(created, created, contact, identifier=customer_id)

    def run(self, scenario: Coroutine[Any, Any, None]) -> None:
        """Run a scenario in virtual time."""
        run_virtually(scenario)

    def process(self, **environ: str) -> Services:
        """Create a process of the service, with empty caches."""
        defaults = {
            "STRIPE_API_KEY": self.key,
            "STRIPE_API_BASE": "http://stripe.test",
            "PLAIN_HTTP": "on",
            "STRIPE_RATE": "100",
            "STRIPE_TOTAL_RATE": "400",
            "RPC_URLS": ",".join(f"http://node{index}.test" for index in range(len(self.nodes))),
            "GATEWAY_ADDRESSES": GATEWAY,
            "PRICE_API_BASE": "http://prices.test",
            "SERVICE_CUSTOMER_ID": SERVICE,
        }
        return Services(load(SWEEP, defaults | environ), LoopClock(), NodesLine(self), lambda: StripeLine(self))

    async def started(self, **environ: str) -> Services:
        """Create a process whose checks have passed and whose sweeper has loaded the service record."""
        services = self.process(**environ)
        services.startup.token = Token(GATEWAY, "LITKEY", 18)
        services.startup.has_passed = True
        services.sweeper.start(await services.records.load())
        return services

    def customer(self, customer_id: str) -> Customer:
        """Return a customer as Stripe has it."""
        return self.stripe.account.by_id[customer_id]

    def rows(self, customer_id: str) -> list[Transaction]:
        """Return a customer's balance transactions."""
        return self.customer(customer_id).rows

    def cursor(self, customer_id: str) -> str | None:
        """Return a customer's cursor as stored."""
        return self.customer(customer_id).contact.metadata.get(cursor_key(CHAIN_ID, GATEWAY))

    def set_metadata(self, customer_id: str, metadata: dict[str, str]) -> None:
        """Replace a customer's metadata."""
        self.customer(customer_id).set_metadata(START, metadata)

    def record(self) -> tuple[str | None, dict[int | str, str]]:
        """Return `swept` and the open payments of the service record: causes by index, or by customer.

        A customer's is `<first open sequence>:<cause>`.
        """
        metadata = self.customer(SERVICE).contact.metadata
        prefix = f"open:{CHAIN_ID}:{SHORT}:"
        opened: dict[int | str, str] = {}
        for name, value in metadata.items():
            customer_id, _, rest = value.partition(":")
            if name.startswith(prefix) and rest:
                assert name == prefix + keccak_of_text(customer_id).hex()[:8]
                opened[customer_id] = rest
            elif name.startswith(prefix):
                opened[int(name.removeprefix(prefix))] = value
        return metadata.get(f"swept:{CHAIN_ID}:{SHORT}"), opened

    def asked(self, endpoint: str) -> int:
        """Return the number of requests to an endpoint since the log was reset."""
        return self.stripe.log.counts[endpoint]

    def costs(self, *, record: bool = False) -> dict[str, int]:
        """Count requests by endpoint since the log was reset.

        With `record`, those about the service record; without, all others.
        """
        rows = self.stripe.log.rows
        return dict(Counter(row.endpoint for row in rows if (f"/{SERVICE}" in row.path) == record))


async def sweeping(services: Services, seconds: float, busy: int = 20, idle: int = 60) -> None:
    """Sweep for `seconds`."""
    try:
        async with asyncio.timeout(seconds):
            await services.sweeper.run(busy, idle)
    except TimeoutError:
        return


async def advanced(services: Services, payment: Payment) -> PaymentStatus:
    """Process a payment once."""
    heads = await services.confirmations.heads()
    return await services.crediting.process(services.gateways[0], payment, heads)


async def observed(services: Services, payment: Payment) -> PaymentStatus:
    """Get a payment's status without processing it."""
    heads = await services.confirmations.heads()
    return await services.crediting.get_status(services.gateways[0], payment, heads)
