"""Tells another system of each credit. Best effort: it never holds up a credit, and a kill may lose it."""

import asyncio
import contextlib
import hashlib
import hmac
import json
import logging

import httpx

from chain.payment import Payment
from chain.signing import to_checksum_address
from stateless_billing.runtime.clock import Clock

log = logging.getLogger(__name__)

QUEUE_SIZE = 1000
RETRY_DELAYS = (1.0, 5.0, 25.0)  # seconds before each further try
_TIMEOUT = httpx.Timeout(10.0, connect=3.0)
SHUTDOWN_GRACE_SECONDS = 5.0  # what a process that ends gives to what still waits


def sign_body(secret: str, at: int, body: bytes) -> str:
    """The `Billing-Signature` of a body sent at unix second `at`."""
    digest = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"


class CreditWebhook:
    """Posts to one address, one credit after the other. `told` never waits and never fails."""

    def __init__(
        self,
        http: httpx.AsyncClient,
        url: str,
        secret: str,
        clock: Clock,
        retry_delays: tuple[float, ...] = RETRY_DELAYS,
    ) -> None:
        self._http, self._url, self._secret, self._clock, self._retry_delays = http, url, secret, clock, retry_delays
        self._queue: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue(QUEUE_SIZE)
        self._worker: asyncio.Task[None] | None = None

    def enqueue(self, payment: Payment, customer_id: str, cents: int) -> None:
        """Have the other system told of a credit."""
        facts = {
            "customer": customer_id,
            "wallet": to_checksum_address(payment.wallet),
            "payment": payment.identity,
            "cents": cents,
        }
        try:
            self._queue.put_nowait((payment.identity, json.dumps(facts, separators=(",", ":")).encode()))
        except asyncio.QueueFull:
            log.warning("payment %s: the credit hook is not told, %d already wait", payment.identity, QUEUE_SIZE)
            return
        if self._worker is None:
            self._worker = asyncio.create_task(self._run())

    async def _run(self) -> None:
        while True:
            identity, body = await self._queue.get()
            try:
                await self._deliver(identity, body)
            except Exception:
                log.exception("payment %s: the credit hook failed", identity)
            finally:
                self._queue.task_done()

    async def _deliver(self, identity: str, body: bytes) -> None:
        for pause in (*self._retry_delays, None):
            cause = await self._post(body)
            if cause is None:
                return
            log.warning("payment %s: the credit hook was not told: %s", identity, cause)
            if pause is not None:
                await asyncio.sleep(pause)

    async def _post(self, body: bytes) -> str | None:
        """One try; why it failed. The address may hold a key, so no message carries it."""
        at = int(self._clock.wall())
        headers = {"content-type": "application/json", "billing-signature": sign_body(self._secret, at, body)}
        try:
            answer = await self._http.post(self._url, content=body, headers=headers, timeout=_TIMEOUT)
        except httpx.HTTPError as error:
            return type(error).__name__
        return None if answer.is_success else f"HTTP {answer.status_code}"

    async def aclose(self) -> None:
        """Give what still waits a last moment."""
        if self._worker is None:
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._queue.join(), SHUTDOWN_GRACE_SECONDS)
        self._worker.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._worker


def create_webhook(http: httpx.AsyncClient, url: str | None, secret: str | None, clock: Clock) -> CreditWebhook | None:
    """The hook of the settings, where there is one."""
    return CreditWebhook(http, url, secret, clock) if url and secret else None
