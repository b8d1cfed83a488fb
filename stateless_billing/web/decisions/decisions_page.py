"""`/admin/decisions`: all decisions that moved money or the rate, as a page and as CSV."""

import time

from starlette.requests import Request
from starlette.responses import Response

from stateless_billing.operators.roster import Operator
from stateless_billing.pricing.override_values import MAX_HISTORY
from stateless_billing.support.decisions.history import DecisionRow
from stateless_billing.web.http import csv_export
from stateless_billing.web.operators.page_frame import PageFrame

DAY = 24 * 3600
_DAYS = (1, 7, 30, 90, 365)
_PAGE_SIZE = 500
_COLUMNS = (
    *("time_utc", "kind", "subject", "text", "cents", "operator", "second_operator", "reason"),
    *("outcome", "entry", "credit"),
)


class DecisionsPage:
    """Handlers of the page of decisions."""

    def __init__(self, frame: PageFrame) -> None:
        self._frame = frame
        self._services = frame.services
        self.page = frame.create_handler(self._page)
        self.csv = frame.create_handler(self._csv)

    async def _page(self, request: Request, operator: Operator) -> Response:
        days = _parse_days(request)
        rows = await self._read(days)
        return self._frame.render(
            "admin_decisions.html",
            request,
            rows=rows[:_PAGE_SIZE],
            total=len(rows),
            days=days,
            choices=_DAYS,
            max_rates=MAX_HISTORY,
        )

    async def _csv(self, request: Request, operator: Operator) -> Response:
        text = csv_export.csv_table(_COLUMNS, [_csv_row(row) for row in await self._read(_parse_days(request))])
        headers = {"content-disposition": 'attachment; filename="decisions.csv"'}
        return Response(text, media_type="text/csv; charset=utf-8", headers=headers)

    async def _read(self, days: int) -> list[DecisionRow]:
        return await self._services.decisions.history.read(int(self._services.clock.wall()) - days * DAY)


def _parse_days(request: Request) -> int:
    text = request.query_params.get("days")
    return int(text) if text in {str(choice) for choice in _DAYS} else 30


def _csv_row(row: DecisionRow) -> list[object]:
    return [
        time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(row.time)),
        *(row.kind, row.subject, row.text, row.cents, row.operator, row.second, row.reason),
        *(row.outcome, row.entry, row.credit),
    ]
