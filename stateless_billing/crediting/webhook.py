"""Posts each credit to another system. Best effort: it never delays a credit, and a kill may lose it."""

import asyncio
import contextlib
import hashlib
import hmac
import logging

import httpx
import msgspec

from chain.payment import Payment
from chain.signatures import to_checksum_address
from stateless_billing.runtime.bounded_http import response_limits
from stateless_billing.runtime.clock import Clock

log = logging.getLogger(__name__)

QUEUE_SIZE = 1000
RETRY_DELAYS = (1.0, 5.0, 25.0)  # seconds
_TIMEOUT = httpx.Timeout(10.0, connect=3.0)
LIMITS = response_limits(64 * 1024, 20.0)
SHUTDOWN_GRACE_SECONDS = 5.0  # for what is still queued when the process ends


class CreditNotice(msgspec.Struct, frozen=True, kw_only=True):
    """The body of a webhook. Receivers verify a signature over its bytes."""

    customer_id: str
    customer: str
    """The same ID, for receivers of the former body."""
    wallet: str
    payment: str
    cents: int


def sign_body(secret: str, at: int, body: bytes) -> str:
    """Return the `Billing-Signature` of a body sent at unix second `at`."""
    digest = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"


class CreditWebhook:
    """Posts to one address, one credit after the other. `enqueue` never waits and never fails.

    Requests are signed with the secret, or carry the secret itself in the header that `secret_header` names.
    """

    def __init__(
        self,
        http: httpx.AsyncClient,
        url: str,
        secret: str,
        clock: Clock,
        retry_delays: tuple[float, ...] = RETRY_DELAYS,
        secret_header: str | None = None,
    ) -> None:
        self._http = http
        self._url = url
        self._secret = secret
        self._clock = clock
        self._retry_delays = retry_delays
        self._secret_header = secret_header
        self._queue: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue(QUEUE_SIZE)
        self._worker: asyncio.Task[None] | None = None

    def enqueue(self, payment: Payment, customer_id: str, cents: int) -> None:
        """Queue a webhook for a credit."""
        notice = CreditNotice(
            customer_id=customer_id,
            customer=customer_id,
            wallet=to_checksum_address(payment.wallet),
            payment=payment.identity,
            cents=cents,
        )
        try:
            self._queue.put_nowait((payment.identity, msgspec.json.encode(notice)))
        except asyncio.QueueFull:
            log.warning("payment %s: webhook dropped, queue is full (%d pending)", payment.identity, QUEUE_SIZE)
            return
        if self._worker is None:
            self._worker = asyncio.create_task(self._run())

    async def _run(self) -> None:
        while True:
            identity, body = await self._queue.get()
            try:
                await self._deliver(identity, body)
            except Exception:
                log.exception("payment %s: webhook failed", identity)
            finally:
                self._queue.task_done()

    async def _deliver(self, identity: str, body: bytes) -> None:
        for delay in (*self._retry_delays, None):
            cause = await self._post(body)
            if cause is None:
                return
            log.warning("payment %s: webhook was not delivered: %s", identity, cause)
            if delay is not None:
                await asyncio.sleep(delay)

    async def _post(self, body: bytes) -> str | None:
        """Send once. Returns why it failed; without the URL, which may contain a key."""
        headers = {"content-type": "application/json", **self._authentication(body)}
        try:
            answer = await self._http.post(
                self._url, content=body, headers=headers, timeout=_TIMEOUT, extensions=LIMITS
            )
        except httpx.HTTPError as error:
            return type(error).__name__
        return None if answer.is_success else f"HTTP {answer.status_code}"

    def _authentication(self, body: bytes) -> dict[str, str]:
        if self._secret_header:
            return {self._secret_header: self._secret}
        return {"billing-signature": sign_body(self._secret, int(self._clock.wall()), body)}

    async def aclose(self) -> None:
        """Deliver what is queued within SHUTDOWN_GRACE_SECONDS, then stop."""
        if self._worker is None:
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._queue.join(), SHUTDOWN_GRACE_SECONDS)
        self._worker.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._worker


def create_webhook(
    http: httpx.AsyncClient, url: str | None, secret: str | None, clock: Clock, *, secret_header: str | None = None
) -> CreditWebhook | None:
    """Create the webhook, or None if the settings name none."""
    return CreditWebhook(http, url, secret, clock, secret_header=secret_header) if url and secret else None
