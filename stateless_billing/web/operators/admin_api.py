"""`/api/admin/…`: the JSON API behind the operators' pages.

Money moves only with a form signed by this service.
"""

import logging
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from chain.signatures import to_checksum_address
from stateless_billing.domain.errors import ProblemError
from stateless_billing.grants import forms
from stateless_billing.grants.caps import Reservation
from stateless_billing.grants.entries import GrantRequest
from stateless_billing.grants.grant_ledger import Grant
from stateless_billing.grants.granting import RemainingLimits
from stateless_billing.operators.roster import GRANT, READ, Operator
from stateless_billing.services.container import Services
from stateless_billing.stripe.eligibility import find_obstacle
from stateless_billing.stripe.errors import StripeFailure
from stateless_billing.support.customer_facts import wallets_of
from stateless_billing.support.decisions.reversal_decisions import NOTHING
from stateless_billing.support.search_text import is_entry_id
from stateless_billing.web.api.requests import (
    GrantForm,
    GrantStatusRequest,
    UndoRequest,
)
from stateless_billing.web.http import inputs
from stateless_billing.web.operators.sessions import Sessions
from stateless_billing.web.operators.two_steps import TwoSteps, require_same

log = logging.getLogger(__name__)

_MAX_BODY_BYTES = 256 * 1024  # larger than any valid note, so that an overlong one gets its own problem
_NOTHING_GIVEN = "Nothing was given."


class AdminApi:
    """Handlers of the operators' API."""

    def __init__(self, services: Services, sessions: Sessions) -> None:
        self._services = services
        self._sessions = sessions
        self._steps = TwoSteps(services)

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
                "payments": match.payments,
                "obstacle": match.obstacle,
                "elsewhere": match.elsewhere,
            }
            for match in result.matches
        ]
        conflict = result.conflict.advice if result.conflict else None
        suggestion = result.conflict.suggestion if result.conflict else None
        return JSONResponse(
            {
                "kind": result.kind,
                "note": result.note,
                "conflict": conflict,
                "suggestion": suggestion and {"customer": suggestion.customer_id, "reason": suggestion.reason},
                "matches": matches,
            }
        )

    async def preview(self, request: Request) -> Response:
        """`POST /api/admin/grants/check`: preview a grant without writing anything."""
        operator = self._sessions.require(request, GRANT, require_recent_sign_in=True)
        grant_request, _ = await self._parse_grant_request(request, operator)
        remaining, duplicate = await self._services.grants.preview(grant_request)
        customer = await self._services.customer_search.get_customer(grant_request.customer)
        obstacle = "customer_deleted" if customer is None else find_obstacle(customer)
        if customer is None or obstacle:
            raise ProblemError("unusable_customer", f"{forms.UNUSABLE[obstacle or '']} {_NOTHING_GIVEN}")
        wallets = wallets_of(customer)
        warnings = await self._services.wallet_conflicts.warn(customer, wallets)
        return JSONResponse(
            {
                "cents": grant_request.cents,
                "customer": customer.id,
                "email": customer.email,
                "wallet": next(map(to_checksum_address, wallets), None),
                "owner": next((warning.owner for warning in warnings if warning.owner), None),
                "warnings": [warning.text for warning in warnings],
                "before_cents": customer.balance_cents,
                "after_cents": customer.balance_cents + grant_request.cents,
                "reason": forms.REASONS[grant_request.reason],
                "note": grant_request.note,
                "left": _limits_response(remaining),
                "alike": duplicate and _duplicate_response(duplicate),
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
        """`POST /api/admin/grants/undo` `{reservation, reason}`: show a reversal; with `shown`, reverse the grant."""
        operator = self._sessions.require(request, GRANT, require_recent_sign_in=True)
        with self._sessions.record_outcome(request, operator, "grant_undone", "grant_refused") as trace:
            body = await inputs.read_body(request, UndoRequest)
            if not is_entry_id(body.reservation):
                raise ProblemError(
                    "invalid_input", "`reservation` must be a cbtxn_… identifier. Nothing was taken back."
                )
            trace["reservation"] = body.reservation
            reason = inputs.parse_reason(body.reason)
            act = f"undo:{body.reservation}"
            before = self._steps.open(body.shown, operator, act, NOTHING) if body.shown else None
            shown, grant_id = await self._services.decisions.reversals.prepare(body.reservation, operator, reason)
            if before is None:
                trace["event"] = "decision_shown"
                return self._steps.show(shown, operator, act)
            grant = await self._services.grants.status(grant_id)
            if grant is None or grant.state != "undone":  # a second press finds it taken back
                require_same(before, shown, NOTHING)
                grant = await self._services.grants.undo(body.reservation, operator, reason)
            trace |= {"customer": grant.reservation.customer, "cents": grant.reservation.entry.cents}
        return JSONResponse(_grant_response(grant))

    async def _parse_grant_request(self, request: Request, operator: Operator) -> tuple[GrantRequest, bool]:
        body = await inputs.read_body(request, GrantForm, _MAX_BODY_BYTES)
        form = self._sessions.open_form(request, "grant", body.form, operator)
        if body.alike and not is_entry_id(body.alike):
            raise ProblemError("invalid_input", f"`alike` must be a cbtxn_… identifier. {_NOTHING_GIVEN}")
        grant_request = GrantRequest(
            grant=form["grant"],
            operator=operator.name,
            customer=form["customer"],
            cents=forms.parse_cents(body.amount),
            reason=body.reason,
            note=forms.parse_note(body.note),
            again=body.alike,
        )
        return grant_request, body.again


def _limits_response(remaining: RemainingLimits) -> dict[str, Any]:
    return {
        "cents": remaining.cents,
        "per_grant_cents": remaining.caps.per_grant,
        "operator_cents": remaining.caps.operator,
        "operator_used_cents": remaining.operator.cents,
        "everyone_cents": remaining.caps.everyone,
        "everyone_used_cents": remaining.everyone.cents,
    }


def _duplicate_response(duplicate: Reservation) -> dict[str, Any]:
    return {
        "at": duplicate.entry.created,
        "operator": duplicate.operator,
        "reservation": duplicate.entry.id,
    }


REFUSED = {
    "over_cap:per_grant": "it was above the most of one grant",
    "over_cap:operator": "others of yours came first, and together they pass your 24 hours' most",
    "over_cap:everyone": "other operators' came first, and together they pass the most of all in 24 hours",
    "form_dead": "its form was too old when Stripe carried it out",
    "look_alike": "the same amount had just been given to this customer, which you were not shown",
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
