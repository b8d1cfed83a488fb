"""`/login` and `/logout`: sign-in by mailed link or code, or by wallet signature."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qsl

from cachetools import TTLCache
from jinja2 import Environment
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from stateless_billing.domain.errors import PROBLEMS, ProblemError
from stateless_billing.operators.mailer import Mail
from stateless_billing.operators.roster import END_SESSIONS, READ, find_operator
from stateless_billing.operators.sign_in import LINK_SECONDS, OperatorSession
from stateless_billing.operators.wallet_sign_in import WALLET_SECONDS
from stateless_billing.runtime.security_log import mask_name
from stateless_billing.runtime.token_bucket import RateLimit
from stateless_billing.services.container import Services
from stateless_billing.web.api.requests import ChallengeRequest, SignatureRequest
from stateless_billing.web.http import inputs
from stateless_billing.web.operators.sessions import SIGN_IN_COOKIE, WALLET_COOKIE, Sessions, local_path
from stateless_billing.web.server.rate_limits import client_origin

MIN_RESPONSE_SECONDS = 0.5  # hides from timing who is on the roster
_MAX_FORM_BYTES = 8 * 1024
_MAX_FIELDS = 20
_ATTEMPTS = RateLimit(rate=1 / 6, burst=20)  # per client network and process
_CACHE_SIZE = 100_000


class SignInPages:
    """Handlers of sign-in and sign-out."""

    def __init__(self, services: Services, sessions: Sessions, templates: Environment) -> None:
        self._services = services
        self._sessions = sessions
        self._templates = templates
        self._sign_ins = services.sign_ins
        self._attempts: TTLCache[str, float] = TTLCache(_CACHE_SIZE, 3600, services.clock.boot)
        self._sending: set[asyncio.Task[None]] = set()

    async def show_form(self, request: Request) -> Response:
        """`GET /login?next=`."""
        return self._render("sign_in.html", request, onward=local_path(request.query_params.get("next", "")))

    async def request_link(self, request: Request) -> Response:
        """`POST /login`: mail a link. Response and timing are the same for unknown addresses."""
        self._sessions.check_origin(request)
        min_delay = asyncio.create_task(asyncio.sleep(MIN_RESPONSE_SECONDS))
        form: dict[str, str] = {}
        try:
            form = await self._read_form(request)
            if self._sign_ins.mailer is None:
                raise ProblemError("sign_in_failed", "This service sends no email. Sign in with your wallet.")
            onward, origin = local_path(form.get("next", "")), self._sessions.origin(request)
            network = client_origin(request.scope, self._services.settings.client_ip_header)
            cookie, mail = self._sign_ins.request_link(
                form.get("email", ""), request.cookies.get(SIGN_IN_COOKIE), onward, origin, network
            )
            self._record(request, "sign_in_requested", "mail", form["email"])
        except ProblemError as refusal:
            self._record(request, "sign_in_failed", "mail", form.get("email", ""), cause=refusal.code)
            onward = local_path(form.get("next", ""))
            return self._render_refusal("sign_in.html", request, refusal, onward=onward, email=form.get("email", ""))
        if mail:
            self._send(mail)
        await min_delay
        response = self._render("sign_in_mail.html", request, email=form["email"].strip())
        self._sessions.set_cookie(response, SIGN_IN_COOKIE, cookie, LINK_SECONDS)
        return response

    def _send(self, mail: Mail) -> None:
        """Send in the background: waiting would reveal that the address is on the roster."""
        task = asyncio.create_task(self._deliver(mail))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _deliver(self, mail: Mail) -> None:
        assert self._sign_ins.mailer is not None
        if not await self._sign_ins.mailer.send(mail):
            self._sign_ins.record_not_sent(mail)

    async def show_link(self, request: Request) -> Response:
        """`GET /login/link?token=`: only show a button, because mail scanners open links."""
        token, cookie = request.query_params.get("token", ""), request.cookies.get(SIGN_IN_COOKIE)
        if self._is_link_of_session(request, token):
            return RedirectResponse("/admin", 303)
        try:
            email, _ = self._sign_ins.email_of_link(token)
            same_browser = self._sign_ins.is_same_browser(token, cookie)
            code = None if same_browser else self._sign_ins.code_of_link(token)
        except ProblemError as refusal:
            self._record(request, "sign_in_failed", "link", "", cause=refusal.code)
            onward = local_path(self._sign_ins.onward_path(cookie))
            return self._render_refusal("sign_in.html", request, refusal, onward=onward, email="")
        return self._render("sign_in_link.html", request, token=token, email=email, code=code)

    def _is_link_of_session(self, request: Request, token: str) -> bool:
        """Whether a link is over or its operator's, in a browser that is signed in: then it has nothing to do."""
        session = self._sessions.current(request)
        if session is None:
            return False
        try:
            email, _ = self._sign_ins.email_of_link(token)
        except ProblemError:
            return True
        return self._is_same_person(email, session)

    def _is_same_person(self, email: str, session: OperatorSession) -> bool:
        return not email or self._services.settings.operators.identity_of(email) == session.operator.name

    async def sign_in_by_link(self, request: Request) -> Response:
        """`POST /login/link`: sign in by the mailed link."""
        return await self._sign_in(
            request,
            "link",
            lambda form: self._sign_ins.sign_in_by_link(form.get("token", ""), request.cookies.get(SIGN_IN_COOKIE)),
        )

    async def sign_in_by_code(self, request: Request) -> Response:
        """`POST /login/code`: sign in by the mailed code."""
        return await self._sign_in(
            request,
            "code",
            lambda form: self._sign_ins.sign_in_by_code(form.get("code", ""), request.cookies.get(SIGN_IN_COOKIE)),
            "sign_in_mail.html",
        )

    async def _sign_in(
        self, request: Request, method: str, verify: Callable[[dict[str, str]], Any], page: str = "sign_in.html"
    ) -> Response:
        self._sessions.check_origin(request)
        cookie = request.cookies.get(SIGN_IN_COOKIE)
        onward = local_path(self._sign_ins.onward_path(cookie))
        try:
            operator = verify(await self._read_form(request))
        except ProblemError as refusal:
            session, email = self._sessions.current(request), self._sign_ins.requested_email(cookie) or ""
            if method == "link" and session and self._is_same_person(email, session):  # the button was pressed twice
                return RedirectResponse(onward, 303)
            self._record(request, "sign_in_failed", method, email, cause=refusal.code)
            return self._render_refusal(page if email else "sign_in.html", request, refusal, onward=onward, email=email)
        response = RedirectResponse(onward, 303)
        self._sessions.sign_in(request, response, operator)
        self._sessions.record(request, "sign_in_succeeded", operator, method=method)
        return response

    async def create_challenge(self, request: Request) -> Response:
        """`POST /login/wallet/message` `{address, next}`: create the message to sign."""
        self._sessions.check_origin(request)
        self._limit_attempts(request)
        body = await inputs.read_body(request, ChallengeRequest)
        address = inputs.parse_wallet(body.address, "address")
        self._record(request, "sign_in_requested", "wallet", address)
        onward = local_path(body.next)
        message, cookie = self._sign_ins.wallets.create_challenge(address, self._sessions.origin(request), onward)
        response = JSONResponse({"message": message})
        self._sessions.set_cookie(response, WALLET_COOKIE, cookie, WALLET_SECONDS)
        return response

    async def sign_in_by_wallet(self, request: Request) -> Response:
        """`POST /login/wallet` `{signature}`: sign in by the signed message."""
        self._sessions.check_origin(request)
        self._limit_attempts(request)
        body = await inputs.read_body(request, SignatureRequest)
        cookie = request.cookies.get(WALLET_COOKIE)
        origin, min_delay = self._sessions.origin(request), asyncio.create_task(asyncio.sleep(MIN_RESPONSE_SECONDS))
        try:
            operator, onward = await self._sign_ins.wallets.sign_in(body.signature, cookie, origin)
        except ProblemError as refusal:
            address = self._sign_ins.wallets.requested_address(cookie)
            self._record(request, "sign_in_failed", "wallet", address, cause=refusal.code)
            await min_delay  # only operators' smart accounts are asked
            raise
        response = JSONResponse({"next": local_path(onward)})
        self._sessions.sign_in(request, response, operator)
        self._sessions.record(request, "sign_in_succeeded", operator, method="wallet")
        return response

    async def sign_out(self, request: Request) -> Response:
        """`POST /logout`: end the session, wherever its cookie is."""
        self._sessions.check_origin(request)
        session = self._sessions.current(request)
        if session is None:
            return await self._end(request, None)
        self._sessions.record(request, "session_ended", session.operator, scope="session")
        return await self._end(request, self._services.sign_outs.end_session(session))

    async def sign_out_everywhere(self, request: Request) -> Response:
        """`POST /logout/everywhere` `name`: end all sessions of an operator; of another only as an admin."""
        operator = self._sessions.require(request, READ)
        roster = self._services.settings.operators
        name = roster.identity_of((await self._read_form(request)).get("name", operator.name))
        if name == operator.name:
            self._sessions.record(request, "session_ended", operator, scope="operator")
            return await self._end(request, self._services.sign_outs.end_operator(name))
        self._sessions.require(request, END_SESSIONS)
        if name not in roster:
            raise ProblemError("invalid_input", "OPERATORS has no such operator. Nobody was signed out.")
        await self._services.sign_outs.end_operator(name)
        self._sessions.record(request, "session_ended", operator, scope="operator", subject=name)
        return RedirectResponse("/admin/sessions?ended=1", 303)

    async def _end(self, request: Request, end: Awaitable[None] | None) -> Response:
        """Remove the cookie in any case, and say if the end was not stored."""
        response: Response = RedirectResponse("/login?left=1", 303)
        if end is not None:
            try:
                await end
            except ProblemError as refusal:
                response = self._render_refusal("sign_in.html", request, refusal, onward="/admin", email="")
        self._sessions.sign_out(response)
        return response

    def _record(self, request: Request, event: str, method: str, name: str, **fields: str) -> None:
        """Record an attempt to sign in: an operator by name, a stranger masked."""
        operator = find_operator(self._services.settings.operators, name)
        subject = "" if operator or not name else mask_name(name)
        self._sessions.record(request, event, operator, method=method, subject=subject, **fields)

    def _limit_attempts(self, request: Request) -> None:
        """Limit the attempts per client network. Raises: ProblemError."""
        key = client_origin(request.scope, self._services.settings.client_ip_header)
        next_free_at, wait = _ATTEMPTS.take(self._attempts.get(key, 0.0), self._services.clock.boot())
        self._attempts[key] = next_free_at
        if wait:
            self._sessions.record(request, "limit_reached", limit="attempts to sign in")
            raise ProblemError(
                "rate_limited",
                f"Too many attempts from your network. You are not signed in. Try again in {wait:.0f} s.",
            )

    async def _read_form(self, request: Request) -> dict[str, str]:
        """Read the fields of an HTML form. Raises: ProblemError."""
        self._limit_attempts(request)
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > _MAX_FORM_BYTES:
                raise ProblemError("body_too_large", "The form is too large. You are not signed in.")
        try:
            return dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=_MAX_FIELDS))
        except ValueError as error:
            raise ProblemError("bad_request", "The form has too many fields. You are not signed in.") from error

    def _render(self, page: str, request: Request, status: int = 200, **values: Any) -> HTMLResponse:
        settings = self._services.settings
        defaults = {
            "problem": None,
            "email": "",
            "mail": self._sign_ins.mailer is not None,
            "has_operators": self._sign_ins.has_operators,
            "signed_out": "left" in request.query_params,
            "live": settings.is_live,
            "operator": None,
        }
        return HTMLResponse(self._templates.get_template(page).render(defaults | values), status)

    def _render_refusal(self, page: str, request: Request, refusal: ProblemError, **values: Any) -> HTMLResponse:
        return self._render(page, request, PROBLEMS[refusal.code][0], problem=refusal.detail, **values)
