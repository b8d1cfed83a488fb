"""Shared by the operators' pages: authorization, the page frame and failure pages."""

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
from stateless_billing.web.http.networks import describe_network
from stateless_billing.web.operators.sessions import Sessions

log = logging.getLogger(__name__)

OperatorPage = Callable[[Request, Operator], Awaitable[Response]]

_NOT_READ = "could not be read. Nothing was changed and no money moved. Load the page again in a minute."


class PageFrame:
    """Renders pages in their frame and wraps page functions into handlers."""

    def __init__(self, services: Services, sessions: Sessions, templates: Environment) -> None:
        self.services = services
        self.sessions = sessions
        self._templates = templates

    def create_handler(self, show: OperatorPage, right: str = READ) -> Callable[[Request], Awaitable[Response]]:
        """Wrap a page function: require an operator with `right` and show failures as pages."""

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
                source = "The chain" if isinstance(error, ChainError) else "Stripe"
                log.warning("request %s: %s", request.scope.get("request_id"), error)
                return self.failure_page(request, 503, f"{source} is not answering", f"{source} {_NOT_READ}")

        return handler

    def failure_page(self, request: Request, status: int, title: str, detail: str) -> Response:
        """Render a page about a failure."""
        return self.render("admin_failure.html", request, status, title=title, detail=detail)

    def render(self, page: str, request: Request, status: int = 200, **values: Any) -> Response:
        """Render a page in the frame."""
        session = self.sessions.current(request)
        settings, token = self.services.settings, self.services.token
        frame = {
            "operator": session.operator if session else None,
            "live": settings.is_live,
            "chain": describe_network(settings.chain_id),
            "symbol": token.symbol if token else "",
            "path": request.url.path,
            "now": int(self.services.clock.wall()),
            "request_id": request.scope.get("request_id"),
            "session_ends": self.sessions.sign_ins.end_of(session) if session else 0,
            "dashboard": f"https://dashboard.stripe.com/{'' if settings.is_live else 'test/'}customers/",
        }
        headers = {"retry-after": "5"} if status == 503 else None
        return HTMLResponse(self._templates.get_template(page).render(frame | values), status, headers)
