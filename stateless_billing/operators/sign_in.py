"""Sign-in by mail (link or code) or by wallet signature. All state is in signed cookies.

A link or code works only in the browser that requested it: its cookie must contain the address and the minute of the
request. All mails to one address in one minute are equal, so nothing in a mail depends on the browser.
"""

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from typing import Any

from cachetools import TTLCache

from stateless_billing.domain.errors import ProblemError
from stateless_billing.operators.mailer import Mail, Mailer
from stateless_billing.operators.roster import Operator, Roster, find_operator, is_email
from stateless_billing.operators.signed_tokens import BadToken, ExpiredToken, Tokens
from stateless_billing.operators.smart_accounts import SmartAccounts
from stateless_billing.operators.wallet_sign_in import WalletSignIns, require_operator
from stateless_billing.runtime.clock import Clock
from stateless_billing.runtime.token_bucket import RateLimit

SESSION_SECONDS = 7 * 24 * 3600
IDLE_SECONDS = 12 * 3600
_RENEWAL_SECONDS = 5 * 60  # a cookie is renewed at most so often
RECENT_SIGN_IN_SECONDS = 12 * 3600
LINK_SECONDS = 10 * 60
_MINUTE_SECONDS = 60
DAY_SECONDS = 24 * 3600
_MAX_REQUESTED_MINUTES = 5
_CACHE_SIZE = 100_000
_MAILS = RateLimit(rate=60 / DAY_SECONDS, burst=60)  # per address and process
_MAILS_OF_NETWORK = RateLimit(rate=20 / DAY_SECONDS, burst=20)  # so that one stranger cannot use them up
_CODE_ATTEMPTS = RateLimit(rate=1 / 60, burst=10)  # per asking browser and process: strangers lock nobody out

_TOKEN = re.compile(r"[\w.-]+", re.ASCII)

_REQUEST_NEW_MAIL = "You are not signed in. Ask for a new email."


@dataclass(frozen=True, slots=True)
class OperatorSession:
    """A signed-in operator, the Unix times of the sign-in and of the cookie, and the session's random id."""

    operator: Operator
    since: int
    id: str
    renewed_at: int


class SignIns:
    """Creates and verifies sessions, mails and wallet challenges."""

    def __init__(
        self,
        *,
        tokens: Tokens,
        roster: Roster,
        mailer: Mailer | None,
        chain_id: int,
        clock: Clock,
        smart_accounts: SmartAccounts | None = None,
    ) -> None:
        self.tokens = tokens
        self.mailer = mailer
        self._roster = roster
        self._clock = clock
        self.wallets = WalletSignIns(tokens, roster, chain_id, clock, smart_accounts)
        self._minutes: TTLCache[str, int] = TTLCache(_CACHE_SIZE, _MINUTE_SECONDS, clock.boot)
        self._mailed: TTLCache[str, int] = TTLCache(_CACHE_SIZE, _MINUTE_SECONDS, clock.boot)
        self._attempts: TTLCache[str, float] = TTLCache(_CACHE_SIZE, 24 * 3600, clock.boot)
        self._used_requests: TTLCache[tuple[str, str], bool] = TTLCache(_CACHE_SIZE, 2 * LINK_SECONDS, clock.boot)
        self._mails: TTLCache[tuple[str, str], float] = TTLCache(_CACHE_SIZE, DAY_SECONDS, clock.boot)

    @property
    def has_operators(self) -> bool:
        """Whether anyone can sign in."""
        return bool(self._roster)

    def session(self, token: str | None) -> OperatorSession | None:
        """Return the session of a cookie; None if invalid, idle for too long, expired or not on the roster."""
        if not token:
            return None
        try:
            values = self.tokens.open("session", token, IDLE_SECONDS)
        except BadToken:
            return None
        operator = find_operator(self._roster, str(values.get("who", "")))
        since, renewed_at = values.get("since", values["at"]), values["at"]  # cookies of older versions have no `since`
        if operator is None or type(since) is not int or self._clock.wall() - since > SESSION_SECONDS:
            return None
        return OperatorSession(operator, since, str(values.get("id", token)), renewed_at)

    def create_session(self, operator: Operator, skew: float = 0) -> str:
        """Create the cookie of a new session. `skew` is by how much our clock is ahead of Stripe's."""
        since = int(self._clock.wall() - skew)
        return self.tokens.seal("session", {"who": operator.name, "id": secrets.token_hex(16), "since": since})

    def renewed_cookie(self, session: OperatorSession) -> str | None:
        """Return the cookie of a session in use; None if its present one is new enough."""
        if self._clock.wall() - session.renewed_at < _RENEWAL_SECONDS:
            return None
        values = {"who": session.operator.name, "id": session.id, "since": session.since}
        return self.tokens.seal("session", values)

    def end_of(self, session: OperatorSession) -> int:
        """Return when a session ends if it is not used after this request."""
        now = int(self._clock.wall())
        renewed_at = now if now - session.renewed_at >= _RENEWAL_SECONDS else session.renewed_at
        return min(renewed_at + IDLE_SECONDS, session.since + SESSION_SECONDS)

    def is_recent(self, session: OperatorSession) -> bool:
        """Whether the sign-in is recent enough to give money."""
        return self._clock.wall() - session.since <= RECENT_SIGN_IN_SECONDS

    def request_link(
        self, email: str, cookie: str | None, onward: str, origin: str | None, network: str = ""
    ) -> tuple[str, Mail | None]:
        """Return the requesting browser's new cookie and the mail to send.

        The mail is None if the address is not on the roster or has this mail already. Links in it start with `origin`;
        without one it has only the code.

        `network` is the browser's: one network gets a third of an address's mails of a day.

        Raises: ProblemError if `email` is not an email address, or no more mails are sent to it today.
        """
        name = email.strip().lower()
        if not is_email(name):
            raise ProblemError(
                "invalid_input", "This is not an email address. Nothing was sent. Check it and try again."
            )
        if name not in self._minutes:
            self._count_mail(name, network)
        # Cookies are signed but not secret, so the minute must not depend on whether a mail is sent.
        minute = self._minutes.setdefault(name, int(self._clock.wall()) // _MINUTE_SECONDS)
        previous = self._open_request(cookie)
        minutes = previous.get("minutes", []) if previous.get("email") == name else []
        minutes = [*(earlier for earlier in minutes if earlier != minute), minute][-_MAX_REQUESTED_MINUTES:]
        nonce = previous.get("nonce") or secrets.token_hex(8)  # it stays: asking again gives no more attempts
        request = {"email": name, "minutes": minutes, "nonce": nonce, "onward": onward}
        mail = None
        if find_operator(self._roster, name) and self._mailed.get(name) != minute and self.mailer:
            self._mailed[name] = minute
            mail = self._create_mail(name, minute, origin)
        return self.tokens.seal("asked", request), mail

    def _count_mail(self, name: str, network: str) -> None:
        """Count a mail to an address, on the roster or not, so that a refusal does not reveal it.

        Raises: ProblemError.
        """
        now = self._clock.boot()
        for key, limit in (((name, network), _MAILS_OF_NETWORK), ((name, ""), _MAILS)):
            next_free_at, wait = limit.take(self._mails.get(key, 0.0), now)
            self._mails[key] = next_free_at
            if wait:
                raise ProblemError(
                    "rate_limited",
                    "Too many sign-in emails were asked for at this address today. Nothing was sent. Use the code of"
                    f" the latest email, sign in with a wallet, or ask again in {wait / 60:.0f} minutes.",
                )

    def record_not_sent(self, mail: Mail) -> None:
        """Record that a mail was not sent, so that the next request sends it."""
        self._mailed.pop(mail.to, None)

    def _create_mail(self, email: str, minute: int, origin: str | None) -> Mail:
        """Create the only mail of an address in a minute; it is the same for every browser."""
        code = _group_digits(self.tokens.code("code", f"{email} {minute}"))
        token = self.tokens.seal("link", {"email": email, "minute": minute}, at=minute * _MINUTE_SECONDS)
        text = f"Your code: {code}\n\nType it on the page where you asked for it. It works for 10 minutes.\n"
        html = f"<p>Your code: <strong>{code}</strong>. Type it on the page where you asked, within 10 minutes.</p>"
        if origin:
            link = f"{origin}/login/link?token={token}"
            text = f"Sign in: {link}\n\nThe link works for 10 minutes, in the browser that asked for it.\n\n{text}"
            html = f'<p><a href="{link}">Sign in</a> (10 minutes, in the browser that asked for it)</p>{html}'
        text += "\nIf you did not ask for this, ignore it. Nobody can sign in without this email.\n"
        key = f"sign-in/{hashlib.sha256(email.encode()).hexdigest()[:32]}/{minute}"
        return Mail(email, "Sign in to the moderators' pages", text, html, key)

    def _open_request(self, cookie: str | None) -> dict[str, Any]:
        try:
            return self.tokens.open("asked", cookie or "", LINK_SECONDS + _MINUTE_SECONDS)
        except BadToken:
            return {}

    def onward_path(self, cookie: str | None) -> str:
        """Return the page that the browser wanted to open."""
        return str(self._open_request(cookie).get("onward", ""))

    def requested_email(self, cookie: str | None) -> str | None:
        """Return the address for which this browser requested a mail."""
        return self._open_request(cookie).get("email")

    def email_of_link(self, token: str) -> tuple[str, int]:
        """Return a link's address and minute. What a mail program put behind it, such as a full stop, is ignored.

        Raises: ProblemError if it is too old or was altered.
        """
        try:
            values = self.tokens.open("link", _trim_token(token), LINK_SECONDS)
            return str(values["email"]), int(values["minute"])
        except ExpiredToken as error:
            raise ProblemError(
                "sign_in_failed", f"This link is more than 10 minutes old. {_REQUEST_NEW_MAIL}"
            ) from error
        except (BadToken, KeyError, ValueError, TypeError) as error:
            raise ProblemError(
                "sign_in_failed", f"This link is incomplete or was altered. {_REQUEST_NEW_MAIL}"
            ) from error

    def is_same_browser(self, token: str, cookie: str | None) -> bool:
        """Whether this browser requested the link.

        Raises: ProblemError if the link itself is invalid.
        """
        email, minute = self.email_of_link(token)
        request = self._open_request(cookie)
        return request.get("email") == email and minute in request.get("minutes", [])

    def code_of_link(self, token: str) -> str:
        """Return the code in the same mail as a link.

        Raises: ProblemError.
        """
        email, minute = self.email_of_link(token)
        return _group_digits(self.tokens.code("code", f"{email} {minute}"))

    def sign_in_by_link(self, token: str, cookie: str | None) -> Operator:
        """Return the operator who opened a link in the requesting browser.

        Raises: ProblemError.
        """
        if not self.is_same_browser(token, cookie):
            raise ProblemError(
                "sign_in_failed",
                "This link works only in the browser that asked for it. You are not signed in. Type the email's code"
                " there, or ask for a new email here.",
            )
        return self._finish_request(self._open_request(cookie))

    def sign_in_by_code(self, code: str, cookie: str | None) -> Operator:
        """Return the operator who typed a mail's code in the requesting browser.

        Raises: ProblemError.
        """
        request = self._open_request(cookie)
        if not request:
            raise ProblemError(
                "sign_in_failed", f"This browser asked for no link in the last 10 minutes. {_REQUEST_NEW_MAIL}"
            )
        email, browser, now = str(request["email"]), str(request.get("nonce")), self._clock.boot()
        next_free_at, wait = _CODE_ATTEMPTS.take(self._attempts.get(browser, 0.0), now)
        self._attempts[browser] = next_free_at
        if wait:
            raise ProblemError(
                "rate_limited",
                "Too many wrong codes from this browser. You are not signed in. Wait a minute and try again.",
            )
        typed = "".join(code.split()).replace("-", "").upper().encode()
        oldest = self._clock.wall() - LINK_SECONDS
        is_correct = False
        for minute in request.get("minutes", []):
            for expected in self.tokens.codes("code", f"{email} {minute}"):
                is_correct |= minute * _MINUTE_SECONDS >= oldest and hmac.compare_digest(typed, expected.encode())
        if not is_correct:
            raise ProblemError(
                "sign_in_failed", "This is not the email's code. You are not signed in. Check the code and try again."
            )
        self._attempts.pop(browser, None)
        return self._finish_request(request)

    def _finish_request(self, request: dict[str, Any]) -> Operator:
        """Return the operator who answered a request; it works once per process.

        Raises: ProblemError.
        """
        email, browser = str(request["email"]), str(request.get("nonce"))
        operator = require_operator(self._roster, email)
        if self._used_requests.setdefault((email, browser), False):
            raise ProblemError("sign_in_failed", f"This email signed somebody in before. {_REQUEST_NEW_MAIL}")
        self._used_requests[email, browser] = True
        return operator


def _trim_token(text: str) -> str:
    match = _TOKEN.match(text.strip())
    return match[0].rstrip(".") if match else ""


def _group_digits(code: str) -> str:
    return f"{code[:4]}-{code[4:]}"
