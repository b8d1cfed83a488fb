"""A chain and a Stripe in this process, behind the transports that an audit's requests go through."""

import json
import random
from collections.abc import Callable, Sequence
from typing import Any

import httpx

from chain.bulk_reader import TRANSFER_TOPIC
from chain.calls import SELECTORS
from chain.payment import Payment, customer_id_to_bytes32
from stateless_billing import settings
from stateless_billing.audit.auditor import Auditor, ProgressReporting
from stateless_billing.audit.progress import ignore_progress
from stateless_billing.sandbox.account import Entry as Row
from stateless_billing.sandbox.records import Contact, Customer
from stateless_billing.sandbox.stripe_api import StripeStandIn
from stateless_billing.settings import Settings
from tests.audit.made import TOKEN, credit
from tests.chain.fake_node import FakeNode, raw_log, word
from tests.fakes.factories import CHAIN_ID, GATEWAY, FakeClock, block

TREASURY = "0x" + "88" * 20
KEY = "sk_test_sandbox"


def transfer(one: Payment) -> dict[str, Any]:
    """The token's own log of a payment."""
    topics = [TRANSFER_TOPIC, *("0x" + who[2:].rjust(64, "0") for who in (one.payer, TREASURY))]
    log = raw_log(one)
    return log | {"address": TOKEN, "topics": topics, "data": "0x" + word(one.amount).hex(), "logIndex": "0x0"}


class AuditNode(FakeNode):
    """A fake node that also shows the token's transfers, over JSON-RPC."""

    def _eth_getLogs(self, wanted: dict[str, Any]) -> list[dict[str, Any]]:  # noqa: N802
        if wanted["address"] != TOKEN:
            return super()._eth_getLogs(wanted)
        assert wanted["topics"][2] == "0x" + TREASURY[2:].rjust(64, "0")
        return [transfer(one) for one in self.payments if one.block_hash == wanted["blockHash"]]

    def _eth_getCode(self, address: str, _: str) -> str:  # noqa: N802
        return "0x60"

    def _eth_call(self, call: dict[str, str], tag: str) -> str:
        fixed = {"token": TOKEN, "treasury": TREASURY}
        name = next(name for name, selector in SELECTORS.items() if selector == call["data"][2:10])
        if name in fixed:
            return "0x" + fixed[name][2:].rjust(64, "0")
        if name == "customerOf":
            wallet = "0x" + call["data"][34:]
            named = next((one.customer_id for one in self.payments if one.wallet == wallet), None)
            return "0x" + (customer_id_to_bytes32(named).hex() if named else "00" * 32)
        return super()._eth_call(call, tag)


class NodeTransport(httpx.AsyncBaseTransport):
    """JSON-RPC, single calls and batches; and the price feed, which is asked with GET."""

    def __init__(self, node: AuditNode) -> None:
        self.node = node
        self.batches = True

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer one request."""
        if request.method == "GET":
            first, last = (int(request.url.params[name]) for name in ("from", "to"))
            prices = ", ".join(f"[{time}000, 0.006]" for time in range(first, last + 1, 300))
            return httpx.Response(200, text=f'{{"prices": [{prices}]}}')
        asked = json.loads(request.content)
        if isinstance(asked, list) and not self.batches:
            return httpx.Response(200, json={"jsonrpc": "2.0", "error": {"code": -32600, "message": "no batches"}})
        said = [self._one(call) for call in asked][::-1] if isinstance(asked, list) else self._one(asked)
        return httpx.Response(200, json=said)

    def _one(self, call: dict[str, Any]) -> dict[str, Any]:
        return {"jsonrpc": "2.0", "id": call["id"], "result": self.node.answer(call["method"], call["params"])}


class StripeTransport(httpx.AsyncBaseTransport):
    """The stand-in, asked in this process. `hook` may answer instead."""

    def __init__(self, stripe: StripeStandIn) -> None:
        self.stripe = stripe
        self.asked: list[str] = []
        self.hook: Callable[[httpx.Request], httpx.Response | None] = lambda _: None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer one request."""
        path = request.url.raw_path.decode()
        self.asked.append(f"{request.method} {path}")
        if instead := self.hook(request):
            return instead
        answer = self.stripe.handle(request.method, path, dict(request.headers), request.content)
        return httpx.Response(answer.status, headers=answer.headers, content=answer.body)


class World:
    """Payments, and the credits that the service wrote for them."""

    def __init__(self, payments: Sequence[Payment] = (), *, now: int = 0) -> None:
        self.now = now or block(9_000).time + 1200
        self.node = AuditNode(payments)
        self.stripe = StripeStandIn(lambda: self.now, random.Random(1))
        self.stripe.limits.enabled = False
        self.nodes_line, self.stripe_line = NodeTransport(self.node), StripeTransport(self.stripe)
        for one in payments:
            self.add(self.customer(one.customer_id or "", one.wallet), self.row_of(one))

    def customer(self, customer_id: str, wallet: str | None = None, **metadata: str) -> Customer:
        """A customer, made where it is not there yet."""
        account = self.stripe.account
        if found := account.by_id.get(customer_id):
            return found
        texts = metadata | ({"wallet_address": wallet} if wallet else {})
        created = block(0).time
        return account.add_customer(created, created, Contact(metadata=texts), identifier=customer_id)

    @staticmethod
    def row_of(one: Payment, **changes: Any) -> tuple[int, Row]:
        """The credit of a payment in Stripe's words, and when it was written."""
        made = credit(one, **changes)
        return made.created, Row(-made.cents, made.currency, made.description, dict(made.metadata))

    def add(self, customer: Customer, *rows: tuple[int, Row]) -> list[str]:
        """Write rows; their ids."""
        return [row.id for row in self.stripe.account.add_past(customer, rows)]

    def charges(self, customer: Customer, count: int, since: int, every: int) -> None:
        """Unrelated charges."""
        self.add(customer, *((since + n * every, Row(7, "usd", "Usage")) for n in range(count)))

    @staticmethod
    def settings(**values: str) -> Settings:
        """The settings of whoever audits this world."""
        environ = {
            "STRIPE_API_KEY": KEY,
            "STRIPE_API_BASE": "https://stripe.example",
            "STRIPE_RATE": "100",
            "RPC_URLS": "https://node.example",
            "GATEWAY_ADDRESSES": GATEWAY,
            "CHAIN_ID": str(CHAIN_ID),
        } | values
        return settings.load(settings.AUDIT, environ)

    def auditor(self, **values: str) -> Auditor:
        """The audit of this world."""
        watching = ProgressReporting(ignore_progress, ignore_progress)
        return Auditor(
            settings=self.settings(**values),
            clock=FakeClock(),
            reporting=watching,
            explorer="https://scan",
            node_transport=self.nodes_line,
            stripe_transport_factory=lambda: self.stripe_line,
        )
