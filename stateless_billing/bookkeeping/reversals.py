"""Takes one entry back by its opposite, exactly once: looked for first, then written under the reversal's own key."""

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
    """The opposite of an entry. Its epochs are counted from that entry's `created`."""
    return EntryDraft(
        customer_id=entry.customer,
        cents=-entry.cents,
        description=f"Takes back {entry.id}",
        metadata={"kind": "reversal", "reverses": entry.id, "operator": operator, "reason": reason},
        origin=entry.created,
        idempotency_key=lambda epoch: f"reversal:{entry.id}:{epoch}",
    )


class Reversals:
    """Writes reversals. `proofs` remembers what ledgers told of entries older than an epoch."""

    def __init__(self, stripe: StripeApi, proofs: Proofs) -> None:
        self._stripe, self._proofs = stripe, proofs

    async def reverse(self, entry: Entry, operator: str, reason: str) -> Entry:
        """The entry that takes `entry` back, found or written now. Safe to repeat, by anybody, at any time.

        An entry older than its first epoch may have been taken back under a key that is forgotten: then its ledger
        must show, twice and half an hour apart, everything from its newest entry down to this one.
        Raises StripeFailure; InQuietZone around a border between two keys, NeedsSecondReading, LedgerUnproven.
        """

        def found(entries: Sequence[Entry]) -> Entry | None:
            return reversal_of(entry, entries)

        async def check(session: StripeSession) -> Entry | None:
            return await self._require_proof(session, entry)

        written = reversal_draft(entry, operator, reason)
        return await find_or_write(self._stripe, written, entry.created - LISTING_LEAD_SECONDS, found, check)

    async def check_possible(self, entry: Entry) -> None:
        """Have an old entry's ledger tell for the first time, so that a reversal half an hour later can be sent.

        Raises StripeFailure.
        """
        async with self._stripe.session() as session:
            await session.get_customer(entry.customer)
            with contextlib.suppress(InQuietZone, LedgerUnproven):
                await self._require_proof(session, entry)

    async def _require_proof(self, session: StripeSession, entry: Entry) -> Entry | None:
        """A reversal that only the whole reading shows; None where it is proven that there is none."""
        now = session.now()
        position = epoch_position(now, entry.created)
        if position.epoch == 0:
            return None
        if position.in_quiet_zone:
            raise InQuietZone(seconds_until_writable(now, entry.created))
        _, reading = await read_session(session, entry.customer, entry.id)
        if reading is None:
            raise RequestRejected(f"{entry.customer} was deleted, and its entries with it", "resource_missing")
        if there := reversal_of(entry, reading.entries):
            return there
        sought = f"reversal:{entry.id}"
        if not covers_entry(reading, entry):
            raise LedgerUnproven(f"the ledger of {entry.customer} does not show {entry.id}, which was to be taken back")
        proof = self._proofs.judge(sought, entry.customer, position.epoch, reading)
        if proof.wait_seconds:
            raise NeedsSecondReading(proof.wait_seconds)
        if not proof.proven:
            raise LedgerUnproven(
                f"the ledger of {entry.customer} does not prove that nothing takes it back: {proof.flaw}"
            )
        return None


def covers_entry(reading: LedgerReading, entry: Entry) -> bool:
    """Whether a reading shows the entry itself: what takes it back can only be newer."""
    return any(one.id == entry.id for one in reading.entries)
