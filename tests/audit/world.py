"""An in-process chain and Stripe behind the transports of an audit."""

import json
import random
from collections.abc import Callable, Sequence
from typing import Any

import httpx

from chain.decoding import TRANSFER_TOPIC
from chain.payment import Payment, customer_id_to_bytes32
from stateless_billing import settings
from stateless_billing.audit.auditor import NODE_PAUSES, Auditor, ProgressReporting
from stateless_billing.audit.progress import ignore_progress
from stateless_billing.audit.readers.stripe import LAG_PAUSES
from stateless_billing.sandbox.account import Entry as Row
from stateless_billing.sandbox.records import Contact, Customer
from stateless_billing.sandbox.stripe_api import StripeStandIn
from stateless_billing.settings import Settings
from tests.audit.builders import TOKEN, credit
from tests.chain.fake_node import FUNCTIONS, FakeNode, raw_log, word
from tests.fakes.factories import CHAIN_ID, GATEWAY, FakeClock, block

TREASURY = "0x" + "88" * 20
KEY = "sk_test_sandbox"


def transfer(one: Payment) -> dict[str, Any]:
    """The token's own log of a payment."""
    topics = [TRANSFER_TOPIC, *("0x" + who[2:].rjust(64, "0") for who in (one.payer, TREASURY))]
    log = raw_log(one)
    return log | {
        "address": TOKEN,
        "topics": topics,
        "data": "0x" + word(one.amount).hex(),
        "logIndex": hex(one.log_index + 1),
    }


class AuditNode(FakeNode):
    """A fake node that also serves the token's transfers."""

    def _eth_getLogs(self, query: dict[str, Any]) -> list[dict[str, Any]]:  # noqa: N802
        if query["address"] != TOKEN:
            return super()._eth_getLogs(query)
        assert query["topics"][2] == "0x" + TREASURY[2:].rjust(64, "0")
        return [transfer(payment) for payment in self.payments if payment.block_hash == query["blockHash"]]

    def _eth_getCode(self, address: str, _: str) -> str:  # noqa: N802
        return "0x60"

    def _eth_call(self, call: dict[str, str], tag: str) -> str:
        fixed = {"token": TOKEN, "treasury": TREASURY}
        name = FUNCTIONS[call["data"][2:10]]
        if name in fixed:
            return "0x" + fixed[name][2:].rjust(64, "0")
        if name == "customerOf":
            wallet = "0x" + call["data"][34:]
            customer_id = next((payment.customer_id for payment in self.payments if payment.wallet == wallet), None)
            return "0x" + (customer_id_to_bytes32(customer_id).hex() if customer_id else "00" * 32)
        return super()._eth_call(call, tag)


class NodeTransport(httpx.AsyncBaseTransport):
    """Serves single and batched JSON-RPC calls, and the price feed on GET."""

    def __init__(self, node: AuditNode) -> None:
        self.node = node
        self.batches = True

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer a request."""
        if request.method == "GET":
            first, last = (int(request.url.params[name]) for name in ("from", "to"))
            prices = ", ".join(f"[{time}000, 0.006]" for time in range(first, last + 1, 300))
            return httpx.Response(200, text=f'{{"prices": [{prices}]}}')
        calls = json.loads(request.content)
        if isinstance(calls, list) and not self.batches:
            return httpx.Response(200, json={"jsonrpc": "2.0", "error": {"code": -32600, "message": "no batches"}})
        results = (
            [self._answer_call(call) for call in calls][::-1] if isinstance(calls, list) else self._answer_call(calls)
        )
        return httpx.Response(200, json=results)

    def _answer_call(self, call: dict[str, Any]) -> dict[str, Any]:
        return {"jsonrpc": "2.0", "id": call["id"], "result": self.node.answer(call["method"], call["params"])}


class StripeTransport(httpx.AsyncBaseTransport):
    """Serves the Stripe stand-in in process. `hook` may answer instead."""

    def __init__(self, stripe: StripeStandIn) -> None:
        self.stripe = stripe
        self.requests: list[str] = []
        self.hook: Callable[[httpx.Request], httpx.Response | None] = lambda _: None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer a request."""
        path = request.url.raw_path.decode()
        self.requests.append(f"{request.method} {path}")
        if instead := self.hook(request):
            return instead
        answer = self.stripe.handle(request.method, path, dict(request.headers), request.content)
        return httpx.Response(answer.status, headers=answer.headers, content=answer.body)


class World:
    """Payments and the credits that the service wrote for them."""

    def __init__(self, payments: Sequence[Payment] = (), *, now: int = 0) -> None:
        self.now = now or block(9_000).time + 1200
        self.node = AuditNode(payments)
        self.stripe = StripeStandIn(lambda: self.now, random.Random(1))
        self.stripe.limits.enabled = False
        self.node_transport, self.stripe_transport = NodeTransport(self.node), StripeTransport(self.stripe)
        for payment in payments:
            self.add(self.get_or_add_customer(payment.customer_id or "", payment.wallet), self.credit_row(payment))

    def get_or_add_customer(self, customer_id: str, wallet: str | None = None, **metadata: str) -> Customer:
        """Return a customer, creating it if it does not exist."""
        account = self.stripe.account
        if customer := account.by_id.get(customer_id):
            return customer
        all_metadata = metadata | ({"wallet_address": wallet} if wallet else {})
        created = block(0).time
        return account.add_customer(created, created, Contact(metadata=all_metadata), identifier=customer_id)

    @staticmethod
    def credit_row(paid: Payment, **changes: Any) -> tuple[int, Row]:
        """Return the credit of a payment as a sandbox row with its time."""
        entry = credit(paid, **changes)
        return entry.created, Row(-entry.cents, entry.currency, entry.description, dict(entry.metadata))

    def add(self, customer: Customer, *rows: tuple[int, Row]) -> list[str]:
        """Write rows and return their IDs."""
        return [row.id for row in self.stripe.account.add_past(customer, rows)]

    def add_charges(self, customer: Customer, count: int, since: int, every: int) -> None:
        """Write unrelated charges."""
        self.add(customer, *((since + n * every, Row(7, "usd", "Usage")) for n in range(count)))

    @staticmethod
    def settings(**values: str) -> Settings:
        """Create the settings for an audit of this world."""
        environ = {
            "STRIPE_API_KEY": KEY,
            "STRIPE_API_BASE": "https://stripe.example",
            "STRIPE_RATE": "100",
            "STRIPE_TOTAL_RATE": "400",
            "RPC_URLS": "https://node.example",
            "GATEWAY_ADDRESSES": GATEWAY,
            "CHAIN_ID": str(CHAIN_ID),
        } | values
        return settings.load(settings.AUDIT, environ)

    def create_auditor(self, **values: str) -> Auditor:
        """Create an auditor of this world."""
        reporting = ProgressReporting(ignore_progress, ignore_progress)
        auditor = Auditor(
            settings=self.settings(**values),
            clock=FakeClock(),
            reporting=reporting,
            explorer="https://scan",
            node_transport=self.node_transport,
            stripe_transport_factory=lambda: self.stripe_transport,
        )
        auditor.nodes.pauses = (0.0,) * len(NODE_PAUSES)
        auditor.lag_pauses = (0.0,) * len(LAG_PAUSES)
        return auditor
