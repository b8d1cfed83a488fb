"""What a process remembers of payments. It only saves calls: losing it loses nothing."""

from collections.abc import Hashable
from dataclasses import dataclass, replace

from cachetools import LRUCache, TTLCache

from chain.payment import Payment
from stateless_billing.crediting.payment_status import PaymentStatus
from stateless_billing.domain.ledger import Cursor
from stateless_billing.runtime.backoff import with_jitter
from stateless_billing.runtime.clock import Clock

_FIRST_WAIT_SECONDS = 60
_FIRST_LIMITED_WAIT_SECONDS = 5  # Stripe says when it is well again by answering
_MAX_WAIT_SECONDS = 3600
_HELD_WAIT_SECONDS = 24 * 3600
_LOOKUP_TTL_SECONDS = 10
_CACHE_SIZE = 100_000


@dataclass(frozen=True, slots=True)
class _Pending:
    status: PaymentStatus
    until: float
    wait: int


class StatusCache:
    """What this process knows of payments and of customers' cursors."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._credited: LRUCache[Hashable, PaymentStatus] = LRUCache(_CACHE_SIZE)
        self._pending: LRUCache[Hashable, _Pending] = LRUCache(_CACHE_SIZE)
        self._lookups: TTLCache[Hashable, PaymentStatus] = TTLCache(_CACHE_SIZE, _LOOKUP_TTL_SECONDS, clock.boot)
        self.cursors: LRUCache[tuple[str, str], Cursor | None] = LRUCache(_CACHE_SIZE)

    def credited_status(self, payment: Payment) -> PaymentStatus | None:
        """A credited payment's progress."""
        return self._credited.get(_cache_key(payment))

    def pending_status(self, payment: Payment) -> PaymentStatus | None:
        """The progress of a payment whose next try is not due yet."""
        waiting = self._pending.get(_cache_key(payment))
        left = waiting.until - self._clock.boot() if waiting else 0
        if waiting is None or left <= 0:
            return None
        return _with_retry(waiting.status, int(left) + 1)

    def last_status(self, payment: Payment) -> PaymentStatus | None:
        """How the last try at a payment ended, whether or not the next one is due."""
        waiting = self._pending.get(_cache_key(payment))
        return self.credited_status(payment) or (waiting.status if waiting else None)

    def recent_lookup(self, payment: Payment) -> PaymentStatus | None:
        """What a look without writing found a moment ago."""
        return self._lookups.get(_cache_key(payment))

    def record_lookup(self, payment: Payment, status: PaymentStatus) -> PaymentStatus:
        """Keep what a look found; what is credited is kept for good."""
        if status.state in ("credited", "reversed"):
            return self.record_attempt(payment, status)
        self._lookups[_cache_key(payment)] = status
        return status

    def record_attempt(self, payment: Payment, status: PaymentStatus) -> PaymentStatus:
        """Keep the outcome of a try, and set when the next is due: the answer's `retry_after`."""
        if status.state in ("credited", "reversed"):
            self._pending.pop(_cache_key(payment), None)
            self._credited[_cache_key(payment)] = status
            return status
        before = self._pending.get(_cache_key(payment))
        wait = with_jitter(status.retry_after or _next_wait(status, before))
        self._pending[_cache_key(payment)] = _Pending(status, self._clock.boot() + wait, wait)
        return _with_retry(status, wait)

    def make_due(self, payment: Payment) -> None:
        """Something changed for a payment that waits: its next try is due now."""
        self._pending.pop(_cache_key(payment), None)
        self._lookups.pop(_cache_key(payment), None)

    def invalidate(self, payment: Payment) -> None:
        """What was remembered of a payment is not so, or not any more: begin again from Stripe."""
        self._credited.pop(_cache_key(payment), None)


def _cache_key(payment: Payment) -> Hashable:
    """What must be the same for two sightings of a payment to be one: a reorganisation can give away an identity."""
    return payment.identity, payment.customer_id, payment.sequence, payment.wallet, payment.amount, payment.cents


def _next_wait(status: PaymentStatus, before: _Pending | None) -> int:
    if status.state == "held" and status.cause != "rate_unavailable":  # a price comes back by itself
        return _HELD_WAIT_SECONDS
    if before is None or (before.status.state, before.status.cause) != (status.state, status.cause):
        return _FIRST_LIMITED_WAIT_SECONDS if status.cause == "rate_limited" else _FIRST_WAIT_SECONDS
    return min(before.wait * 2, _MAX_WAIT_SECONDS)


def _with_retry(status: PaymentStatus, seconds: int) -> PaymentStatus:
    return replace(status, retry_after=seconds)
