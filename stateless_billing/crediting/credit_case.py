"""One payment that lies deep enough to be credited, and the evidence that its customer's cursor gives."""

from dataclasses import dataclass

from chain.gateway import Gateway
from chain.payment import Payment
from stateless_billing.domain import ledger
from stateless_billing.domain.epochs import LISTING_LEAD_SECONDS, can_skip_check


@dataclass(frozen=True, slots=True)
class CreditCase:
    """A payment, and what may be done about it: `sending`, or looking only.

    Without `trust_cursor` the customer's cursor is no evidence: an audit has shown that the credit is missing. Without
    `proving` a look concludes from ended listings, which costs few reads: enough for showing, never for sending.
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
        """From when on its credit may have been written, in unix seconds."""
        return self.payment.time - LISTING_LEAD_SECONDS

    def is_fresh(self, now: int) -> bool:
        """Whether it may be sent without a look. Of a final payment one listing tells all, however often asked."""
        quoted = self.payment.quoted and self.customer_id is not None
        return self.may_write and quoted and not self.final and can_skip_check(now, self.payment.time)

    async def is_covered_by(self, cursor: ledger.Cursor | None) -> bool:
        """Whether a cursor of the event's customer says that it is credited. Raises ChainError."""
        if not self.final or not self.trust_cursor or cursor is None or self.customer_id is None:
            return False
        return await cursor_covers(self.gateway, self.customer_id, cursor, self.payment.sequence)


async def cursor_covers(gateway: Gateway, customer_id: str, cursor: ledger.Cursor, sequence: int) -> bool:
    """Whether a cursor says that this sequence is credited, and is one: it names the payment before it."""
    if sequence >= cursor.next or cursor.next > await gateway.payment_count(customer_id):
        return False
    [before] = await gateway.payments_of(customer_id, cursor.next - 1, cursor.next)
    return before.tx_hash == cursor.before
