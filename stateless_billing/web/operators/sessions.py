"""Checks the session cookie on every request, and the origin of unsafe requests."""

import re
from collections.abc import Awaitable, Callable
from urllib.parse import unquote_plus

from starlette.requests import Request
from starlette.responses import Response

from stateless_billing.domain.errors import ProblemError
from stateless_billing.operators.roster import Operator
from stateless_billing.operators.sign_in import IDLE_SECONDS, SESSION_SECONDS, OperatorSession, SignIns
from stateless_billing.services.container import Services
from stateless_billing.web.http.own_url import is_same_site, own_url

_PAGE = re.compile(r"/admin(/(customers/[A-Za-z0-9_]+|grants|stuck|rate|sessions))?|/audit")
_STARTING = ("run",)
Handler = Callable[[Request], Awaitable[Response]]
SESSION_COOKIE = "__Host-session"
SIGN_IN_COOKIE = "__Host-asked"
WALLET_COOKIE = "__Host-wallet"


class Sessions:
    """Reads and writes the session and sign-in cookies."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self.sign_ins: SignIns = services.sign_ins

    def current(self, request: Request) -> OperatorSession | None:
        """Return the session of the signed-in operator, or None."""
        session = self.sign_ins.session(request.cookies.get(SESSION_COOKIE))
        return None if session is None or self._services.sign_outs.is_ended(session) else session

    def create_handler(self, handler: Handler) -> Handler:
        """Wrap a handler: learn first which sessions were ended, and renew the cookie of a session in use."""

        async def handle(request: Request) -> Response:
            if self.sign_ins.session(request.cookies.get(SESSION_COOKIE)):
                await self._services.sign_outs.refresh()
            response = await handler(request)
            session = self.current(request)
            cookie = self.sign_ins.renewed_cookie(session) if session else None
            if session and cookie and not _sets_cookie(response):
                left = session.since + SESSION_SECONDS - int(self._services.clock.wall())
                self.set_cookie(response, SESSION_COOKIE, cookie, min(left, IDLE_SECONDS))
            return response

        return handle

    def require(self, request: Request, right: str, *, require_recent_sign_in: bool = False) -> Operator:
        """Return the operator who is signed in with this right, if required within 12 hours.

        Raises: ProblemError.
        """
        if request.method not in ("GET", "HEAD"):
            self.check_origin(request)
        session = self.current(request)
        if session is None:
            raise ProblemError("signed_out", "You are signed out. Nothing was done. Sign in and press again.")
        self._services.sign_outs.require_readable()
        if not session.operator.has_right(right):
            raise ProblemError(
                "not_allowed",
                f"Your role ({session.operator.role}) does not allow this. Nothing was done. Ask an admin.",
            )
        if require_recent_sign_in and not self.sign_ins.is_recent(session):
            raise ProblemError(
                "sign_in_again",
                "You signed in more than 12 hours ago. Nothing was done. Sign in again and press again.",
            )
        return session.operator

    def check_origin(self, request: Request) -> None:
        """Reject requests from pages of other sites, by Sec-Fetch-Site and Origin.

        Our own forms send `Origin: null` because of the referrer policy, so Sec-Fetch-Site must vouch for them.

        Raises: ProblemError.
        """
        site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
        has_origin = origin is not None and not (origin == "null" and site == "same-origin")
        is_foreign = has_origin and not is_same_site(self._services.settings, origin or "")
        if is_foreign or site not in (None, "same-origin", "none"):
            raise ProblemError(
                "forged_request",
                "The request came from another site's page. Nothing was done. Open our page and try again.",
            )

    def origin(self, request: Request) -> str:
        """Return the origin of this site.

        Raises: ProblemError if the settings name none, so that nobody can sign in.
        """
        origin = own_url(self._services.settings, request)
        if origin is None:
            raise ProblemError(
                "sign_in_failed", "Nobody can sign in here: the setting PUBLIC_URL is empty. You are not signed in."
            )
        return origin

    def set_cookie(self, response: Response, name: str, value: str, seconds: int) -> None:
        """Set a cookie that scripts cannot read and other sites' forms do not send.

        An empty value removes it. `Secure` works in development too: browsers treat http on localhost and 127.0.0.1 as
        trustworthy.
        """
        response.set_cookie(
            name, value, max_age=seconds if value else 0, path="/", secure=True, httponly=True, samesite="lax"
        )

    def sign_in(self, response: Response, operator: Operator) -> None:
        """Start a session and remove the cookies of the sign-in."""
        cookie = self.sign_ins.create_session(operator, self._services.stripe.health.skew or 0)
        self.set_cookie(response, SESSION_COOKIE, cookie, IDLE_SECONDS)
        for name in (SIGN_IN_COOKIE, WALLET_COOKIE):
            self.set_cookie(response, name, "", 0)

    def sign_out(self, response: Response) -> None:
        """End the session."""
        self.set_cookie(response, SESSION_COOKIE, "", 0)


def _sets_cookie(response: Response) -> bool:
    """Whether a handler signed somebody in or out."""
    name = f"{SESSION_COOKIE}=".encode()
    return any(key == b"set-cookie" and value.startswith(name) for key, value in response.raw_headers)


def local_path(text: str) -> str:
    """Return the path of a page to open after signing in, else `/admin`.

    It leads to a page and begins nothing: downloads are left out, and so is the parameter that starts an audit.
    """
    path, _, query = text.partition("?")
    if not _PAGE.fullmatch(path) or not text.isprintable() or "\\" in text or "#" in text:
        return "/admin"
    kept = [part for part in query.split("&") if part and unquote_plus(part.partition("=")[0]) not in _STARTING]
    return f"{path}?{'&'.join(kept)}" if kept else path
