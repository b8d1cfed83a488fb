"""One HTTP/1.1 connection to Stripe, and the guard that stands before every socket write of a money request.

A process may be suspended between any two steps, for days. So a decision is bound to the connection it was read over:
a guarded write never opens a new one (Stripe closes idle ones long before a key expires), and right before the headers
and again before the body go out, the clocks and the decision itself are judged once more.
"""

import asyncio
import json
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from email.utils import mktime_tz, parsedate_tz
from typing import Any

import httpx

from stateless_billing.runtime.clock import Clock
from stateless_billing.stripe.errors import NotSent

MAX_ANSWER_AGE_SECONDS = 60  # seconds for which an answer's Date may be used as the clock
CLOCK_TOLERANCE_SECONDS = 120  # seconds that Stripe's Date and the machine's clock may differ
TIMEOUT = httpx.Timeout(30.0, connect=5.0, write=5.0)
CALL_TIMEOUT_SECONDS = 45.0
_HEADERS, _BODY = "http11.send_request_headers.started", "http11.send_request_body.started"

StillValid = Callable[[int], bool]
"""Whether what was decided still holds at a time given in unix seconds."""
BeforeSend = Callable[[], Awaitable[None]]
"""Waits until a request may go out."""


class ConnectionFailed(Exception):
    """The transport failed; `sent` tells whether anything may have gone out."""

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent


@dataclass
class Health:
    """How the last calls went: when one was answered, what failed since and when (boot clock), the skew in seconds."""

    answered_at: float | None = None
    failure: str | None = None
    failed_at: float = 0.0
    skew: float | None = None


@dataclass(frozen=True, slots=True)
class _DatedAnswer:
    """When the last answer was: its own Date, and both clocks from before its request was sent."""

    date: int
    wall: float
    boot: float
    skew: float


def create_transport() -> httpx.AsyncBaseTransport:
    """A transport that holds one connection, kept for as long as Stripe keeps it. Environment proxies are not used."""
    limits = httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=None)
    return httpx.AsyncHTTPTransport(verify=create_ssl_context(), limits=limits, retries=0, trust_env=False)


def create_ssl_context() -> ssl.SSLContext:
    """The context that all connections share: reading the certificates takes longer than a request."""
    global _ssl_context
    if _ssl_context is None:
        _ssl_context = httpx.create_ssl_context(trust_env=False)
    return _ssl_context


_ssl_context: ssl.SSLContext | None = None


class Connection:
    """Sends requests one after another over one connection."""

    def __init__(self, http_transport: httpx.AsyncBaseTransport, clock: Clock) -> None:
        self._http = httpx.AsyncClient(transport=http_transport, timeout=TIMEOUT, trust_env=False)
        self._clock = clock
        self._last_answer: _DatedAnswer | None = None
        self._still_valid: StillValid | None = None
        self._before_send: BeforeSend | None = None
        self._must_reuse_connection = False
        self.request_id = ""
        """Stripe's name of the last request; empty where it was not answered."""

    def start_session(self) -> None:
        """The next request begins a session: it may open a connection, those after it go over the same one."""
        self._must_reuse_connection = False

    def before_send(self, before_send: BeforeSend) -> None:
        """Have the next request wait for its turn when it is about to go out: what delays it until then counts too."""
        self._before_send = before_send

    def require_still_valid(self, still_valid: StillValid) -> None:
        """Put `judge` before every socket write of the next request, and let it use this connection only."""
        self._still_valid = still_valid

    def now(self) -> int:
        """Unix seconds by the Date of the last answer. Raises NotSent where that answer is too old or not plausible."""
        last = self._last_answer
        if last is None:
            raise NotSent("nothing was read over this connection yet")
        waited = self._clock.boot() - last.boot
        if not 0 <= waited <= MAX_ANSWER_AGE_SECONDS or abs(self._clock.wall() - last.wall) > MAX_ANSWER_AGE_SECONDS:
            raise NotSent("the last answer on this connection is more than a minute old")
        if abs(last.skew) > CLOCK_TOLERANCE_SECONDS:
            raise NotSent(
                f"this machine's clock is {last.skew:+.0f} s from Stripe's: mend it, nothing is sent until then"
            )
        return last.date + int(waited)

    @property
    def skew(self) -> float | None:
        """The machine's clock minus Stripe's, in seconds, at the last answer."""
        return self._last_answer.skew if self._last_answer else None

    async def request(
        self, method: str, url: str, headers: Mapping[str, str], body: str | bytes | None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        """Send one request. Raises ConnectionFailed, and NotSent where the guard stopped it."""
        judge, self._still_valid = self._still_valid, None
        turn, self._before_send = self._before_send, None
        extensions = {"trace": self._tracer(judge, turn)}
        self.request_id = ""
        wall, boot = self._clock.wall(), self._clock.boot()
        try:
            async with asyncio.timeout(CALL_TIMEOUT_SECONDS):  # the phases' timeouts start again with every byte
                answer = await self._http.request(
                    method, url, headers=dict(headers), content=body or None, extensions=extensions
                )
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol) as error:
            raise ConnectionFailed(f"no connection to Stripe: {type(error).__name__}", sent=False) from error
        except (httpx.HTTPError, TimeoutError) as error:
            raise ConnectionFailed(f"the connection broke: {type(error).__name__}", sent=True) from error
        date = _parse_date(answer.headers.get("date"))
        self._last_answer = None if date is None else _DatedAnswer(date, wall, boot, skew=self._clock.wall() - date)
        self._must_reuse_connection = True
        self.request_id = answer.headers.get("request-id", "")
        if not _is_from_stripe(answer):
            raise ConnectionFailed(f"HTTP {answer.status_code} from something that is not Stripe's API", sent=True)
        return answer.content, answer.status_code, answer.headers

    def _tracer(
        self, still_valid: StillValid | None, before_send: BeforeSend | None
    ) -> Callable[[str, dict[str, Any]], Any]:
        """The hook that httpcore calls before each step (https://www.encode.io/httpcore/extensions/#trace)."""
        bound = still_valid is not None or self._must_reuse_connection

        async def trace(step: str, info: dict[str, Any]) -> None:
            if bound and step.startswith("connection.") and step.endswith(".started"):
                raise NotSent("the connection that was read over is gone; nothing was sent")
            if before_send and step == _HEADERS:
                await before_send()
            if still_valid and step in (_HEADERS, _BODY) and not still_valid(self.now()):
                raise NotSent("what was decided no longer holds; nothing was sent")

        return trace

    async def aclose(self) -> None:
        """Close the connection."""
        await self._http.aclose()


def _is_from_stripe(answer: httpx.Response) -> bool:
    """Whether an answer has the form of Stripe's: an object, and for an error an `error` in it."""
    try:
        body = json.loads(answer.content)
    except (ValueError, RecursionError):
        return False
    return isinstance(body, dict) and (answer.status_code < 400 or isinstance(body.get("error"), dict))


def _parse_date(header: str | None) -> int | None:
    try:
        parsed = parsedate_tz(header or "")
        return int(mktime_tz(parsed)) if parsed else None
    except (ValueError, OverflowError):
        return None
