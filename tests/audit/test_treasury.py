"""`audit --treasury` accounts for every token that reached the treasury, and proves it by the balances."""

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from eth_utils.crypto import keccak
from msgspec import structs

from chain.decoding import TRANSFER_TOPIC
from chain.errors import NodeError
from chain.payment import Payment
from stateless_billing.audit.auditor import InvalidOptions
from stateless_billing.audit.command import exit_code
from stateless_billing.audit.progress import ignore_progress
from stateless_billing.audit.readers import treasury
from stateless_billing.audit.report import publishing
from stateless_billing.audit.report.formats import WRITERS, verdict_lines
from stateless_billing.audit.report.report import Options, Report
from stateless_billing.audit.report.run_record import create_run_record
from stateless_billing.audit.rules.transfers import address_topic
from tests.audit.builders import SCOPE, TOKEN, OtherWork
from tests.audit.test_run import PAID, count_statuses, with_own_wallets
from tests.audit.world import TREASURY, AuditNode, World, transfer
from tests.chain.fake_node import FUNCTIONS, FakeNodes, word
from tests.fakes.factories import CUSTOMER, WHOLE_TOKEN, block, tx_hash

pytestmark = pytest.mark.anyio

SENDER = "0x" + "5a" * 20
OLD_CONTRACT = "0x" + "0c" * 20
ACCOUNT = address_topic(TREASURY)
CREATED = 40  # the token's first block


class TreasuryNode(AuditNode):
    """A node that serves ranges of logs and old balances, within limits."""

    def __init__(self, payments: Any) -> None:
        super().__init__(payments)
        self.other: list[dict[str, Any]] = []
        self.emitters: dict[str, str] = {}
        self.max_range = 10**9
        self.oldest_state = 0
        self.outages: set[int] = set()
        self.hidden: set[str] = set()
        self.ranges: list[tuple[int, int]] = []

    def send(self, number: int, at: int, tokens: int, *, sender: str = SENDER, to: str = TREASURY) -> str:
        """Transfer tokens without a payment; return the EVM transaction."""
        header, hash_ = block(at), tx_hash(5_000 + number)
        self.other.append(
            {
                "address": TOKEN,
                "topics": [TRANSFER_TOPIC, address_topic(sender), address_topic(to)],
                "data": "0x" + word(tokens * WHOLE_TOKEN).hex(),
                "blockNumber": hex(at),
                "blockHash": header.hash,
                "transactionHash": hash_,
                "logIndex": "0x7",
                "removed": False,
            }
        )
        return hash_

    def transfers(self) -> list[dict[str, Any]]:
        """All transfers, oldest first."""
        logs = [*map(transfer, self.payments), *self.other]
        return sorted(logs, key=lambda log: (int(log["blockNumber"], 16), int(log["logIndex"], 16)))

    def _eth_getLogs(self, query: dict[str, Any]) -> list[dict[str, Any]]:  # noqa: N802
        if query["address"] != TOKEN or "fromBlock" not in query:
            return super()._eth_getLogs(query)
        first, last = int(query["fromBlock"], 16), int(query["toBlock"], 16)
        self.ranges.append((first, last))
        if last - first + 1 > self.max_range or last > self.tags["latest"]:
            raise NodeError("the block range is too wide")
        if first == last and first in self.outages:
            self.outages.remove(first)
            raise NodeError("no backend is currently healthy")
        place = len(query["topics"]) - 1
        return [
            log
            for log in self.transfers()
            if first <= int(log["blockNumber"], 16) <= last
            and log["topics"][place] == query["topics"][place]
            and log["transactionHash"] not in self.hidden
        ]

    def _eth_getCode(self, address: str, tag: str) -> str:  # noqa: N802
        if address != TOKEN or tag == "latest":
            return super()._eth_getCode(address, tag)
        if int(tag, 16) < self.oldest_state:
            raise NodeError("missing trie node")
        return "0x60" if int(tag, 16) >= CREATED else "0x"

    def _eth_call(self, call: dict[str, str], tag: str) -> str:
        if call["data"][:10] != treasury.BALANCE_OF:
            return super()._eth_call(call, tag)
        at = int(tag, 16)
        if at < self.oldest_state:
            raise NodeError("missing trie node")
        balance = 0
        for log in self.transfers():
            if int(log["blockNumber"], 16) <= at:
                amount = int(log["data"], 16)
                balance += amount * ((log["topics"][2] == ACCOUNT) - (log["topics"][1] == ACCOUNT))
        return "0x" + word(balance).hex()

    def _eth_getTransactionReceipt(self, hash_: str) -> dict[str, Any] | None:  # noqa: N802
        if hash_ not in {log["transactionHash"] for log in self.other}:
            return super()._eth_getTransactionReceipt(hash_)
        emitter = self.emitters.get(hash_, TOKEN)
        logs = [{"address": each, "topics": [], "data": "0x"} for each in (TOKEN, emitter)]
        return {"transactionHash": hash_, "status": "0x1", "blockNumber": "0x1", "blockHash": hash_, "logs": logs}


def create_world() -> tuple[World, TreasuryNode]:
    """Create a settled world whose node serves transfers."""
    world = World(with_own_wallets(PAID))
    node = TreasuryNode(world.node.payments)
    world.node = world.node_transport.node = node
    return world, node


async def run(world: World, sources: str = "", **options: Any) -> Report:
    """Audit a world with its treasury."""
    async with world.create_auditor(KNOWN_SOURCES=sources) as auditor:
        return await auditor.run(Options(**{"treasury": True} | options))


def totals(report: Report) -> dict[str, Any]:
    """Return the treasury's totals."""
    return dict(report.head()["totals"]["treasury"])


async def test_a_straight_transfer_is_a_warning_with_what_to_do() -> None:
    world, node = create_world()
    hash_ = node.send(1, 500, 777)
    assert (await run(world, treasury=False)).is_clean  # it does not look there, and says so
    report = await run(world, deep=True)
    assert report.is_clean
    assert exit_code(report) == 0
    assert count_statuses(report) == {"matched": 6, "stray_transfer": 1}
    [row] = [row for row in report.spool if row.status == "stray_transfer"]
    assert (row.row_id[:4], row.exception, row.kind, row.tx_hash, row.payer) == (
        "R18-",
        False,
        "transfer",
        hash_,
        SENDER,
    )
    assert (row.amount_raw, row.block_number, row.stripe_customer) == (str(777 * WHOLE_TOKEN), 500, None)
    assert "without a payment: nobody was credited" in row.reason
    assert row.next_action.startswith("ask the sender: ")
    assert totals(report)["stray"] == {"transfers": 1, "raw": str(777 * WHOLE_TOKEN)}
    assert verdict_lines(report) == ["CLEAN: 7 rows, no exception, everything was read"]
    assert "777  in 1 stray transfer\n" in "".join(WRITERS["table"](report))


async def test_the_scope_says_whether_the_treasury_was_read() -> None:
    world, _ = create_world()
    unread = "transfers to the treasury in blocks without a payment were not read"
    report = await run(world, deep=True, treasury=False)
    assert verdict_lines(report) == [f"CLEAN OF WHAT WAS READ: {unread}"]
    assert report.head()["coverage"]["scope"] == {"ledgers": "all", "treasury": False, "not_read": [unread]}
    assert report.head()["totals"]["treasury"] is None
    asked = await run(world)
    assert asked.head()["coverage"]["scope"]["treasury"]
    assert unread not in verdict_lines(asked)[0]


async def test_the_balances_prove_the_transfers() -> None:
    world, node = create_world()
    node.send(1, 50, 1_000)
    node.send(2, 700, 400, sender=TREASURY, to=SENDER)
    paid = sum(payment.amount for payment in PAID)
    report = await run(world)
    assert totals(report)["paid_raw"] == str(paid)
    assert totals(report)["accounts"] == {
        TREASURY: {
            "from_block": CREATED,
            "opening_raw": "0",
            "opening_source": "token",
            "received_raw": str(paid + 1_000 * WHOLE_TOKEN),
            "sent_raw": str(400 * WHOLE_TOKEN),
            "closing_raw": str(paid + 600 * WHOLE_TOKEN),
            "closing_source": "node",
        }
    }
    for hidden in (node.other[0]["transactionHash"], node.other[1]["transactionHash"], PAID[0].tx_hash):
        node.hidden = {hidden}
        lying = await run(world)
        assert not lying.coverage.is_complete
        assert "do not add up to its balance at block 9000" in lying.coverage.missing[0]
        assert count_statuses(lying)["matched"] == 6  # the rest of the report stays
        assert totals_are_absent(lying)


def totals_are_absent(report: Report) -> bool:
    """Return whether the report claims nothing about the treasury."""
    return report.head()["totals"]["treasury"] is None and not count_statuses(report)["stray_transfer"]


async def test_transfers_through_known_contracts_are_named_by_the_contract_that_emitted_a_log() -> None:
    world, node = create_world()
    through = [node.send(number, 500 + number, 100, sender=f"0x{number:040x}") for number in range(1, 4)]
    node.send(9, 600, 5, sender=OLD_CONTRACT)  # from its address, but it emitted nothing
    node.emitters = dict.fromkeys(through, OLD_CONTRACT)
    report = await run(world, f"{OLD_CONTRACT.upper().replace('X', 'x')}=Old payments, 0x{'0d' * 20}=Unused")
    assert totals(report)["known"] == {
        "Old payments": {"transfers": 3, "raw": str(300 * WHOLE_TOKEN)},
        "Unused": {"transfers": 0, "raw": "0"},
    }
    assert [row.payer for row in report.spool if row.status == "stray_transfer"] == [OLD_CONTRACT]
    assert "300  in 3 transfers through Old payments\n" in "".join(WRITERS["table"](report))
    assert count_statuses(await run(world))["stray_transfer"] == 4


async def test_a_transfer_beside_a_payment_in_one_transaction_is_stray() -> None:
    world, node = create_world()
    node.send(1, PAID[0].block, 3, sender=PAID[0].payer)
    node.other[0] |= {"transactionHash": PAID[0].tx_hash, "blockHash": PAID[0].block_hash, "logIndex": "0x63"}
    report = await run(world)
    assert report.coverage.is_complete, report.coverage.missing
    [row] = [row for row in report.spool if row.status == "stray_transfer"]
    assert (row.tx_hash, row.log_index, row.amount_raw) == (PAID[0].tx_hash, 0x63, str(3 * WHOLE_TOKEN))


@pytest.mark.parametrize("max_range", [1, 10, 700, 10_000])
async def test_the_windows_adapt_to_what_the_node_serves(max_range: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(treasury, "_GROW_AFTER", 10**9 if max_range == 1 else 8)
    world, node = create_world()
    node.send(1, 500, 777)
    node.max_range = max_range
    report = await run(world, since="480" if max_range < 700 else None, until="900" if max_range < 700 else None)
    assert report.coverage.is_complete, report.coverage.missing
    assert count_statuses(report)["stray_transfer"] == 1
    served = [(first, last) for first, last in node.ranges if last - first < max_range]
    assert max(last - first + 1 for first, last in served) <= max_range
    assert len(node.ranges) - len(served) < len(node.ranges) / 4 + 60


async def test_it_resumes_after_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr(treasury.TreasuryReader.__init__, "__defaults__", (sleep,))
    world, node = create_world()
    node.send(1, 500, 777)
    node.max_range, node.outages = 64, {500, 777, 4_000}
    lost: Callable[[int, int], bool] = lambda first, last: any(first <= at <= last for at in node.outages)  # noqa: E731
    serve = node._eth_getLogs
    node._eth_getLogs = lambda query: (  # type: ignore[method-assign]
        _fail() if _is_wide(query) and lost(*_range_of(query)) else serve(query)
    )
    report = await run(world)
    assert report.coverage.is_complete, report.coverage.missing
    assert count_statuses(report)["stray_transfer"] == 1
    assert waits


def _fail() -> list[dict[str, Any]]:
    raise NodeError("no backend is currently healthy")


def _range_of(query: dict[str, Any]) -> tuple[int, int]:
    return int(query["fromBlock"], 16), int(query["toBlock"], 16)


def _is_wide(query: dict[str, Any]) -> bool:
    return "fromBlock" in query and query["fromBlock"] != query["toBlock"]


async def test_a_node_that_serves_no_logs_makes_the_report_incomplete(monkeypatch: pytest.MonkeyPatch) -> None:
    async def sleep(seconds: float) -> None:
        pass

    monkeypatch.setattr(treasury.TreasuryReader.__init__, "__defaults__", (sleep,))
    world, node = create_world()
    node.max_range = 0
    report = await run(world)
    assert not report.coverage.is_complete
    assert report.coverage.missing[0].startswith("the transfers of the treasury: ")
    assert verdict_lines(report)[0].startswith("INCOMPLETE")
    assert exit_code(report) == 3
    assert count_statuses(report) == {"matched": 6}


async def test_what_a_failed_node_left_out_is_read_again_from_the_next() -> None:
    _, first = create_world()
    _, second = create_world()
    for node in (first, second):
        node.send(1, 500, 777)
        node.max_range = 1_000
    first.hidden = {first.other[0]["transactionHash"]}
    serve = first._eth_getLogs
    first._eth_getLogs = lambda query: (  # type: ignore[method-assign]
        _fail() if "fromBlock" in query and _range_of(query)[1] >= 3_000 else serve(query)
    )

    async def sleep(seconds: float) -> None:
        pass

    scope = replace(SCOPE, treasuries=(TREASURY,), block=9_000)
    reader = treasury.TreasuryReader(FakeNodes(first, second), scope, ignore_progress, ignore_progress, sleep)
    report = await reader.create_report(first.payments, None)
    assert report.totals["stray"]["transfers"] == 1
    assert max(start for start, _ in second.ranges[: len(second.ranges) // 3]) >= 2_500  # it went on first
    assert min(start for start, _ in second.ranges) == CREATED


async def test_other_work_goes_on_while_payments_are_read() -> None:
    later, seen, other_work = structs.replace(PAID[0], block=9_001), list[int](), OtherWork()

    def payments() -> Iterator[Payment]:
        for _ in range(1_200):
            seen.append(other_work.turns)
            yield later

    _, node = create_world()
    scope = replace(SCOPE, treasuries=(), block=9_000)
    reader = treasury.TreasuryReader(FakeNodes(node), scope, ignore_progress, ignore_progress)
    working = asyncio.create_task(other_work.run())
    await reader.create_report(payments(), None)
    working.cancel()
    assert seen[-1] == 3, "one turn for each 500 payments"


@pytest.mark.parametrize(
    ("oldest_state", "options", "source", "from_block", "opening"),
    [
        (0, {}, "node", 600, 1_000),
        (0, {"treasury_opening": 7}, "node", 600, 1_000),  # the node knows better
        (900, {"treasury_opening": 1_000 * WHOLE_TOKEN}, "stated", 600, 1_000),
        (900, {}, "token", 0, 0),
    ],
)
async def test_the_report_says_where_the_opening_is_from(
    oldest_state: int, options: dict[str, Any], source: str, from_block: int, opening: int
) -> None:
    world, node = create_world()
    node.payments = []
    node.send(1, 500, 1_000)
    node.send(2, 700, 20)
    node.oldest_state = oldest_state
    report = await run(world, since="600", **options)
    assert report.coverage.is_complete, report.coverage.missing
    account = totals(report)["accounts"][TREASURY]
    assert (account["opening_source"], account["from_block"]) == (source, from_block)
    assert account["opening_raw"] == str(opening * WHOLE_TOKEN)
    assert account["closing_raw"] == str(1_020 * WHOLE_TOKEN)
    assert [row.block_number for row in report.spool] == [700]  # earlier ones serve the proof alone


async def test_a_wrong_stated_opening_proves_nothing() -> None:
    world, node = create_world()
    node.payments = []
    node.send(1, 500, 1_000)
    node.oldest_state = 900
    report = await run(world, since="600", treasury_opening=999 * WHOLE_TOKEN)
    assert "do not add up" in report.coverage.missing[0]


async def test_without_the_state_of_the_last_block_the_head_closes() -> None:
    world, node = create_world()
    node.send(1, 500, 777)
    node.send(2, 9_900, 50)  # after the report, but before the head
    node.oldest_state = 9_950
    report = await run(world)
    assert report.coverage.is_complete, report.coverage.missing
    account = totals(report)["accounts"][TREASURY]
    paid = sum(payment.amount for payment in PAID)
    assert (account["closing_source"], account["opening_source"], account["from_block"]) == ("head", "token", 0)
    assert account["closing_raw"] == str(paid + 777 * WHOLE_TOKEN)
    assert [row.block_number for row in report.spool if row.status == "stray_transfer"] == [500]


async def test_its_cost_is_said_before_it_reads() -> None:
    world, node = create_world()
    messages: list[tuple[str, int]] = []
    async with world.create_auditor() as auditor:
        reporting = auditor.reporting
        auditor.reporting = type(reporting)(
            reporting.on_progress, lambda message: messages.append((message, len(node.ranges)))
        )
        await auditor.run(Options(treasury=True))
    [(message, read)] = [each for each in messages if "treasury" in each[0]]
    assert read == 0
    assert "in 8,961 blocks, without any Stripe reads: 2 requests to the node if it serves 10,000" in message
    assert "1,794 if it serves 10" in message


@pytest.mark.parametrize(
    "options",
    [
        {"customer": CUSTOMER},
        {"treasury": False, "treasury_opening": 5, "since": "600"},
        {"treasury_opening": 5},
    ],
)
async def test_options_that_do_not_fit_are_refused(options: dict[str, Any]) -> None:
    world, _ = create_world()
    with pytest.raises(InvalidOptions, match="--treasury"):
        await run(world, **options)


async def test_the_report_is_reproduced_with_the_treasury(tmp_path: Any) -> None:
    world, node = create_world()
    node.send(1, 700, 777)
    report = await run(world, since="600", treasury_opening=5)
    publishing.publish(report, create_run_record(world.settings(), None, 0, 1), tmp_path)
    published = publishing.read_published(tmp_path)
    options = published.options
    assert (options.treasury, options.treasury_opening, options.since) == (True, 5, "600")
    node.send(2, 9_500, 50)
    async with world.create_auditor() as auditor:
        again = await auditor.run(options)
    assert publishing.describe_changes(published.rows, again.spool) == []
    assert json.loads((tmp_path / "report.json").read_text())["totals"] == again.head()["totals"]


def test_the_selector_is_that_of_the_balance() -> None:
    assert "0x" + keccak(text="balanceOf(address)")[:4].hex() == treasury.BALANCE_OF
    assert treasury.BALANCE_OF[2:] not in {name for name, function in FUNCTIONS.items() if function != "balanceOf"}
