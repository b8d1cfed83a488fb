"""Looks at held payments again: another process may have credited one, or its cause may be gone."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from chain.errors import ChainError
from chain.payment import Payment
from stateless_billing.crediting.status_cache import LOOK_SECONDS, StatusCache
from stateless_billing.runtime.clock import Clock

log = logging.getLogger(__name__)

MOST_SECONDS = 3600
_PAUSE_SECONDS = 5  # between two looks, at whichever payments
_FAILURE_PAUSE_SECONDS = 300
_PATIENCE_SECONDS = 60  # for a ledger of many pages
_SLOWING = 12  # a payment is left alone for this fraction of the time since it was first seen held


class HeldWatch:
    """Makes held payments due whose cause is gone, and learns what other processes credited.

    A payment is looked at every five minutes in its first hour, then less and less often, down to once an hour. One
    look runs at a time, beside the rounds, at the payment whose last look is the oldest. Without held payments nothing
    is read.
    """

    def __init__(self, look: Callable[[Payment], Awaitable[None]], status_cache: StatusCache, clock: Clock) -> None:
        self._look = look
        self._status_cache = status_cache
        self._clock = clock
        self._next_at = 0.0
        self._held_since: dict[str, float] = {}
        self._looking: asyncio.Task[None] | None = None

    def look_again(self, payments: Sequence[Payment]) -> None:
        """Begin to look at one of those of `payments` that are held, if it is time."""
        held = {payment.identity: payment for payment in payments if self._is_held(payment)}
        now = self._clock.boot()
        self._held_since = {identity: self._held_since.get(identity, now) for identity in held}
        due = [payment for payment in held.values() if self._is_due(payment, now)]
        if due and now >= self._next_at and not self._looking:
            self._looking = asyncio.create_task(self._look_at(min(due, key=self._status_cache.looked_at)))

    async def stop(self) -> None:
        """End the look in progress."""
        if self._looking:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)
            self._looking = None  # cancelled before it began, it did not do so itself

    async def _look_at(self, payment: Payment) -> None:
        pause = _PAUSE_SECONDS
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                await self._look(payment)
        except (ChainError, TimeoutError) as error:
            pause = _FAILURE_PAUSE_SECONDS
            log.warning("a held payment could not be looked at again: %r", error)
        except Exception:
            log.exception("a held payment could not be looked at again")
        finally:
            self._looking = None
            self._next_at = self._clock.boot() + pause

    def _is_held(self, payment: Payment) -> bool:
        status = self._status_cache.pending_status(payment)
        return status is not None and status.state == "held"

    def _is_due(self, payment: Payment, now: float) -> bool:
        pause = min(MOST_SECONDS, max(LOOK_SECONDS, (now - self._held_since[payment.identity]) / _SLOWING))
        return now - self._status_cache.looked_at(payment) >= pause
