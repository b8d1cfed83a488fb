"""`/api/admin/orders` and `/api/admin/payments/retry`: orders about stuck payments, in two steps."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from chain.gateway import Gateway, find_payments_in_tx
from chain.payment import Payment
from stateless_billing.crediting.payment_status import PaymentStatus
from stateless_billing.domain.errors import ProblemError
from stateless_billing.domain.finality import Heads
from stateless_billing.domain.order_rules import Order
from stateless_billing.operators.roster import GRANT, RELEASE, Operator
from stateless_billing.services.container import Services
from stateless_billing.stripe.errors import StripeFailure
from stateless_billing.support.decisions.order_decisions import OrderDecision
from stateless_billing.support.decisions.order_rows import require_standing
from stateless_billing.web.api.requests import OrderForm, RetryRequest
from stateless_billing.web.http import inputs
from stateless_billing.web.operators.sessions import Sessions
from stateless_billing.web.operators.two_steps import TwoSteps, require_same

_NOTHING = "Nothing was ordered."


class OrderApi:
    """Handlers of orders about payments."""

    def __init__(self, services: Services, sessions: Sessions) -> None:
        self._services = services
        self._sessions = sessions
        self._steps = TwoSteps(services)

    async def write_order(self, request: Request) -> Response:
        """`POST /api/admin/orders` `{form, order | confirms, reason}`: show an order; with `shown`, write and apply it.

        `confirms` names another admin's order to repeat.
        """
        operator = self._sessions.require(request, RELEASE, require_recent_sign_in=True)
        with self._sessions.record_outcome(request, operator, "order_written", "order_refused") as trace:
            body = await inputs.read_body(request, OrderForm)
            form = self._sessions.open_form(request, "order", body.form, operator)
            trace |= {"payment": form["payment"], "text": body.order.strip(), "confirms": body.confirms.strip()}
            reason = inputs.parse_reason(body.reason)
            heads, gateway, payment = await self._find_payment(form["payment"])
            if not body.shown:
                await self._require_uncredited(gateway, payment, heads)
                decision = await self._prepare(body, payment, operator, reason)
                trace["event"] = "decision_shown"
                return self._steps.show(decision.shown, operator, form["form"])
            order, status = await self._write(body, form["form"], (heads, gateway, payment), operator, reason)
            trace |= {"order": order.id, "text": order.text}
            waits = await self._is_waiting(order, payment)
        return JSONResponse(
            {
                "order": order.id,
                "waits": waits,
                "state": status.state,
                "cause": status.cause,
                "credit": status.credit,
                "cents": status.cents,
            }
        )

    async def _write(
        self, body: OrderForm, form_id: str, place: tuple[Heads, Gateway, Payment], operator: Operator, reason: str
    ) -> tuple[Order, PaymentStatus]:
        """Write what was shown; a form that wrote before answers with what it wrote."""
        heads, gateway, payment = place
        before = self._steps.open(body.shown, operator, form_id, _NOTHING)
        uncredited = self._services.uncredited_payments
        try:
            await self._require_uncredited(gateway, payment, heads)
            decision = await self._prepare(body, payment, operator, reason)
            require_same(before, decision.shown, _NOTHING)
        except ProblemError:
            written = await self._services.orders.find_by_form(form_id, payment)
            if written is None or not _is_same(written, body):
                raise
            return written, await self._services.crediting.get_status(gateway, payment, heads)
        return await uncredited.write_order(gateway, payment, heads, form_id, decision.draft)

    async def _require_uncredited(self, gateway: Gateway, payment: Payment, heads: Heads) -> None:
        status = await self._services.crediting.get_status(gateway, payment, heads)
        if status.state in ("credited", "reversed"):
            raise ProblemError("already_done", f"This payment is {status.state}. {_NOTHING}")

    async def _prepare(self, body: OrderForm, payment: Payment, operator: Operator, reason: str) -> OrderDecision:
        """Prepare the operator's own order, or the confirmation of another admin's."""
        text, confirmed_id = body.order.strip(), body.confirms.strip()
        if text and confirmed_id:
            raise ProblemError("invalid_input", f"Send either `order` or `confirms`, not both. {_NOTHING}")
        decisions = self._services.decisions.orders
        if confirmed_id:
            return await decisions.prepare_confirmation(confirmed_id, payment, operator.name, reason)
        return await decisions.prepare(text, payment, operator.name, reason)

    async def _is_waiting(self, order: Order, payment: Payment) -> bool | None:
        """Return whether an order waits for another admin; None if that could not be read.

        Raises: ProblemError if it does not stand any more.
        """
        try:
            orders = await self._services.orders.find(payment)
        except StripeFailure:
            return None
        return require_standing(order, orders.orders)

    async def retry(self, request: Request) -> Response:
        """`POST /api/admin/payments/retry` `{payment}`: retry a waiting payment now."""
        self._sessions.require(request, GRANT)
        body = await inputs.read_body(request, RetryRequest)
        heads, gateway, payment = await self._find_payment(body.payment)
        self._services.status_cache.make_due(payment)
        status = await self._services.crediting.process(gateway, payment, heads)
        return JSONResponse({"state": status.state, "cause": status.cause, "credit": status.credit})

    async def _find_payment(self, identity: str) -> tuple[Heads, Gateway, Payment]:
        """Read the heads and then a payment by its identity. Raises: ProblemError, ChainError."""
        tx_hash = inputs.parse_tx_hash([*identity.split(":"), "", "", ""][2])
        heads = await self._services.confirmations.heads()
        transaction = await find_payments_in_tx(self._services.nodes, self._services.gateways, tx_hash)
        for payment in transaction.payments if transaction else ():
            for gateway in self._services.gateways:
                if payment.identity == identity and gateway.address == payment.gateway:
                    return heads, gateway, payment
        raise ProblemError("not_found", "The chain has no such payment. Nothing was done.")


def _is_same(written: Order, body: OrderForm) -> bool:
    """Whether a form's order says what the form says now."""
    confirms = body.confirms.strip()
    return written.confirms == confirms if confirms else written.text == body.order.strip()
