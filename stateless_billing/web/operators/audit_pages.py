"""`/audit`: runs the cheap audit as a streamed page and shows its findings, rows and files."""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from chain.errors import ChainError
from stateless_billing.audit.explanation import describe_row
from stateless_billing.audit.report.formats import WRITERS, verdict_lines
from stateless_billing.audit.report.limits import describe_cost
from stateless_billing.audit.report.report import Options
from stateless_billing.audit.rules.rows import Row
from stateless_billing.audit.rules.statuses import RULES, Status
from stateless_billing.domain.errors import ProblemError
from stateless_billing.operators.roster import Operator
from stateless_billing.web.http.streaming import stream_response
from stateless_billing.web.operators.audit_runs import AuditRun, AuditRuns, FinishedAudit
from stateless_billing.web.operators.page_frame import PageFrame

log = logging.getLogger(__name__)

PAGE_SIZE = 100  # rows
LISTED = "customers_listed"
_MAX_VALUE_CHARACTERS = 320  # of a query parameter
_CONTENT_MARKER = Markup("<!-- here -->")
_CHUNK_CHARACTERS = 64 * 1024
_MEDIA_TYPES = {"json": "application/json", "jsonl": "application/jsonl", "csv": "text/csv; charset=utf-8"}


@dataclass(frozen=True, slots=True)
class AuditQuery:
    """The query of the page: which report, and which of its rows. Empty values are unset."""

    since: str = ""
    until: str = ""
    customer: str = ""
    at: str = ""
    status: str = ""
    q: str = ""
    row: str = ""
    deep: str = ""
    page: int = 1

    @property
    def options(self) -> Options:
        """The audit options of the report."""
        return Options(
            self.since or None, self.until or None, self.customer or None, deep=self.deep == "1", at=self.at or None
        )

    def link(self, *, row: str = "", page: int = 1) -> str:
        """Return the URL of this page with the same filter, for a row or another page."""
        values = asdict(replace(self, row=row, page=page))
        parameters = {name: value for name, value in values.items() if value and (name, value) != ("page", 1)}
        return f"/audit?{urlencode(parameters)}"


def parse_query(request: Request) -> AuditQuery:
    """Parse the query. Overlong values are cut, and an invalid page is the first."""
    query = request.query_params
    texts = {
        name: query.get(name, "").strip()[:_MAX_VALUE_CHARACTERS]
        for name in ("since", "until", "customer", "at", "status", "q", "row", "deep")
    }
    page = query.get("page", "")
    return AuditQuery(**texts, page=max(1, int(page)) if page.isascii() and page.isdigit() and len(page) < 8 else 1)


class AuditPages:
    """Handlers of the audit pages."""

    def __init__(self, frame: PageFrame, runs: AuditRuns, templates: Environment) -> None:
        self._frame = frame
        self._runs = runs
        self._templates = templates
        self.page = frame.create_handler(self._page)
        self.download = frame.create_handler(self._download)

    async def _page(self, request: Request, operator: Operator) -> Response:
        """Show a stored report, run the audit if its button was pressed, or show the form.

        Links from other sites start no audit, because it costs Stripe reads.
        """
        query = parse_query(request)
        stored = self._runs.find_report(query.options)
        run_requested = request.query_params.get("run") == "1"
        same_site = request.headers.get("sec-fetch-site") in (None, "same-origin", "none")
        if stored and not (run_requested and not stored.report.coverage.is_complete):
            return self._render_page(request, await self._render_report(stored, query))
        if run_requested and same_site:
            return stream_response(request, self._run(request, self._runs.begin(query.options, operator.name), query))
        payments = await self._count_payments()
        settings = self._frame.services.settings
        rate = max(1, settings.stripe_rate // settings.processes)
        reports = self._runs.reports
        listed = next((counts for report in reports if (counts := report.report.coverage.counts.get(LISTED))), 0)
        form = self._render_part(
            "audit_start.html",
            asked=query,
            payments=payments,
            rate=rate,
            reports=reports,
            listed=listed,
            deep_cost=describe_cost(listed, rate, deep=True),
        )
        return self._render_page(request, form)

    async def _count_payments(self) -> int | None:
        try:
            return sum([await gateway.total_payments() for gateway in self._frame.services.gateways])
        except ChainError as error:  # the reports in memory need no node
            log.warning("the payments could not be counted: %s", error)
            return None

    async def _run(self, request: Request, run: AuditRun, query: AuditQuery) -> AsyncIterator[bytes]:
        before, _, after = bytes(self._render_page(request, _CONTENT_MARKER).body).partition(_CONTENT_MARKER.encode())
        yield before + self._render_part("audit_running.html").encode()
        announced = 0
        progress = ""
        async for _ in run.changes():
            messages = run.announced[announced:]
            announced += len(messages)
            has_progressed = run.progress != progress
            progress = run.progress
            yield (
                self._render_part("audit_step.html", sentences=messages, run=run if has_progressed else None).encode()
                or b" "
            )
        try:
            if not run.finished:
                raise ProblemError("not_found", run.failure)
            end = await self._render_report(run.finished, replace(query, at=run.finished.options.at or ""))
        except ProblemError as refusal:
            end = self._render_part("audit_failure.html", detail=refusal.detail, asked=query)
        yield b"</ol></section>" + end.encode() + after

    async def _render_report(self, finished: FinishedAudit, query: AuditQuery) -> Markup:
        """Render a report or one row of it. Raises: ProblemError if the row does not exist."""
        if query.row:
            return self._render_row(finished, query)
        names = await asyncio.to_thread(_select_rows, finished, query)
        pages = -(-len(names) // PAGE_SIZE)
        query = replace(query, page=min(query.page, max(1, pages)))
        start = (query.page - 1) * PAGE_SIZE
        head = finished.report.head()
        return self._render_part(
            "audit_report.html",
            asked=query,
            head=head,
            verdict=verdict_lines(finished.report),
            clean=finished.report.is_clean,
            record=finished.record,
            accepted=bool(finished.report.options.accepted),
            pictures=finished.pictures,
            statuses=Counter(status for _, status, _ in finished.order),
            rules={str(status): rule for status, rule in RULES.items()},
            rows=finished.rows(names[start : start + PAGE_SIZE]),
            matching=len(names),
            start=start,
            pages=pages,
            files=_download_links(query),
        )

    def _render_row(self, finished: FinishedAudit, query: AuditQuery) -> Markup:
        """Render one row with all its cells and its explanation."""
        row = _find_row(finished, query.row)
        if row is None:
            raise ProblemError("not_found", "This report has no such row. Nothing was changed.")
        rule = RULES[Status(row.status)]
        return self._render_part(
            "audit_row.html", asked=query, row=row, rule=rule, story=describe_row(row).splitlines()[:-1]
        )

    async def _download(self, request: Request, operator: Operator) -> Response:
        """Download the complete report, regardless of the filter."""
        format_name, query = request.path_params["form"], parse_query(request)
        stored = self._runs.find_report(query.options)
        if stored is None or format_name not in _MEDIA_TYPES:
            raise ProblemError(
                "not_found",
                "This process does not hold that report. Nothing was changed. Open /audit and run it again first.",
            )
        name = f"audit-{query.at.replace(':', '-')}.{format_name}"
        headers = {"content-disposition": f'attachment; filename="{name}"'}
        return StreamingResponse(
            _chunks(WRITERS[format_name](stored.report)), media_type=_MEDIA_TYPES[format_name], headers=headers
        )

    def _render_page(self, request: Request, content: Markup) -> Response:
        return self._frame.render("audit.html", request, content=content)

    def _render_part(self, template: str, **values: Any) -> Markup:
        services = self._frame.services
        defaults = {"symbol": services.token.symbol if services.token else "tokens"}
        return Markup(self._templates.get_template(template).render(defaults | values))  # noqa: S704 - escaped by jinja2


def _select_rows(finished: FinishedAudit, query: AuditQuery) -> list[str]:
    """Return the fingerprints of the rows that pass the filter, exceptions first.

    A search reads every row.
    """
    selected = []
    for exception, status, key in sorted(finished.order, key=lambda entry: not entry[0]):
        if query.status in ("", status) or (exception and query.status == "exceptions"):
            selected.append(key)
    if not query.q:
        return selected
    return [key for key in selected if _is_named(finished.report.spool.get(key), query.q.lower())]


def _is_named(row: Row, word: str) -> bool:
    """Return whether a row is about the ID, address or operator searched for."""
    names = (row.row_id, row.fingerprint, row.stripe_customer, row.stripe_txn, row.tx_hash, row.wallet, row.payer)
    return any(word == name.lower() for name in (*names, row.granted_by, row.decided_by, row.confirmed_by) if name)


def _find_row(finished: FinishedAudit, row_id: str) -> Row | None:
    """Return the row of an ID or fingerprint.

    A row ID contains the first twelve digits of the fingerprint.
    """
    prefix = row_id.rpartition("-")[2]
    if len(prefix) < 12:
        return None
    for _, _, key in finished.order:
        if key.startswith(prefix):
            return finished.report.spool.get(key)
    return None


def _download_links(query: AuditQuery) -> dict[str, str]:
    """Return the download URLs of a report by format."""
    parameters = {
        name: value for name, value in asdict(query).items() if value and name in ("since", "until", "customer", "deep")
    }
    return {
        format_name: f"/audit/report.{format_name}?{urlencode(parameters | {'at': query.at})}"
        for format_name in _MEDIA_TYPES
    }


def _chunks(pieces: Iterator[str]) -> Iterator[bytes]:
    """Join small pieces into larger chunks."""
    buffered = []
    size = 0
    for piece in pieces:
        buffered.append(piece)
        size += len(piece)
        if size >= _CHUNK_CHARACTERS:
            yield "".join(buffered).encode()
            buffered, size = [], 0
    yield "".join(buffered).encode()
