"""Audits that a process makes for its page: one at a time, watched by several, their reports kept for a while."""

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
from tests.audit.test_run import PAID, wallets
from tests.audit.world import World
from tests.fakes.factories import FakeClock

pytestmark = pytest.mark.anyio


@dataclass
class Some:
    """As much of the services as an audit takes."""

    world: World

    def __post_init__(self) -> None:
        self.settings, self.clock, self.rate_limiter = self.world.settings(), FakeClock(), RateLimiter(1000, 1)
        self.node_transport, self.stripe_transport_factory = self.world.nodes_line, lambda: self.world.stripe_line


def runs(world: World | None = None) -> AuditRuns:
    """The runs of one process."""
    return AuditRuns(cast(Services, Some(world or World(wallets(PAID)))))


async def watched(run: AuditRun) -> list[str]:
    """What somebody sees who watches a run to its end."""
    return [run.progress async for _ in run.changes()]


async def test_a_run_is_announced_watched_and_kept() -> None:
    made = runs()
    run = made.begin(Options())
    steps, others = await asyncio.gather(watched(run), watched(run))
    assert run.finished
    assert run.finished.report.is_clean
    assert steps[-1].startswith("ledgers: 2 of 2")
    assert others
    assert "Stripe reads or more" in " ".join(run.announced)
    assert made.running is None
    assert made.find_report(Options()) is None  # a report is known by its block and time
    assert made.find_report(run.finished.options) is run.finished
    assert made.reports == [run.finished]


async def test_the_same_audit_is_joined_and_another_one_has_to_wait() -> None:
    made = runs()
    run = made.begin(Options())
    assert made.begin(Options()) is run
    with pytest.raises(ProblemError, match="Another audit is running"):
        made.begin(Options(customer="cus_Payer0"))
    await watched(run)
    await watched(made.begin(Options(customer="cus_Payer0")))
    assert len(made.reports) == 2


async def test_only_the_last_few_are_kept() -> None:
    made = runs()
    for number in range(MAX_REPORTS + 2):
        await watched(made.begin(Options(since=str(number))))
    assert [one.options.since for one in made.reports] == ["4", "3", "2"]


@pytest.mark.parametrize(
    ("options", "said"),
    [(Options(since="soon"), "These options are not valid"), (Options(at="9500:1"), "is not final yet")],
)
async def test_what_makes_no_sense_is_said(options: Options, said: str) -> None:
    made = runs()
    run = made.begin(options)
    await watched(run)
    assert said in run.failure
    assert run.finished is None
    assert made.running is None


async def test_a_source_that_does_not_answer_at_all_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stateless_billing.audit.readers.stripe.MAX_ATTEMPTS", 1)
    world = World()
    world.stripe_line.hook = lambda _: httpx.Response(500)
    run = runs(world).begin(Options())
    await watched(run)
    assert "could not begin" in run.failure


async def test_what_was_not_foreseen_ends_the_run_too() -> None:
    world = World()

    def burst(_: Any) -> httpx.Response:
        raise ZeroDivisionError

    world.stripe_line.hook = burst
    made = runs(world)
    run = made.begin(Options())
    await watched(run)
    assert "on our side" in run.failure
    assert made.running is None
