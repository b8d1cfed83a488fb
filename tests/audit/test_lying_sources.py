"""A source that shows less than there is makes no audit clean."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from msgspec import structs

from chain.errors import InvalidResponse, NodeError
from chain.payment import Payment
from stateless_billing.audit.auditor import InvalidOptions
from stateless_billing.audit.readers import ledgers
from stateless_billing.audit.readers.customers import audited_customer
from stateless_billing.audit.readers.stripe import StripeReadError
from stateless_billing.audit.report.formats import write_json
from stateless_billing.audit.report.report import Options
from stateless_billing.audit.rules.rows import fingerprint
from stateless_billing.sandbox.account import Entry as Row
from stateless_billing.sandbox.records import Contact
from stateless_billing.stripe.objects import Customer
from tests.audit.test_run import PAID, add_service_record, count_statuses, run_audit, with_own_wallets
from tests.audit.world import AuditNode, NodeTransport, StripeTransport, World
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

    @pytest.mark.parametrize(
        ("record", "kind", "is_ours"),
        [
            ("cus_Service", "order", True),
            ("cus_Service", "reservation", False),
            ("cus_Service", "reversal", False),
            ("cus_Service", "grant", False),
            ("cus_Service", "payment", False),
            ("cus_Grants", "reservation", True),
            ("cus_Grants", "reversal", True),
            ("cus_Grants", "order", False),
            ("cus_Grants", "grant", False),
            ("cus_Grants", "payment", False),
        ],
    )
    async def test_a_record_holds_entries_of_its_own_kinds_only(self, record: str, kind: str, is_ours: bool) -> None:
        world = World(PAYMENTS)
        add_service_record(world)
        row = Row(-500_000, "usd", "gift", {"kind": kind, "operator": "o", "reason": "r"})
        world.add(world.get_or_add_customer(record), (block(500).time, row))
        statuses = count_statuses(await run_audit(world))
        assert statuses["matched"] == 6
        assert statuses.get("unexplained_credit", 0) == (0 if is_ours else 1)

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


def is_list_of_customers(request: httpx.Request) -> bool:
    return request.url.path == "/v1/customers" and "limit=100" in str(request.url)


def is_ledger(request: httpx.Request) -> bool:
    return request.url.path.endswith("/balance_transactions")


def forged_world() -> World:
    """Create a settled world with a forged credit on a customer that never paid."""
    world = World(PAYMENTS)
    world.add(world.get_or_add_customer("cus_Forger"), FORGED)
    return world


class TestListOfCustomers:
    """The list of customers."""

    @pytest.mark.parametrize("deep", [False, True])
    async def test_a_list_that_ends_early_is_not_complete(self, deep: bool) -> None:
        world = forged_world()

        def cut(body: dict[str, Any]) -> None:
            body["data"], body["has_more"] = body["data"][:2], False

        rewrite(world, lambda request: is_list_of_customers(request) and "starting_after" not in str(request.url), cut)
        report = await run_audit(world, deep=deep)
        assert "ended before the last" in report.coverage.missing[0]

    async def test_the_last_read_is_in_no_report(self) -> None:
        report = await run_audit(forged_world(), deep=True)
        assert report.coverage.counts["stripe_reads"] == 1 + 3

    @pytest.mark.parametrize("status", [404, 400])
    async def test_a_list_goes_on_where_its_last_customer_was_deleted(self, status: int) -> None:
        world = forged_world()
        for number in range(250):
            world.get_or_add_customer(f"cus_Other{number:03}")
        deleted: list[str] = []
        went_on: list[str] = []

        def delete(request: httpx.Request) -> httpx.Response | None:
            if not is_list_of_customers(request):
                return None
            after = request.url.params.get("starting_after", "")
            if len(deleted) > len(went_on):
                went_on.append(after)
            elif after.startswith("cus_Other"):
                deleted.append(after)
                world.stripe.account.by_id[after].deleted = True
                error = {"code": "resource_missing", "message": f"No such customer: {after}"}
                return httpx.Response(status, json={"error": error})
            return None

        world.stripe_transport.hook = delete
        report = await run_audit(world, deep=True)
        assert len(deleted) == len(went_on) == 2
        assert set(deleted).isdisjoint(went_on)
        assert count_statuses(report) == {"matched": 6, "unexplained_credit": 1}
        assert report.coverage.is_complete, report.coverage.missing

    @pytest.mark.parametrize("first", [False, True])
    async def test_a_list_that_does_not_exist_is_not_read(self, first: bool) -> None:
        """Nothing but the cursor of a list can be missing, so that this is no answer of Stripe's."""
        world = forged_world()
        missing = {"error": {"code": "resource_missing", "message": "No such customer"}}
        world.stripe_transport.hook = lambda request: (
            httpx.Response(404, json=missing)
            if request.url.path == "/v1/customers" and (first or is_list_of_customers(request))
            else None
        )
        if first:
            with pytest.raises(StripeReadError):
                await run_audit(world)
        else:
            assert not (await run_audit(world)).coverage.is_complete


class TestLedgers:
    """The list of a customer's entries."""

    @pytest.mark.parametrize("shown", [0, 1])
    @pytest.mark.parametrize("deep", [False, True])
    async def test_a_ledger_that_lacks_its_newest_entries_is_not_read(self, shown: int, deep: bool) -> None:
        world = World(PAYMENTS)
        customer = world.get_or_add_customer("cus_Payer0")
        world.add(customer, world.credit_row(PAYMENTS[0], created=block(500).time))

        def cut(body: dict[str, Any]) -> None:
            body["data"] = body["data"][-shown:] if shown else []

        rewrite(world, lambda request: is_ledger(request) and "cus_Payer0" in request.url.path, cut)
        report = await run_audit(world, deep=deep)
        assert [sentence for sentence in report.coverage.missing if "cus_Payer0" in sentence]

    async def test_a_ledger_that_is_shown_empty_is_not_read(self) -> None:
        world = forged_world()
        rewrite(world, lambda request: "cus_Forger/balance" in request.url.path, lambda body: body.update(data=[]))
        report = await run_audit(world, deep=True)
        assert "cus_Forger does not end with" in report.coverage.missing[0]

    @pytest.mark.parametrize("charges", [1, 150])
    async def test_what_came_after_the_report_explains_the_balance(self, charges: int) -> None:
        world = forged_world()
        first = await run_audit(world, deep=True)
        world.now += 600
        for customer in ("cus_Payer0", "cus_Forger"):
            world.add_charges(world.get_or_add_customer(customer), charges, world.now - 300, 1)
        world.stripe_transport.requests.clear()
        again = await run_audit(world, deep=True, at=first.head()["inputs"]["at"])
        assert "".join(write_json(again)) == "".join(write_json(first))
        assert sum("balance_transactions" in request for request in world.stripe_transport.requests) == 3 + 2

    @pytest.mark.parametrize("seconds", [-2, 3])
    @pytest.mark.parametrize("lags", [False, True])
    async def test_a_charge_around_the_reports_time_is_no_lack(self, seconds: int, lags: bool) -> None:
        """The list of customers shows it, and that of entries only later; or it is committed between the two."""
        world = forged_world()
        at = (await run_audit(world, deep=True)).head()["inputs"]["at"]
        time, listed, reads = int(at.split(":")[1]), False, 0
        forger = world.get_or_add_customer("cus_Forger")

        def charge(request: httpx.Request) -> httpx.Response | None:
            nonlocal listed, reads
            if "cus_Forger/balance" in request.url.path:
                reads += 1
            if lags == is_list_of_customers(request) and (is_ledger(request) or lags) and not listed:
                listed = True
                world.add(forger, (time + seconds, Row(1, "usd", "Usage")))
            if not lags or "cus_Forger/balance" not in request.url.path or reads > 4:
                return None
            answer = world.stripe.handle("GET", request.url.raw_path.decode(), dict(request.headers))
            body = json.loads(answer.body)
            body["data"] = [entry for entry in body["data"] if entry["description"] != "Usage"]
            return httpx.Response(200, headers={"date": answer.headers.get("date", "")}, json=body)

        world.now = time + 10
        world.stripe_transport.hook = charge
        report = await run_audit(world, deep=True, at=at)
        assert listed
        assert report.coverage.is_complete, report.coverage.missing

    async def test_a_balance_that_the_list_of_customers_shows_late_is_read_again(self) -> None:
        world = forged_world()
        rewrite(
            world,
            is_list_of_customers,
            lambda body: [customer.update(balance=0) for customer in body["data"]],
        )
        assert (await run_audit(world, deep=True)).coverage.is_complete

    @pytest.mark.parametrize("test_clock", [False, True])
    def test_the_balance_of_a_test_clocks_customer_is_not_compared(self, test_clock: bool) -> None:
        customer = Customer("cus_A", deleted=False, currency="usd", balance_cents=5, test_clock=test_clock)
        assert audited_customer(customer).listed_cents == (None if test_clock else 5)

    async def test_a_report_of_long_ago_does_not_ask_what_came_since(self) -> None:
        world = forged_world()
        first = await run_audit(world, deep=True)
        world.now += 3_700
        world.add_charges(world.get_or_add_customer("cus_Forger"), 250, world.now - 3_600, 1)
        world.stripe_transport.requests.clear()
        again = await run_audit(world, deep=True, at=first.head()["inputs"]["at"])
        assert "".join(write_json(again)) == "".join(write_json(first))
        assert sum("balance_transactions" in request for request in world.stripe_transport.requests) == 3

    async def test_an_absence_is_not_proven_by_a_list_that_ends_early(self) -> None:
        world = uncredited_world(3)
        world.add_charges(world.get_or_add_customer("cus_Payer0"), 2, block(400).time, 10)
        assert count_statuses(await run_audit(world))["missing_credit"] == 3
        rewrite(
            world,
            lambda request: is_ledger(request) and "created" not in str(request.url),
            lambda body: body.update(data=[]),
        )
        report = await run_audit(world)
        assert "proves no absence" in report.coverage.missing[0]

    async def test_a_gap_in_the_newest_page_of_a_busy_customer_is_seen(self) -> None:
        paid = PAYMENTS[0]
        world = World([paid], now=paid.time + 40_000)
        customer = world.get_or_add_customer(paid.customer_id or "")
        world.add_charges(customer, 400, paid.time + 20_000, 3)
        [second] = world.add(customer, world.credit_row(paid, created=paid.time + 20_000 + 390 * 3 + 1))
        report = await run_audit(world)
        assert count_statuses(report) == {"duplicate_credit": 1}
        assert report.coverage.counts["ledgers_read_by_windows"] == 1

        def omit(body: dict[str, Any]) -> None:
            body["data"] = [entry for entry in body["data"] if entry["id"] != second]

        rewrite(world, is_ledger, omit)
        report = await run_audit(world)
        assert "does not add up" in report.coverage.missing[0]

    @pytest.mark.parametrize("is_deleted", [False, True])
    @pytest.mark.parametrize("since", [None, "100"])
    async def test_a_customer_deleted_while_it_is_read_ends_no_audit(self, is_deleted: bool, since: str | None) -> None:
        world = World(PAYMENTS)
        reads = 0

        def delete(request: httpx.Request) -> httpx.Response | None:
            nonlocal reads
            if not is_ledger(request) or "cus_Payer0" not in request.url.path:
                return None
            reads += 1
            if reads == 1:
                return httpx.Response(200, json={"data": [], "has_more": False})
            world.stripe.account.by_id["cus_Payer0"].deleted = is_deleted
            return httpx.Response(404, json={"error": {"code": "resource_missing", "message": "No such customer"}})

        world.stripe_transport.hook = delete
        report = await run_audit(world, since=since)
        assert reads > 1
        assert count_statuses(report)["matched"] == 3
        assert report.coverage.is_complete == is_deleted, report.coverage.missing


class TestCustomer:
    """A customer that is read alone."""

    async def test_another_customer_is_no_answer(self) -> None:
        """The payer is missing in the list, and a deleted customer is shown in its place."""
        world = World(PAYMENTS)

        def omit(body: dict[str, Any]) -> None:
            body["data"] = [customer for customer in body["data"] if customer["id"] != "cus_Payer1"]

        def lie(request: httpx.Request) -> httpx.Response | None:
            if request.url.path == "/v1/customers/cus_Payer1":
                return httpx.Response(200, json={"id": "cus_Other", "object": "customer", "deleted": True})
            return omitting(request)

        rewrite(world, lambda request: request.url.path == "/v1/customers", omit)
        omitting, world.stripe_transport.hook = world.stripe_transport.hook, lie
        report = await run_audit(world)
        assert report.coverage.missing == ["the customer cus_Payer1: another customer"]
        assert count_statuses(report)["held"] == 0

    async def test_a_balance_that_is_not_shown_proves_no_absence(self) -> None:
        """The ledger is shown empty, which would fit a balance of nothing."""
        world = uncredited_world(3)
        world.stripe.account.by_id["cus_Payer0"].currency = "eur"

        def hide(body: dict[str, Any]) -> None:
            body.pop("invoice_credit_balance", None)
            if "data" in body:
                body["data"] = []

        path = "/v1/customers/cus_Payer0"
        rewrite(world, lambda request: request.url.path.startswith(path), hide)
        report = await run_audit(world)
        assert [sentence for sentence in report.coverage.missing if "cus_Payer0" in sentence]


class SlowCustomer(StripeTransport):
    """Answers about one customer come last."""

    def __init__(self, world: World, slow: str) -> None:
        super().__init__(world.stripe)
        self._slow = slow

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer a request."""
        if self._slow in request.url.path:
            await asyncio.sleep(0.1)
        return await super().handle_async_request(request)


@pytest.mark.parametrize("is_credited", [False, True])
@pytest.mark.parametrize("is_accepted", [False, True])
async def test_the_report_does_not_depend_on_which_answer_came_first(is_credited: bool, is_accepted: bool) -> None:
    paid = PAYMENTS[0]
    accepted = json.dumps({"fingerprint": fingerprint(paid.identity), "note": "ticket 7"}).encode()
    reports = []
    for slow in ("cus_BBB", "cus_CCC", "cus_DDD"):
        world = World(PAYMENTS if is_credited else PAYMENTS[1:])
        world.node.payments = list(PAYMENTS)
        world.get_or_add_customer(paid.customer_id or "", paid.wallet)
        for number, name in enumerate(("cus_BBB", "cus_DDD", "cus_CCC")):
            world.add(world.get_or_add_customer(name), world.credit_row(paid, created=paid.time + 30 + number // 2))
        world.stripe_transport = SlowCustomer(world, slow)
        report = await run_audit(world, deep=True, accepted=accepted if is_accepted else b"")
        reports.append("".join(write_json(report)))
        assert count_statuses(report)["matched"] == 5
    assert reports[0] == reports[1] == reports[2]


class TestTimes:
    """Times that prove nothing, or are none."""

    @pytest.mark.parametrize("date", [None, "soon", "Thu, 01 Jan 1970 00:00:00 GMT", "Sun, 20 Sep 2026 20:00:00 GMT"])
    async def test_a_balance_without_a_time_of_its_own_proves_no_absence(self, date: str | None) -> None:
        world = uncredited_world(3)
        assert count_statuses(await run_audit(world))["missing_credit"] == 3

        def undated(request: httpx.Request) -> httpx.Response | None:
            if not request.url.path.startswith("/v1/customers/cus_Payer0") or is_ledger(request):
                return None
            answer = world.stripe.handle("GET", request.url.raw_path.decode(), dict(request.headers))
            return httpx.Response(200, content=answer.body, headers={"date": date} if date else {})

        world.stripe_transport.hook = undated
        report = await run_audit(world)
        assert [sentence for sentence in report.coverage.missing if "cus_Payer0" in sentence]
        assert count_statuses(report)["missing_credit"] < 3

    @pytest.mark.parametrize("created", [-1, 253_402_300_800, 10**20])
    @pytest.mark.parametrize("deep", [False, True])
    async def test_an_entry_of_no_date_is_no_answer(self, created: int, deep: bool) -> None:
        world = World(PAYMENTS)

        def change(body: dict[str, Any]) -> None:
            body["data"][0]["created"] = created

        rewrite(world, is_ledger, change)
        report = await run_audit(world, deep=deep)
        assert "created" in report.coverage.missing[0]

    @pytest.mark.parametrize("created", [-1, 10**20])
    async def test_a_customer_of_no_date_is_no_answer(self, created: int) -> None:
        world = World(PAYMENTS)
        rewrite(world, is_list_of_customers, lambda body: body["data"][0].update(created=created))
        assert "the list of customers: " in (await run_audit(world)).coverage.missing[0]

    @pytest.mark.parametrize("time", [253_402_300_800, 2**255])
    async def test_a_block_of_no_date_is_no_answer(self, time: int) -> None:
        world = World(PAYMENTS)
        world.node.lies["eth_getBlockByNumber"] = lambda header: header | {"timestamp": hex(time)}
        with pytest.raises(NodeError, match="quantity"):
            await run_audit(world)

    @pytest.mark.parametrize("ahead", [1, 10**9, 10**17])
    async def test_a_time_that_stripe_has_not_passed_is_refused(self, ahead: int) -> None:
        """Entries may still be written up to it, so that the report could not be made again."""
        world = World(PAYMENTS)
        passed = (await run_audit(world)).head()["inputs"]["at"]
        assert (await run_audit(world, at=passed)).is_clean
        block_number, time = passed.split(":")
        with pytest.raises(InvalidOptions, match="has not passed"):
            await run_audit(world, at=f"{block_number}:{int(time) + ahead}")

    @pytest.mark.parametrize(
        "at", ["9000:" + "9" * 19, "9" * 5000 + ":1", "9001:1", "9" * 18 + ":1", "\u0661:1", "1", ":"]
    )
    async def test_a_snapshot_that_is_none_is_refused(self, at: str) -> None:
        with pytest.raises(InvalidOptions, match="--at"):
            await run_audit(World(PAYMENTS), at=at)

    @pytest.mark.parametrize("boundary", ["9" * 5000, "99999-01-01", "soon"])
    async def test_a_boundary_that_is_none_is_refused(self, boundary: str) -> None:
        for name in ("since", "until"):
            with pytest.raises(InvalidOptions):
                await run_audit(World(PAYMENTS), **{name: boundary})


async def test_a_long_ledger_is_judged_beside_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledgers, "_MAX_JUDGED_ON_LOOP", 5)
    assert (await run_audit(World(PAYMENTS), deep=True)).is_clean


class Busy(NodeTransport):
    """A node that does not answer some requests."""

    def __init__(self, node: AuditNode) -> None:
        super().__init__(node)
        self.requests = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer a request."""
        self.requests += 1
        if request.method == "POST" and self.requests % 11 == 0:
            return httpx.Response(503, text="busy")
        return await super().handle_async_request(request)


class TestBusyNode:
    """A node that is busy for a moment, where there is no other."""

    @pytest.mark.parametrize("options", [{}, {"deep": True}, {"customer": "cus_Payer0"}, {"since": "102"}])
    async def test_it_is_asked_again(self, options: dict[str, Any]) -> None:
        world = World(PAYMENTS)
        world.node_transport = Busy(world.node)
        report = await run_audit(world, **options)
        assert report.is_clean, report.coverage.missing

    async def test_the_payment_of_a_credit_elsewhere_is_looked_up_again(self) -> None:
        world = World(PAYMENTS)
        orphaned = replace_block(PAYMENTS[0], 300, 9)
        world.add(world.get_or_add_customer("cus_Payer0"), world.credit_row(orphaned))
        failures = ["busy"]

        def fail_once(receipt: Any) -> Any:
            if failures:
                raise InvalidResponse(failures.pop())
            return receipt

        world.node.lies["eth_getTransactionReceipt"] = fail_once
        world.node_transport = Refusing(world.node)
        report = await run_audit(world)
        assert count_statuses(report) == {"matched": 6, "missing_payment": 1}
        assert not failures

    async def test_it_is_not_asked_for_ever(self) -> None:
        world = World(PAYMENTS)
        asked = []

        def fail(logs: Any) -> Any:
            asked.append(logs)
            raise InvalidResponse("busy")

        world.node.lies["eth_getLogs"] = fail
        world.node_transport = Refusing(world.node)
        report = await run_audit(world)
        assert "HTTP 503" in report.coverage.missing[0]
        assert len(asked) < 20


class Refusing(NodeTransport):
    """A node that answers with an error where a lie is one."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer a request."""
        try:
            return await super().handle_async_request(request)
        except InvalidResponse as error:
            return httpx.Response(503, text=str(error))
