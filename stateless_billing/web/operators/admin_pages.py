"""`/admin`: find, a customer, the grants of all operators, the rate."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from chain.payment import is_customer_id
from stateless_billing.domain import money
from stateless_billing.domain.errors import ProblemError
from stateless_billing.domain.money import Rate
from stateless_billing.grants.caps import DAY
from stateless_billing.grants.forms import NOTE_FEWEST, NOTE_MOST, REASONS
from stateless_billing.grants.grant_ledger import Grant
from stateless_billing.grants.granting import UNDO_SECONDS
from stateless_billing.operators.roster import GRANT, OVERRIDE, REVERSE, Operator
from stateless_billing.pricing.rates import NoRate
from stateless_billing.stripe.errors import RequestRejected, StripeFailure
from stateless_billing.stripe.objects import Page
from stateless_billing.support.customer_search import is_entry_id, wallets_of
from stateless_billing.support.timeline import build_timeline
from stateless_billing.web.http import csv_export
from stateless_billing.web.operators import rate_chart
from stateless_billing.web.operators.page_frame import PageFrame

_DAYS = (1, 7, 30, 90, 365)
_PAGE_SIZE = 500  # of a list on a page; the CSV holds all

SORTS: dict[str, tuple[str, Callable[[Grant], tuple[object, ...]]]] = {
    "newest": ("newest first", lambda one: (-one.reservation.entry.created,)),
    "largest": ("largest first", lambda one: (-one.reservation.entry.cents, -one.reservation.entry.created)),
    "operator": ("by operator", lambda one: (one.reservation.operator, -one.reservation.entry.created)),
    "customer": ("by customer", lambda one: (one.reservation.customer, -one.reservation.entry.created)),
}


@dataclass(frozen=True, slots=True)
class GrantFilter:
    """Which grants a list is to show, and how sorted."""

    days: int
    operator: str
    reason: str
    customer: str
    state: str
    sort: str

    def accepts(self, grant: Grant) -> bool:
        """Whether the list shows this one."""
        told = grant.reservation
        return (
            self.operator in ("", told.operator)
            and self.reason in ("", told.reason)
            and self.customer in ("", told.customer)
            and self.state in ("", grant.state)
        )

    def select(self, grants: Sequence[Grant]) -> list[Grant]:
        """Those that the list shows, sorted."""
        return sorted(filter(self.accepts, grants), key=SORTS[self.sort][1])


def parse_filter(request: Request) -> GrantFilter:
    """The filter in a query; what is no choice counts as none."""
    query = request.query_params
    days = int(query["days"]) if query.get("days") in {str(one) for one in _DAYS} else 7
    words = {name: query.get(name, "").strip()[:320] for name in ("operator", "reason", "customer", "state")}
    sort = query["sort"] if query.get("sort") in SORTS else "newest"
    return GrantFilter(days, words["operator"].lower(), words["reason"], words["customer"], words["state"], sort)


class AdminPages:
    """The pages."""

    def __init__(self, frame: PageFrame) -> None:
        self._frame, self._services = frame, frame.services
        self.find = frame.page(self._find)
        self.customer = frame.page(self._customer)
        self.grants = frame.page(self._grants)
        self.grants_csv = frame.page(self._grants_csv)
        self.rate = frame.page(self._rate)

    async def _find(self, request: Request, operator: Operator) -> Response:
        text = request.query_params.get("q", "")
        result, problem = None, None
        if text.strip():
            try:
                result = await self._services.customer_search.find(text[:400])
            except ProblemError as refusal:
                problem = refusal.detail
        return self._frame.render("admin_find.html", request, q=text, result=result, problem=problem)

    async def _customer(self, request: Request, operator: Operator) -> Response:
        customer_id = request.path_params["customer"]
        customer = (
            await self._services.customer_search.get_customer(customer_id) if is_customer_id(customer_id) else None
        )
        if customer is None:
            raise ProblemError("not_found", "Stripe has no such customer, or it was deleted. Nothing was changed.")
        after = request.query_params.get("after")
        page = await self._entries(customer.id, after)
        payments = [] if after else await self._services.accounts.payments(customer)
        grants = await self._services.grants.ledger.reconcile(customer=customer.id)
        mine = {one.reservation.grant: one for one in grants if one.reservation.customer == customer.id}
        giving = operator.has_right(GRANT)
        form = self._services.grants.create_grant_id()
        return self._frame.render(
            "admin_customer.html",
            request,
            customer=customer,
            wallets=wallets_of(customer, page.entries),
            events=build_timeline(page.entries, payments, complete=page.complete),
            after=after,
            older=None if page.complete else page.entries[-1].id,
            grants=mine,
            may_undo={one for one, grant in mine.items() if self._may_undo(grant, operator)},
            giving=giving,
            limits=self._services.grants.remaining_limits_of(grants, operator.name),
            form=self._seal(form, operator, customer.id) if giving else None,
            reasons=REASONS,
            note_fewest=NOTE_FEWEST,
            note_most=NOTE_MOST,
        )

    async def _entries(self, customer_id: str, after: str | None) -> Page:
        """The newest entries, or those before one of them."""
        missing = ProblemError(
            "not_found", "This customer has no such entry. Nothing was changed. Open the customer again."
        )
        if after and not is_entry_id(after):
            raise missing
        async with self._services.stripe.session() as session:
            try:
                return await session.list_newest_entries(customer_id, 0, after or None)
            except RequestRejected as error:
                if after and error.code == "resource_missing":
                    raise missing from error
                raise

    def _seal(self, form: str, operator: Operator, customer_id: str) -> str:
        values = {"grant": form, "operator": operator.name, "customer": customer_id}
        return self._services.sign_ins.tokens.seal("grant", values)

    def _may_undo(self, grant: Grant, operator: Operator) -> bool:
        """Whether this operator may take it back now."""
        if grant.state not in ("given", "open"):
            return False
        age = self._services.clock.wall() - grant.reservation.entry.created
        own = grant.reservation.operator == operator.name and operator.has_right(GRANT)
        return operator.has_right(REVERSE) or (own and age <= UNDO_SECONDS)

    async def _read_grants(self, request: Request) -> tuple[GrantFilter, list[Grant]]:
        filter_ = parse_filter(request)
        since = int(self._services.clock.wall()) - filter_.days * DAY
        return filter_, await self._services.grants.ledger.reconcile(since)

    async def _grants(self, request: Request, operator: Operator) -> Response:
        filter_, every = await self._read_grants(request)
        shown = filter_.select(every)
        totals: dict[str, list[int]] = defaultdict(lambda: [0, 0])
        for one in shown:
            if one.state in ("given", "open"):
                totals[one.reservation.operator][0] += 1
                totals[one.reservation.operator][1] += one.reservation.entry.cents
        return self._frame.render(
            "admin_grants.html",
            request,
            grants=shown[:_PAGE_SIZE],
            matching=len(shown),
            total=len(every),
            filter=filter_,
            days=_DAYS,
            sorts={name: words for name, (words, _) in SORTS.items()},
            reasons=REASONS,
            operators=sorted({one.reservation.operator for one in every}),
            totals=sorted(totals.items(), key=lambda one: -one[1][1]),
            query=request.url.query,
            may_undo={one.reservation.grant for one in shown[:_PAGE_SIZE] if self._may_undo(one, operator)},
        )

    async def _grants_csv(self, request: Request, operator: Operator) -> Response:
        filter_, every = await self._read_grants(request)
        rows = [_row(one) for one in filter_.select(every)]
        text = csv_export.csv_table(_COLUMNS, rows)
        headers = {"content-disposition": 'attachment; filename="grants.csv"'}
        return Response(text, media_type="text/csv; charset=utf-8", headers=headers)

    async def _rate(self, request: Request, operator: Operator) -> Response:
        settings = self._services.settings
        history, (rate, problem) = await asyncio.gather(self._services.overrides.history(), self._current_rate())
        try:
            day = rate_chart.create_line(await self._services.price_feed.last_day())
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
        )

    async def _current_rate(self) -> tuple[Rate | None, str]:
        try:
            return await self._services.rates.current_rate(), ""
        except (NoRate, StripeFailure) as error:
            return None, str(error)


_COLUMNS = (
    *("created_utc", "operator", "customer", "cents", "reason", "note", "state", "detail", "grant", "reservation"),
    *("credit", "reservation_reversed_by", "credit_reversed_by"),
)


def _row(grant: Grant) -> list[object]:
    told = grant.reservation
    created = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(told.entry.created))
    entries = (told.entry, grant.credit, grant.reversal, grant.taken_back)
    return [
        *(created, told.operator, told.customer, told.entry.cents, told.reason, told.note, grant.state, grant.detail),
        *(told.grant, *(one.id if one else None for one in entries)),
    ]
