"""Says what Stripe's events tell of a deleted customer, and of a payment that it may have been credited for."""

import time

from chain.payment import Payment
from stateless_billing.domain import ledger
from stateless_billing.domain.epochs import LISTING_LEAD_SECONDS
from stateless_billing.runtime.clock import Clock
from stateless_billing.stripe import lookups
from stateless_billing.stripe.client import StripeApi
from stateless_billing.stripe.errors import PERMISSION_MISSING, RequestRejected, StripeFailure
from stateless_billing.stripe.objects import Deletion, DeletionPage

_TTL_SECONDS = 5.0  # one reading serves all payments of a page

_DENIED = (
    "This service's key may not read Stripe's events (its permission Events: Read is missing), so it does not know"
    " when the customer was deleted. The Stripe Dashboard shows it for 30 days, under Developers, Events."
)
_UNREADABLE = "Stripe's events could not be read just now. Load the page again in a minute."


class CustomerDeletions:
    """Reads the events of deletions, once for all payments of a page."""

    def __init__(self, stripe: StripeApi, clock: Clock) -> None:
        self._stripe = stripe
        self._clock = clock
        self._cached: tuple[float, DeletionPage | str] | None = None

    async def describe(self, payment: Payment) -> str:
        """Describe the deletion of a payment's customer. A failure becomes a sentence."""
        reading = await self._read()
        return reading if isinstance(reading, str) else describe_deletion(payment, reading)

    async def _read(self) -> DeletionPage | str:
        now = self._clock.boot()
        if self._cached is None or not 0 <= now - self._cached[0] < _TTL_SECONDS:
            self._cached = now, await self._read_events()
        return self._cached[1]

    async def _read_events(self) -> DeletionPage | str:
        try:
            return await lookups.list_deletions(self._stripe)
        except RequestRejected as error:
            return _DENIED if error.code == PERMISSION_MISSING else _UNREADABLE
        except StripeFailure:
            return _UNREADABLE


def describe_deletion(payment: Payment, page: DeletionPage) -> str:
    """Describe the newest deletion of a payment's customer, and what its last cursor says of the payment."""
    deletion = next((event for event in page.deletions if event.customer_id == payment.customer_id), None)
    if deletion is None:
        if page.complete:
            return (
                "Stripe's events, which go back 30 days, hold no deletion of it: it was deleted before that, or in"
                " the last minute."
            )
        newest = f"The newest {len(page.deletions)} deletions among Stripe's events"
        return f"{newest} do not name it. Older ones were not read."
    when = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(deletion.time))
    return f"Stripe's events: it was deleted on {when} ({deletion.event_id}). {_describe_cursor(payment, deletion)}"


def _describe_cursor(payment: Payment, deletion: Deletion) -> str:
    cursor = ledger.parse_cursor(deletion.metadata.get(ledger.cursor_key(payment.chain_id, payment.gateway)))
    if deletion.time < payment.time - LISTING_LEAD_SECONDS:
        return "That was before this payment was made."
    if cursor is None:
        return "It had no cursor of this gateway then: the event knows of no credit."
    if cursor.next > payment.sequence:
        return "Its cursor was behind this payment then: it had been credited."
    return "Its cursor was before this payment then: it was not yet seen as credited."
