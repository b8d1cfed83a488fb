"""Runs audits for the page, one at a time per process, and stores the last reports."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from chain.errors import ChainError
from stateless_billing.audit.auditor import Auditor, InvalidOptions, ProgressReporting, StripeReadError
from stateless_billing.audit.progress import progress_sentence
from stateless_billing.audit.report.charts import Chart, draw_charts
from stateless_billing.audit.report.report import Options, Report, snapshot_label
from stateless_billing.audit.report.run_record import RunRecord, create_run_record
from stateless_billing.audit.rules.rows import Row
from stateless_billing.domain.errors import ProblemError
from stateless_billing.runtime.clock import Clock
from stateless_billing.services.container import Services
from stateless_billing.web.http.networks import explorer_url

log = logging.getLogger(__name__)

MAX_REPORTS = 3
ACCEPTED_FILE = Path(__file__).parents[3] / "deployments" / "accepted.jsonl"
"""Exceptions accepted with a note, as `audit --accepted` takes them: part of the release, so reviewed as code is."""
_MAX_CONCURRENT_REQUESTS = 3  # Stripe requests; crediting never waits behind more than these
_KEEP_ALIVE_SECONDS = 5.0  # send at least this often, so that no proxy drops the response
_MIN_UPDATE_SECONDS = 0.5
_STOPPED = "The audit was stopped before it was complete, because this process ends. Start it again."


@dataclass(frozen=True, slots=True)
class FinishedAudit:
    """A report with its charts and who ran it. `order` holds its rows as `(exception, status, fingerprint)`."""

    report: Report
    record: RunRecord
    pictures: dict[str, Chart]
    order: list[tuple[bool, str, str]]

    @classmethod
    def create(cls, report: Report, record: RunRecord) -> "FinishedAudit":
        """Create it by reading every row. Blocks, so run it in a thread."""
        order = [(row.exception, row.status, row.fingerprint) for row in report.spool]
        return cls(report, record, draw_charts(report), order)

    @property
    def options(self) -> Options:
        """The options that reproduce this report."""
        assert self.report.scope is not None
        return replace(self.report.options, at=snapshot_label(self.report.scope), accepted=b"")

    def rows(self, fingerprints: list[str]) -> list[Row]:
        """Return the rows with these fingerprints."""
        return [self.report.spool.get(name) for name in fingerprints]


class AuditRun:
    """A running audit with its messages and progress."""

    def __init__(self, options: Options, by: str, clock: Clock) -> None:
        self.options = options
        self.by = by
        self._clock = clock
        self.announced: list[str] = []
        self.stage = ""
        self.done = 0
        self.total = 0
        self.finished: FinishedAudit | None = None
        self.failure = ""
        self._stage_started_at = 0.0
        self._changed = asyncio.Event()
        self._ended = asyncio.Event()

    def on_progress(self, stage: str, done: int, total: int) -> None:
        """Record the progress of a stage."""
        if stage != self.stage:
            self._stage_started_at = self._clock.boot()
        self.stage = stage
        self.done = done
        self.total = total
        self._changed.set()

    def on_message(self, message: str) -> None:
        """Record what the audit is about to do, and its cost."""
        self.announced.append(message)
        self._changed.set()

    @property
    def progress(self) -> str:
        """The progress in words, empty before the first stage."""
        if not self.stage:
            return ""
        return progress_sentence(self.stage, self.done, self.total, self._clock.boot() - self._stage_started_at)

    def end(self, finished: FinishedAudit | None, failure: str = "") -> None:
        """Record the result."""
        self.finished = finished
        self.failure = failure
        self._changed.set()
        self._ended.set()

    async def changes(self) -> AsyncIterator[None]:
        """Yield now and after every possible change, until the audit has ended."""
        yield
        while not self._ended.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), _KEEP_ALIVE_SECONDS)
                await asyncio.wait_for(self._ended.wait(), _MIN_UPDATE_SECONDS)
            self._changed.clear()
            yield


class AuditRuns:
    """Starts audits and stores reports. An audit continues when its page is closed."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._reports: dict[Options, FinishedAudit] = {}
        self._task: asyncio.Task[None] | None = None
        self._is_closed = False
        self.running: AuditRun | None = None

    def find_report(self, options: Options) -> FinishedAudit | None:
        """Return the report if this process still stores it."""
        return self._reports.get(options)

    @property
    def reports(self) -> list[FinishedAudit]:
        """The stored reports, newest first."""
        return [*self._reports.values()][::-1]

    def begin(self, options: Options, by: str) -> AuditRun:
        """Start an audit in an operator's name, or join the running one with the same options.

        Raises: ProblemError if another is running, or the process ends.
        """
        if self._is_closed:
            raise ProblemError("busy", "This process ends. Your audit was not started. Start it in a few seconds.")
        if self.running:
            if self.running.options == options:
                return self.running
            raise ProblemError(
                "busy", "Another audit is running. Yours was not started. Start it when the other one has ended."
            )
        self.running = run = AuditRun(options, by, self._services.clock)
        self._task = asyncio.create_task(self._run(run))
        return run

    def close(self) -> None:
        """Stop the running audit, whose pages then end, and start no other: the process ends."""
        self._is_closed = True
        if self.running and self._task:
            self.running.end(None, _STOPPED)  # what runs in a thread goes on for a while
            self._task.cancel()

    async def _run(self, run: AuditRun) -> None:
        finished, failure = None, _STOPPED
        clock, settings = self._services.clock, self._services.settings
        started = int(clock.wall())
        try:
            accepted = await asyncio.to_thread(_read_accepted)
            async with self._create_auditor(run) as auditor:
                report = await auditor.run(replace(run.options, accepted=accepted))
            if report.scope:
                record = create_run_record(settings, run.by, started, int(clock.wall()))
                finished = await asyncio.to_thread(FinishedAudit.create, report, record)
                self._store(finished)
        except InvalidOptions as error:
            failure = f"These options are not valid: {error}."
        except (ChainError, StripeReadError) as error:
            failure = f"The audit could not begin. {error}"
        except Exception:
            log.exception("audit failed")
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
            max_concurrent=_MAX_CONCURRENT_REQUESTS,
        )

    def _store(self, finished: FinishedAudit) -> None:
        self._reports.pop(finished.options, None)
        self._reports[finished.options] = finished
        while len(self._reports) > MAX_REPORTS:
            self._reports.pop(next(iter(self._reports)))


def _read_accepted() -> bytes:
    return ACCEPTED_FILE.read_bytes() if ACCEPTED_FILE.exists() else b""  # an older image may lack it
