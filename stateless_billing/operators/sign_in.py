"""Who signs in, and how: a link or a code by mail, or a wallet's signature. Nothing is stored but in signed cookies.

A link or code works only in the browser that asked for it: the browser's cookie must name the same address and one of
the minutes in which it asked. All mails to an address within a minute are one mail, so nothing in it is the browser's.
"""

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cachetools import TTLCache

from chain.messages import SignIn, signer_of
from stateless_billing.domain.errors import ProblemError
from stateless_billing.operators.mailer import Mail, Mailer
from stateless_billing.operators.roster import Operator, find_operator, is_email, is_wallet
from stateless_billing.operators.signed_tokens import BadToken, ExpiredToken, Tokens
from stateless_billing.runtime.clock import Clock
from stateless_billing.runtime.token_bucket import RateLimit

SESSION_SECONDS = 7 * 24 * 3600
RECENT_SIGN_IN_SECONDS = 12 * 3600
LINK_SECONDS = 15 * 60
WALLET_SECONDS = 5 * 60
_MINUTE = 60
_MAX_MINUTES = 5
_CACHE_SIZE = 100_000
_MAX_GUESSES = RateLimit(rate=1 / 60, burst=10)  # codes for one address, in this process

_ASK_AGAIN = "You are not signed in. Ask for a new email."


@dataclass(frozen=True, slots=True)
class OperatorSession:
    """Somebody who is signed in, and since when (unix seconds)."""

    operator: Operator
    since: int


class SignIns:
    """Makes and checks what signing in needs."""

    def __init__(
        self, *, tokens: Tokens, roster: Mapping[str, str], mailer: Mailer | None, chain_id: int, clock: Clock
    ) -> None:
        self.tokens = tokens
        self._roster = roster
        self.mailer = mailer
        self._chain_id = chain_id
        self._clock = clock
        self._minutes: TTLCache[str, int] = TTLCache(_CACHE_SIZE, _MINUTE, clock.boot)
        self._mailed: TTLCache[str, int] = TTLCache(_CACHE_SIZE, _MINUTE, clock.boot)
        self._guessed: TTLCache[str, float] = TTLCache(_CACHE_SIZE, 24 * 3600, clock.boot)

    @property
    def has_operators(self) -> bool:
        """Whether there is anybody who could sign in."""
        return bool(self._roster)

    def session(self, token: str | None) -> OperatorSession | None:
        """Who a session's cookie belongs to; None where it is none, too old, or not on the roster any more."""
        if not token:
            return None
        try:
            values = self.tokens.open("session", token, SESSION_SECONDS)
        except BadToken:
            return None
        found = find_operator(self._roster, str(values.get("who", "")))
        return OperatorSession(found, values["at"]) if found else None

    def create_session(self, who: Operator) -> str:
        """A new session's cookie."""
        return self.tokens.seal("session", {"who": who.name})

    def is_recent(self, session: OperatorSession) -> bool:
        """Whether the sign-in is young enough for giving money."""
        return self._clock.wall() - session.since <= RECENT_SIGN_IN_SECONDS

    def request_link(self, email: str, cookie: str | None, onward: str, origin: str | None) -> tuple[str, Mail | None]:
        """The asking browser's cookie, and the mail to send: None for who is not on the roster, or has it already.

        `origin` is where links lead; None leaves the code alone in the mail. Raises ProblemError for no address.
        """
        name = email.strip().lower()
        if not is_email(name):
            raise ProblemError(
                "invalid_input", "This is not an email address. Nothing was sent. Check it and try again."
            )
        # Cookies are signed, not secret: the minute in them is the same whether or not there is a mail.
        minute = self._minutes.setdefault(name, int(self._clock.wall()) // _MINUTE)
        before = self._open_request(cookie)
        minutes = before.get("minutes", []) if before.get("email") == name else []
        minutes = [*(one for one in minutes if one != minute), minute][-_MAX_MINUTES:]
        asked = {"email": name, "minutes": minutes, "nonce": secrets.token_hex(8), "onward": onward}
        mail = None
        if find_operator(self._roster, name) and self._mailed.get(name) != minute and self.mailer:
            self._mailed[name] = minute
            mail = self._create_mail(name, minute, origin)
        return self.tokens.seal("asked", asked), mail

    def record_not_sent(self, mail: Mail) -> None:
        """A mail did not go out: the next one to ask for it has it sent again."""
        self._mailed.pop(mail.to, None)

    def _create_mail(self, email: str, minute: int, origin: str | None) -> Mail:
        """The one mail of an address in a minute: nothing in it depends on who asked, or where."""
        code = _group_digits(self.tokens.code("code", f"{email} {minute}"))
        token = self.tokens.seal("link", {"email": email, "minute": minute}, at=minute * _MINUTE)
        text = f"Your code: {code}\n\nType it on the page where you asked for it. It works for 15 minutes.\n"
        html = f"<p>Your code: <strong>{code}</strong>. Type it on the page where you asked, within 15 minutes.</p>"
        if origin:
            link = f"{origin}/login/link?token={token}"
            text = f"Sign in: {link}\n\nThe link works for 15 minutes, in the browser that asked for it.\n\n{text}"
            html = f'<p><a href="{link}">Sign in</a> (15 minutes, in the browser that asked for it)</p>{html}'
        text += "\nIf you did not ask for this, ignore it. Nobody can sign in without this email.\n"
        key = f"sign-in/{hashlib.sha256(email.encode()).hexdigest()[:32]}/{minute}"
        return Mail(email, "Sign in to the moderators' pages", text, html, key)

    def _open_request(self, cookie: str | None) -> dict[str, Any]:
        try:
            return self.tokens.open("asked", cookie or "", LINK_SECONDS + _MINUTE)
        except BadToken:
            return {}

    def onward_path(self, cookie: str | None) -> str:
        """Where the browser that asked wanted to go."""
        return str(self._open_request(cookie).get("onward", ""))

    def requested_email(self, cookie: str | None) -> str | None:
        """The address that this browser asked for."""
        return self._open_request(cookie).get("email")

    def email_of_link(self, token: str) -> tuple[str, int]:
        """A link's address and minute. Raises ProblemError where it is too old or was altered."""
        try:
            values = self.tokens.open("link", token, LINK_SECONDS)
            return str(values["email"]), int(values["minute"])
        except ExpiredToken as error:
            raise ProblemError("sign_in_failed", f"This link is more than 15 minutes old. {_ASK_AGAIN}") from error
        except (BadToken, KeyError, ValueError, TypeError) as error:
            raise ProblemError("sign_in_failed", f"This link is incomplete or was altered. {_ASK_AGAIN}") from error

    def is_same_browser(self, token: str, cookie: str | None) -> bool:
        """Whether a link was asked for by this browser. Raises ProblemError where the link itself is bad."""
        email, minute = self.email_of_link(token)
        asked = self._open_request(cookie)
        return asked.get("email") == email and minute in asked.get("minutes", [])

    def code_of_link(self, token: str) -> str:
        """The code in the same mail as a link. Raises ProblemError."""
        email, minute = self.email_of_link(token)
        return _group_digits(self.tokens.code("code", f"{email} {minute}"))

    def sign_in_by_link(self, token: str, cookie: str | None) -> Operator:
        """Whoever followed a link in the browser that asked for it. Raises ProblemError."""
        if not self.is_same_browser(token, cookie):
            raise ProblemError(
                "sign_in_failed",
                "This link works only in the browser that asked for it. You are not signed in. Type the email's code"
                " there, or ask for a new email here.",
            )
        return self._find_operator(self.email_of_link(token)[0])

    def sign_in_by_code(self, code: str, cookie: str | None) -> Operator:
        """Whoever typed the code of a mail into the browser that asked for it. Raises ProblemError."""
        asked = self._open_request(cookie)
        if not asked:
            raise ProblemError("sign_in_failed", f"This browser asked for no link in the last 15 minutes. {_ASK_AGAIN}")
        email, now = str(asked["email"]), self._clock.boot()
        next_free_at, wait = _MAX_GUESSES.take(self._guessed.get(email, 0.0), now)
        self._guessed[email] = next_free_at
        if wait:
            raise ProblemError(
                "rate_limited", "Too many wrong codes. You are not signed in. Wait a minute and try again."
            )
        typed = "".join(code.split()).replace("-", "").upper().encode()
        oldest = self._clock.wall() - LINK_SECONDS
        right = False
        for minute in asked.get("minutes", []):
            for one in self.tokens.codes("code", f"{email} {minute}"):
                right |= minute * _MINUTE >= oldest and hmac.compare_digest(typed, one.encode())
        if not right:
            raise ProblemError(
                "sign_in_failed", "This is not the email's code. You are not signed in. Check the code and try again."
            )
        self._guessed.pop(email, None)
        return self._find_operator(email)

    def create_challenge(self, address: str, origin: str, onward: str) -> tuple[str, str]:
        """The message that a wallet is to sign, and the cookie that its answer must come with."""
        if not is_wallet(address):
            raise ProblemError("invalid_input", "This is not a wallet address. You are not signed in.")
        asked = {"address": address, "browser": secrets.token_hex(16), "origin": origin, "onward": onward}
        now = int(self._clock.wall())
        return self._message(asked | {"at": now}, self._nonces(asked, now)[0]), self.tokens.seal("wallet", asked, now)

    def sign_in_by_wallet(self, signature: str, cookie: str | None, origin: str) -> tuple[Operator, str]:
        """Whoever signed the message that this browser was given, and where they wanted to go. Raises ProblemError."""
        try:
            asked = self.tokens.open("wallet", cookie or "", WALLET_SECONDS)
        except BadToken as error:
            raise ProblemError(
                "sign_in_failed", "This request has expired or is incomplete. You are not signed in. Try again."
            ) from error
        if asked.get("origin") != origin:
            raise ProblemError(
                "sign_in_failed",
                "The message was made for another address of this site. You are not signed in. Try again.",
            )
        nonces = self._nonces(asked, asked["at"])
        signers = {signer_of(self._message(asked, nonce), signature) for nonce in nonces}
        if asked["address"] not in signers:
            raise ProblemError(
                "sign_in_failed", "The signature is not from this wallet. You are not signed in. Try again."
            )
        return self._find_operator(asked["address"]), str(asked.get("onward", ""))

    def _nonces(self, asked: Mapping[str, Any], at: int) -> list[str]:
        return self.tokens.nonce("wallet", f"{asked['address']} {asked['browser']} {at}")

    def _message(self, asked: Mapping[str, Any], nonce: str) -> str:
        origin, at = str(asked["origin"]), int(asked["at"])
        domain = origin.partition("://")[2]
        return str(SignIn(domain, origin, str(asked["address"]), self._chain_id, nonce, at, at + WALLET_SECONDS))

    def _find_operator(self, name: str) -> Operator:
        found = find_operator(self._roster, name)
        if found is None:
            raise ProblemError(
                "sign_in_failed",
                "You may not sign in here. You are not signed in. Ask an admin to add you to the roster.",
            )
        return found


def _group_digits(code: str) -> str:
    return f"{code[:4]}-{code[4:]}"
