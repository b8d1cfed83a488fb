"""`/api/admin/…`: the JSON API behind the operators' pages.

Money moves only with a form signed by this service.
"""

import logging
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from chain.gateway import Gateway, find_payments_in_tx
from chain.payment import Payment
from chain.signatures import to_checksum_address
from stateless_billing.bookkeeping.orders import OrderDraft
from stateless_billing.domain import money, order_rules
from stateless_billing.domain.errors import ProblemError
from stateless_billing.domain.finality import Heads
from stateless_billing.domain.money import parse_rate
from stateless_billing.domain.order_rules import Order
from stateless_billing.grants import forms
from stateless_billing.grants.entries import GrantRequest
from stateless_billing.grants.grant_ledger import Grant
from stateless_billing.grants.granting import RemainingLimits
from stateless_billing.operators.roster import GRANT, OVERRIDE, READ, RELEASE, Operator
from stateless_billing.services.container import Services
from stateless_billing.stripe.errors import StripeFailure
from stateless_billing.support.customer_search import wallets_of
from stateless_billing.support.search_text import is_entry_id
from stateless_billing.web.api.requests import (
    GrantForm,
    GrantStatusRequest,
    OrderForm,
    RateRequest,
    RetryRequest,
    UndoRequest,
)
from stateless_billing.web.http import inputs
from stateless_billing.web.operators.sessions import Sessions

log = logging.getLogger(__name__)

_MAX_BODY_BYTES = 256 * 1024  # larger than any valid note, so that an overlong one gets its own problem
_NOTHING_GIVEN = "Nothing was given."


class AdminApi:
    """Handlers of the operators' API."""

    def __init__(self, services: Services, sessions: Sessions) -> None:
        self._services = services
        self._sessions = sessions

    async def find(self, request: Request) -> Response:
        """`GET /api/admin/find?q=`: search customers."""
        self._sessions.require(request, READ)
        result = await self._services.customer_search.find(request.query_params.get("q", "")[:400])
        matches = [
            {
                "customer": match.customer.id,
                "deleted": match.customer.deleted,
                "email": match.customer.email,
                "wallets": [to_checksum_address(wallet) for wallet in match.wallets],
                "created": None if match.customer.deleted else match.customer.created,
                "balance_cents": None if match.customer.deleted else match.customer.balance_cents,
                "last_activity": match.last_activity,
            }
            for match in result.matches
        ]
        conflict = result.conflict.advice if result.conflict else None
        return JSONResponse({"kind": result.kind, "note": result.note, "conflict": conflict, "matches": matches})

    async def preview(self, request: Request) -> Response:
        """`POST /api/admin/grants/check`: preview a grant without writing anything."""
        operator = self._sessions.require(request, GRANT, require_recent_sign_in=True)
        grant_request, _ = await self._parse_grant_request(request, operator)
        remaining, duplicate = await self._services.grants.preview(grant_request)
        customer = await self._services.customer_search.get_customer(grant_request.customer)
        if customer is None:
            raise ProblemError("unusable_customer", f"The customer is no longer in Stripe. {_NOTHING_GIVEN}")
        return JSONResponse(
            {
                "cents": grant_request.cents,
                "customer": customer.id,
                "email": customer.email,
                "wallet": next(map(to_checksum_address, wallets_of(customer)), None),
                "before_cents": customer.balance_cents,
                "after_cents": customer.balance_cents + grant_request.cents,
                "reason": forms.REASONS[grant_request.reason],
                "note": grant_request.note,
                "left": _limits_response(remaining),
                "alike": None if duplicate is None else {"at": duplicate.reservation.entry.created},
            }
        )

    async def give(self, request: Request) -> Response:
        """`POST /api/admin/grants`: give a grant, or return the one given with this form."""
        operator = self._sessions.require(request, GRANT, require_recent_sign_in=True)
        with self._sessions.record_outcome(request, operator, "grant_given", "grant_refused") as trace:
            grant_request, confirm_duplicate = await self._parse_grant_request(request, operator)
            trace |= {
                "grant": grant_request.grant,
                "customer": grant_request.customer,
                "cents": grant_request.cents,
            }
            try:
                grant = await self._services.grants.give(grant_request, confirm_duplicate=confirm_duplicate)
            except StripeFailure as error:
                log.warning("grant %s: Stripe failed, outcome unknown: %s", grant_request.grant, error)
                raise ProblemError(
                    "unclear",
                    "Stripe gave no clear answer. The grant may have been given, at most once. Check the customer"
                    " before you press again.",
                ) from error
            trace |= {"state": grant.state, "event": "grant_refused" if grant.state == "refused" else "grant_given"}
        return JSONResponse(_grant_response(grant))

    async def status(self, request: Request) -> Response:
        """`POST /api/admin/grants/status` `{form}`: return the grant of a form, or null."""
        operator = self._sessions.require(request, GRANT)
        body = await inputs.read_body(request, GrantStatusRequest)
        grant = await self._services.grants.status(
            self._sessions.open_form(request, "grant", body.form, operator)["grant"]
        )
        return JSONResponse({"grant": _grant_response(grant) if grant else None})

    async def undo(self, request: Request) -> Response:
        """`POST /api/admin/grants/undo` `{reservation, reason}`: reverse a grant."""
        operator = self._sessions.require(request, GRANT, require_recent_sign_in=True)
        with self._sessions.record_outcome(request, operator, "grant_undone", "grant_refused") as trace:
            body = await inputs.read_body(request, UndoRequest)
            if not is_entry_id(body.reservation):
                raise ProblemError(
                    "invalid_input", "`reservation` must be a cbtxn_… identifier. Nothing was taken back."
                )
            trace["reservation"] = body.reservation
            grant = await self._services.grants.undo(body.reservation, operator, inputs.parse_reason(body.reason))
            trace |= {"customer": grant.reservation.customer, "cents": grant.reservation.entry.cents}
        return JSONResponse(_grant_response(grant))

    async def write_order(self, request: Request) -> Response:
        """`POST /api/admin/orders` `{form, order | confirms, reason}`: write and apply an order.

        `confirms` names another admin's order to repeat.
        """
        operator = self._sessions.require(request, RELEASE, require_recent_sign_in=True)
        with self._sessions.record_outcome(request, operator, "order_written", "order_refused") as trace:
            body = await inputs.read_body(request, OrderForm)
            form = self._sessions.open_form(request, "order", body.form, operator)
            trace |= {"payment": form["payment"], "text": body.order.strip(), "confirms": body.confirms.strip()}
            reason = inputs.parse_reason(body.reason)
            heads, gateway, payment = await self._find_payment(form["payment"])
            draft = await self._draft_order(body, payment, operator, reason)
            uncredited = self._services.uncredited_payments
            order, status = await uncredited.write_order(gateway, payment, heads, form["form"], draft)
            trace |= {"order": order.id, "text": order.text}
        return JSONResponse(
            {
                "order": order.id,
                "waits": await self._is_waiting(order, payment),
                "state": status.state,
                "cause": status.cause,
                "credit": status.credit,
                "cents": status.cents,
            }
        )

    async def _draft_order(self, body: OrderForm, payment: Payment, operator: Operator, reason: str) -> OrderDraft:
        """Draft the operator's own order, or the confirmation of another admin's."""
        text, confirmed_id = body.order.strip(), body.confirms.strip()
        if text and confirmed_id:
            raise ProblemError("invalid_input", "Send either `order` or `confirms`, not both. Nothing was ordered.")
        order_checks, orders = self._services.order_checks, self._services.orders
        if not confirmed_id:
            effective = (await orders.find(payment)).effective
            return await order_checks.draft(text, payment, operator.name, reason, effective)
        orders.invalidate()
        return await order_checks.confirm(confirmed_id, payment, operator.name, reason, await orders.find(payment))

    async def _is_waiting(self, order: Order, payment: Payment) -> bool | None:
        """Return whether a new order waits for another admin; None if that could not be read."""
        if order.confirms:
            return False
        try:
            return not order_rules.is_effective(order, (await self._services.orders.find(payment)).orders)
        except StripeFailure:
            return None

    async def retry(self, request: Request) -> Response:
        """`POST /api/admin/payments/retry` `{payment}`: retry a waiting payment now."""
        self._sessions.require(request, GRANT)
        body = await inputs.read_body(request, RetryRequest)
        heads, gateway, payment = await self._find_payment(body.payment)
        self._services.status_cache.make_due(payment)
        status = await self._services.crediting.process(gateway, payment, heads)
        return JSONResponse({"state": status.state, "cause": status.cause, "credit": status.credit})

    async def set_rate(self, request: Request) -> Response:
        """`POST /api/admin/rate` `{rate, hours, reason}`: override the rate."""
        operator = self._sessions.require(request, OVERRIDE, require_recent_sign_in=True)
        with self._sessions.record_outcome(request, operator, "rate_set", "rate_refused") as trace:
            body = await inputs.read_body(request, RateRequest)
            rate = parse_rate(body.rate)
            if rate is None:
                raise ProblemError(
                    "invalid_input", "Write the rate in dollars per token, such as 0.006. Nothing was changed."
                )
            trace["rate"] = money.format_decimal(rate)
            reason = inputs.parse_reason(body.reason)
            override = await self._services.overrides.set(rate, operator.name, body.hours * 3600, reason)
            trace["until"] = override.until
        return JSONResponse(
            {"rate": money.format_decimal(override.rate), "from": override.since, "until": override.until}
        )

    async def end_rate(self, request: Request) -> Response:
        """`POST /api/admin/rate/end`: return to the market rate."""
        operator = self._sessions.require(request, OVERRIDE, require_recent_sign_in=True)
        with self._sessions.record_outcome(request, operator, "rate_ended", "rate_refused"):
            await self._services.overrides.clear()
        return JSONResponse({})

    async def _parse_grant_request(self, request: Request, operator: Operator) -> tuple[GrantRequest, bool]:
        body = await inputs.read_body(request, GrantForm, _MAX_BODY_BYTES)
        form = self._sessions.open_form(request, "grant", body.form, operator)
        grant_request = GrantRequest(
            grant=form["grant"],
            operator=operator.name,
            customer=form["customer"],
            cents=forms.parse_cents(body.amount),
            reason=body.reason,
            note=forms.parse_note(body.note),
        )
        return grant_request, body.again

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


def _limits_response(remaining: RemainingLimits) -> dict[str, Any]:
    return {
        "cents": remaining.cents,
        "per_grant_cents": remaining.caps.per_grant,
        "operator_cents": remaining.caps.operator,
        "operator_used_cents": remaining.operator.cents,
        "everyone_cents": remaining.caps.everyone,
        "everyone_used_cents": remaining.everyone.cents,
    }


REFUSED = {
    "over_cap:per_grant": "it was above the most of one grant",
    "over_cap:operator": "others of yours came first, and together they pass your 24 hours' most",
    "over_cap:everyone": "other operators' came first, and together they pass the most of all in 24 hours",
    "form_dead": "its form was too old when Stripe carried it out",
    **{name: sentence[0].lower() + sentence[1:].rstrip(".") for name, sentence in forms.UNUSABLE.items()},
}


def _grant_response(grant: Grant) -> dict[str, Any]:
    """Return a grant as a page shows it."""
    reservation = grant.reservation
    credit = grant.credit
    return {
        "grant": reservation.grant,
        "customer": reservation.customer,
        "operator": reservation.operator,
        "cents": reservation.entry.cents,
        "reason": forms.REASONS.get(reservation.reason, reservation.reason),
        "note": reservation.note,
        "state": grant.state,
        "why": REFUSED.get(grant.detail, grant.detail),
        "reservation": reservation.entry.id,
        "credit": credit.id if credit else None,
        "before_cents": credit.ending_cents - credit.cents if credit else None,
        "after_cents": credit.ending_cents if credit else None,
        "taken_back": grant.taken_back.id if grant.taken_back else None,
        "at": reservation.entry.created,
    }
