"""AuditRuns runs one audit at a time, lets several pages watch it, and stores the last reports."""

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from stateless_billing.audit.report.report import Options
from stateless_billing.domain.errors import ProblemError
from stateless_billing.sandbox.account import Entry
from stateless_billing.services.container import Services
from stateless_billing.stripe.rate_limiter import RateLimiter
from stateless_billing.web.operators import audit_runs
from stateless_billing.web.operators.audit_runs import MAX_REPORTS, AuditRun, AuditRuns
from tests.audit.test_run import PAID, with_own_wallets
from tests.audit.world import World
from tests.fakes.factories import FakeClock
from tests.fakes.in_process_service import Town
from tests.fakes.signed_in import open_browser, start_desk

pytestmark = pytest.mark.anyio
ADMIN = "admin@example.org"


@dataclass
class FakeServices:
    """The services that an audit uses."""

    world: World

    def __post_init__(self) -> None:
        self.settings, self.clock, self.rate_limiter = (
            self.world.settings(),
            FakeClock(),
            RateLimiter(rate=1000, total_rate=4000, processes=1),
        )
        self.node_transport, self.stripe_transport_factory = (
            self.world.node_transport,
            lambda: self.world.stripe_transport,
        )


def create_runs(world: World | None = None) -> AuditRuns:
    """Create the runs of one process."""
    return AuditRuns(cast(Services, FakeServices(world or World(with_own_wallets(PAID)))))


async def watch(run: AuditRun) -> list[str]:
    """Watch a run to its end and return the progress lines."""
    return [run.progress async for _ in run.changes()]


async def test_a_run_reports_progress_and_is_stored() -> None:
    runs = create_runs()
    run = runs.begin(Options(), ADMIN)
    steps, others = await asyncio.gather(watch(run), watch(run))
    assert run.finished
    assert run.finished.report.is_clean
    assert steps[-1].startswith("ledgers: 2 of 2")
    assert others
    assert "Stripe reads or more" in " ".join(run.announced)
    assert runs.running is None
    assert runs.find_report(Options()) is None  # reports are stored by block and time
    assert runs.find_report(run.finished.options) is run.finished
    assert runs.reports == [run.finished]


async def test_the_same_audit_is_joined_and_another_is_rejected() -> None:
    runs = create_runs()
    run = runs.begin(Options(), ADMIN)
    assert runs.begin(Options(), ADMIN) is run
    with pytest.raises(ProblemError, match="Another audit is running"):
        runs.begin(Options(customer="cus_Payer0"), ADMIN)
    await watch(run)
    await watch(runs.begin(Options(customer="cus_Payer0"), ADMIN))
    assert len(runs.reports) == 2


async def test_a_run_bears_the_name_of_who_began_it() -> None:
    runs = create_runs()
    run = runs.begin(Options(), ADMIN)
    runs.begin(Options(), "another@example.org")
    await watch(run)
    assert [finished.record.by for finished in runs.reports] == [ADMIN]


async def test_accepted_exceptions_are_those_of_the_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "accepted.jsonl"
    monkeypatch.setattr(audit_runs, "ACCEPTED_FILE", file)
    world = World(with_own_wallets(PAID))
    [customer, *_] = world.stripe.account.by_id.values()
    world.add(customer, (world.now - 5, Entry(-500, "usd", "By hand")))
    runs = create_runs(world)
    await watch(runs.begin(Options(), ADMIN))
    [row] = [row for row in runs.reports[0].report.spool if row.exception]
    write(file, json.dumps({"fingerprint": row.fingerprint, "note": "agreed with finance"}))
    run = runs.begin(Options(), ADMIN)
    await watch(run)
    assert run.finished
    assert run.finished.report.is_clean
    assert run.finished.report.options.accepted
    assert runs.find_report(run.finished.options) is run.finished


async def test_a_damaged_file_of_accepted_exceptions_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_runs, "ACCEPTED_FILE", tmp_path / "accepted.jsonl")
    write(tmp_path / "accepted.jsonl", "{}")
    run = create_runs().begin(Options(), ADMIN)
    await watch(run)
    assert "--accepted, line 1" in run.failure


class Silent(httpx.AsyncBaseTransport):
    """A node that never answers."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Wait for ever."""
        await asyncio.Event().wait()
        raise AssertionError


async def test_an_ending_process_stops_the_run_and_starts_none() -> None:
    services = FakeServices(World(with_own_wallets(PAID)))
    services.node_transport = cast(Any, Silent())
    runs = AuditRuns(cast(Services, services))
    for has_begun in (True, False):
        runs._is_closed = False
        run = runs.begin(Options(), ADMIN)
        if has_begun:
            await asyncio.sleep(0.1)
        watching = asyncio.create_task(watch(run))
        runs.close()
        await asyncio.wait_for(watching, 5)
        assert "stopped before it was complete" in run.failure
        assert run.finished is None
        assert runs._task
        await asyncio.wait([runs._task])
    with pytest.raises(ProblemError, match="This process ends"):
        runs.begin(Options(), ADMIN)
    runs.close()


async def test_an_open_page_ends_with_the_process() -> None:
    services, site = await start_desk(Town([]))
    services.node_transport = Silent()
    async with open_browser(site) as browser:
        page = asyncio.create_task(browser.get("/audit?run=1"))
        await asyncio.sleep(0.3)
        assert not page.done()
        site.state.end_streams()
        text = (await asyncio.wait_for(page, 5)).text
    assert "The audit was stopped before it was complete" in text
    assert text.rstrip().endswith("</html>")


def write(path: Path, text: str) -> None:
    """Write a file."""
    path.write_text(text)


async def test_only_the_last_reports_are_stored() -> None:
    runs = create_runs()
    for number in range(MAX_REPORTS + 2):
        await watch(runs.begin(Options(since=str(number)), ADMIN))
    assert [finished.options.since for finished in runs.reports] == ["4", "3", "2"]


@pytest.mark.parametrize(
    ("options", "message"),
    [(Options(since="soon"), "These options are not valid"), (Options(at="9500:1"), "is not final yet")],
)
async def test_invalid_options_are_reported(options: Options, message: str) -> None:
    runs = create_runs()
    run = runs.begin(options, ADMIN)
    await watch(run)
    assert message in run.failure
    assert run.finished is None
    assert runs.running is None


async def test_a_source_that_does_not_answer_at_all_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stateless_billing.audit.readers.stripe.MAX_ATTEMPTS", 1)
    world = World()
    world.stripe_transport.hook = lambda _: httpx.Response(500)
    run = create_runs(world).begin(Options(), ADMIN)
    await watch(run)
    assert "could not begin" in run.failure


async def test_an_unexpected_error_ends_the_run() -> None:
    world = World()

    def burst(_: Any) -> httpx.Response:
        raise ZeroDivisionError

    world.stripe_transport.hook = burst
    runs = create_runs(world)
    run = runs.begin(Options(), ADMIN)
    await watch(run)
    assert "on our side" in run.failure
    assert runs.running is None
