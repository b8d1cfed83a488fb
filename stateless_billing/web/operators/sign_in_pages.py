"""`/login`: the page, the mail, its link and code, a wallet's signature, and the way out."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

from cachetools import TTLCache
from jinja2 import Environment
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from stateless_billing.domain.errors import PROBLEMS, ProblemError
from stateless_billing.operators.mailer import Mail
from stateless_billing.operators.sign_in import LINK_SECONDS, WALLET_SECONDS
from stateless_billing.runtime.token_bucket import RateLimit
from stateless_billing.services.container import Services
from stateless_billing.web.http import inputs
from stateless_billing.web.operators.sessions import ASKED, WALLET, Sessions, local_path
from stateless_billing.web.server.rate_limits import client_origin

log = logging.getLogger(__name__)

ASK_SECONDS = 0.5  # no question is answered sooner, so that the time does not tell who is on the roster
_MAX_FORM_BYTES = 8 * 1024
_MAX_FIELDS = 20
_ATTEMPTS = RateLimit(rate=1 / 6, burst=20)  # per address of origin and process
_CACHE_SIZE = 100_000


class SignInPages:
    """The handlers."""

    def __init__(self, services: Services, sessions: Sessions, templates: Environment) -> None:
        self._services, self._sessions, self._templates = services, sessions, templates
        self._signins = services.sign_ins
        self._attempts: TTLCache[str, float] = TTLCache(_CACHE_SIZE, 3600, services.clock.boot)
        self._sending: set[asyncio.Task[None]] = set()

    async def page(self, request: Request) -> Response:
        """`GET /login?next=`."""
        return self._render("sign_in.html", request, onward=local_path(request.query_params.get("next", "")))

    async def ask(self, request: Request) -> Response:
        """`POST /login`: an email address. The same answer, after the same time, whoever is meant."""
        self._sessions.check_origin(request)
        slowest = asyncio.create_task(asyncio.sleep(ASK_SECONDS))
        form: dict[str, str] = {}
        try:
            form = await self._form(request)
            if self._signins.mailer is None:
                raise ProblemError("sign_in_failed", "This service sends no email. Sign in with your wallet.")
            onward, origin_ = local_path(form.get("next", "")), self._sessions.trusted_origin(request)
            cookie, mail = self._signins.request_link(
                form.get("email", ""), request.cookies.get(ASKED), onward, origin_
            )
        except ProblemError as refusal:
            onward = local_path(form.get("next", ""))
            return self._render_refusal("sign_in.html", request, refusal, onward=onward, email=form.get("email", ""))
        if mail:
            self._send(mail)
        await slowest
        answer = self._render("sign_in_mail.html", request, email=form["email"].strip())
        self._sessions.set_cookie(answer, ASKED, cookie, LINK_SECONDS)
        return answer

    def _send(self, mail: Mail) -> None:
        """Send without waiting: how long it takes would tell that the address is known."""
        task = asyncio.create_task(self._deliver(mail))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _deliver(self, mail: Mail) -> None:
        assert self._signins.mailer is not None
        if not await self._signins.mailer.send(mail):
            self._signins.record_not_sent(mail)

    async def link(self, request: Request) -> Response:
        """`GET /login/link?token=`: shows a button, does nothing. A mail's scanner may follow it."""
        token, cookie = request.query_params.get("token", ""), request.cookies.get(ASKED)
        try:
            email, _ = self._signins.email_of_link(token)
            here = self._signins.is_same_browser(token, cookie)
            code = None if here else self._signins.code_of(token)
        except ProblemError as refusal:
            onward = local_path(self._signins.onward_path(cookie))
            return self._render_refusal("sign_in.html", request, refusal, onward=onward, email="")
        return self._render("sign_in_link.html", request, token=token, email=email, code=code)

    async def follow(self, request: Request) -> Response:
        """`POST /login/link`: the button."""
        return await self._finish(
            request, lambda form: self._signins.sign_in_by_link(form.get("token", ""), request.cookies.get(ASKED))
        )

    async def code(self, request: Request) -> Response:
        """`POST /login/code`: the code of the mail."""
        return await self._finish(
            request,
            lambda form: self._signins.sign_in_by_code(form.get("code", ""), request.cookies.get(ASKED)),
            "sign_in_mail.html",
        )

    async def _finish(
        self, request: Request, check: Callable[[dict[str, str]], Any], page: str = "sign_in.html"
    ) -> Response:
        self._sessions.check_origin(request)
        cookie = request.cookies.get(ASKED)
        onward = local_path(self._signins.onward_path(cookie))
        try:
            who = check(await self._form(request))
        except ProblemError as refusal:
            email = self._signins.requested_email(cookie) or ""
            return self._render_refusal(page if email else "sign_in.html", request, refusal, onward=onward, email=email)
        answer = RedirectResponse(onward, 303)
        self._sessions.begin(answer, who)
        log.info("%s signed in by mail", who.role)
        return answer

    async def challenge(self, request: Request) -> Response:
        """`POST /login/wallet/message` `{address, next}`: the text to sign."""
        self._sessions.check_origin(request)
        self._throttle(request)
        body = await inputs.read_json_object(request, {"address", "next"})
        address = inputs.parse_wallet(body.get("address"), "address")
        onward = local_path(inputs.read_text(body, "next"))
        message, cookie = self._signins.create_challenge(address, self._sessions.origin(request), onward)
        answer = JSONResponse({"message": message})
        self._sessions.set_cookie(answer, WALLET, cookie, WALLET_SECONDS)
        return answer

    async def wallet(self, request: Request) -> Response:
        """`POST /login/wallet` `{signature}`: the signed text."""
        self._sessions.check_origin(request)
        self._throttle(request)
        body = await inputs.read_json_object(request, {"signature"})
        cookie = request.cookies.get(WALLET)
        who, onward = self._signins.sign_in_by_wallet(
            inputs.read_text(body, "signature"), cookie, self._sessions.origin(request)
        )
        answer = JSONResponse({"next": local_path(onward)})
        self._sessions.begin(answer, who)
        log.info("%s signed in by wallet", who.role)
        return answer

    async def leave(self, request: Request) -> Response:
        """`POST /logout`."""
        self._sessions.check_origin(request)
        answer = RedirectResponse("/login?left=1", 303)
        self._sessions.end(answer)
        return answer

    def _throttle(self, request: Request) -> None:
        """How often somebody tries from one address. Raises ProblemError."""
        key = client_origin(request, self._services.settings.client_ip_header)
        next_free_at, wait = _ATTEMPTS.take(self._attempts.get(key, 0.0), self._services.clock.boot())
        self._attempts[key] = next_free_at
        if wait:
            raise ProblemError(
                "rate_limited",
                f"Too many attempts from your network. You are not signed in. Try again in {wait:.0f} s.",
            )

    async def _form(self, request: Request) -> dict[str, str]:
        """An ordinary form's fields. Raises ProblemError."""
        self._throttle(request)
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
        usual = {
            "problem": None,
            "email": "",
            "mail": self._signins.mailer is not None,
            "has_operators": self._signins.has_operators,
            "signed_out": "left" in request.query_params,
            "live": settings.is_live,
            "operator": None,
        }
        return HTMLResponse(self._templates.get_template(page).render(usual | values), status)

    def _render_refusal(self, page: str, request: Request, refusal: ProblemError, **values: Any) -> HTMLResponse:
        return self._render(page, request, PROBLEMS[refusal.code][0], problem=refusal.detail, **values)
