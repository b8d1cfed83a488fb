"""Notices admins' orders that another process took, soon and at a bounded cost in reads of Stripe."""

import logging
from collections.abc import Iterable

from chain.payment import Payment
from stateless_billing.bookkeeping.orders import Orders
from stateless_billing.crediting.status_cache import StatusCache
from stateless_billing.domain.epochs import LISTING_LEAD_SECONDS
from stateless_billing.runtime.clock import Clock
from stateless_billing.stripe.errors import StripeFailure

log = logging.getLogger(__name__)

LEAST_SECONDS = 5
MOST_SECONDS = 900
_SLOWING = 360  # the pause is this fraction of the time since anything happened
"""One read at a look: 360 in the first half hour, 2,000 in the first week that nothing happens, 96 a day after that."""


class OrderWatch:
    """Makes held payments due when they get an order.

    Without held payments it reads nothing. It looks every five seconds after a payment was held, an order was written
    or an operator used this process, and then less and less often. One look reads the service record, whose balance
    rises with every order; only where it rose are the orders listed.
    """

    def __init__(self, orders: Orders, status_cache: StatusCache, clock: Clock) -> None:
        self._orders = orders
        self._status_cache = status_cache
        self._clock = clock
        self._checked_at: float | None = None
        self._active_at = 0.0
        self._latest: int | None = None  # the record's balance when last read
        self._version: int | None = None  # the one up to which the orders were listed
        self._seen: set[str] = set()
        self._newest: dict[str, int] = {}
        """The position of the newest order that was noticed, by payment."""

    def note_activity(self) -> None:
        """Look often for a while: an operator uses this process."""
        self._active_at = self._clock.boot()

    async def retry_ordered(self, payments: Iterable[Payment]) -> None:
        """Make those of `payments` due that are held and have a new order, if it is time to look."""
        known = {payment.identity: payment for payment in payments}
        held = {identity: payment for identity, payment in known.items() if self._may_be_ordered(payment)}
        if held.keys() - self._seen:
            self.note_activity()
            self._version = None  # an order may be older than the payment is held here
        self._seen = (self._seen & known.keys()) | held.keys()
        if not held or not self._is_due():
            return
        self._checked_at = self._clock.boot()
        try:
            await self._look(held)
        except StripeFailure as error:
            log.warning("orders could not be read, held payments keep their schedule: %s", error)

    def _may_be_ordered(self, payment: Payment) -> bool:
        """Whether a payment waits for an order, or follows one that may be replaced or withdrawn."""
        status = self._status_cache.pending_status(payment)
        return status is not None and (status.state == "held" or payment.identity in self._newest)

    def _is_due(self) -> bool:
        now = self._clock.boot()
        pause = min(MOST_SECONDS, max(LEAST_SECONDS, int(now - self._active_at) // _SLOWING))
        return self._checked_at is None or now - self._checked_at >= pause

    async def _look(self, held: dict[str, Payment]) -> None:
        version = await self._orders.read_version()
        if version == self._version:
            return
        if version != self._latest:
            self._latest = version
            self.note_activity()
        self._orders.invalidate()
        oldest = min(payment.time for payment in held.values())
        orders = await self._orders.list_since(oldest - LISTING_LEAD_SECONDS)
        positions = {order.payment: order.position for order in orders}
        is_whole = max((order.position for order in orders), default=0) >= version
        self._version = version if is_whole else None  # a list may lag behind the balance
        for identity, payment in held.items():
            if positions.get(identity, 0) > self._newest.get(identity, 0):
                self._status_cache.make_due(payment)
        self._newest = {identity: positions[identity] for identity in held if identity in positions}
