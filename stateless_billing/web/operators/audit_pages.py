"""`/audit`: the cheap audit in the browser, as one streamed answer; its findings, its rows, its files."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from stateless_billing.audit.explanation import describe_row
from stateless_billing.audit.report.formats import WRITERS, verdict_sentence
from stateless_billing.audit.report.report import Options
from stateless_billing.audit.rules.rows import Row
from stateless_billing.audit.rules.statuses import RULES, Status
from stateless_billing.domain.errors import ProblemError
from stateless_billing.operators.roster import Operator
from stateless_billing.web.http.streaming import stream_response
from stateless_billing.web.operators.audit_runs import AuditRun, AuditRuns, FinishedAudit
from stateless_billing.web.operators.page_frame import PageFrame

PAGE_SIZE = 100  # on one page
_MAX_ROWS = 320  # characters of a value in the query
_HERE = Markup("<!-- here -->")
_CHUNK = 64 * 1024
_TYPES = {"json": "application/json", "jsonl": "application/jsonl", "csv": "text/csv; charset=utf-8"}


@dataclass(frozen=True, slots=True)
class AuditQuery:
    """What a query asks for: which report, and which of its rows. Empty where nothing is said."""

    since: str = ""
    until: str = ""
    customer: str = ""
    at: str = ""
    status: str = ""
    q: str = ""
    row: str = ""
    page: int = 1

    @property
    def options(self) -> Options:
        """The report."""
        return Options(self.since or None, self.until or None, self.customer or None, at=self.at or None)

    def link(self, *, row: str = "", page: int = 1) -> str:
        """The address of this page with the same filter, of one row of it, or of a further page."""
        values = asdict(replace(self, row=row, page=page))
        kept = {name: value for name, value in values.items() if value and (name, value) != ("page", 1)}
        return f"/audit?{urlencode(kept)}"


def parse_query(request: Request) -> AuditQuery:
    """The query; what is too long or no number counts as not said."""
    query = request.query_params
    words = {
        name: query.get(name, "").strip()[:_MAX_ROWS]
        for name in ("since", "until", "customer", "at", "status", "q", "row")
    }
    page = query.get("page", "")
    return AuditQuery(**words, page=max(1, int(page)) if page.isascii() and page.isdigit() and len(page) < 8 else 1)


class AuditPages:
    """The handlers."""

    def __init__(self, frame: PageFrame, runs: AuditRuns, templates: Environment) -> None:
        self._frame, self._runs, self._templates = frame, runs, templates
        self.page = frame.page(self._page)
        self.download = frame.page(self._download)

    async def _page(self, request: Request, operator: Operator) -> Response:
        """A report that is there; else the form, and where its button was pressed the audit itself.

        Other sites' links begin nothing: an audit costs reads of Stripe.
        """
        wanted = parse_query(request)
        held = self._runs.find_report(wanted.options)
        pressed = request.query_params.get("run") == "1"
        ours = request.headers.get("sec-fetch-site") in (None, "same-origin", "none")
        if held and not (pressed and not held.report.coverage.is_complete):
            return self._framed(request, await self._report(held, wanted))
        if pressed and ours:
            return stream_response(request, self._run(request, self._runs.begin(wanted.options), wanted))
        payments = sum([await gateway.total_payments() for gateway in self._frame.services.gateways])
        settings = self._frame.services.settings
        rate = max(1, settings.stripe_rate // settings.processes)
        return self._framed(
            request,
            self._part("audit_start.html", asked=wanted, payments=payments, rate=rate, reports=self._runs.reports),
        )

    async def _run(self, request: Request, run: AuditRun, wanted: AuditQuery) -> AsyncIterator[bytes]:
        before, _, after = bytes(self._framed(request, _HERE).body).partition(_HERE.encode())
        yield before + self._part("audit_running.html").encode()
        said, progress = 0, ""
        async for _ in run.changes():
            sentences = run.announced[said:]
            said += len(sentences)
            moved, progress = run.progress != progress, run.progress
            yield self._part("audit_step.html", sentences=sentences, run=run if moved else None).encode() or b" "
        try:
            if not run.finished:
                raise ProblemError("not_found", run.failure)
            end = await self._report(run.finished, replace(wanted, at=run.finished.options.at or ""))
        except ProblemError as refusal:
            end = self._part("audit_failure.html", detail=refusal.detail, asked=wanted)
        yield b"</ol></section>" + end.encode() + after

    async def _report(self, finished: FinishedAudit, wanted: AuditQuery) -> Markup:
        """The report's page, or one row of it. Raises ProblemError where there is no such row."""
        if wanted.row:
            return self._row(finished, wanted)
        names = await asyncio.to_thread(_select_rows, finished, wanted)
        start = (wanted.page - 1) * PAGE_SIZE
        head = finished.report.head()
        return self._part(
            "audit_report.html",
            asked=wanted,
            head=head,
            verdict=verdict_sentence(finished.report),
            clean=finished.report.is_clean,
            pictures=finished.pictures,
            statuses=Counter(status for _, status, _ in finished.order),
            rules={str(status): rule for status, rule in RULES.items()},
            rows=finished.rows(names[start : start + PAGE_SIZE]),
            matching=len(names),
            start=start,
            pages=-(-len(names) // PAGE_SIZE),
            files=_files(wanted),
        )

    def _row(self, finished: FinishedAudit, wanted: AuditQuery) -> Markup:
        """One row with all its cells and its story."""
        found = _row(finished, wanted.row)
        if found is None:
            raise ProblemError("not_found", "This report has no such row. Nothing was changed.")
        rule = RULES[Status(found.status)]
        return self._part(
            "audit_row.html", asked=wanted, row=found, rule=rule, story=describe_row(found).splitlines()[:-1]
        )

    async def _download(self, request: Request, operator: Operator) -> Response:
        """The whole report as a file, whatever the filter."""
        form, wanted = request.path_params["form"], parse_query(request)
        held = self._runs.find_report(wanted.options)
        if held is None or form not in _TYPES:
            raise ProblemError(
                "not_found",
                "This process does not hold that report. Nothing was changed. Open /audit and run it again first.",
            )
        name = f"audit-{wanted.at.replace(':', '-')}.{form}"
        headers = {"content-disposition": f'attachment; filename="{name}"'}
        return StreamingResponse(_chunks(WRITERS[form](held.report)), media_type=_TYPES[form], headers=headers)

    def _framed(self, request: Request, content: Markup) -> Response:
        return self._frame.render("audit.html", request, content=content)

    def _part(self, template: str, **values: Any) -> Markup:
        services = self._frame.services
        world = {"symbol": services.token.symbol if services.token else "tokens"}
        return Markup(self._templates.get_template(template).render(world | values))  # noqa: S704 - escaped by jinja2


def _select_rows(finished: FinishedAudit, wanted: AuditQuery) -> list[str]:
    """The rows that the filter takes, exceptions first. With a word to look for every row is read."""
    chosen = [
        name
        for bad in (True, False)
        for exception, status, name in finished.order
        if exception is bad and wanted.status in ("", status, "exceptions" if exception else "")
    ]
    if not wanted.q:
        return chosen
    return [name for name in chosen if _is_named(finished.report.spool.get(name), wanted.q.lower())]


def _is_named(row: Row, word: str) -> bool:
    """Whether a row is about what somebody looks for."""
    about = (row.row_id, row.fingerprint, row.stripe_customer, row.stripe_txn, row.tx_hash, row.wallet, row.payer)
    return any(word == name.lower() for name in (*about, row.granted_by) if name)


def _row(finished: FinishedAudit, row_id: str) -> Row | None:
    """The row of an id or fingerprint. An id holds twelve digits of the fingerprint, whatever the status."""
    short = row_id.rpartition("-")[2]
    found = (name for _, _, name in finished.order if len(short) >= 12 and name.startswith(short))
    name = next(found, None)
    return finished.report.spool.get(name) if name else None


def _files(wanted: AuditQuery) -> dict[str, str]:
    """Where the report is downloaded, by form."""
    kept = {name: value for name, value in asdict(wanted).items() if value and name in ("since", "until", "customer")}
    return {form: f"/audit/report.{form}?{urlencode(kept | {'at': wanted.at})}" for form in _TYPES}


def _chunks(pieces: Iterator[str]) -> Iterator[bytes]:
    """Many small pieces as few large ones."""
    kept, size = [], 0
    for piece in pieces:
        kept.append(piece)
        size += len(piece)
        if size >= _CHUNK:
            yield "".join(kept).encode()
            kept, size = [], 0
    yield "".join(kept).encode()
