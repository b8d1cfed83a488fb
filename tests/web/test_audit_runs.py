"""AuditRuns runs one audit at a time, lets several pages watch it, and stores the last reports."""

import asyncio
from dataclasses import dataclass
from typing import Any, cast

import httpx
import pytest

from stateless_billing.audit.report.report import Options
from stateless_billing.domain.errors import ProblemError
from stateless_billing.services.container import Services
from stateless_billing.stripe.rate_limiter import RateLimiter
from stateless_billing.web.operators.audit_runs import MAX_REPORTS, AuditRun, AuditRuns
from tests.audit.test_run import PAID, with_own_wallets
from tests.audit.world import World
from tests.fakes.factories import FakeClock

pytestmark = pytest.mark.anyio


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
    run = runs.begin(Options())
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
    run = runs.begin(Options())
    assert runs.begin(Options()) is run
    with pytest.raises(ProblemError, match="Another audit is running"):
        runs.begin(Options(customer="cus_Payer0"))
    await watch(run)
    await watch(runs.begin(Options(customer="cus_Payer0")))
    assert len(runs.reports) == 2


async def test_only_the_last_reports_are_stored() -> None:
    runs = create_runs()
    for number in range(MAX_REPORTS + 2):
        await watch(runs.begin(Options(since=str(number))))
    assert [finished.options.since for finished in runs.reports] == ["4", "3", "2"]


@pytest.mark.parametrize(
    ("options", "message"),
    [(Options(since="soon"), "These options are not valid"), (Options(at="9500:1"), "is not final yet")],
)
async def test_invalid_options_are_reported(options: Options, message: str) -> None:
    runs = create_runs()
    run = runs.begin(options)
    await watch(run)
    assert message in run.failure
    assert run.finished is None
    assert runs.running is None


async def test_a_source_that_does_not_answer_at_all_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stateless_billing.audit.readers.stripe.MAX_ATTEMPTS", 1)
    world = World()
    world.stripe_transport.hook = lambda _: httpx.Response(500)
    run = create_runs(world).begin(Options())
    await watch(run)
    assert "could not begin" in run.failure


async def test_an_unexpected_error_ends_the_run() -> None:
    world = World()

    def burst(_: Any) -> httpx.Response:
        raise ZeroDivisionError

    world.stripe_transport.hook = burst
    runs = create_runs(world)
    run = runs.begin(Options())
    await watch(run)
    assert "on our side" in run.failure
    assert runs.running is None
