"""Audits for the page: one at a time in this process, with its progress, and the last reports, kept in memory."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, replace

from chain.errors import ChainError
from stateless_billing.audit.auditor import Auditor, BadOptions, ProgressReporting, StripeReadError
from stateless_billing.audit.progress import progress_sentence
from stateless_billing.audit.report.charts import Chart, draw_charts
from stateless_billing.audit.report.report import Options, Report, snapshot_label
from stateless_billing.audit.rules.rows import Row
from stateless_billing.domain.errors import ProblemError
from stateless_billing.runtime.clock import Clock
from stateless_billing.services.container import Services
from stateless_billing.web.http.networks import explorer_url

log = logging.getLogger(__name__)

MAX_REPORTS = 3
_MAX_LINES = 3  # requests to Stripe side by side: those that credit never wait for more than so many turns
_QUIET_SECONDS = 5.0  # something is sent at least so often, so that no proxy takes the answer for dead
_PAUSE_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class FinishedAudit:
    """A report with its pictures. `order` holds its rows as `(exception, status, fingerprint)`."""

    report: Report
    pictures: dict[str, Chart]
    order: list[tuple[bool, str, str]]

    @classmethod
    def create(cls, report: Report) -> "FinishedAudit":
        """Reads every row; for a thread of its own."""
        order = [(row.exception, row.status, row.fingerprint) for row in report.spool]
        return cls(report, draw_charts(report), order)

    @property
    def options(self) -> Options:
        """What makes the same report again."""
        assert self.report.scope is not None
        return replace(self.report.options, at=snapshot_label(self.report.scope))

    def rows(self, fingerprints: list[str]) -> list[Row]:
        """These rows."""
        return [self.report.spool.get(name) for name in fingerprints]


class AuditRun:
    """An audit under way: what it announced, and how far it is."""

    def __init__(self, options: Options, clock: Clock) -> None:
        self.options, self._clock = options, clock
        self.announced: list[str] = []
        self.stage, self.done, self.total = "", 0, 0
        self.finished: FinishedAudit | None = None
        self.failure = ""
        self._begun = 0.0
        self._changed, self._ending = asyncio.Event(), asyncio.Event()

    def on_progress(self, stage: str, done: int, total: int) -> None:
        """How far it is."""
        if stage != self.stage:
            self._begun = self._clock.boot()
        self.stage, self.done, self.total = stage, done, total
        self._changed.set()

    def on_message(self, told: str) -> None:
        """What it is about to do, and what that costs."""
        self.announced.append(told)
        self._changed.set()

    @property
    def progress(self) -> str:
        """How far it is, in words."""
        return (
            progress_sentence(self.stage, self.done, self.total, self._clock.boot() - self._begun) if self.stage else ""
        )

    def end(self, finished: FinishedAudit | None, failure: str = "") -> None:
        """It came to its end."""
        self.finished, self.failure = finished, failure
        self._changed.set()
        self._ending.set()

    async def changes(self) -> AsyncIterator[None]:
        """Now, and whenever something may have changed, until it has ended."""
        yield
        while not self._ending.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), _QUIET_SECONDS)
                await asyncio.wait_for(self._ending.wait(), _PAUSE_SECONDS)
            self._changed.clear()
            yield


class AuditRuns:
    """Begins audits and keeps the reports. Whoever leaves finds the audit still running, or its report."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._reports: dict[Options, FinishedAudit] = {}
        self._task: asyncio.Task[None] | None = None
        self.running: AuditRun | None = None

    def find_report(self, options: Options) -> FinishedAudit | None:
        """The report, if this process made it and still has it."""
        return self._reports.get(options)

    @property
    def reports(self) -> list[FinishedAudit]:
        """All that are kept, newest first."""
        return [*self._reports.values()][::-1]

    def begin(self, options: Options) -> AuditRun:
        """The audit of these options: the one that runs, or a new one. Raises ProblemError while another one runs."""
        if self.running:
            if self.running.options == options:
                return self.running
            raise ProblemError(
                "busy", "Another audit is running. Yours was not started. Start it when the other one has ended."
            )
        self.running = run = AuditRun(options, self._services.clock)
        self._task = asyncio.create_task(self._run(run))
        return run

    async def _run(self, run: AuditRun) -> None:
        finished, failure = None, "The audit was stopped before it was complete."
        try:
            async with self._create_auditor(run) as auditor:
                report = await auditor.run(run.options)
            if report.scope:
                finished = await asyncio.to_thread(FinishedAudit.create, report)
                self._store(finished)
        except BadOptions as error:
            failure = f"These options are not valid: {error}."
        except (ChainError, StripeReadError) as error:
            failure = f"The audit could not begin. {error}"
        except Exception:
            log.exception("an audit failed")
            failure = "The audit failed on our side. The log has the reason."
        finally:
            self.running = None
            run.end(finished, "" if finished else failure)

    def _create_auditor(self, run: AuditRun) -> Auditor:
        services = self._services
        return Auditor(
            settings=services.settings,
            clock=services.clock,
            reporting=ProgressReporting(run.on_progress, run.on_message),
            explorer=explorer_url(services.settings.chain_id),
            node_transport=services.node_transport,
            stripe_transport_factory=services.stripe_transport_factory,
            rate_limiter=services.rate_limiter,
            max_concurrent=_MAX_LINES,
        )

    def _store(self, finished: FinishedAudit) -> None:
        self._reports.pop(finished.options, None)
        self._reports[finished.options] = finished
        while len(self._reports) > MAX_REPORTS:
            self._reports.pop(next(iter(self._reports)))
