"""Takes one entry back by its opposite, exactly once: looked for first, then written under the reversal's own key."""

from collections.abc import Sequence

from stateless_billing.caps import reversal_of
from stateless_billing.epochs import LOOK_BACK
from stateless_billing.ledger import Entry
from stateless_billing.stripe_ledger import StripeLedger
from stateless_billing.writing import Draft, look_and_write


def draft(entry: Entry, operator: str, reason: str) -> Draft:
    """The opposite of an entry. Its epochs are counted from that entry's `created`."""
    return Draft(
        customer_id=entry.customer,
        cents=-entry.cents,
        description=f"Takes back {entry.id}",
        metadata={"kind": "reversal", "reverses": entry.id, "operator": operator, "reason": reason},
        origin=entry.created,
        key=lambda epoch: f"reversal:{entry.id}:{epoch}",
    )


async def reverse(stripe: StripeLedger, entry: Entry, operator: str, reason: str) -> Entry:
    """The entry that takes `entry` back, found or written now. Safe to repeat, by anybody, at any time.

    Raises StripeFailure; TooSoon around a border between two keys.
    """

    def found(entries: Sequence[Entry]) -> Entry | None:
        return reversal_of(entry, entries)

    return await look_and_write(stripe, draft(entry, operator, reason), entry.created - LOOK_BACK, found)
