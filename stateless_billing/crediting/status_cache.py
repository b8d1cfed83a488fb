"""In-process cache of payment statuses and cursors. It saves calls; losing it loses no data."""

from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from math import ceil
from statistics import median_low

from cachetools import LRUCache, TTLCache

from chain.payment import Payment
from stateless_billing.crediting.payment_status import STRIPE_CAUSES, PaymentStatus
from stateless_billing.domain.ledger import Cursor
from stateless_billing.runtime.backoff import with_jitter
from stateless_billing.runtime.clock import Clock

_FIRST_WAIT_SECONDS = 60
_FIRST_SOON_WAIT_SECONDS = 5  # after a 429, or a write without an answer: Stripe itself answers
_SOON_CAUSES = ("rate_limited", "stripe_unclear")
_MAX_WAIT_SECONDS = 3600
_RECENT_RECOVERY_SECONDS = 30
_HELD_WAIT_SECONDS = 24 * 3600
_LOOKUP_TTL_SECONDS = 10
_HELD_LOOKUP_TTL_SECONDS = 60
_LAST_LOOKUP_TTL_SECONDS = 300
LOOK_SECONDS = 300  # what is credited or held here is looked at again so seldom, when somebody asks
_PENDING_LOOK_SECONDS = 60
_UNSEEN_CAUSES = ("ledger_unproven", "stripe_refused")  # only an attempt finds that these are gone
_CONFIRMING_TTL_SECONDS = 120
_CACHE_SIZE = 100_000
_RECENT_CREDITS = 101
_FEW_CREDITS = 5


@dataclass(frozen=True, slots=True)
class _Pending:
    """`wait` and `since` in seconds; with `fixed`, nothing ends the wait before `until`."""

    status: PaymentStatus
    since: float
    wait: int
    fixed: bool

    @property
    def until(self) -> float:
        return self.since + self.wait


@dataclass(frozen=True, slots=True)
class _Lookup:
    """What a read-only check found, and when, by the boot clock."""

    status: PaymentStatus
    at: float


class StatusCache:
    """Caches the statuses of payments, when each is next due, and the cursors of customers.

    `recovered_at` tells when the party that a cause blames answered again (seconds of the boot clock): what waits for
    it since before is due at once.
    """

    def __init__(self, clock: Clock, recovered_at: Callable[[str], float] = lambda cause: 0.0) -> None:
        self._clock = clock
        self._recovered_at = recovered_at
        self._credited: LRUCache[Hashable, PaymentStatus] = LRUCache(_CACHE_SIZE)
        self._pending: LRUCache[Hashable, _Pending] = LRUCache(_CACHE_SIZE)
        self._lookups: TTLCache[Hashable, _Lookup] = TTLCache(_CACHE_SIZE, _LAST_LOOKUP_TTL_SECONDS, clock.boot)
        self._looked_at: LRUCache[Hashable, float] = LRUCache(_CACHE_SIZE)
        self._confirming: TTLCache[Hashable, PaymentStatus] = TTLCache(_CACHE_SIZE, _CONFIRMING_TTL_SECONDS, clock.boot)
        self.cursors: LRUCache[tuple[str, str], Cursor | None] = LRUCache(_CACHE_SIZE)
        self.cursors_before_deletion: LRUCache[tuple[str, str], Cursor] = LRUCache(_CACHE_SIZE)
        """The last cursors of customers that were deleted since, for a person who must judge."""
        self._credit_times: deque[float] = deque(maxlen=_RECENT_CREDITS)

    def record_credit_time(self, seconds: float) -> None:
        """Note how long after its block a quoted payment was credited."""
        self._credit_times.append(seconds)

    @property
    def median_credit_seconds(self) -> int | None:
        """How long the quoted payments that this process credited last took, rounded up; None if these are few."""
        if len(self._credit_times) < _FEW_CREDITS:
            return None
        return ceil(median_low(self._credit_times))

    def record_cursor(self, key: tuple[str, str], cursor: Cursor | None, *, deleted: bool) -> None:
        """Cache a cursor. A deleted customer has none; what was known of it before stays remembered."""
        if deleted and (known := self.cursors.get(key)):
            self.cursors_before_deletion[key] = known
        self.cursors[key] = cursor

    def credited_status(self, payment: Payment) -> PaymentStatus | None:
        """The status of a payment that is credited or reversed."""
        return self._credited.get(_cache_key(payment))

    def pending_status(self, payment: Payment) -> PaymentStatus | None:
        """The status of a payment whose next attempt is not due yet."""
        pending = self._pending.get(_cache_key(payment))
        if pending is None or self._is_over(pending):
            return None
        remaining = pending.until - self._clock.boot()
        return _with_retry(pending.status, int(remaining) + 1) if remaining > 0 else None

    def last_status(self, payment: Payment) -> PaymentStatus | None:
        """The outcome of the last attempt, whether or not the next one is due."""
        pending = self._pending.get(_cache_key(payment))
        confirming = self._confirming.get(_cache_key(payment))
        return self.credited_status(payment) or confirming or (pending.status if pending else None)

    def was_attempted(self, payment: Payment) -> bool:
        """Whether an attempt of this process ended without a credit."""
        return _cache_key(payment) in self._pending

    def recent_lookup(self, payment: Payment) -> PaymentStatus | None:
        """The result of a read-only check within the last seconds, of a held payment within the last minute."""
        lookup = self._lookups.get(_cache_key(payment))
        if lookup is None:
            return None
        ttl = _HELD_LOOKUP_TTL_SECONDS if lookup.status.state == "held" else _LOOKUP_TTL_SECONDS
        return lookup.status if self._clock.boot() - lookup.at < ttl else None

    def known_status(self, payment: Payment) -> PaymentStatus | None:
        """The status of a payment that is credited, or whose next attempt is not due."""
        return self.credited_status(payment) or self.pending_status(payment)

    def fresh_status(self, payment: Payment, *, by_attempts: bool = False) -> PaymentStatus | None:
        """The status that answers a question; None if it is time to read Stripe for it.

        With `by_attempts`, only attempts count: a read-only check delays none.
        """
        if known := self.known_status(payment):
            return None if self.is_look_due(payment, known) else known
        return None if by_attempts else self.recent_lookup(payment)

    def last_answer(self, payment: Payment) -> PaymentStatus | None:
        """What a payer was told last, also by a read-only check of the last minutes."""
        lookup = self._lookups.get(_cache_key(payment))
        return self.known_status(payment) or self.last_status(payment) or (lookup.status if lookup else None)

    def looked_at(self, payment: Payment) -> float:
        """When this process last looked at a payment, by the boot clock; 0 if it never did."""
        return self._looked_at.get(_cache_key(payment), 0.0)

    def is_look_due(self, payment: Payment, status: PaymentStatus) -> bool:
        """Whether another process may have done something since this `status` was read."""
        if status.cents == 0 and status.state == "credited":
            return False  # nothing was written that could be reversed
        seconds = _PENDING_LOOK_SECONDS if status.state == "pending" else LOOK_SECONDS
        return self._clock.boot() - self.looked_at(payment) >= seconds

    def make_look_due(self, payment: Payment) -> None:
        """Let the next question look at once."""
        self._looked_at.pop(_cache_key(payment), None)

    def note_look(self, payment: Payment) -> None:
        """Note that a look begins."""
        self._looked_at[_cache_key(payment)] = self._clock.boot()

    def adopt_look(self, payment: Payment, found: PaymentStatus) -> None:
        """Adopt what a look found about a payment that is credited or waits. A wait whose cause is gone ends."""
        pending = self._pending.get(_cache_key(payment))
        if found.state in ("credited", "reversed"):
            self.record_attempt(payment, found)
        elif pending is None or pending.status.state != "held" or pending.status.cause in _UNSEEN_CAUSES:
            return
        elif found.state == "held":
            self._pending[_cache_key(payment)] = replace(pending, status=found)
        elif found.cause not in STRIPE_CAUSES:
            self.make_due(payment)
            self.record_lookup(payment, found)

    def record_lookup(self, payment: Payment, status: PaymentStatus) -> PaymentStatus:
        """Cache the result of a read-only check; a credited or reversed status does not expire."""
        if status.state in ("credited", "reversed"):
            return self.record_attempt(payment, status)
        self.note_look(payment)
        self._lookups[_cache_key(payment)] = _Lookup(status, self._clock.boot())
        return status

    def record_confirming(self, payment: Payment, status: PaymentStatus) -> bool:
        """Note that a payment is not deep enough, which delays no attempt; return whether its cause is new."""
        self.note_look(payment)
        previous = self._confirming.get(_cache_key(payment))
        self._confirming[_cache_key(payment)] = status
        return status.cause is not None and (previous is None or previous.cause != status.cause)

    def record_attempt(self, payment: Payment, status: PaymentStatus) -> PaymentStatus:
        """Cache the outcome of an attempt and schedule the next one, returned as `retry_after`."""
        self.note_look(payment)
        self._confirming.pop(_cache_key(payment), None)
        if status.state in ("credited", "reversed"):
            self._pending.pop(_cache_key(payment), None)
            self._credited[_cache_key(payment)] = status
            return status
        previous = self._pending.get(_cache_key(payment))
        if previous and self._is_over(previous):
            previous = None
        wait = with_jitter(status.retry_after or self._next_wait(status, previous))
        fixed = status.retry_after is not None
        self._pending[_cache_key(payment)] = _Pending(status, self._clock.boot(), wait, fixed)
        return _with_retry(status, wait)

    def _next_wait(self, status: PaymentStatus, previous: _Pending | None) -> int:
        recovered_at = self._recovered_at(status.cause or "")
        if recovered_at and self._clock.boot() - recovered_at < _RECENT_RECOVERY_SECONDS:
            return _FIRST_SOON_WAIT_SECONDS  # the attempt may have begun before the recovery
        return _next_wait(status, previous)

    def _is_over(self, pending: _Pending) -> bool:
        """Whether what a payment waits for has recovered since."""
        return not pending.fixed and self._recovered_at(pending.status.cause or "") > pending.since

    def make_due(self, payment: Payment) -> None:
        """Make the next attempt at a waiting payment due now."""
        self._pending.pop(_cache_key(payment), None)
        self._lookups.pop(_cache_key(payment), None)

    def invalidate(self, payment: Payment) -> None:
        """Drop the credited status of a payment, so that the next attempt checks Stripe again."""
        self._credited.pop(_cache_key(payment), None)


def _cache_key(payment: Payment) -> Hashable:
    """The facts that identify a payment across reorgs, which can assign its identity to another one."""
    return payment.identity, payment.customer_id, payment.sequence, payment.wallet, payment.amount, payment.cents


def _next_wait(status: PaymentStatus, previous: _Pending | None) -> int:
    if status.state == "held" and status.cause != "rate_unavailable":  # a missing rate needs no admin to come back
        return _HELD_WAIT_SECONDS
    if previous is None or (previous.status.state, previous.status.cause) != (status.state, status.cause):
        return _FIRST_SOON_WAIT_SECONDS if status.cause in _SOON_CAUSES else _FIRST_WAIT_SECONDS
    return min(previous.wait * 2, _MAX_WAIT_SECONDS)


def _with_retry(status: PaymentStatus, seconds: int) -> PaymentStatus:
    return replace(status, retry_after=seconds)
