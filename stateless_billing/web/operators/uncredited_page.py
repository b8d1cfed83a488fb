"""`/admin/stuck`: each payment that waits, what was ordered about it, and what its reader may order now."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from chain.payment import Payment
from stateless_billing.crediting.payment_status import PaymentStatus
from stateless_billing.domain import money
from stateless_billing.domain.epochs import EPOCH
from stateless_billing.domain.money import Rate
from stateless_billing.domain.order_rules import Order
from stateless_billing.operators.roster import GRANT, RELEASE, Operator
from stateless_billing.pricing.rates import NoRate
from stateless_billing.stripe.eligibility import find_obstacle
from stateless_billing.stripe.errors import StripeFailure
from stateless_billing.stripe.objects import Customer
from stateless_billing.support import uncredited_payments
from stateless_billing.support.uncredited_payments import ACTIONS, INSPECT, PRICE, REDIRECT, VOUCH, UncreditedPayment
from stateless_billing.web.operators.order_rows import (
    WAITS,
    OrderRow,
    cents_used_alone,
    create_rows,
    needs_second_admin,
    with_form,
)
from stateless_billing.web.operators.page_frame import PageFrame

_MAYBE_GONE = ("customer_deleted", "customer_invalid")

Seal = Callable[[str, str], str]  # a form of its own, by the payment's identity and the place on the page


@dataclass(frozen=True, slots=True)
class CustomerStates:
    """The customers that may carry a payment's credit: those that Stripe shows as deleted, or does not know.

    `own_fit`: the event's customer can be credited.
    """

    missing: tuple[str, ...] = ()
    own_fit: bool = False


@dataclass(frozen=True, slots=True)
class Card:
    """One payment as the page shows it. `kinds` are the orders offered, `forms` their forms by kind.

    `gone` and `unproven`: customers that an order has to answer for. `early`: until `border` the key alone keeps a
    second credit away. `second`: an order of its `worth` needs another admin.
    """

    stuck: UncreditedPayment
    rows: Sequence[OrderRow]
    kinds: Sequence[str]
    forms: Mapping[str, str]
    gone: Sequence[str] = ()
    early: bool = False
    own_record: bool = False
    worth: int | None = None
    today: int | None = None
    market: int | None = None
    used: int = 0
    alone: int = 0
    second: bool = False

    @property
    def payment(self) -> Payment:
        """The payment."""
        return self.stuck.payment

    @property
    def status(self) -> PaymentStatus:
        """Where it stands."""
        return self.stuck.status

    @property
    def age(self) -> int:
        """Seconds since its block."""
        return self.stuck.age

    @property
    def action(self) -> str:
        """The one next action."""
        return self.stuck.action

    @property
    def order(self) -> Order | None:
        """The order that stands, if any."""
        return self.stuck.order

    @property
    def target(self) -> str | None:
        """The customer that the standing order credits instead of the event's."""
        return self.order.target if self.order else None

    @property
    def unproven(self) -> str:
        """The customer whose ledger is not proven."""
        return self.status.blamed_customer if self.action == VOUCH else ""

    @property
    def border(self) -> int:
        """When the payment's current epoch ends."""
        return self.payment.time + (max(0, self.age) // EPOCH + 1) * EPOCH


class UncreditedPage:
    """The page."""

    def __init__(self, frame: PageFrame) -> None:
        self._frame, self._services = frame, frame.services
        self.page = frame.page(self._page)

    async def _page(self, request: Request, operator: Operator) -> Response:
        services = self._services
        services.orders.invalidate()
        payments, complete = await services.uncredited_payments.list_all()
        releasing, rate = operator.has_right(RELEASE), await self._current_rate()
        form = services.grants.create_grant_id()

        def seal(identity: str, place: str) -> str:
            values = {"form": f"{form}{place}", "operator": operator.name, "payment": identity}
            return services.sign_ins.tokens.seal("order", values)

        cards = [
            await self._create_card(one, f"{index:02d}", operator, rate, seal) for index, one in enumerate(payments)
        ]
        return self._frame.render(
            "admin_stuck.html",
            request,
            cards=cards,
            complete=complete,
            releasing=releasing,
            trying=operator.has_right(GRANT),
            admins=sum(role == "admin" for role in services.settings.operators.values()),
            discount_bps=services.settings.discount_bps,
        )

    async def _create_card(
        self, one: UncreditedPayment, place: str, operator: Operator, rate: Rate | None, seal: Seal
    ) -> Card:
        services, payment, orders = self._services, one.payment, one.orders.orders
        places = await self._examine_customers(one)
        kinds = self._possible_kinds(one, places)
        caps, now = services.orders.caps, int(services.clock.wall())
        used, worth = cents_used_alone(operator.name, now, orders), await self._value_today(one) if kinds else None
        late = one.age >= EPOCH
        unsettled = tuple(customer for customer in places.missing if customer not in one.orders.absent_customers)
        bps = services.settings.discount_bps
        forms, rows = {}, create_rows(payment.identity, orders)
        if operator.has_right(RELEASE):
            offered = [*kinds, "withdraw"] if one.order else kinds
            forms = {kind: seal(payment.identity, f"{place}{kind}") for kind in offered}
            rows = [
                self._with_confirmation(row, operator, f"{place}confirm{index}", seal) for index, row in enumerate(rows)
            ]
        return Card(
            stuck=one,
            rows=rows,
            kinds=kinds,
            forms=forms,
            gone=unsettled if late or one.order else (),
            early=bool(unsettled) and not late,
            own_record=services.orders.is_bookkeeping(payment.customer_id or ""),
            worth=worth,
            today=money.cents_down(payment.amount, rate.market, bps) if rate else None,
            market=rate.market if rate else None,
            used=used,
            alone=caps.per_order,
            second=needs_second_admin(worth or 0, used, caps),
        )

    @staticmethod
    def _with_confirmation(row: OrderRow, operator: Operator, place: str, seal: Seal) -> OrderRow:
        own = row.order.operator.strip().lower() == operator.name
        if row.fate != WAITS or own:
            return row
        return with_form(row, seal(row.order.payment, place))

    def _possible_kinds(self, one: UncreditedPayment, places: CustomerStates) -> list[str]:
        """The orders that can help a payment, the likeliest first."""
        if self._services.orders.is_bookkeeping(one.payment.customer_id or ""):
            return []
        if one.status.state != "held":
            return [REDIRECT] if one.order and one.order.target else []
        if one.status.cause == "not_payable":
            return [uncredited_payments.RELEASE, REDIRECT]
        action = ACTIONS.get(one.status.cause or "")
        if action == VOUCH:
            return [VOUCH] if one.status.blamed_customer else []
        if action == REDIRECT:
            return [uncredited_payments.RELEASE] if places.own_fit else [REDIRECT]
        return [action] if action in (uncredited_payments.RELEASE, PRICE, INSPECT) else []

    async def _examine_customers(self, one: UncreditedPayment) -> CustomerStates:
        """Asks Stripe for the customers where one of them is what holds the payment."""
        if one.status.state != "held" or one.status.cause not in _MAYBE_GONE:
            return CustomerStates()
        own = one.payment.customer_id
        names = dict.fromkeys([*([own] if own else []), *one.orders.named_customers])
        found = {name: await self._services.order_checks.get_customer(name) for name in names}
        missing = tuple(name for name, customer in found.items() if _is_missing(customer))
        mine = found.get(own) if own else None
        return CustomerStates(missing, own_fit=mine is not None and find_obstacle(mine) is None)

    async def _value_today(self, one: UncreditedPayment) -> int | None:
        if one.status.cents or one.payment.quoted:
            return one.status.cents or one.payment.cents
        return await self._services.uncredited_payments.value_cents(one.payment, one.order.rate if one.order else None)

    async def _current_rate(self) -> Rate | None:
        try:
            return await self._services.rates.current_rate()
        except (NoRate, StripeFailure):
            return None


def _is_missing(customer: Customer | None) -> bool:
    return customer is None or customer.deleted
