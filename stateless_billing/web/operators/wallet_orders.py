"""The form about a wallet that several customers have, and what it sends."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from stateless_billing.domain.errors import ProblemError
from stateless_billing.domain.order_rules import WALLET_PREFIX
from stateless_billing.operators.roster import RELEASE, Operator
from stateless_billing.services.container import Services
from stateless_billing.support.wallet_conflicts import WalletConflict
from stateless_billing.web.api.requests import OrderForm
from stateless_billing.web.http import inputs
from stateless_billing.web.operators.sessions import Sessions
from stateless_billing.web.operators.two_steps import TwoSteps, require_same

_NOTHING = "Nothing was ordered."


def create_forms(services: Services, operator: Operator, conflict: WalletConflict | None) -> dict[str, str]:
    """Create a signed form for each customer that the operator may choose; under "", for taking the choice back."""
    if conflict is None or not operator.has_right(RELEASE):
        return {}
    form = services.grants.create_grant_id()
    identity = WALLET_PREFIX + conflict.wallet
    forms = {}
    for index, customer_id in enumerate(conflict.choices):
        if customer_id != conflict.chosen:
            values = {"form": f"{form}{index:02d}customer", "operator": operator.name, "payment": identity}
            forms[customer_id] = services.sign_ins.tokens.seal("order", values)
    if conflict.chosen:
        values = {"form": f"{form}withdraw", "operator": operator.name, "payment": identity}
        forms[""] = services.sign_ins.tokens.seal("order", values)
    return forms


class WalletOrders:
    """Handler of orders about wallets."""

    def __init__(self, services: Services, sessions: Sessions) -> None:
        self._services = services
        self._sessions = sessions
        self._steps = TwoSteps(services)

    async def write(self, request: Request) -> Response:
        """`POST /api/admin/orders/wallet` `{form, order, reason}`: show an order; with `shown`, write it.

        It says for whom a wallet is registered that several customers have.
        """
        operator = self._sessions.require(request, RELEASE, require_recent_sign_in=True)
        with self._sessions.record_outcome(request, operator, "order_written", "order_refused") as trace:
            body = await inputs.read_body(request, OrderForm)
            form = self._sessions.open_form(request, "order", body.form, operator)
            trace |= {"payment": form["payment"], "text": body.order.strip()}
            reason = inputs.parse_reason(body.reason)
            if not form["payment"].startswith(WALLET_PREFIX) or body.confirms:
                raise ProblemError("form_invalid", "This form is not about a wallet. Nothing was ordered.")
            wallet = form["payment"].removeprefix(WALLET_PREFIX)
            conflicts = self._services.wallet_conflicts
            before = self._steps.open(body.shown, operator, form["form"], _NOTHING) if body.shown else None
            order = await conflicts.find_written(form["form"], wallet, body.order) if before else None
            if order is None:
                shown = await conflicts.show(wallet, body.order, reason)
                if before is None:
                    trace["event"] = "decision_shown"
                    return self._steps.show(shown, operator, form["form"])
                require_same(before, shown, _NOTHING)
                order = await conflicts.order(form["form"], wallet, body.order, operator.name, reason)
            trace["order"] = order.id
        return JSONResponse({"order": order.id, "text": order.text})
