"""The whole service in one process and in virtual time: fake nodes, the Stripe stand-in, no sockets, no waiting."""

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
from stateless_billing.crediting.payment_status import PaymentStatus
from stateless_billing.domain.ledger import cursor_key
from stateless_billing.sandbox.answers import Delivery
from stateless_billing.sandbox.api_keys import DEFAULT_KEY
from stateless_billing.sandbox.records import Contact, Customer, Transaction
from stateless_billing.sandbox.stripe_api import StripeStandIn
from stateless_billing.services.container import Services
from stateless_billing.settings import SWEEP, load
from tests.chain.fake_node import FakeNode
from tests.fakes.factories import BLOCK_SECONDS, CHAIN_ID, GATEWAY, START
from tests.fakes.tracing_transport import BODY, HEADERS
from tests.fakes.virtual_time import run_virtually

HOUR = 3600
BEGIN = START + 2 * HOUR  # when each test begins
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
        """Seconds passed."""
        return 1_000 + asyncio.get_running_loop().time()


class StripeLine(httpx.AsyncBaseTransport):
    """One connection to the stand-in, announcing its steps as httpcore does."""

    def __init__(self, town: "Town") -> None:
        self._town = town
        self._open = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Connect where needed, write, answer; whatever goes wrong closes the connection."""
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
    """The way to all nodes, by host name, and to the price feed."""

    def __init__(self, town: "Town") -> None:
        self._town = town

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer at once."""
        town = self._town
        if request.url.host == "prices.test":
            return httpx.Response(200, text=self._prices(parse_qs(request.url.query.decode())))
        node = town.nodes[int(request.url.host[4])]
        latest = int(LoopClock().wall() - town.lag - START) // BLOCK_SECONDS
        node.tags = {"latest": latest, "safe": latest - FINALITY // 2, "finalized": latest - FINALITY}
        asked = json.loads(request.content)
        answers = [_answered(node, one) for one in (asked if isinstance(asked, list) else [asked])]
        return httpx.Response(200, json=answers if isinstance(asked, list) else answers[0])

    def _prices(self, asked: dict[str, list[str]]) -> str:
        first, last = (int(asked[name][0]) for name in ("from", "to"))
        points = [f"[{time}000, {self._town.price}]" for time in range(first, last + 1, 300)]
        return f'{{"prices": [{", ".join(points)}]}}'


def _answered(node: FakeNode, asked: dict[str, Any]) -> dict[str, Any]:
    head = {"jsonrpc": "2.0", "id": asked["id"]}
    try:
        return head | {"result": node.answer(asked["method"], asked["params"])}
    except NodeError as error:
        return head | {"error": {"message": str(error)}}


class Town:
    """A chain with these payments, a Stripe account with their customers, and processes of the service in it."""

    def __init__(self, payments: Sequence[Payment], *, strangers: Sequence[str] = (), **record: str) -> None:
        self.nodes = [FakeNode(payments)]
        self.lag = 0.0  # by which the nodes are behind
        self.price = Decimal("0.006")
        self.meddle: Callable[[httpx.Request], None] = lambda _: None
        self.connections = 0
        self.stripe = StripeStandIn(LoopClock().wall, random.Random(1))
        self.stripe.limits.enabled = False
        named = {one.customer_id for one in payments if one.customer_id} - set(strangers)
        kept = {name.replace("__", ":"): value for name, value in record.items()}
        self.add(SERVICE, {"stateless_billing": "service", "grants": GRANTS, **kept})
        self.add(GRANTS, {"stateless_billing": "grants"})
        for customer_id in sorted(named):
            self.add(customer_id)

    def add(self, customer_id: str, metadata: dict[str, str] | None = None) -> None:
        """A Stripe customer from before the first block."""
        account = self.stripe.account
        born = START - 30 * 24 * HOUR
        account.add_customer(born, born, Contact(metadata=metadata or {}), identifier=customer_id)

    def run(self, scenario: Coroutine[Any, Any, None]) -> None:
        """Run a scenario in virtual time."""
        run_virtually(scenario)

    def process(self, **environ: str) -> Services:
        """A process of the service that knows nothing."""
        usual = {
            "STRIPE_API_KEY": DEFAULT_KEY,
            "STRIPE_API_BASE": "http://stripe.test",
            "STRIPE_RATE": "100",
            "RPC_URLS": ",".join(f"http://node{place}.test" for place in range(len(self.nodes))),
            "GATEWAY_ADDRESSES": GATEWAY,
            "PRICE_API_BASE": "http://prices.test",
            "SERVICE_CUSTOMER_ID": SERVICE,
        }
        return Services(load(SWEEP, usual | environ), LoopClock(), NodesLine(self), lambda: StripeLine(self))

    async def started(self, **environ: str) -> Services:
        """A process whose sweep knows the service record."""
        services = self.process(**environ)
        services.sweeper.start(await services.records.load())
        return services

    def customer(self, customer_id: str) -> Customer:
        """A customer as Stripe has it."""
        return self.stripe.account.by_id[customer_id]

    def rows(self, customer_id: str) -> list[Transaction]:
        """A customer's ledger."""
        return self.customer(customer_id).rows

    def cursor(self, customer_id: str) -> str | None:
        """A customer's cursor as it is written."""
        return self.customer(customer_id).contact.metadata.get(cursor_key(CHAIN_ID, GATEWAY))

    def set_metadata(self, customer_id: str, metadata: dict[str, str]) -> None:
        """Replace a customer's metadata by hand."""
        self.customer(customer_id).set_metadata(START, metadata)

    def record(self) -> tuple[str | None, dict[int, str]]:
        """The service record: `swept`, and the open payments."""
        kept = self.customer(SERVICE).contact.metadata
        prefix = f"open:{CHAIN_ID}:{SHORT}:"
        opened = {int(name.removeprefix(prefix)): cause for name, cause in kept.items() if name.startswith(prefix)}
        return kept.get(f"swept:{CHAIN_ID}:{SHORT}"), opened

    def asked(self, endpoint: str) -> int:
        """How many requests went to an endpoint since the log was reset."""
        return self.stripe.log.counts[endpoint]

    def costs(self, *, record: bool = False) -> dict[str, int]:
        """The requests since the log was reset, by endpoint: those about the service record, or all others."""
        rows = self.stripe.log.rows
        return dict(Counter(row.endpoint for row in rows if (f"/{SERVICE}" in row.path) == record))


async def sweeping(services: Services, seconds: float, busy: int = 20, idle: int = 60) -> None:
    """Sweep for so long."""
    try:
        async with asyncio.timeout(seconds):
            await services.sweeper.run(busy, idle)
    except TimeoutError:
        return


async def advanced(services: Services, payment: Payment) -> PaymentStatus:
    """One try at a payment."""
    heads = await services.confirmations.heads()
    return await services.crediting.process(services.gateways[0], payment, heads)


async def observed(services: Services, payment: Payment) -> PaymentStatus:
    """A look at a payment."""
    heads = await services.confirmations.heads()
    return await services.crediting.get_status(services.gateways[0], payment, heads)
