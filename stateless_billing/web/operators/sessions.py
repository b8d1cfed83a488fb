"""Checks the session cookie on every request, and the origin of unsafe requests."""

import re
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from urllib.parse import unquote_plus

from starlette.requests import Request
from starlette.responses import Response

from chain.errors import ChainError
from stateless_billing.domain.errors import ProblemError
from stateless_billing.domain.form_ids import FORM_SECONDS
from stateless_billing.operators.roster import Operator
from stateless_billing.operators.sign_in import IDLE_SECONDS, SESSION_SECONDS, OperatorSession, SignIns
from stateless_billing.operators.signed_tokens import BadToken, ExpiredToken
from stateless_billing.services.container import Services
from stateless_billing.stripe.errors import StripeFailure
from stateless_billing.web.http.client_origin import request_origin
from stateless_billing.web.http.own_url import is_same_site, own_url

_PAGE = re.compile(r"/admin(/(customers/[A-Za-z0-9_]+|grants|stuck|decisions|rate|sessions|operators|help))?|/audit")
_STARTING = ("run",)
_MAX_PATH_CHARACTERS = 100
Handler = Callable[[Request], Awaitable[Response]]
SESSION_COOKIE = "__Host-session"
SIGN_IN_COOKIE = "__Host-asked"
WALLET_COOKIE = "__Host-wallet"


class Sessions:
    """Reads and writes the session and sign-in cookies.

    `last_sign_ins` are the latest sign-ins by operator, as far as this process has seen their sessions since
    `watching_since`, the first request of any.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self.sign_ins: SignIns = services.sign_ins
        self.last_sign_ins: dict[str, int] = {}
        self.watching_since = 0

    def current(self, request: Request) -> OperatorSession | None:
        """Return the session of the signed-in operator, or None."""
        session = self.sign_ins.session(request.cookies.get(SESSION_COOKIE))
        return None if session is None or self._services.sign_outs.is_ended(session) else session

    def create_handler(self, handler: Handler) -> Handler:
        """Wrap a handler: learn first which sessions were ended, and renew the cookie of a session in use."""

        async def handle(request: Request) -> Response:
            session = self.sign_ins.session(request.cookies.get(SESSION_COOKIE))
            if session:
                await self._services.sign_outs.refresh()
                if self._services.sign_outs.is_ended(session):
                    self.record(request, "ended_session_used", session.operator)
                else:
                    self._note_sign_in(session.operator, session.since)
                    if not is_quiet(request):
                        self._services.sweeper.order_watch.note_activity()
            response = await handler(request)
            session = self.current(request)
            cookie = self.sign_ins.renewed_cookie(session) if session and not is_quiet(request) else None
            if session and cookie and not _sets_cookie(response):
                left = session.since + SESSION_SECONDS - int(self._services.clock.wall())
                self.set_cookie(response, SESSION_COOKIE, cookie, min(left, IDLE_SECONDS))
            return response

        return handle

    def _note_sign_in(self, operator: Operator, since: int) -> None:
        self.watching_since = self.watching_since or int(self._services.clock.wall())
        self.last_sign_ins[operator.name] = max(since, self.last_sign_ins.get(operator.name, 0))

    def require(self, request: Request, right: str, *, require_recent_sign_in: bool = False) -> Operator:
        """Return the operator who is signed in with this right, if required within 12 hours.

        Raises: ProblemError.
        """
        if request.method not in ("GET", "HEAD"):
            self.check_origin(request)
        session = self.current(request)
        if session is None:
            if request.cookies.get(SESSION_COOKIE):
                self.record(request, "right_refused", right=right, cause="signed_out")
            raise ProblemError("signed_out", "You are signed out. Nothing was done. Sign in and press again.")
        operator = session.operator
        self._services.sign_outs.require_readable()
        if not operator.has_right(right):
            self.record(request, "right_refused", operator, right=right, cause="not_allowed")
            raise ProblemError(
                "not_allowed", f"Your role ({operator.role}) does not allow this. Nothing was done. Ask an admin."
            )
        if require_recent_sign_in and not self.sign_ins.is_recent(session):
            self.record(request, "right_refused", operator, right=right, cause="sign_in_again")
            raise ProblemError(
                "sign_in_again",
                "You signed in more than 12 hours ago. Nothing was done. Sign in again and press again.",
            )
        return operator

    def record(self, request: Request, event: str, operator: Operator | None = None, **fields: str | int) -> None:
        """Write a security event about a request; see `security_log`."""
        name, role = (operator.name, operator.role) if operator else ("", "")
        path = request.scope["path"][:_MAX_PATH_CHARACTERS]
        self._services.security_log.record(event, request_origin(request), name, **fields, role=role, path=path)

    @contextmanager
    def record_outcome(
        self, request: Request, operator: Operator, done: str, refused: str, **fields: str | int
    ) -> Iterator[dict[str, str | int]]:
        """Record the event `done` after the block, or `refused` with its cause.

        The block may add fields, and set `event` where the outcome is another.
        """
        try:
            yield fields
        except ProblemError as refusal:
            self.record(request, refused, operator, cause=refusal.code, **fields)
            raise
        except (StripeFailure, ChainError) as error:
            source = "chain" if isinstance(error, ChainError) else "stripe"
            self.record(request, refused, operator, cause=f"{source}_unavailable", **fields)
            raise
        self.record(request, str(fields.pop("event", done)), operator, **fields)

    def open_form(self, request: Request, kind: str, token: str, operator: Operator) -> dict[str, str]:
        """Open a signed form of this operator.

        Raises: ProblemError.
        """
        code, detail = "", ""
        try:
            form = self.sign_ins.tokens.open(kind, token, FORM_SECONDS)
            if form.get("operator") != operator.name:
                code, detail = "form_invalid", "This form belongs to another operator."
        except ExpiredToken:
            form, code, detail = {}, "form_dead", "This form is more than 22 hours old."
        except BadToken:
            form, code, detail = {}, "form_invalid", "This form is not ours or was altered."
        if code:
            self.record(request, "form_refused", operator, form=kind, cause=code)
            raise ProblemError(code, f"{detail} Nothing was done. Load the page again.")
        return form

    def check_origin(self, request: Request) -> None:
        """Reject requests from pages of other sites, by Sec-Fetch-Site and Origin.

        Our own forms send `Origin: null` because of the referrer policy, so Sec-Fetch-Site must vouch for them.

        Raises: ProblemError.
        """
        site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
        has_origin = origin is not None and not (origin == "null" and site == "same-origin")
        is_foreign = has_origin and not is_same_site(self._services.settings, origin or "")
        if is_foreign or site not in (None, "same-origin", "none"):
            self.record(request, "request_forged", site=(origin or site or "")[:100])
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

    def sign_in(self, request: Request, response: Response, operator: Operator) -> None:
        """Start a session, end the one that it replaces, and remove the cookies of the sign-in."""
        if replaced := self.current(request):
            self._services.sign_outs.end_session_later(replaced)
        cookie = self.sign_ins.create_session(operator, self._services.stripe.health.skew or 0)
        self.set_cookie(response, SESSION_COOKIE, cookie, IDLE_SECONDS)
        self._note_sign_in(operator, int(self._services.clock.wall()))
        for name in (SIGN_IN_COOKIE, WALLET_COOKIE):
            self.set_cookie(response, name, "", 0)

    def sign_out(self, response: Response) -> None:
        """Remove the cookie, and what the pages left in the browser: cached answers and drafts of forms."""
        self.set_cookie(response, SESSION_COOKIE, "", 0)
        response.headers["clear-site-data"] = '"cache", "storage"'


def is_quiet(request: Request) -> bool:
    """Whether a page asked by itself, without a person: that renews no session."""
    return request.headers.get("x-quiet") == "1"


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
