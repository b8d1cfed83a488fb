"""A source that shows less than there is makes no audit clean."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from msgspec import structs

from chain.payment import Payment
from stateless_billing.audit.report.report import Options
from stateless_billing.sandbox.account import Entry as Row
from stateless_billing.sandbox.records import Contact
from tests.audit.test_run import PAID, add_service_record, count_statuses, run_audit, with_own_wallets
from tests.audit.world import AuditNode, NodeTransport, World
from tests.fakes.factories import block, tx_hash

pytestmark = pytest.mark.anyio

PAYMENTS = with_own_wallets(PAID)
FORGED = (block(500).time, Row(-500_000, "usd", "gift"))


def uncredited_world(credited: int) -> World:
    """Create a world with the credits of only the first payments."""
    world = World(PAYMENTS[:credited])
    for payment in PAYMENTS[credited:]:
        world.get_or_add_customer(payment.customer_id or "", payment.wallet)
    world.node.payments = list(PAYMENTS)
    return world


def rewrite(
    world: World, is_meant: Callable[[httpx.Request], bool], change: Callable[[dict[str, Any]], object]
) -> None:
    """Change some of Stripe's answers."""

    def hook(request: httpx.Request) -> httpx.Response | None:
        if not is_meant(request):
            return None
        answer = world.stripe.handle("GET", request.url.raw_path.decode(), dict(request.headers))
        body = json.loads(answer.body)
        change(body)
        headers = {name: value for name, value in answer.headers.items() if name.lower() != "content-length"}
        return httpx.Response(answer.status, headers=headers, json=body)

    world.stripe_transport.hook = hook


class TestTotal:
    """`totalPayments` of a node that stands still."""

    @pytest.mark.parametrize("credited", [3, 6])
    @pytest.mark.parametrize("options", [{}, {"deep": True}, {"since": "100"}])
    async def test_a_total_that_is_too_low_is_rejected(self, credited: int, options: dict[str, Any]) -> None:
        world = uncredited_world(credited)
        world.node.lies["totalPayments"] = lambda total: total - 3
        report = await run_audit(world, **options)
        assert "omits payment" in report.coverage.missing[0]

    async def test_payments_after_the_horizon_may_be_missing(self) -> None:
        world = World(PAYMENTS)
        world.node.payments = list(PAYMENTS)
        report = await run_audit(world)
        assert report.is_clean
        at = report.head()["inputs"]["at"]
        later = [*PAYMENTS, *with_own_wallets([replace_block(PAYMENTS[0], 9_990, 3)])]
        world.node.payments = later
        world.node.lies["totalPayments"] = lambda total: total - 1
        assert (await run_audit(world, at=at)).is_clean

    @pytest.mark.parametrize("options", [{}, {"customer": "cus_Payer0"}])
    async def test_a_node_without_the_newest_block_counts_nothing(self, options: dict[str, Any]) -> None:
        """The first node fails once, when it is asked for the count; the second stands still."""
        world = uncredited_world(3)
        stalled = AuditNode(PAYMENTS[:3], latest=103, finalized=50)
        world.node_transport = Failing(world.node, stalled)
        async with world.create_auditor(RPC_URLS="https://a.example,https://b.example") as auditor:
            report = await auditor.run(Options(**options))
        assert not report.is_clean

    async def test_the_payment_of_a_credit_elsewhere_must_be_in_the_index(self) -> None:
        """The customer's only payment is the one that the index omits."""
        world = World(PAYMENTS)
        alone = replace_block(PAYMENTS[0], 200, 0, customer_id="cus_Alone")
        world.add(world.get_or_add_customer("cus_Alone"), world.credit_row(alone))
        world.node.payments = [*PAYMENTS, alone]
        assert (await run_audit(world, deep=True)).is_clean
        world.node.lies["totalPayments"] = lambda total: total - 1
        report = await run_audit(world, deep=True)
        assert "omits" in report.coverage.missing[0]
        assert (await run_audit(world, deep=True, until="150")).is_clean


def replace_block(payment: Payment, number: int, sequence: int, **changes: Any) -> Payment:
    """Move a payment to a later block and EVM transaction."""
    within = block(number)
    moved = {"block": number, "block_hash": within.hash, "time": within.time, "tx_hash": tx_hash(number)}
    return structs.replace(payment, sequence=sequence, **moved, **changes)


class Failing(NodeTransport):
    """Two nodes. The first does not answer the first request for a count."""

    def __init__(self, first: AuditNode, second: AuditNode) -> None:
        super().__init__(first)
        self._second = NodeTransport(second)
        self.failures = 1

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer a request."""
        if request.url.host != "a.example":
            return await self._second.handle_async_request(request)
        if self.failures and (b"0x005b4487" in request.content or b"0x5456387b" in request.content):
            self.failures -= 1
            return httpx.Response(503, text="busy")
        return await super().handle_async_request(request)


class TestMarkedCustomers:
    """Whoever can write to Stripe can mark a customer as one of the bookkeeping records."""

    @pytest.mark.parametrize("marker", ["service", "grants", "else"])
    @pytest.mark.parametrize("has_records", [False, True])
    async def test_a_customer_marked_as_a_record_is_read_like_any_other(self, marker: str, has_records: bool) -> None:
        world = World(PAYMENTS)
        if has_records:
            add_service_record(world)
        world.now += 1
        forger = world.stripe.account.add_customer(
            world.now, block(400).time, Contact(metadata={"stateless_billing": marker}), identifier="cus_Forger"
        )
        world.add(forger, FORGED)
        report = await run_audit(world, deep=True)
        assert count_statuses(report) == {"matched": 6, "unexplained_credit": 1}
        assert report.coverage.is_complete

    async def test_the_record_that_the_settings_name_is_the_one(self) -> None:
        world = World(PAYMENTS)
        add_service_record(world)
        older = world.stripe.account.add_customer(
            world.now, block(0).time - 9, Contact(metadata={"stateless_billing": "service"}), identifier="cus_Forger"
        )
        world.add(older, FORGED)
        async with world.create_auditor(SERVICE_CUSTOMER_ID="cus_Service") as auditor:
            report = await auditor.run(Options(deep=True))
        assert count_statuses(report) == {"matched": 6, "unexplained_credit": 1}

    async def test_a_payer_marked_as_a_record_is_read_like_any_other(self) -> None:
        world = World(PAYMENTS)
        add_service_record(world)
        payer = world.get_or_add_customer("cus_Payer0")
        payer.set_metadata(world.now, dict(payer.contact.metadata) | {"stateless_billing": "grants"})
        assert (await run_audit(world)).is_clean
        for service in ("", "cus_Service"):
            async with world.create_auditor(SERVICE_CUSTOMER_ID=service) as auditor:
                report = await auditor.run(Options(customer="cus_Payer0"))
            assert count_statuses(report) == {"matched": 3}
