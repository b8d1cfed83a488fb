"""A published report against one made later: what depends on when it is read makes no difference."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from msgspec import structs

from stateless_billing.audit.report import publishing
from stateless_billing.audit.report.report import Options, Report
from stateless_billing.audit.report.run_record import create_run_record
from tests.audit.test_run import PAID, with_own_wallets
from tests.audit.test_treasury import CREATED, create_world
from tests.audit.world import TREASURY, NodeTransport, World

pytestmark = pytest.mark.anyio


async def run(world: World, options: Options) -> Report:
    async with world.create_auditor() as auditor:
        return await auditor.run(options)


async def publish(world: World, folder: Path, **options: Any) -> publishing.PublishedReport:
    report = await run(world, Options(**options))
    assert report.coverage.is_complete, report.coverage.missing
    publishing.publish(report, create_run_record(world.settings(), None, 0, 1), folder)
    return publishing.read_published(folder)


async def compare(world: World, folder: Path) -> tuple[list[str], list[str]]:
    """Return what was read differently, and every change, as `audit verify` finds them."""
    published = publishing.read_published(folder)
    report = await run(world, published.options)
    notes = publishing.adopt_circumstances(report, published)
    changes = publishing.describe_changes(published.rows, report.spool)
    changes += publishing.describe_head_changes(published.head, report.head())
    return notes, changes + publishing.find_unlike_files(report, folder)


class Prices(NodeTransport):
    """A price feed that keeps its rates for a while."""

    has_rates = True

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer a request."""
        if request.method == "GET" and not self.has_rates:
            return httpx.Response(200, text='{"prices": []}')
        return await super().handle_async_request(request)


@pytest.mark.parametrize("first", [True, False])
async def test_rates_that_the_feed_keeps_no_longer_make_no_difference(tmp_path: Path, first: bool) -> None:
    plain = structs.replace(PAID[0], cents=0)
    world = World(with_own_wallets([plain, *PAID[1:]]))
    prices = world.node_transport = Prices(world.node)
    prices.has_rates = first
    await publish(world, tmp_path, deep=True)
    prices.has_rates = not first
    notes, changes = await compare(world, tmp_path)
    was, now = (1, None) if first else (None, 1)
    assert f"coverage.rates_checked: was {was}, is {now}" in notes
    assert changes == []


@pytest.mark.parametrize("since", [None, "600"])
@pytest.mark.parametrize("ages", [(0, 9_950), (0, 800), (9_950, 0), (800, 0)])
async def test_the_state_that_the_node_keeps_makes_no_difference(
    tmp_path: Path, ages: tuple[int, int], since: str | None
) -> None:
    world, node = create_world()
    node.send(1, 500, 777)
    node.send(2, 700, 50)
    node.oldest_state = ages[0]
    await publish(world, tmp_path, treasury=True, since=since)
    node.oldest_state = ages[1]
    notes, changes = await compare(world, tmp_path)
    assert all(note.startswith(f"totals.treasury.accounts.{TREASURY}.") for note in notes)
    assert notes
    assert changes == []


@pytest.mark.parametrize(
    ("name", "value"),
    [("closing_raw", "7"), ("opening_raw", "7"), ("received_raw", "7"), ("sent_raw", "7"), ("received_raw", "x")],
)
@pytest.mark.parametrize("moved", [False, True])
async def test_a_forged_statement_of_the_treasury_is_found(tmp_path: Path, name: str, value: str, moved: bool) -> None:
    world, node = create_world()
    node.send(1, 500, 777)
    await publish(world, tmp_path, treasury=True)
    path = tmp_path / "report.json"
    content = json.loads(path.read_text())
    statement = content["totals"]["treasury"]["accounts"][TREASURY]
    assert statement["from_block"] == CREATED
    statement[name] = value
    statement["from_block"] -= moved
    path.write_text(json.dumps(content))
    _, changes = await compare(world, tmp_path)
    assert f"totals.treasury.accounts.{TREASURY}.{name}: was {value!r}" in "".join(changes)
