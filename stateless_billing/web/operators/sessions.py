"""Who is asking: the session's cookie against the roster, on every request, and where unsafe requests come from."""

from urllib.parse import SplitResult, urlsplit

from starlette.requests import Request
from starlette.responses import Response

from stateless_billing.domain.errors import ProblemError
from stateless_billing.operators.roster import Operator
from stateless_billing.operators.sign_in import SESSION_SECONDS, OperatorSession, SignIns
from stateless_billing.services.container import Services
from stateless_billing.web.http.networks import is_loopback

SESSION = "__Host-session"
ASKED = "__Host-asked"
WALLET = "__Host-wallet"


class Sessions:
    """Reads and writes the cookies."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self.signins: SignIns = services.sign_ins

    def current(self, request: Request) -> OperatorSession | None:
        """Whoever is signed in."""
        return self.signins.session(request.cookies.get(SESSION))

    def require(self, request: Request, right: str, *, require_recent_sign_in: bool = False) -> Operator:
        """The operator who asks, if the role has this right. `fresh`: signed in within 12 h. Raises ProblemError."""
        if request.method not in ("GET", "HEAD"):
            self.check_origin(request)
        session = self.current(request)
        if session is None:
            raise ProblemError("signed_out", "You are signed out. Nothing was done. Sign in and press again.")
        if not session.operator.has_right(right):
            raise ProblemError(
                "not_allowed",
                f"Your role ({session.operator.role}) does not allow this. Nothing was done. Ask an admin.",
            )
        if require_recent_sign_in and not self.signins.is_recent(session):
            raise ProblemError(
                "sign_in_again",
                "You signed in more than 12 hours ago. Nothing was done. Sign in again and press again.",
            )
        return session.operator

    def check_origin(self, request: Request) -> None:
        """Refuse an unsafe request of another site's page: Sec-Fetch-Site first, then Origin. Raises ProblemError.

        Our own forms say `Origin: null`, because they send no referrer; then Sec-Fetch-Site must speak for them.
        """
        site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
        named = origin is not None and not (origin == "null" and site == "same-origin")
        theirs, ours = _split_origin(origin or ""), _split_origin(self.origin(request))
        other = named and not (theirs and ours and theirs.netloc == ours.netloc)
        if other or site not in (None, "same-origin", "none"):
            raise ProblemError(
                "forged_request",
                "The request came from another site's page. Nothing was done. Open our page and try again.",
            )

    def origin(self, request: Request) -> str:
        """The address that this site is known by."""
        return self._services.settings.public_url or f"{request.url.scheme}://{request.headers.get('host', '')}"

    def trusted_origin(self, request: Request) -> str | None:
        """The same, where a mail may carry it: what a visitor claims in a header is believed on this machine alone."""
        if public := self._services.settings.public_url:
            return public
        parts = _split_origin(self.origin(request))
        return self.origin(request) if parts and is_loopback(parts.hostname or "") else None

    def set_cookie(self, answer: Response, name: str, value: str, seconds: int) -> None:
        """Set a cookie that scripts cannot read and other sites' forms do not carry. An empty value removes it.

        `Secure` holds on this machine too: browsers take http on localhost and 127.0.0.1 for trustworthy.
        """
        answer.set_cookie(
            name, value, max_age=seconds if value else 0, path="/", secure=True, httponly=True, samesite="lax"
        )

    def begin(self, answer: Response, who: Operator) -> None:
        """Sign somebody in; what the signing in needed is used up."""
        self.set_cookie(answer, SESSION, self.signins.create_session(who), SESSION_SECONDS)
        for name in (ASKED, WALLET):
            self.set_cookie(answer, name, "", 0)

    def end(self, answer: Response) -> None:
        """Sign out."""
        self.set_cookie(answer, SESSION, "", 0)


def _split_origin(origin: str) -> SplitResult | None:
    """An origin in its parts; None for what is none."""
    try:
        return urlsplit(origin)
    except ValueError:
        return None


def local_path(text: str) -> str:
    """A way onward within the operators' pages; anything else leads to their first page."""
    within = text in ("/admin", "/audit") or text.startswith(("/admin/", "/admin?", "/audit/", "/audit?"))
    return text if within and text.isprintable() and "\\" not in text else "/admin"
