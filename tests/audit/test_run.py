"""Complete audits of an in-process world."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from msgspec import structs

from chain.bulk_reader import treasury_topic
from chain.errors import ChainError
from chain.payment import Payment
from stateless_billing.audit import cross_customer_pass
from stateless_billing.audit.auditor import InvalidOptions, parse_accepted, parse_time
from stateless_billing.audit.explanation import describe_row, explain
from stateless_billing.audit.readers.chain import ChainReader
from stateless_billing.audit.report import publishing
from stateless_billing.audit.report.charts import draw_charts
from stateless_billing.audit.report.formats import WRITERS, write_csv, write_json, write_table
from stateless_billing.audit.report.report import Options, Report
from stateless_billing.audit.report.run_record import create_run_record
from stateless_billing.audit.rules.self_test import create_scope, run_trials
from stateless_billing.audit.run import Audit
from stateless_billing.domain import money
from stateless_billing.domain.csv_cells import format_cell
from stateless_billing.domain.ledger import cursor_key
from stateless_billing.sandbox.account import Entry as Row
from tests.audit.builders import TOKEN, quoted
from tests.audit.world import TREASURY, AuditNode, World, transfer
from tests.chain.fake_node import FUNCTIONS, history
from tests.chain.lies import LIES, Lie
from tests.fakes.factories import BLOCK_SECONDS, CHAIN_ID, CUSTOMER, GATEWAY, OTHER_GATEWAY, WALLET, block, tx_hash

pytestmark = pytest.mark.anyio

OTHER_TREASURY = "0x" + "66" * 20
PAID = history(2, 1, 3, customers=2)


def with_own_wallets(payments: list[Payment]) -> list[Payment]:
    """Give each customer's payments a wallet of its own."""
    return [
        structs.replace(payment, wallet=f"0x{payment.customer_id.encode().hex():0>40}")
        for payment in payments
        if payment.customer_id
    ]


async def run_audit(world: World, **options: Any) -> Report:
    """Audit a world."""
    async with world.create_auditor() as auditor:
        return await auditor.run(Options(**options))


def count_statuses(report: Report) -> Counter[str]:
    """Count the rows by status."""
    return Counter(row.status for row in report.spool)


async def test_a_settled_world_is_clean_in_both_modes() -> None:
    for deep in (False, True):
        report = await run_audit(World(with_own_wallets(PAID)), deep=deep)
        assert report.is_clean, report.coverage.missing
        assert count_statuses(report) == {"matched": 6}
        head = report.head()
        assert head["totals"]["paid_raw"] == head["totals"]["treasury_received_raw"]
        assert head["totals"]["difference_cents"] == 0


async def test_an_empty_world_is_clean() -> None:
    assert (await run_audit(World())).is_clean


async def test_only_get_requests_are_sent() -> None:
    world = World(with_own_wallets(PAID))
    await run_audit(world, deep=True)
    assert {request.split()[0] for request in world.stripe_transport.requests} == {"GET"}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
async def test_an_inconsistent_node_is_rejected(lie: tuple[str, Lie]) -> None:
    world = World(with_own_wallets(PAID))
    world.node.lies[lie[0]] = lie[1]
    try:
        report = await run_audit(world)
    except ChainError:
        return
    assert not report.is_clean
    assert report.coverage.missing


async def test_missing_transfers_are_rejected() -> None:
    world = World(with_own_wallets(PAID))
    world.node.lies["eth_getLogs"] = lambda logs: [] if logs and len(logs[0]["topics"]) == 3 else logs
    report = await run_audit(world)
    assert "reached the treasury" in report.coverage.missing[0]


class TwoTreasuries(AuditNode):
    """A node with two gateways; `treasuries` are theirs, and `straight` goes to each treasury by the first payment."""

    def __init__(self, payments: list[Payment], treasuries: dict[str, str], straight: dict[str, int]) -> None:
        super().__init__(payments)
        self.treasuries, self.straight = treasuries, straight

    def _eth_call(self, call: dict[str, str], tag: str) -> str:
        if FUNCTIONS[call["data"][2:10]] == "treasury":
            return treasury_topic(self.treasuries[call["to"]])
        return super()._eth_call(call, tag)

    def _eth_getLogs(self, query: dict[str, Any]) -> list[dict[str, Any]]:  # noqa: N802
        if query["address"] != TOKEN:
            return super()._eth_getLogs(query)
        recipient = query["topics"][2]
        logs = [
            transfer(payment)
            for payment in self.payments
            if treasury_topic(self.treasuries[payment.gateway]) == recipient
        ]
        for number, (account, amount) in enumerate(self.straight.items()):
            if treasury_topic(account) == recipient:
                logs.append(transfer(structs.replace(self.payments[0], amount=amount, log_index=90 + number)))
        for log in logs:
            log["topics"] = [*log["topics"][:2], recipient]
        return [log for log in logs if log["blockHash"] == query["blockHash"]]


@pytest.mark.parametrize("is_shared", [False, True])
@pytest.mark.parametrize("straight", [{}, {TREASURY: 1}, {OTHER_TREASURY: 2}, {TREASURY: 1, OTHER_TREASURY: 2}])
async def test_one_transaction_that_pays_two_gateways(is_shared: bool, straight: dict[str, int]) -> None:
    first = quoted(amount=10**18)
    second = structs.replace(first, gateway=OTHER_GATEWAY, amount=5 * 10**18, log_index=9)
    world = World([first, second])
    treasuries = {GATEWAY: TREASURY, OTHER_GATEWAY: TREASURY if is_shared else OTHER_TREASURY}
    straight = {account: amount for account, amount in straight.items() if account in treasuries.values()}
    node = world.node = world.node_transport.node = TwoTreasuries([first, second], treasuries, straight)
    settings = {"GATEWAY_ADDRESSES": f"{GATEWAY},{OTHER_GATEWAY}"}
    async with world.create_auditor(**settings) as auditor:
        report = await auditor.run(Options())
    assert report.is_clean, report.coverage.missing
    assert report.head()["totals"]["sent_straight_raw"] == str(sum(straight.values()))
    node.treasuries[OTHER_GATEWAY] = "0x" + "99" * 20
    node.straight = {TREASURY: 10**19}
    node.lies["eth_getLogs"] = lambda logs: [
        log for log in logs if log["topics"][-1] != treasury_topic("0x" + "99" * 20)
    ]
    async with world.create_auditor(**settings) as auditor:
        report = await auditor.run(Options())
    assert "reached the treasury 0x9999" in report.coverage.missing[0], "more at the other one makes up for nothing"


async def test_a_node_without_batches_gets_single_calls() -> None:
    world = World(with_own_wallets(PAID))
    world.node_transport.batches = False
    assert (await run_audit(world)).is_clean


@pytest.mark.parametrize("status", [500, 400, 403])
@pytest.mark.parametrize("which", ["/v1/customers?", "balance_transactions"])
async def test_an_interrupted_list_is_incomplete(status: int, which: str, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(with_own_wallets(PAID))

    def hook(request: httpx.Request) -> httpx.Response | None:
        if which in str(request.url) and "limit=1&" not in str(request.url) + "&":
            return httpx.Response(status, json={"error": {"message": "no", "code": "x"}})
        return None

    world.stripe_transport.hook = hook
    monkeypatch.setattr("stateless_billing.audit.readers.stripe.MAX_ATTEMPTS", 1)
    report = await run_audit(world)
    assert not report.coverage.is_complete
    assert not report.is_clean


@pytest.mark.parametrize("body", [{"data": [], "has_more": True}, {"data": []}, {"data": 7, "has_more": False}, []])
async def test_a_list_that_does_not_say_where_it_ends_is_incomplete(
    body: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(with_own_wallets(PAID))
    ledger = "balance_transactions"
    world.stripe_transport.hook = lambda request: httpx.Response(200, json=body) if ledger in str(request.url) else None
    monkeypatch.setattr("stateless_billing.audit.readers.stripe.MAX_ATTEMPTS", 1)
    assert not (await run_audit(world)).coverage.is_complete


async def test_an_omitted_customer_is_detected() -> None:
    world = World(with_own_wallets(PAID))
    empty = {"object": "list", "data": [], "has_more": False}
    date = {"date": "Mon, 21 Sep 2026 20:00:00 GMT"}
    world.stripe_transport.hook = lambda request: (
        httpx.Response(200, json=empty, headers=date) if request.url.path == "/v1/customers" else None
    )
    report = await run_audit(world)
    assert "omits cus_" in report.coverage.missing[0]


async def test_an_omitted_entry_breaks_the_balance_chain() -> None:
    world = World(with_own_wallets(PAID))

    def hook(request: httpx.Request) -> httpx.Response | None:
        if "balance_transactions" not in str(request.url):
            return None
        answer = world.stripe.handle("GET", request.url.raw_path.decode(), dict(request.headers))
        body = json.loads(answer.body)
        return httpx.Response(200, json=body | {"data": body["data"][:1] + body["data"][2:]})

    world.stripe_transport.hook = hook
    report = await run_audit(world, deep=True)
    assert not report.coverage.is_complete
    assert "does not add up" in report.coverage.missing[0]


async def test_deleted_customers_are_held_and_named() -> None:
    world = World(with_own_wallets(PAID))
    world.stripe.account.by_id["cus_Payer1"].deleted = True
    report = await run_audit(world)
    assert report.coverage.is_complete
    assert count_statuses(report) == {"matched": 3, "held": 3}


async def test_a_busy_customer_is_read_by_narrow_windows() -> None:
    first, last = quoted(), quoted(1, block=8_900, tx_hash=tx_hash(2))
    world = World([first, last])
    customer = world.get_or_add_customer(CUSTOMER)
    world.add_charges(customer, 20_000, first.time - 90_000, 6)
    report = await run_audit(world)
    assert report.is_clean
    assert count_statuses(report) == {"matched": 2}
    counts = report.coverage.counts
    assert counts["ledgers_read_by_windows"] == 1
    assert counts["stripe_reads"] < 110 < 20_000 // 100 + 3


async def test_a_late_credit_of_a_busy_customer_is_found_behind_its_window() -> None:
    first = quoted()
    world = World([])
    world.node.payments = [first]
    customer = world.get_or_add_customer(CUSTOMER, WALLET)
    world.add(customer, world.credit_row(first, created=first.time + 9_000))
    world.add_charges(customer, 4_000, first.time - 90_000, 30)
    report = await run_audit(world)
    assert count_statuses(report) == {"matched": 1}


async def test_a_report_is_published_with_checksums(tmp_path: Path) -> None:
    report = await run_audit(World(with_own_wallets(PAID)), accepted=b'{"fingerprint":"x","note":"n"}')
    record = create_run_record(World.settings(), "auditor@example.org", 0, 3600)
    publishing.publish(report, record, tmp_path)
    assert json.loads((tmp_path / "run.json").read_text())["by"] == "auditor@example.org"
    publishing.publish(report, replace(record, by="somebody else"), tmp_path)
    assert publishing.find_altered_files(tmp_path) == [], "who ran it is beside the report"
    (tmp_path / "dollars.svg").write_text("x")
    assert publishing.find_altered_files(tmp_path) == ["dollars.svg"]
    published = publishing.read_published(tmp_path)
    options, before = published.options, published.rows
    assert (options.at, options.accepted) == (f"{report.scope.block}:{report.scope.time}", report.options.accepted)  # type: ignore[union-attr]
    assert publishing.describe_changes(before, report.spool) == []
    assert publishing.describe_changes({}, report.spool)[0].startswith("R00-")
    assert publishing.describe_changes(before, [])[0].endswith("gone")


async def test_every_format_is_written() -> None:
    world = World(with_own_wallets(PAID))
    world.add(world.get_or_add_customer("cus_Payer0"), world.credit_row(PAID[0], created=block(200).time))
    report = await run_audit(world)
    parsed = json.loads("".join(write_json(report)))
    assert list(parsed) == ["schema_version", "tool", "inputs", "summary", "coverage", "totals", "rows"]
    assert len(parsed["rows"]) == 6
    lines = "".join(WRITERS["jsonl"](report)).splitlines()
    assert json.loads(lines[1]) == parsed["rows"][0]
    table = "".join(write_table(report))
    assert table.startswith("1 EXCEPTION\n")
    assert "duplicate_credit" in table
    csv_lines = "".join(write_csv(report)).splitlines()
    assert len(csv_lines) == 7
    assert csv_lines[0].startswith("\ufeffschema_version,row_id,status,exception,reason,delta_cents,chain_id")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, ""),
        (True, "true"),
        (-5, "-5"),
        ("=1+1", "'=1+1"),
        ("@a", "'@a"),
        ("+1", "'+1"),
        ("-x", "'-x"),
        ("a", "a"),
    ],
)
def test_a_cell_is_never_a_formula(value: object, expected: str) -> None:
    assert format_cell(value) == expected


async def test_charts_describe_their_content() -> None:
    charts = draw_charts(await run_audit(World(with_own_wallets(PAID))))
    assert set(charts) == {"dollars", "days", "latency", "coverage"}
    for chart in charts.values():
        assert "<title>" in chart.svg
        assert "<desc>" in chart.svg
        assert len(chart.table) > 1
        assert len({len(line) for line in chart.table}) == 1


async def test_charts_follow_days_gaps_and_the_range() -> None:
    payments = with_own_wallets([quoted(n, block=100 + n * 1000, tx_hash=tx_hash(n + 1)) for n in range(8)])
    world = World(payments[:-1], now=block(9_000).time + 1200)
    world.node.payments = payments
    report = await run_audit(world, since="1000", until="8000")
    charts = draw_charts(report)
    assert charts["coverage"].description == "Blocks 1000 to 8000, read completely."
    assert [line[1] for line in charts["coverage"].table[1:]] == ["1"] * 7
    assert charts["dollars"].description.startswith(
        "Chain $350.00 (solid), Stripe $300.00 (dashed), difference -$50.00"
    )
    assert charts["days"].table[1][1:] == ["6", "0", "1"]


async def test_charts_show_the_totals_of_the_head() -> None:
    payments = with_own_wallets([quoted(n, block=100 + n * 1000, tx_hash=tx_hash(n + 1)) for n in range(8)])
    world = World(payments[:-1], now=block(9_000).time + 1200)
    world.node.payments = payments
    [customer, *_] = world.stripe.account.by_id.values()
    world.add(customer, (world.now - 60, Row(-99_900, "usd", "Forged")))
    report = await run_audit(world)
    head, charts = report.head(), draw_charts(report)
    last = charts["dollars"].table[-1]
    totals = head["totals"]
    names = ("expected_cents", "credited_cents", "difference_cents")
    assert last[1:] == [money.format_dollars(totals[name]) for name in names]
    days = [[int(cell) for cell in line[1:]] for line in charts["days"].table[1:]]
    assert sum(map(sum, days)) == head["summary"]["rows"]
    assert sum(line[2] for line in days) == head["summary"]["exceptions"]


async def test_the_self_test_needs_no_data() -> None:
    world = World([])
    async with world.create_auditor() as auditor:
        audit = await auditor.prepare(Options())
        await audit.run()
        assert isinstance(audit, Audit)
        trials = run_trials(audit.collector.samples, audit.scope)
    assert [trial.planted for trial in trials if not trial.passed] == []


async def test_at_must_be_final() -> None:
    with pytest.raises(InvalidOptions):
        await run_audit(World(), at="9500:1")


def test_times_and_the_accepted_file() -> None:
    assert parse_time("2026-10-01") == 1790812800
    assert parse_time("2026-10-01T00:00:00+02:00") == 1790812800 - 7200
    with pytest.raises(InvalidOptions):
        parse_time("soon")
    assert parse_accepted(b'\n{"fingerprint":"a","note":"b"}\n')["a"].note == "b"
    lone_surrogate = b'{"fingerprint":"a","note":"b\\ud800c"}'  # what no report could be written with
    texts = (b"x", b"{}", b'{"fingerprint":"a","note":""}', b'{"fingerprint":"a","note":1}', b"[]", b"[" * 100_000)
    for bad in (*texts, lone_surrogate):
        with pytest.raises(InvalidOptions):
            parse_accepted(bad)


async def test_the_payment_of_an_orphaned_credit_is_looked_up_at_every_node() -> None:
    orphaned = quoted(tx_hash=tx_hash(50), sequence=9)
    world = World(with_own_wallets(PAID))
    world.add(world.get_or_add_customer("cus_Payer0"), world.credit_row(orphaned))
    report = await run_audit(world)
    assert count_statuses(report) == {"matched": 6, "missing_payment": 1}
    async with world.create_auditor() as auditor:
        reader = ChainReader(auditor.nodes, auditor.gateways, lambda *_: None)
        assert await cross_customer_pass.is_absent_on_chain(reader, orphaned.identity)
        assert not await cross_customer_pass.is_absent_on_chain(reader, PAID[0].identity)


async def test_a_range_excludes_earlier_and_later_payments() -> None:
    world = World(with_own_wallets(PAID))
    report = await run_audit(world, since="102", until="102")
    assert [row.block_number for row in report.spool] == [102]
    assert report.is_clean
    report = await run_audit(world, customer="cus_Payer1")
    assert count_statuses(report) == {"matched": 3}


async def test_later_events_do_not_change_a_reproduced_report() -> None:
    """New payments, a late credit and the cursor past it all come after the report's time."""
    after = quoted(3, block=9_700, tx_hash=tx_hash(77), customer_id="cus_Payer0")
    fresh = quoted(0, block=9_702, tx_hash=tx_hash(78), customer_id="cus_Fresh")
    *payments, after, fresh = with_own_wallets([*PAID, after, fresh])
    world = World(payments[:-1])
    world.node.payments = list(payments)  # the last one is not credited yet
    world.get_or_add_customer("cus_Fresh", fresh.wallet)
    first = await run_audit(world)
    assert count_statuses(first) == {"matched": 5, "missing_credit": 1}
    world.node.payments += [after, fresh]
    world.now += 600
    for payment in (payments[-1], after, fresh):
        world.add(
            world.get_or_add_customer(payment.customer_id or "", payment.wallet),
            world.credit_row(payment, created=world.now - 60),
        )
    key = cursor_key(CHAIN_ID, GATEWAY)
    for customer, payment in (("cus_Payer1", payments[-1]), ("cus_Payer0", after)):
        customer_ = world.get_or_add_customer(customer)
        texts = dict(customer_.contact.metadata) | {key: f"{payment.sequence + 1}:{payment.tx_hash}"}
        customer_.set_metadata(world.now, texts)
    at = first.head()["inputs"]["at"]
    assert "".join(write_json(await run_audit(world, at=at))) == "".join(write_json(first))
    assert count_statuses(await run_audit(world)) == {"matched": 6, "pending": 2}


async def test_a_cursor_past_an_uncredited_payment_is_a_finding() -> None:
    payments = with_own_wallets(PAID)
    world = World(payments[:-1])
    world.node.payments = list(payments)
    customer = world.get_or_add_customer("cus_Payer1")
    moved = {cursor_key(CHAIN_ID, GATEWAY): f"3:{payments[-1].tx_hash}"}
    customer.set_metadata(world.now, dict(customer.contact.metadata) | moved)
    assert count_statuses(await run_audit(world)) == {"matched": 5, "missing_credit": 1, "cursor_ahead": 1}


@pytest.mark.parametrize("time", [*range(20), 97, 98, 99, 100])
async def test_finds_the_block_of_a_time(time: int) -> None:
    async with World().create_auditor() as auditor:
        reader = ChainReader(auditor.nodes, auditor.gateways, lambda *_: None)
        head = block(50)
        wanted_time = block(0).time + time
        before = await reader.find_block_by_time(wanted_time, head, side="before")
        after = await reader.find_block_by_time(wanted_time, head, side="after")
    assert before.number == min(time // BLOCK_SECONDS, 50)
    assert after.number == min(-(-time // BLOCK_SECONDS), 50)


def add_service_record(world: World, order: str = "", cause: str = "") -> None:
    """Add a service record about the first payment: an order that redirects it, or the cause that holds it."""
    opened = {f"open:{CHAIN_ID}:{GATEWAY[2:10]}:0": cause} if cause else {}
    record = world.get_or_add_customer("cus_Service", None, stateless_billing="service", grants="cus_Grants", **opened)
    world.get_or_add_customer("cus_Grants", None, stateless_billing="grants")
    if order:
        texts = {"kind": "order", "payment": PAID[0].identity, "order": order, "operator": "o", "reason": "r"}
        world.add(record, (PAID[0].time + 60, Row(-1, "usd", "Order", texts)))


@pytest.mark.parametrize("options", [{}, {"deep": True}, {"customer": "cus_Payer0"}])
async def test_a_redirected_payment_is_searched_on_its_target(options: dict[str, Any]) -> None:
    payments = with_own_wallets(PAID)
    world = World(payments[1:])
    world.node.payments = list(payments)
    target = world.get_or_add_customer("cus_Target")
    add_service_record(world, "redirect:cus_Target")
    world.add(target, world.credit_row(payments[0], created=payments[0].time + 9_000, customer="cus_Target"))
    world.add_charges(target, 4_000, payments[0].time - 90_000, 30)
    async with world.create_auditor(SERVICE_CUSTOMER_ID="cus_Service") as auditor:
        report = await auditor.run(Options(**options))
    assert report.is_clean, report.coverage.missing
    assert count_statuses(report) == {"matched": 3 if "customer" in options else 6}
    assert {row.stripe_customer for row in report.spool} >= {"cus_Target"}


@pytest.mark.parametrize("options", [{}, {"deep": True}, {"customer": "cus_Payer0"}])
async def test_a_payment_that_is_held_is_no_exception(options: dict[str, Any]) -> None:
    payments = with_own_wallets(PAID)
    world = World(payments[1:])
    world.node.payments = list(payments)
    world.get_or_add_customer("cus_Payer0")
    add_service_record(world, cause="over_limit")
    async with world.create_auditor(SERVICE_CUSTOMER_ID="cus_Service") as auditor:
        report = await auditor.run(Options(**options))
        rows, _ = await explain(auditor, payments[0].tx_hash)
    assert report.is_clean, report.coverage.missing
    assert count_statuses(report)["held"] == 1
    assert "Verdict: held. Held: over_limit." in describe_row(rows[0])


async def test_the_nodes_are_only_read() -> None:
    world = World(with_own_wallets(PAID))
    await run_audit(world, deep=True)
    assert set(world.node.asked) == {"eth_chainId", "eth_getBlockByNumber", "eth_call", "eth_getLogs", "eth_getCode"}


@pytest.mark.parametrize("deep", [False, True])
async def test_credits_of_other_systems_are_summed_by_name(deep: bool) -> None:
    world = World(with_own_wallets(PAID))
    time = block(9_000).time
    credits_ = [("Top-up via pi_1", 500), ("Auto top-up via pi_2", 700), ("Admin grant: sorry", 300)]
    for customer in ("cus_Payer0", "cus_NeverPaid"):
        rows = [(time + n, Row(-cents, "usd", text)) for n, (text, cents) in enumerate(credits_)]
        world.add(world.get_or_add_customer(customer), *rows, (time + 9, Row(400, "usd", "Top-up via pi_1 refunded")))
    report = await run_audit(world, deep=deep)
    assert report.is_clean
    times = 2 if deep else 1  # the cheap audit does not read who never paid
    assert report.head()["totals"]["other_credits"] == {
        "topup": {"entries": 2 * times, "cents": 1200 * times},
        "enterprise": {"entries": 0, "cents": 0},
        "old_grants": {"entries": 1 * times, "cents": 300 * times},
        "old_litkey": {"entries": 0, "cents": 0},
    }
    assert f"${12 * times}.00  {2 * times} credits of another system: topup\n" in "".join(write_table(report))


@pytest.mark.parametrize("deep", [False, True])
async def test_the_balances_are_summed_without_and_with_the_bookkeeping_customers(deep: bool) -> None:
    world = World(with_own_wallets(PAID))
    add_service_record(world)
    time = block(200).time
    texts = {"kind": "reservation", "grant": "g", "operator": "o", "reason": "r", "customer": "cus_Payer0"}
    texts["caps"] = "2000:10000:50000"
    world.add(world.get_or_add_customer("cus_Grants"), (time, Row(-250, "usd", "Reservation", texts)))
    order = {"kind": "order", "payment": PAID[0].identity, "order": "release", "operator": "o", "reason": "r"}
    world.add(world.get_or_add_customer("cus_Service"), (time, Row(1, "usd", "Order", order)))
    world.add(
        world.get_or_add_customer("cus_Payer0"),
        (time + 1, Row(-250, "usd", "Grant", texts | {"kind": "grant"})),
        (time + 2, Row(-9_900, "eur", "Top-up via pi_1")),
        (time + 2, Row(30, "usd", "Usage")),
    )
    world.add(world.get_or_add_customer("cus_NeverPaid"), (time, Row(-700, "usd", "Top-up via pi_1")))
    world.get_or_add_customer("cus_Empty")
    report = await run_audit(world, deep=deep)
    assert report.is_clean, list(report.spool)
    paid = 6 * 5_000 + 250 - 30 + (700 if deep else 0)
    assert report.head()["totals"]["balances"] == {
        "ledgers": 4 if deep else 2,
        "customers_cents": paid,
        "bookkeeping_cents": 250 - 1,
        "with_bookkeeping_cents": paid + 249,
    }
    at = report.head()["inputs"]["at"]
    world.now += 60
    world.add(world.get_or_add_customer("cus_Payer0"), (world.now - 30, Row(77, "usd", "Usage")))
    assert (await run_audit(world, deep=deep, at=at)).head() == report.head()
    table = "".join(write_table(report))
    assert f"${paid // 100:,}.{paid % 100:02}  balances of {4 if deep else 2} customers read\n" in table
    assert "with the bookkeeping customers, where every grant counts twice" in table


async def test_a_payer_without_entries_since_its_payment_has_its_earlier_balance() -> None:
    world = World()
    world.node.payments = [quoted()]
    customer = world.get_or_add_customer(CUSTOMER, WALLET)
    world.add(customer, (quoted().time - 90_000, Row(-700, "usd", "Top-up via pi_1")))
    report = await run_audit(world)
    assert report.head()["totals"]["balances"]["customers_cents"] == 700
    assert (await run_audit(world, customer=CUSTOMER)).head()["totals"]["balances"] is None


def test_the_self_test_runs_on_a_made_up_payment_without_any_settings() -> None:
    trials = run_trials([], create_scope())
    assert len(trials) == 15
    assert [trial.planted for trial in trials if not trial.passed] == []
