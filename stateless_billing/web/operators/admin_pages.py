"""`/admin`: customer search, one customer, all grants and the rate."""

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
from stateless_billing.operators.roster import END_SESSIONS, GRANT, OVERRIDE, REVERSE, Operator
from stateless_billing.pricing.rates import NoRate
from stateless_billing.stripe.eligibility import find_obstacle
from stateless_billing.stripe.errors import RequestRejected, StripeFailure
from stateless_billing.stripe.objects import Customer, Page
from stateless_billing.support.customer_facts import wallets_of
from stateless_billing.support.search_text import is_entry_id
from stateless_billing.support.timeline import Event, build_timeline, insert_orders
from stateless_billing.web.http import csv_export
from stateless_billing.web.operators import rate_chart
from stateless_billing.web.operators.page_frame import PageFrame
from stateless_billing.web.operators.wallet_orders import create_forms

_DAYS = (1, 7, 30, 90, 365)
_MAX_WALLETS = 5  # the customer's own, and those of its latest payments
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
        self.customer = frame.create_handler(self._customer)
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
        own_grants = {grant.reservation.grant: grant for grant in grants if grant.reservation.customer == customer.id}
        wallets = wallets_of(customer, page.entries)
        events = build_timeline(page.entries, payments, complete=page.complete)
        events, orders_read = await self._with_orders(events, page, customer, is_first=not after)
        obstacle = find_obstacle(customer)
        giving = operator.has_right(GRANT) and obstacle is None
        form = self._services.grants.create_grant_id()
        return self._frame.render(
            "admin_customer.html",
            request,
            customer=customer,
            wallets=wallets,
            warnings=await self._services.wallet_conflicts.warn(customer, wallets[:_MAX_WALLETS]),
            obstacle=obstacle,
            events=events,
            orders_read=orders_read,
            after=after,
            older=None if page.complete else page.entries[-1].id,
            grants=own_grants,
            may_undo={grant_id for grant_id, grant in own_grants.items() if self._may_undo(grant, operator)},
            giving=giving,
            limits=self._services.grants.remaining_limits_of(grants, operator.name),
            form=self._seal(form, operator, customer.id) if giving else None,
            reasons=REASONS,
            note_fewest=NOTE_FEWEST,
            note_most=NOTE_MOST,
        )

    async def _with_orders(
        self, events: list[Event], page: Page, customer: Customer, *, is_first: bool
    ) -> tuple[list[Event], bool]:
        """Insert the orders of the time that the page of entries covers, and say whether they could be read."""
        start = customer.created if page.complete or not page.entries else page.entries[-1].created
        end = int(self._services.clock.wall()) + DAY if is_first or not page.entries else page.entries[0].created
        try:
            orders = await self._services.orders.list_since(start - DAY)
        except StripeFailure:
            return events, False
        wallets = wallets_of(customer, page.entries)
        return insert_orders(events, orders, customer.id, wallets, start=start, end=end), True

    async def _entries(self, customer_id: str, after: str | None) -> Page:
        """Read the newest page of entries, or the page after an entry."""
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
        """Return whether an operator may reverse a grant now."""
        if grant.state not in ("given", "open"):
            return False
        age = self._services.clock.wall() - grant.reservation.entry.created
        own = grant.reservation.operator == operator.name and operator.has_right(GRANT)
        return operator.has_right(REVERSE) or (own and age <= UNDO_SECONDS)

    async def _read_grants(self, request: Request) -> tuple[GrantFilter, list[Grant]]:
        grant_filter = parse_filter(request)
        since = int(self._services.clock.wall()) - grant_filter.days * DAY
        return grant_filter, await self._services.grants.ledger.reconcile(since)

    async def _grants(self, request: Request, operator: Operator) -> Response:
        grant_filter, grants = await self._read_grants(request)
        selected = grant_filter.select(grants)
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
            may_undo={grant.reservation.grant for grant in selected[:_PAGE_SIZE] if self._may_undo(grant, operator)},
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
