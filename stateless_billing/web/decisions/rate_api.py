"""`/api/admin/rate…`: the rate that is set by hand, proposed, confirmed, withdrawn and ended, each in two steps."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from stateless_billing.domain import money
from stateless_billing.domain.errors import ProblemError
from stateless_billing.domain.money import parse_rate
from stateless_billing.operators.roster import OVERRIDE
from stateless_billing.pricing.override_values import NewRate, Override
from stateless_billing.services.container import Services
from stateless_billing.support.decisions.rate_decisions import NOTHING
from stateless_billing.web.api.requests import ProposalRequest, RateEndRequest, RateRequest
from stateless_billing.web.http import inputs
from stateless_billing.web.operators.sessions import Sessions
from stateless_billing.web.operators.two_steps import TwoSteps, require_same

_HOUR = 3600


class RateApi:
    """Handlers of the rate that admins set."""

    def __init__(self, services: Services, sessions: Sessions) -> None:
        self._services = services
        self._sessions = sessions
        self._steps = TwoSteps(services)

    async def set_rate(self, request: Request) -> Response:
        """`POST /api/admin/rate` `{rate, hours, reason}`: show an override; with `shown`, set or propose it."""
        operator = self._sessions.require(request, OVERRIDE, require_recent_sign_in=True)
        with self._sessions.record_outcome(request, operator, "rate_set", "rate_refused") as trace:
            body = await inputs.read_body(request, RateRequest)
            rate = parse_rate(body.rate)
            if rate is None:
                raise ProblemError("invalid_input", f"Write the rate in dollars per token, such as 0.006. {NOTHING}")
            trace["rate"] = money.format_decimal(rate)
            reason = inputs.parse_reason(body.reason)
            act = f"rate:{rate}:{body.hours}"
            overrides, decisions = self._services.overrides, self._services.decisions.rates
            before = self._steps.open(body.shown, operator, act, NOTHING) if body.shown else None
            decided_at = self._services.clock.boot()
            if before and (written := await overrides.find_alike(rate, operator.name, reason, before.at)):
                return self._written_before(*written)
            decision = await decisions.prepare(rate, body.hours, reason)
            if before is None:
                trace["event"] = "decision_shown"
                return self._steps.show(decision.shown, operator, act)
            require_same(before, decision.shown, NOTHING)
            write = overrides.propose if decision.shown.second else overrides.set
            new = NewRate(rate, operator.name, body.hours * _HOUR, reason)
            override = await write(new, decided_at=decided_at)
            trace |= {"until": override.until, "event": "rate_proposed" if decision.shown.second else "rate_set"}
        return _rate_response(override, decision.shown.second)

    def _written_before(self, override: Override, waits: bool) -> Response:
        if not waits and not override.applies_at(int(self._services.clock.wall())):
            raise ProblemError("already_done", "This rate was set and has been ended since. Nothing was set again.")
        return _rate_response(override, waits)

    async def confirm(self, request: Request) -> Response:
        """`POST /api/admin/rate/confirm` `{proposal, reason}`: show another admin's rate; with `shown`, confirm it."""
        operator = self._sessions.require(request, OVERRIDE, require_recent_sign_in=True)
        with self._sessions.record_outcome(request, operator, "rate_set", "rate_refused") as trace:
            body = await inputs.read_body(request, ProposalRequest)
            reason = inputs.parse_reason(body.reason)
            act = f"confirm:{body.proposal.strip()}"
            before = self._steps.open(body.shown, operator, act, NOTHING) if body.shown else None
            decided_at = self._services.clock.boot()
            decision = await self._services.decisions.rates.prepare_confirmation(body.proposal, operator.name, reason)
            if before is None:
                trace["event"] = "decision_shown"
                return self._steps.show(decision.shown, operator, act)
            require_same(before, decision.shown, NOTHING)
            proposal = decision.proposal
            assert proposal is not None
            new = NewRate(
                proposal.rate,
                proposal.operator,
                proposal.until - proposal.since,
                f"{proposal.reason}; {operator.name}: {reason}",
                confirmed_by=operator.name,
            )
            override = await self._services.overrides.set(new, decided_at=decided_at, confirms=proposal)
            trace |= {"rate": money.format_decimal(override.rate), "until": override.until}
        return _rate_response(override, waits=False)

    async def withdraw(self, request: Request) -> Response:
        """`POST /api/admin/rate/withdraw` `{proposal, reason}`: show the end of a proposal; with `shown`, end it."""
        operator = self._sessions.require(request, OVERRIDE, require_recent_sign_in=True)
        with self._sessions.record_outcome(request, operator, "rate_ended", "rate_refused") as trace:
            body = await inputs.read_body(request, ProposalRequest)
            reason = inputs.parse_reason(body.reason)
            act = f"withdraw:{body.proposal.strip()}"
            before = self._steps.open(body.shown, operator, act, NOTHING) if body.shown else None
            decided_at = self._services.clock.boot()
            decision = await self._services.decisions.rates.prepare_withdrawal(body.proposal, reason)
            if before is None:
                trace["event"] = "decision_shown"
                return self._steps.show(decision.shown, operator, act)
            require_same(before, decision.shown, NOTHING)
            assert decision.proposal is not None
            await self._services.overrides.withdraw_proposal(decision.proposal, decided_at=decided_at)
        return JSONResponse({})

    async def end_rate(self, request: Request) -> Response:
        """`POST /api/admin/rate/end` `{reason}`: show the return to the market's rate; with `shown`, return to it."""
        operator = self._sessions.require(request, OVERRIDE, require_recent_sign_in=True)
        with self._sessions.record_outcome(request, operator, "rate_ended", "rate_refused") as trace:
            body = await inputs.read_body(request, RateEndRequest)
            reason = inputs.parse_reason(body.reason)
            before = self._steps.open(body.shown, operator, "end", NOTHING) if body.shown else None
            decided_at = self._services.clock.boot()
            decision = await self._services.decisions.rates.prepare_end(reason)
            if before is None:
                trace["event"] = "decision_shown"
                return self._steps.show(decision.shown, operator, "end")
            require_same(before, decision.shown, NOTHING)
            await self._services.overrides.clear(f"ended by {operator.name}: {reason}", decided_at=decided_at)
        return JSONResponse({})


def _rate_response(override: Override, waits: bool) -> Response:
    return JSONResponse(
        {
            "rate": money.format_decimal(override.rate),
            "from": override.since,
            "until": override.until,
            "waits": waits,
        }
    )
