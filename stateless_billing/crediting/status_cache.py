"""What a process remembers of payments. It only saves calls: losing it loses nothing."""

from collections.abc import Hashable
from dataclasses import dataclass, replace

from cachetools import LRUCache, TTLCache

from chain.payment import Payment
from stateless_billing.crediting.payment_status import PaymentStatus
from stateless_billing.domain.ledger import Cursor
from stateless_billing.runtime.backoff import jittered
from stateless_billing.runtime.clock import Clock

_FIRST_WAIT = 60
_FIRST_LIMITED_WAIT = 5  # Stripe says when it is well again by answering
_LONGEST_WAIT = 3600
_HELD_WAIT = 24 * 3600
_LOOK_SECONDS = 10
_KEPT = 100_000


@dataclass(frozen=True, slots=True)
class _Waiting:
    progress: PaymentStatus
    until: float
    wait: int


class StatusCache:
    """What this process knows of payments and of customers' cursors."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._done: LRUCache[Hashable, PaymentStatus] = LRUCache(_KEPT)
        self._waiting: LRUCache[Hashable, _Waiting] = LRUCache(_KEPT)
        self._looked: TTLCache[Hashable, PaymentStatus] = TTLCache(_KEPT, _LOOK_SECONDS, clock.boot)
        self.cursors: LRUCache[tuple[str, str], Cursor | None] = LRUCache(_KEPT)

    def done(self, payment: Payment) -> PaymentStatus | None:
        """A credited payment's progress."""
        return self._done.get(_cache_key(payment))

    def waiting(self, payment: Payment) -> PaymentStatus | None:
        """The progress of a payment whose next try is not due yet."""
        waiting = self._waiting.get(_cache_key(payment))
        left = waiting.until - self._clock.boot() if waiting else 0
        if waiting is None or left <= 0:
            return None
        return _with_retry(waiting.progress, int(left) + 1)

    def standing(self, payment: Payment) -> PaymentStatus | None:
        """How the last try at a payment ended, whether or not the next one is due."""
        waiting = self._waiting.get(_cache_key(payment))
        return self.done(payment) or (waiting.progress if waiting else None)

    def looked(self, payment: Payment) -> PaymentStatus | None:
        """What a look without writing found a moment ago."""
        return self._looked.get(_cache_key(payment))

    def record_lookup(self, payment: Payment, progress: PaymentStatus) -> PaymentStatus:
        """Keep what a look found; what is credited is kept for good."""
        if progress.state in ("credited", "reversed"):
            return self.remember(payment, progress)
        self._looked[_cache_key(payment)] = progress
        return progress

    def remember(self, payment: Payment, progress: PaymentStatus) -> PaymentStatus:
        """Keep the outcome of a try, and set when the next is due: the answer's `retry_after`."""
        if progress.state in ("credited", "reversed"):
            self._waiting.pop(_cache_key(payment), None)
            self._done[_cache_key(payment)] = progress
            return progress
        before = self._waiting.get(_cache_key(payment))
        wait = jittered(progress.retry_after or _next_wait(progress, before))
        self._waiting[_cache_key(payment)] = _Waiting(progress, self._clock.boot() + wait, wait)
        return _with_retry(progress, wait)

    def retry(self, payment: Payment) -> None:
        """Something changed for a payment that waits: its next try is due now."""
        self._waiting.pop(_cache_key(payment), None)
        self._looked.pop(_cache_key(payment), None)

    def forget(self, payment: Payment) -> None:
        """What was remembered of a payment is not so, or not any more: begin again from Stripe."""
        self._done.pop(_cache_key(payment), None)


def _cache_key(payment: Payment) -> Hashable:
    """What must be the same for two sightings of a payment to be one: a reorganisation can give away an identity."""
    return payment.identity, payment.customer_id, payment.sequence, payment.wallet, payment.amount, payment.cents


def _next_wait(progress: PaymentStatus, before: _Waiting | None) -> int:
    if progress.state == "held" and progress.cause != "rate_unavailable":  # a price comes back by itself
        return _HELD_WAIT
    if before is None or (before.progress.state, before.progress.cause) != (progress.state, progress.cause):
        return _FIRST_LIMITED_WAIT if progress.cause == "rate_limited" else _FIRST_WAIT
    return min(before.wait * 2, _LONGEST_WAIT)


def _with_retry(progress: PaymentStatus, seconds: int) -> PaymentStatus:
    return replace(progress, retry_after=seconds)
