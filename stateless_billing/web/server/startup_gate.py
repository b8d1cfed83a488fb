"""Lets requests wait for the checks of the start, and keeps from writing what must wait until they have passed."""

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from stateless_billing.services.startup import Startup
from stateless_billing.web.http import health
from stateless_billing.web.http.problems import problem_response

_PATIENCE_SECONDS = 10.0
_READING = ("GET", "HEAD")
_OPERATORS = ("/admin", "/audit", "/api/admin")
_LATER = (
    "since this server started. Nothing was done and no money moved. Payments you already made are safe and are"
    " credited as soon as it can be. Try again in a few seconds."
)
_DETAILS = {
    "chain_unavailable": f"The chain could not be read {_LATER}",
    "stripe_unavailable": f"Stripe could not be read {_LATER}",
}


class StartupGateMiddleware:
    """Holds each request until the first attempt has ended.

    While Stripe or the chain could not be read, payers' pages are served and nothing is signed or written: operators'
    pages complete grants when they are opened.
    """

    def __init__(self, app: ASGIApp, startup: Startup) -> None:
        self._app = app
        self._startup = startup

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or refuse what writes."""
        if scope["type"] == "http" and not self._startup.has_passed and scope["path"] != health.PATH:
            has_passed = await self._startup.wait(_PATIENCE_SECONDS)
            if not has_passed and (scope["method"] not in _READING or _is_operators(scope["path"])):
                code = "chain_unavailable" if self._startup.token is None else "stripe_unavailable"
                await problem_response(Request(scope), code, _DETAILS[code])(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _is_operators(path: str) -> bool:
    return any(f"{path}/".startswith(f"{prefix}/") for prefix in _OPERATORS)
