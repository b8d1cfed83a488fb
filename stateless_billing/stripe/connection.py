"""One HTTP/1.1 connection to Stripe, with a guard before each socket write of a credit.

A process may be suspended between any two steps, even for days. A decision is therefore bound to the connection whose
reads it is based on: a guarded write never opens a new connection, and Stripe closes an idle one long before an
idempotency key expires. The clocks and the decision are checked again right before the headers and before the body.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from email.utils import mktime_tz, parsedate_tz
from functools import partial
from typing import Any

import httpx

from stateless_billing.runtime.bounded_http import MEBIBYTE, BoundedTransport, create_ssl_context, parse_response
from stateless_billing.runtime.clock import Clock, ReferenceClock
from stateless_billing.stripe.errors import ConnectionNotKept, NotSent

MAX_ANSWER_AGE_SECONDS = 60  # how long a response's Date may be used as the clock
CLOCK_TOLERANCE_SECONDS = 120  # how much Stripe's Date and the machine's clock may differ
TIMEOUT = httpx.Timeout(30.0, connect=5.0, write=5.0)
_UNPROVEN_TIMEOUT = httpx.Timeout(30.0, connect=5.0, write=5.0, read=4.0)  # most answers take a tenth of this
CALL_TIMEOUT_SECONDS = 45.0
IDLE_SECONDS = 50  # an idle connection is closed before its last response is too old to decide by
_UNPROVEN_IDLE_SECONDS = 2.0  # a connection idle for longer may have been dropped without a word
_PROMPT_CLOSE_SECONDS = 5.0  # a connection that is gone sooner after a response was not idle for too long
_MANY_CLOSES = 2  # in a row without one connection that was used again: it is the rule, not an accident
MAX_RESPONSE_BYTES = 8 * MEBIBYTE  # a hundred customers with all their metadata have 3
_HEADERS, _BODY = "http11.send_request_headers.started", "http11.send_request_body.started"

StillValid = Callable[[int], bool]
"""Whether a decision still holds at a Unix time."""
BeforeSend = Callable[[], Awaitable[None]]
"""Waits until a request may be sent."""


class ConnectionFailed(Exception):
    """The transport failed. `sent`: whether any part of the request may have been sent."""

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent


@dataclass
class Health:
    """The state of the API: the last response, the failure since then, and the clock skew.

    `answered_at`, `failed_at`, `recovered_at` (the first response after a failure) and `unlimited_at` (the first other
    one after a 429) are times of the boot clock. `limited` says whether the last response was a 429.
    """

    time: ReferenceClock
    """Stripe's clock, by the last response of any connection that shares it."""
    answered_at: float | None = None
    failure: str | None = None
    failed_at: float = 0.0
    recovered_at: float = 0.0
    limited: bool = False
    unlimited_at: float = 0.0
    connection_fault: str | None = None
    """Why writes cannot be sent although reads are answered: no connection stays open."""

    def record_response(self, now: float, *, limited: bool, reused: bool) -> None:
        """Note a proper response at `now`, by the boot clock; `reused` says whether its connection was used before."""
        if self.limited and not limited:
            self.unlimited_at = now
        is_kept_again = reused and self.connection_fault is not None
        if self.failure is not None or is_kept_again:
            self.recovered_at = now
        if is_kept_again:
            self.connection_fault = None
        self.answered_at, self.limited, self.failure = now, limited, None

    def record_failure(self, now: float, failure: str) -> None:
        """Note a call without a proper response."""
        self.failed_at, self.failure = now, failure

    @property
    def skew(self) -> float | None:
        """The machine's clock minus Stripe's, in seconds; None if it is not known."""
        return self.time.skew


@dataclass(frozen=True, slots=True)
class _DatedResponse:
    """The Date of a response, both clocks before its request was sent, and the boot clock when it had come."""

    date: int
    wall: float
    boot: float
    skew: float
    boot_after: float


def create_transport() -> httpx.AsyncBaseTransport:
    """Create a transport with one connection, open until Stripe closes it or it is idle for too long.

    It ignores environment proxies.
    """
    limits = httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=IDLE_SECONDS)
    return httpx.AsyncHTTPTransport(verify=create_ssl_context(), limits=limits, retries=0, trust_env=False)


class Connection:
    """Sends one request at a time over one connection."""

    def __init__(self, http_transport: httpx.AsyncBaseTransport, clock: Clock) -> None:
        self._transport = BoundedTransport(http_transport, MAX_RESPONSE_BYTES, CALL_TIMEOUT_SECONDS)
        self._http = httpx.AsyncClient(transport=self._transport, timeout=TIMEOUT, trust_env=False)
        self._clock = clock
        self._last_response: _DatedResponse | None = None
        self._still_valid: StillValid | None = None
        self._before_send: BeforeSend | None = None
        self._must_reuse_connection = False
        self._spans_connections = False
        self._may_be_open = False
        self._announces_close = False
        self._prompt_closes = 0
        self.was_reused = False
        """Whether the last request went over a connection that an earlier one had used."""
        self.request_id = ""
        """Stripe's ID of the last request; empty if there was no response."""

    def start_session(self) -> None:
        """Start a session: its first request may open a connection, later ones must reuse it."""
        self._must_reuse_connection = False
        self._spans_connections = False

    async def renew(self, *, has_read: bool) -> None:
        """Close the connection, so that the next request opens a new one.

        If the session `has_read` over this one, no guarded write may follow over the next.
        """
        self._spans_connections = self._spans_connections or has_read
        self._must_reuse_connection = False
        self._may_be_open = False
        self._last_response = None
        await self._transport.aclose()

    def before_send(self, before_send: BeforeSend) -> None:
        """Await `before_send` right before the next request is sent, after any earlier delay."""
        self._before_send = before_send

    def require_still_valid(self, still_valid: StillValid) -> None:
        """Check `still_valid` before each socket write of the next request; forbid it to reconnect."""
        self._still_valid = still_valid

    def now(self) -> int:
        """Return the Unix time by the Date of the last response.

        Raises: NotSent if that response is too old or its Date is not plausible.
        """
        last = self._last_response
        if last is None:
            raise NotSent("nothing was read over this connection yet")
        elapsed = self._clock.boot() - last.boot
        if not 0 <= elapsed <= MAX_ANSWER_AGE_SECONDS or abs(self._clock.wall() - last.wall) > MAX_ANSWER_AGE_SECONDS:
            raise NotSent("the last answer on this connection is more than a minute old")
        if fault := clock_fault(last.skew):
            raise NotSent(fault)
        return last.date + int(elapsed)

    @property
    def skew(self) -> float | None:
        """The machine's clock minus Stripe's, in seconds, at the last response."""
        return self._last_response.skew if self._last_response else None

    def tell_time(self, time: ReferenceClock) -> None:
        """Set `time` to Stripe's clock by the last response, if there is one with a Date."""
        if last := self._last_response:
            offset = last.date - last.boot_after
            time.set(offset, offset + last.skew)

    async def request(
        self, method: str, url: str, headers: Mapping[str, str], body: str | bytes | None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        """Send one request.

        Raises: ConnectionFailed; NotSent if the guard stopped it.
        """
        still_valid, self._still_valid = self._still_valid, None
        before_send, self._before_send = self._before_send, None
        if still_valid and self._spans_connections:
            raise self._lost_connection("a connection broke between the reads; nothing was sent")
        extensions = {"trace": self._create_tracer(still_valid, before_send)}
        self.request_id, self.was_reused = "", self._may_be_open
        self._may_be_open = False
        wall, boot = self._clock.wall(), self._clock.boot()
        try:
            async with asyncio.timeout(CALL_TIMEOUT_SECONDS):  # httpx restarts its timeouts with every byte
                response = await self._http.request(
                    method,
                    url,
                    headers=dict(headers),
                    content=body or None,
                    extensions=extensions,
                    timeout=self._timeout(method),
                )
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol) as error:
            raise ConnectionFailed(f"no connection to Stripe: {type(error).__name__}", sent=False) from error
        except (httpx.HTTPError, TimeoutError) as error:
            if self.was_reused and isinstance(error, httpx.NetworkError | httpx.RemoteProtocolError):
                self._count_close()
            raise ConnectionFailed(f"the connection broke: {type(error).__name__}", sent=True) from error
        date = _parse_date(response.headers.get("date"))
        self._last_response = None
        if date is not None:
            skew = self._clock.wall() - date
            self._last_response = _DatedResponse(date, wall, boot, skew, self._clock.boot())
        self._must_reuse_connection = True
        self._note_keeping(response)
        self.request_id = response.headers.get("request-id", "")
        if not await parse_response(partial(_is_from_stripe, response.status_code), response.content):
            raise ConnectionFailed(f"HTTP {response.status_code} from something that is not Stripe's API", sent=True)
        return response.content, response.status_code, response.headers

    def _timeout(self, method: str) -> httpx.Timeout:
        """Wait less for a read over a connection that may have been dropped: it can be repeated over a new one."""
        last = self._last_response
        if method.upper() != "GET" or last is None or self._clock.boot() - last.boot <= _UNPROVEN_IDLE_SECONDS:
            return TIMEOUT
        return _UNPROVEN_TIMEOUT

    def _create_tracer(
        self, still_valid: StillValid | None, before_send: BeforeSend | None
    ) -> Callable[[str, dict[str, Any]], Any]:
        """Create the hook that httpcore calls before each step of a request.

        See https://www.encode.io/httpcore/extensions/#trace.
        """
        must_reuse = still_valid is not None or self._must_reuse_connection

        async def trace(step: str, info: dict[str, Any]) -> None:
            if step.startswith("connection.") and step.endswith(".started"):
                if self.was_reused:
                    self.was_reused = False
                    self._count_close()
                if must_reuse:
                    raise self._lost_connection("the connection used for reading is gone; nothing was sent")
            if before_send and step == _HEADERS:
                await before_send()
            if still_valid and step in (_HEADERS, _BODY) and not still_valid(self.now()):
                raise NotSent("the decision no longer holds; nothing was sent")

        return trace

    def _note_keeping(self, response: httpx.Response) -> None:
        """Note whether the connection stays open after this response, as far as its headers tell."""
        if self.was_reused:
            self._prompt_closes = 0
        tokens = response.headers.get("connection", "").lower().split(",")
        self._announces_close = response.http_version == "HTTP/1.0" or "close" in [token.strip() for token in tokens]
        self._may_be_open = not self._announces_close

    def _count_close(self) -> None:
        """Count a connection that was closed without a word right after a response."""
        last = self._last_response
        if last and self._clock.boot() - last.boot_after <= _PROMPT_CLOSE_SECONDS:
            self._prompt_closes += 1

    def _lost_connection(self, message: str) -> NotSent:
        if self._announces_close or self._prompt_closes >= _MANY_CLOSES:
            return ConnectionNotKept()
        return NotSent(message)

    async def aclose(self) -> None:
        """Close the connection."""
        await self._http.aclose()


def clock_fault(skew: float) -> str | None:
    """Why nothing is sent while this machine's clock is `skew` seconds ahead of Stripe's; None if that is tolerable."""
    if abs(skew) <= CLOCK_TOLERANCE_SECONDS:
        return None
    return f"this machine's clock is {skew:+.0f} s from Stripe's: set the clock, nothing is sent or credited until then"


def _is_from_stripe(status: int, content: bytes) -> bool:
    """Whether a response is a JSON object in UTF-8 and, unless its status is a success, contains an `error` object."""
    try:
        body = json.loads(content.decode())
    except (ValueError, RecursionError):
        return False
    return isinstance(body, dict) and (200 <= status < 300 or isinstance(body.get("error"), dict))


def _parse_date(header: str | None) -> int | None:
    try:
        parsed = parsedate_tz(header or "")
        return int(mktime_tz(parsed)) if parsed else None
    except (ValueError, OverflowError):
        return None
