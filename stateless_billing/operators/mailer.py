"""Sends mail through Resend's API (resend.com/docs/api-reference/emails/send-email)."""

import asyncio
import logging
from dataclasses import dataclass

import httpx
import msgspec

from stateless_billing.runtime.bounded_http import response_limits

log = logging.getLogger(__name__)

RETRY_DELAYS = (1.0, 2.0, 4.0)  # seconds; a team may send two requests a second
_TIMEOUT = httpx.Timeout(10.0, connect=3.0)
LIMITS = response_limits(64 * 1024, 20.0)
_ALREADY_SENT = ("invalid_idempotent_request", "concurrent_idempotent_requests")


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail to one address. Resend sends mails with the same `key` once, within 24 hours."""

    to: str
    subject: str
    text: str
    html: str
    key: str


class _Email(msgspec.Struct, frozen=True, kw_only=True):
    """The body of a request."""

    sender: str = msgspec.field(name="from")
    to: list[str]
    subject: str
    text: str
    html: str


class _Error(msgspec.Struct, frozen=True, kw_only=True):
    """The body of a refusal."""

    name: str = ""


class Mailer:
    """Sends mail. The recipient's address never reaches the log."""

    def __init__(
        self,
        http: httpx.AsyncClient,
        base: str,
        api_key: str,
        sender: str,
        retry_delays: tuple[float, ...] = RETRY_DELAYS,
    ) -> None:
        self._http = http
        self._url = f"{base}/emails"
        self._sender = sender
        self._retry_delays = retry_delays
        self._headers = {"authorization": f"Bearer {api_key}", "content-type": "application/json"}

    async def send(self, mail: Mail) -> bool:
        """Send a mail unless its key was used before. Returns whether Resend has it."""
        email = _Email(sender=self._sender, to=[mail.to], subject=mail.subject, text=mail.text, html=mail.html)
        body = msgspec.json.encode(email)
        for delay in (*self._retry_delays, None):
            cause = await self._post(body, mail.key)
            if cause is None:
                return True
            log.warning("a mail was not sent: %s", cause)
            if delay is None or cause.startswith("refused"):
                return False
            await asyncio.sleep(delay)
        return False

    async def _post(self, body: bytes, key: str) -> str | None:
        """Send one request. Returns None if Resend has the mail, else the reason."""
        headers = {**self._headers, "idempotency-key": key}
        try:
            answer = await self._http.post(
                self._url, content=body, headers=headers, timeout=_TIMEOUT, extensions=LIMITS
            )
        except httpx.HTTPError as error:
            return type(error).__name__
        if answer.is_success:
            return None
        name = _error_name(answer.content)
        if answer.status_code == httpx.codes.CONFLICT and name in _ALREADY_SENT:
            return None  # another process sent it, earlier or with another secret: the first mail counts
        may_pass = answer.status_code == httpx.codes.TOO_MANY_REQUESTS or answer.is_server_error
        return f"{'' if may_pass else 'refused: '}HTTP {answer.status_code} {name}"


def _error_name(content: bytes) -> str:
    try:
        return msgspec.json.decode(content, type=_Error).name
    except (ValueError, RecursionError):
        return ""
