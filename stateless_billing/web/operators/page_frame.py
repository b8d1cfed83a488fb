"""What all operators' pages share: who is asking, the frame around a page, and what is shown when something fails."""

import logging
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote

from jinja2 import Environment
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from chain.errors import ChainError
from stateless_billing.bookkeeping.records import NotOurAccount
from stateless_billing.domain.errors import PROBLEMS, ProblemError
from stateless_billing.operators.roster import READ, Operator
from stateless_billing.services.container import Services
from stateless_billing.stripe.errors import StripeFailure
from stateless_billing.web.http.networks import network_name
from stateless_billing.web.operators.sessions import Sessions

log = logging.getLogger(__name__)

Page = Callable[[Request, Operator], Awaitable[Response]]

_NOT_READ = "could not be read. Nothing was changed and no money moved. Load the page again in a minute."


class PageFrame:
    """The frame. `page` makes a handler of a function that is given the operator."""

    def __init__(self, services: Services, sessions: Sessions, templates: Environment) -> None:
        self.services, self.sessions, self._templates = services, sessions, templates

    def page(self, show: Page, right: str = READ) -> Callable[[Request], Awaitable[Response]]:
        """Ask for a sign-in first; show every failure as a page."""

        async def handler(request: Request) -> Response:
            try:
                operator = self.sessions.require(request, right)
                return await show(request, operator)
            except ProblemError as refusal:
                if refusal.code == "signed_out":
                    query = f"?{request.url.query}" if request.url.query else ""
                    return RedirectResponse(f"/login?next={quote(request.url.path + query, safe='')}", 303)
                return self.failure_page(request, PROBLEMS[refusal.code][0], PROBLEMS[refusal.code][1], refusal.detail)
            except (StripeFailure, NotOurAccount, ChainError) as error:
                what = "The chain" if isinstance(error, ChainError) else "Stripe"
                log.warning("request %s: %s", request.scope.get("request_id"), error)
                return self.failure_page(request, 503, f"{what} is not answering", f"{what} {_NOT_READ}")

        return handler

    def failure_page(self, request: Request, status: int, title: str, detail: str) -> Response:
        """A page that says what went wrong."""
        return self.render("admin_failure.html", request, status, title=title, detail=detail)

    def render(self, page: str, request: Request, status: int = 200, **values: Any) -> Response:
        """A page within the frame."""
        session = self.sessions.current(request)
        settings, token = self.services.settings, self.services.token
        frame = {
            "operator": session.operator if session else None,
            "live": settings.is_live,
            "chain": network_name(settings.chain_id),
            "symbol": token.symbol if token else "",
            "path": request.url.path,
            "now": int(self.services.clock.wall()),
            "request_id": request.scope.get("request_id"),
            "dashboard": f"https://dashboard.stripe.com/{'' if settings.is_live else 'test/'}customers/",
        }
        headers = {"retry-after": "5"} if status == 503 else None
        return HTMLResponse(self._templates.get_template(page).render(frame | values), status, headers)
