"""Reverses an entry exactly once, by writing its opposite under the reversal's own key."""

import contextlib
from collections.abc import Sequence

from stateless_billing.bookkeeping.entry_writer import EntryDraft, find_or_write
from stateless_billing.bookkeeping.proofs import Proofs
from stateless_billing.domain.balance_chain import LedgerReading
from stateless_billing.domain.epochs import LISTING_LEAD_SECONDS, epoch_position, seconds_until_writable
from stateless_billing.domain.ledger import Entry, reversal_of
from stateless_billing.stripe.client import StripeApi, StripeSession
from stateless_billing.stripe.errors import InQuietZone, LedgerUnproven, NeedsSecondReading, RequestRejected
from stateless_billing.stripe.ledger_reader import read_session


def reversal_draft(entry: Entry, operator: str, reason: str) -> EntryDraft:
    """Create the reversal of an entry. Its epochs are counted from that entry's `created`."""
    return EntryDraft(
        customer_id=entry.customer,
        cents=-entry.cents,
        description=f"Takes back {entry.id}",
        metadata={"kind": "reversal", "reverses": entry.id, "operator": operator, "reason": reason},
        origin=entry.created,
        idempotency_key=lambda epoch: f"reversal:{entry.id}:{epoch}",
    )


class Reversals:
    """Writes reversals. `proofs` holds the evidence that an old entry is not reversed yet."""

    def __init__(self, stripe: StripeApi, proofs: Proofs) -> None:
        self._stripe = stripe
        self._proofs = proofs

    async def reverse(self, entry: Entry, operator: str, reason: str) -> Entry:
        """Return the reversal of `entry`, writing it if there is none. Safe to repeat at any time.

        An entry past its first epoch may have been reversed under a key that Stripe has forgotten. Its ledger must then
        show, in two readings half an hour apart, everything from its newest entry back to this one.

        Raises: StripeFailure, of which InQuietZone, NeedsSecondReading and LedgerUnproven ask for a later try.
        """

        def find_entry(entries: Sequence[Entry]) -> Entry | None:
            return reversal_of(entry, entries)

        async def check(session: StripeSession) -> Entry | None:
            return await self._require_proof(session, entry)

        draft = reversal_draft(entry, operator, reason)
        return await find_or_write(self._stripe, draft, entry.created - LISTING_LEAD_SECONDS, find_entry, check)

    async def check_possible(self, entry: Entry) -> None:
        """Take the first reading of an old entry's ledger.

        The entry can then be reversed half an hour later.

        Raises: StripeFailure.
        """
        async with self._stripe.session() as session:
            await session.get_customer(entry.customer)
            with contextlib.suppress(InQuietZone, LedgerUnproven):
                await self._require_proof(session, entry)

    async def _require_proof(self, session: StripeSession, entry: Entry) -> Entry | None:
        """Return a reversal that only a full reading shows; None if proven to be absent."""
        now = session.now()
        position = epoch_position(now, entry.created)
        if position.epoch == 0:
            return None
        if position.in_quiet_zone:
            raise InQuietZone(seconds_until_writable(now, entry.created))
        _, reading = await read_session(session, entry.customer, entry.id)
        if reading is None:
            raise RequestRejected(f"{entry.customer} was deleted, and its entries with it", "resource_missing")
        if reversal := reversal_of(entry, reading.entries):
            return reversal
        if not covers_entry(reading, entry):
            raise LedgerUnproven(f"the ledger of {entry.customer} does not show {entry.id}, the entry to reverse")
        proof = self._proofs.judge(f"reversal:{entry.id}", entry.customer, position.epoch, reading)
        if proof.wait_seconds:
            raise NeedsSecondReading(proof.wait_seconds)
        if not proof.proven:
            raise LedgerUnproven(
                f"the ledger of {entry.customer} does not prove that the entry is not reversed yet: {proof.flaw}"
            )
        return None


def covers_entry(reading: LedgerReading, entry: Entry) -> bool:
    """Whether a reading shows the entry, and so everything newer, its reversal included."""
    return any(row.id == entry.id for row in reading.entries)
