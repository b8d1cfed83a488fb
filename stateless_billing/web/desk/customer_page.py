"""`/admin/customers/{customer}`: one customer, its entries and payments, and the form to give credit."""

import re
from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response

from chain.payment import is_customer_id
from stateless_billing.domain.errors import ProblemError
from stateless_billing.grants.caps import DAY
from stateless_billing.grants.forms import NOTE_FEWEST, NOTE_MOST, REASONS
from stateless_billing.grants.grant_ledger import RECONCILE_SECONDS
from stateless_billing.operators.roster import GRANT, REVERSE, Operator
from stateless_billing.stripe.eligibility import find_obstacle
from stateless_billing.stripe.errors import RequestRejected, StripeFailure
from stateless_billing.stripe.objects import Customer, Page
from stateless_billing.support.customer_facts import wallets_of
from stateless_billing.support.search_text import is_entry_id
from stateless_billing.support.timeline import Event, build_timeline, insert_orders
from stateless_billing.web.operators.page_frame import PageFrame

_MAX_WALLETS = 5  # the customer's own, and those of its latest payments
_TIME = re.compile(r"[1-9][0-9]{0,10}", re.ASCII)


class CustomerPage:
    """Handler of a customer's page."""

    def __init__(self, frame: PageFrame) -> None:
        self._frame = frame
        self._services = frame.services
        self.page = frame.create_handler(self._page)

    async def _page(self, request: Request, operator: Operator) -> Response:
        customer = await self._require_customer(request.path_params["customer"])
        after = request.query_params.get("after")
        page = await self._entries(customer.id, after)
        payments, older_payments = ([], 0) if after else await self._services.accounts.payments_and_older(customer)
        undoing_all = operator.has_right(REVERSE)
        since = _parse_grants_since(request) if undoing_all else None
        grants = await self._services.grants.ledger.reconcile(since, customer.id)
        grants_since = int(self._services.clock.wall()) - RECONCILE_SECONDS if since is None else since
        own_grants = {grant.reservation.grant: grant for grant in grants if grant.reservation.customer == customer.id}
        wallets = wallets_of(customer, page.entries)
        events = build_timeline(page.entries, payments, complete=page.complete)
        events, orders_read = await self._with_orders(events, page, customer, is_first=not after)
        obstacle = find_obstacle(customer)
        giving = operator.has_right(GRANT) and obstacle is None
        may_undo = self._services.grants.may_undo
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
            older_payments=older_payments,
            grants=own_grants,
            may_undo={grant_id for grant_id, grant in own_grants.items() if may_undo(grant, operator)},
            unread_grants=_find_unread_grants(events, grants_since) if undoing_all else frozenset(),
            giving=giving,
            limits=self._services.grants.remaining_limits_of(grants, operator.name),
            form=self._create_form(operator, customer.id) if giving else None,
            reasons=REASONS,
            note_fewest=NOTE_FEWEST,
            note_most=NOTE_MOST,
        )

    async def _require_customer(self, customer_id: str) -> Customer:
        search = self._services.customer_search
        customer = await search.get_customer(customer_id) if is_customer_id(customer_id) else None
        if customer is None:
            raise ProblemError("not_found", "Stripe has no such customer, or it was deleted. Nothing was changed.")
        return customer

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

    def _create_form(self, operator: Operator, customer_id: str) -> str:
        values = {"grant": self._services.grants.create_grant_id(), "operator": operator.name, "customer": customer_id}
        return self._services.sign_ins.tokens.seal("grant", values)


def _parse_grants_since(request: Request) -> int | None:
    """Parse since when grants are read: from before the reservation of a grant of that time. None: the last days."""
    text = request.query_params.get("grants", "")
    return int(text) - DAY if _TIME.fullmatch(text) else None


def _find_unread_grants(events: Sequence[Event], since: int) -> frozenset[str]:
    """Return the grants on the page whose reservations may be older than what was read."""
    return frozenset(event.id for event in events if event.kind == "grant" and event.time - DAY < since)
