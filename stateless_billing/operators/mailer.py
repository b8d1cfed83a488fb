"""Mail by Resend's API (resend.com/docs/api-reference/emails/send-email)."""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass

import httpx

log = logging.getLogger(__name__)

RETRY_DELAYS = (1.0, 2.0, 4.0)  # seconds before each further try: two requests a second are allowed to a team
_TIMEOUT = httpx.Timeout(10.0, connect=3.0)
_SENT_BEFORE = ("invalid_idempotent_request", "concurrent_idempotent_requests")


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail to one address. Mails under one `key` are sent once, whoever sends them, within Resend's 24 hours."""

    to: str
    subject: str
    text: str
    html: str
    key: str


class Mailer:
    """Sends mail; the address it goes to never reaches the log."""

    def __init__(
        self,
        http: httpx.AsyncClient,
        base: str,
        api_key: str,
        sender: str,
        retry_delays: tuple[float, ...] = RETRY_DELAYS,
    ) -> None:
        self._http, self._url, self._sender, self._retry_delays = http, f"{base}/emails", sender, retry_delays
        self._headers = {"authorization": f"Bearer {api_key}"}

    async def send(self, mail: Mail) -> bool:
        """Send it, or find that it was sent before under its key; whether Resend has it."""
        body = {"from": self._sender, "to": [mail.to], "subject": mail.subject, "text": mail.text, "html": mail.html}
        for pause in (*self._retry_delays, None):
            cause = await self._post(body, mail.key)
            if cause is None:
                return True
            log.warning("a mail was not sent: %s", cause)
            if pause is None or cause.startswith("refused"):
                return False
            await asyncio.sleep(pause)
        return False

    async def _post(self, body: Mapping[str, object], key: str) -> str | None:
        """One try; None where Resend has the mail, else why not."""
        headers = {**self._headers, "idempotency-key": key}
        try:
            answer = await self._http.post(self._url, json=body, headers=headers, timeout=_TIMEOUT)
        except httpx.HTTPError as error:
            return type(error).__name__
        if answer.is_success:
            return None
        try:
            name = str(answer.json().get("name", ""))
        except (ValueError, AttributeError):
            name = ""
        if answer.status_code == httpx.codes.CONFLICT and name in _SENT_BEFORE:
            return None  # another process, with another secret or a moment earlier: the first mail counts
        again = answer.status_code == httpx.codes.TOO_MANY_REQUESTS or answer.is_server_error
        return f"{'' if again else 'refused: '}HTTP {answer.status_code} {name}"
