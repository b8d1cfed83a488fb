"""A payment deep enough to be credited, and whether its customer's cursor covers it."""

from dataclasses import dataclass

from chain.gateway import Gateway
from chain.payment import Payment
from stateless_billing.crediting.status_cache import StatusCache
from stateless_billing.domain import ledger
from stateless_billing.domain.epochs import LISTING_LEAD_SECONDS, can_skip_check
from stateless_billing.stripe.objects import Customer


@dataclass(frozen=True, slots=True)
class CreditCase:
    """A payment, and what an attempt may do about it.

    Without `may_write` it only checks. Without `trust_cursor` it ignores the customer's cursor, because an audit found
    the credit missing. Without `may_prove` it concludes from complete listings instead of proving absence: cheaper,
    enough for display, never for a write.
    """

    gateway: Gateway
    payment: Payment
    final: bool
    may_write: bool
    trust_cursor: bool = True
    may_prove: bool = True

    @property
    def customer_id(self) -> str | None:
        """The event's own customer."""
        return self.payment.customer_id

    @property
    def since(self) -> int:
        """The earliest time at which its credit may have been written, in Unix seconds."""
        return self.payment.time - LISTING_LEAD_SECONDS

    def is_fresh(self, now: int) -> bool:
        """Whether to write without a check: a quoted, unfinalized payment, young enough for its first key."""
        quoted = self.payment.quoted and self.customer_id is not None
        return self.may_write and quoted and not self.final and can_skip_check(now, self.payment.time)

    async def is_covered_by(self, cursor: ledger.Cursor | None) -> bool:
        """Whether a cursor of the event's customer shows it as credited. Raises: ChainError."""
        if not self.final or not self.trust_cursor or cursor is None or self.customer_id is None:
            return False
        return await cursor_covers(self.gateway, self.customer_id, cursor, self.payment.sequence)


def read_cursor(status_cache: StatusCache, gateway: Gateway, customer: Customer) -> ledger.Cursor | None:
    """Parse a customer's cursor for a gateway and cache it."""
    cursor = ledger.parse_cursor(customer.value(ledger.cursor_key(gateway.chain_id, gateway.address)))
    status_cache.record_cursor((customer.id, gateway.address), cursor, deleted=customer.deleted)
    return cursor


async def cursor_covers(gateway: Gateway, customer_id: str, cursor: ledger.Cursor, sequence: int) -> bool:
    """Whether a cursor covers this sequence and fits the chain: it names the payment before its position."""
    if sequence >= cursor.next or cursor.next > await gateway.payment_count(customer_id):
        return False
    [before] = await gateway.payments_of(customer_id, cursor.next - 1, cursor.next)
    return before.tx_hash == cursor.before
