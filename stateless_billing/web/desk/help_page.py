"""`/admin/help`: what each state, cause and cap means."""

from starlette.requests import Request
from starlette.responses import Response

from stateless_billing.domain import money
from stateless_billing.operators.roster import Operator
from stateless_billing.web.desk import definitions
from stateless_billing.web.operators.page_frame import PageFrame


class HelpPage:
    """Handler of the help page."""

    def __init__(self, frame: PageFrame) -> None:
        self._frame = frame
        self.page = frame.create_handler(self._page)

    async def _page(self, request: Request, operator: Operator) -> Response:
        settings = self._frame.services.settings
        values = {
            name: money.format_dollars(value) if name.endswith("_cents") else f"{value:,}"
            for name in definitions.CAPS
            for value in [getattr(settings, name)]
        }
        return self._frame.render(
            "admin_help.html",
            request,
            groups=[
                ("state", "States of a payment", definitions.STATES),
                ("cause", "Causes: why a payment waits", definitions.CAUSES),
                ("grant", "States of a grant", definitions.GRANT_STATES),
                ("order", "What an order does", definitions.ORDER_FATES),
                ("cap", "Caps", definitions.CAPS),
            ],
            anchor=definitions.anchor,
            values=values,
        )
