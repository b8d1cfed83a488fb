"""`/admin`: customer search, all grants and the rate."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from stateless_billing.domain import money
from stateless_billing.domain.errors import ProblemError
from stateless_billing.domain.money import Rate
from stateless_billing.grants.caps import DAY
from stateless_billing.grants.forms import REASONS
from stateless_billing.grants.grant_ledger import Grant
from stateless_billing.operators.roster import END_SESSIONS, OVERRIDE, Operator
from stateless_billing.pricing.rates import NoRate
from stateless_billing.stripe.errors import StripeFailure
from stateless_billing.web.http import csv_export
from stateless_billing.web.operators import rate_chart
from stateless_billing.web.operators.page_frame import PageFrame
from stateless_billing.web.operators.wallet_orders import create_forms

_DAYS = (1, 7, 30, 90, 365)
_PAGE_SIZE = 500  # rows on the page; the CSV holds all

SORTS: dict[str, tuple[str, Callable[[Grant], tuple[object, ...]]]] = {
    "newest": ("newest first", lambda grant: (-grant.reservation.entry.created,)),
    "largest": ("largest first", lambda grant: (-grant.reservation.entry.cents, -grant.reservation.entry.created)),
    "operator": ("by operator", lambda grant: (grant.reservation.operator, -grant.reservation.entry.created)),
    "customer": ("by customer", lambda grant: (grant.reservation.customer, -grant.reservation.entry.created)),
}


@dataclass(frozen=True, slots=True)
class GrantFilter:
    """The filter and sort order of the list of grants."""

    days: int
    operator: str
    reason: str
    customer: str
    state: str
    sort: str

    def accepts(self, grant: Grant) -> bool:
        """Return whether a grant passes the filter."""
        reservation = grant.reservation
        return (
            self.operator in ("", reservation.operator)
            and self.reason in ("", reservation.reason)
            and self.customer in ("", reservation.customer)
            and self.state in ("", grant.state)
        )

    def select(self, grants: Sequence[Grant]) -> list[Grant]:
        """Return the grants that pass the filter, sorted."""
        return sorted(filter(self.accepts, grants), key=SORTS[self.sort][1])


def parse_filter(request: Request) -> GrantFilter:
    """Parse the filter of a query, ignoring invalid choices."""
    query = request.query_params
    days = int(query["days"]) if query.get("days") in {str(choice) for choice in _DAYS} else 7
    texts = {name: query.get(name, "").strip()[:320] for name in ("operator", "reason", "customer", "state")}
    sort = query["sort"] if query.get("sort") in SORTS else "newest"
    return GrantFilter(days, texts["operator"].lower(), texts["reason"], texts["customer"], texts["state"], sort)


class AdminPages:
    """Handlers of the admin pages."""

    def __init__(self, frame: PageFrame) -> None:
        self._frame = frame
        self._services = frame.services
        self.grants = frame.create_handler(self._grants)
        self.grants_csv = frame.create_handler(self._grants_csv)
        self.rate = frame.create_handler(self._rate)
        self.sessions = frame.create_handler(self._sessions)

    async def find(self, request: Request, operator: Operator) -> Response:
        """Show what a search finds."""
        text = request.query_params.get("q", "")
        result, problem = None, None
        if text.strip():
            try:
                result = await self._services.customer_search.find(text[:400])
            except ProblemError as refusal:
                problem = refusal.detail
        choices = create_forms(self._services, operator, result.conflict if result else None)
        return self._frame.render("admin_find.html", request, q=text, result=result, problem=problem, choices=choices)

    async def _read_grants(self, request: Request) -> tuple[GrantFilter, list[Grant]]:
        grant_filter = parse_filter(request)
        since = int(self._services.clock.wall()) - grant_filter.days * DAY
        return grant_filter, await self._services.grants.ledger.reconcile(since)

    async def _grants(self, request: Request, operator: Operator) -> Response:
        grant_filter, grants = await self._read_grants(request)
        selected = grant_filter.select(grants)
        may_undo = self._services.grants.may_undo
        totals: dict[str, list[int]] = defaultdict(lambda: [0, 0])
        for grant in selected:
            if grant.state in ("given", "open"):
                totals[grant.reservation.operator][0] += 1
                totals[grant.reservation.operator][1] += grant.reservation.entry.cents
        return self._frame.render(
            "admin_grants.html",
            request,
            grants=selected[:_PAGE_SIZE],
            matching=len(selected),
            total=len(grants),
            filter=grant_filter,
            days=_DAYS,
            sorts={name: words for name, (words, _) in SORTS.items()},
            reasons=REASONS,
            operators=sorted({grant.reservation.operator for grant in grants}),
            totals=sorted(totals.items(), key=lambda total: -total[1][1]),
            query=request.url.query,
            may_undo={grant.reservation.grant for grant in selected[:_PAGE_SIZE] if may_undo(grant, operator)},
        )

    async def _grants_csv(self, request: Request, operator: Operator) -> Response:
        grant_filter, grants = await self._read_grants(request)
        rows = [_csv_row(grant) for grant in grant_filter.select(grants)]
        text = csv_export.csv_table(_CSV_COLUMNS, rows)
        headers = {"content-disposition": 'attachment; filename="grants.csv"'}
        return Response(text, media_type="text/csv; charset=utf-8", headers=headers)

    async def _rate(self, request: Request, operator: Operator) -> Response:
        settings = self._services.settings
        history, (rate, problem) = await asyncio.gather(self._services.overrides.history(), self._current_rate())
        proposal = await self._services.decisions.rates.proposal()
        try:
            day = rate_chart.create_line(await self._services.price_feed.recent_samples())
        except NoRate:
            day = None
        now = int(self._services.clock.wall())
        return self._frame.render(
            "admin_rate.html",
            request,
            rate=rate,
            problem=problem,
            day=day,
            width=rate_chart.WIDTH,
            height=rate_chart.HEIGHT,
            discount_bps=settings.discount_bps,
            discounted=money.after_discount_down(rate.market, settings.discount_bps) if rate else None,
            history=history,
            current=next((override for override in history if override.applies_at(now)), None),
            setting=operator.has_right(OVERRIDE),
            proposal=proposal,
            admins=sum(role == "admin" for role in settings.operators.values()),
        )

    async def _sessions(self, request: Request, operator: Operator) -> Response:
        """Offer to end all sessions: one's own, and as an admin anybody's."""
        others = sorted(name for name in self._services.settings.operators if name != operator.name)
        return self._frame.render(
            "admin_sessions.html",
            request,
            others=others if operator.has_right(END_SESSIONS) else [],
            ended="ended" in request.query_params,
        )

    async def _current_rate(self) -> tuple[Rate | None, str]:
        try:
            return await self._services.rates.current_rate(), ""
        except (NoRate, StripeFailure) as error:
            return None, str(error)


_CSV_COLUMNS = (
    "created_utc",
    "operator",
    "customer",
    "cents",
    "reason",
    "note",
    "state",
    "detail",
    "grant",
    "reservation",
    "credit",
    "reservation_reversed_by",
    "credit_reversed_by",
)


def _csv_row(grant: Grant) -> list[object]:
    reservation = grant.reservation
    return [
        time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(reservation.entry.created)),
        reservation.operator,
        reservation.customer,
        reservation.entry.cents,
        reservation.reason,
        reservation.note,
        grant.state,
        grant.detail,
        reservation.grant,
        reservation.entry.id,
        grant.credit.id if grant.credit else None,
        grant.reversal.id if grant.reversal else None,
        grant.taken_back.id if grant.taken_back else None,
    ]
