"""The status of a payment: its state, the cause of a wait, and when to ask again."""

from dataclasses import dataclass
from typing import get_args

from stateless_billing.domain.finality import ConfirmingCause, Depth
from stateless_billing.domain.ledger import Entry

STATES = ("unknown", "unrelated", "failed", "confirming", "pending", "held", "reversed", "credited")
"""All states of a payment, least advanced first."""
UNRELATED_CAUSES = ("treasury_transfer",)
"""Why an EVM transaction that paid no gateway is worth a word of its own."""
CONFIRMING_CAUSES: tuple[str, ...] = get_args(ConfirmingCause)
PENDING_CAUSES = STRIPE_CAUSES = ("stripe_unclear", "stripe_down", "rate_limited")
HELD_CAUSES = (
    "rate_unavailable",
    "over_limit",
    "customer_deleted",
    "customer_invalid",
    "currency",
    "test_clock",
    "not_payable",
    "ledger_altered",
    "ledger_unproven",
    "stripe_refused",
)
"""All causes of `confirming`, `pending` and `held`; the API's description lists them."""


@dataclass(frozen=True, slots=True)
class PaymentStatus:
    """A payment's state, the `cause` if it waits, and `retry_after` in seconds, None if it will not change.

    `credited_customer` was credited instead of the event's customer; `verified_on_target` says whether a listing of
    its ledger showed the credit. `blamed_customer` is the one whose ledger `detail` refers to. `collides`: Stripe holds
    the payment's key with other parameters, so that no attempt can succeed before the next epoch.
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
    collides: bool = False


def confirming_status(depth: Depth) -> PaymentStatus:
    """The status of a payment that is not deep enough yet."""
    missing = (depth.needed or 0) - (depth.confirmed or 0)
    wait = min(15, max(1, missing)) if depth.needed is not None else 30
    return PaymentStatus(
        "confirming", cause=depth.cause, confirmed=depth.confirmed, needed=depth.needed, retry_after=wait
    )


def credited_status(cents: int | None, entry: Entry | None) -> PaymentStatus:
    """The status of a credited payment. `entry` is None if nothing had to be written or only the cursor shows it."""
    return PaymentStatus("credited", cents=cents, credit=entry.id if entry else None)
