"""`/admin/stuck`: uncredited payments, their orders, and those the viewer may give."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from chain.payment import Payment
from stateless_billing.crediting.payment_status import PaymentStatus
from stateless_billing.domain import money
from stateless_billing.domain.epochs import EPOCH_SECONDS
from stateless_billing.domain.money import Rate
from stateless_billing.domain.order_rules import Order
from stateless_billing.operators.roster import GRANT, RELEASE, Operator
from stateless_billing.pricing.rates import NoRate
from stateless_billing.stripe.eligibility import find_obstacle
from stateless_billing.stripe.errors import StripeFailure
from stateless_billing.stripe.objects import Customer
from stateless_billing.support import uncredited_payments
from stateless_billing.support.decisions.order_rows import (
    WAITS,
    OrderRow,
    cents_used_alone,
    create_rows,
    needs_second_admin,
    wait_for_confirmation,
    with_form,
)
from stateless_billing.support.uncredited_payments import ACTIONS, INSPECT, PRICE, REDIRECT, VOUCH, UncreditedPayment
from stateless_billing.web.decisions import queue
from stateless_billing.web.operators.page_frame import PageFrame

_CUSTOMER_CAUSES = ("customer_deleted", "customer_invalid")

SealForm = Callable[[str, str], str]  # creates a signed form from the payment's identity and the position on the page


@dataclass(frozen=True, slots=True)
class CustomerStates:
    """The customers of a payment that are deleted or unknown in Stripe.

    `own_is_eligible` says that the event's customer can be credited.
    """

    missing: tuple[str, ...] = ()
    own_is_eligible: bool = False


@dataclass(frozen=True, slots=True)
class Card:
    """One payment as the page shows it.

    `kinds` are the offered orders, `forms` their forms by kind. `gone` and `unproven` are customers that an order must
    vouch for. `early` says that until `border` the idempotency key alone prevents a second credit. `second` says that
    an order of its `worth` needs another admin.
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
        """The payment itself."""
        return self.stuck.payment

    @property
    def status(self) -> PaymentStatus:
        """The crediting status."""
        return self.stuck.status

    @property
    def history(self) -> Sequence[str]:
        """What is known about a credit in a deleted ledger."""
        return self.stuck.history

    @property
    def age(self) -> int:
        """Seconds since its block."""
        return self.stuck.age

    @property
    def final(self) -> bool:
        """Whether the payment is final."""
        return self.stuck.final

    @property
    def action(self) -> str:
        """The suggested next action."""
        return self.stuck.action

    @property
    def order(self) -> Order | None:
        """The effective order, if any."""
        return self.stuck.order

    @property
    def target(self) -> str | None:
        """The customer to which the effective order redirects the payment, if any."""
        return self.order.target if self.order else None

    @property
    def unproven(self) -> str:
        """The customer whose ledger is not proven complete, or empty."""
        return self.status.blamed_customer if self.action == VOUCH else ""

    @property
    def border(self) -> int:
        """The end of the payment's current epoch."""
        return self.payment.time + (max(0, self.age) // EPOCH_SECONDS + 1) * EPOCH_SECONDS


class UncreditedPage:
    """Handler of the page of uncredited payments."""

    def __init__(self, frame: PageFrame) -> None:
        self._frame = frame
        self._services = frame.services
        self.page = frame.create_handler(self._page)

    async def _page(self, request: Request, operator: Operator) -> Response:
        services = self._services
        cause = queue.parse_cause(request.query_params.get("cause", ""))
        services.orders.invalidate()
        payments, complete = await services.uncredited_payments.list_all()
        may_order = operator.has_right(RELEASE)
        rate = await self._current_rate()
        form = services.grants.create_grant_id()

        def seal(identity: str, position: str) -> str:
            values = {"form": f"{form}{position}", "operator": operator.name, "payment": identity}
            return services.sign_ins.tokens.seal("order", values)

        cards = [
            await self._create_card(payment, f"{index:02d}", operator, rate, seal)
            for index, payment in enumerate(queue.select(payments, cause))
        ]
        return self._frame.render(
            "admin_stuck.html",
            request,
            cards=cards,
            queue=queue.create(payments, cause, complete=complete),
            releasing=may_order,
            trying=operator.has_right(GRANT),
            admins=sum(role == "admin" for role in services.settings.operators.values()),
            discount_bps=services.settings.discount_bps,
        )

    async def _create_card(
        self, uncredited: UncreditedPayment, position: str, operator: Operator, rate: Rate | None, seal: SealForm
    ) -> Card:
        services = self._services
        payment = uncredited.payment
        orders = uncredited.orders.orders
        states = await self._examine_customers(uncredited)
        kinds = self._possible_kinds(uncredited, states) if uncredited.final else []
        caps = services.orders.caps
        used_cents = cents_used_alone(operator.name, int(services.clock.wall()), orders)
        worth = await self._value_today(uncredited) if kinds else None
        first_epoch_over = uncredited.age >= EPOCH_SECONDS
        missing = tuple(customer for customer in states.missing if customer not in uncredited.orders.absent_customers)
        discount_bps = services.settings.discount_bps
        forms = {}
        rows = create_rows(payment.identity, orders)
        if uncredited.orders.limits_flaw:
            rows = [wait_for_confirmation(row) for row in rows]
        if operator.has_right(RELEASE) and uncredited.final:
            offered = [*kinds, "withdraw"] if uncredited.order else kinds
            forms = {kind: seal(payment.identity, f"{position}{kind}") for kind in offered}
            rows = [
                self._with_confirmation(row, operator, f"{position}confirm{index}", seal)
                for index, row in enumerate(rows)
            ]
        return Card(
            stuck=uncredited,
            rows=rows,
            kinds=kinds,
            forms=forms,
            gone=missing if first_epoch_over or uncredited.order else (),
            early=bool(missing) and not first_epoch_over,
            own_record=services.orders.is_bookkeeping(payment.customer_id or ""),
            worth=worth,
            today=money.cents_down(payment.amount, rate.market, discount_bps) if rate else None,
            market=rate.market if rate else None,
            used=used_cents,
            alone=caps.per_order,
            second=needs_second_admin(worth or 0, used_cents, caps),
        )

    def _with_confirmation(self, row: OrderRow, operator: Operator, position: str, seal: SealForm) -> OrderRow:
        is_own = self._services.settings.operators.identity_of(row.order.operator) == operator.name
        if row.fate != WAITS or is_own:
            return row
        return with_form(row, seal(row.order.payment, position))

    def _possible_kinds(self, uncredited: UncreditedPayment, states: CustomerStates) -> list[str]:
        """Return the kinds of orders that can help a payment, the most likely first."""
        if self._services.orders.is_bookkeeping(uncredited.payment.customer_id or ""):
            return []
        if uncredited.status.state != "held":
            return [REDIRECT] if uncredited.order and uncredited.order.target else []
        if uncredited.status.cause == "not_payable":
            return [uncredited_payments.RELEASE, REDIRECT]
        action = ACTIONS.get(uncredited.status.cause or "")
        if action == VOUCH:
            return [VOUCH] if uncredited.status.blamed_customer else []
        if action == REDIRECT:
            return [uncredited_payments.RELEASE] if states.own_is_eligible else [REDIRECT]
        return [action] if action in (uncredited_payments.RELEASE, PRICE, INSPECT) else []

    async def _examine_customers(self, uncredited: UncreditedPayment) -> CustomerStates:
        """Read the customers from Stripe if one of them may be why the payment is held."""
        if uncredited.status.state != "held" or uncredited.status.cause not in _CUSTOMER_CAUSES:
            return CustomerStates()
        own_id = uncredited.payment.customer_id
        customer_ids = dict.fromkeys([*([own_id] if own_id else []), *uncredited.orders.named_customers])
        customers = {
            customer_id: await self._services.decisions.checks.get_customer(customer_id) for customer_id in customer_ids
        }
        missing = tuple(customer_id for customer_id, customer in customers.items() if _is_missing(customer))
        own = customers.get(own_id) if own_id else None
        return CustomerStates(missing, own_is_eligible=own is not None and find_obstacle(own) is None)

    async def _value_today(self, uncredited: UncreditedPayment) -> int | None:
        if uncredited.status.cents or uncredited.payment.quoted:
            return uncredited.status.cents or uncredited.payment.cents
        return await self._services.uncredited_payments.value_cents(
            uncredited.payment, uncredited.order.rate if uncredited.order else None
        )

    async def _current_rate(self) -> Rate | None:
        try:
            return await self._services.rates.current_rate()
        except (NoRate, StripeFailure):
            return None


def _is_missing(customer: Customer | None) -> bool:
    return customer is None or customer.deleted
