"""Where a payment stands: its state, its cause where it waits, and when to ask again."""

from dataclasses import dataclass

from stateless_billing.domain.finality import Depth
from stateless_billing.domain.ledger import Entry

STATES = ("unknown", "failed", "confirming", "pending", "held", "reversed", "credited")
"""The states of a payment, the least advanced first."""


@dataclass(frozen=True, slots=True)
class PaymentStatus:
    """A payment's `state`, its `cause` where it waits, and `retry_after` in seconds, None where nothing will change.

    `target` is who was credited instead of the event's customer, `seen` whether that one's listing showed it.
    `about` is the customer whose ledger `detail` speaks of.
    """

    state: str
    cents: int | None = None
    cause: str | None = None
    credit: str | None = None
    confirmed: int | None = None
    needed: int | None = None
    retry_after: int | None = None
    detail: str = ""
    credited_customer: str | None = None
    verified_on_target: bool = False
    blamed_customer: str = ""


def confirming_status(depth: Depth) -> PaymentStatus:
    """Not deep enough yet."""
    missing = (depth.needed or 0) - (depth.confirmed or 0)
    wait = min(15, max(1, missing)) if depth.needed is not None else 30
    return PaymentStatus("confirming", confirmed=depth.confirmed, needed=depth.needed, retry_after=wait)


def credited_status(cents: int | None, entry: Entry | None) -> PaymentStatus:
    """The credit is there; `entry` is None where nothing had to be written or the cursor alone tells it."""
    return PaymentStatus("credited", cents=cents, credit=entry.id if entry else None)
