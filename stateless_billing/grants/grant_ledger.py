"""Reads the grants record and completes or reverses its reservations, also after a crash.

The record is the ledger of all grants. A row reserves an amount and is judged by the ledger up to it; then the customer
is credited or the row is reversed. Every step is idempotent and may be repeated by any process.
"""

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

from cachetools import LRUCache

from stateless_billing.bookkeeping.entry_writer import find_or_write
from stateless_billing.bookkeeping.records import ServiceRecords
from stateless_billing.bookkeeping.reversals import Reversals
from stateless_billing.domain.epochs import LISTING_LEAD_SECONDS, QUIET_SECONDS, epoch_position, seconds_until_writable
from stateless_billing.domain.form_ids import died_before
from stateless_billing.domain.ledger import Entry, reversal_of
from stateless_billing.grants import caps, look_alikes
from stateless_billing.grants.caps import DAY, Listing, Reservation
from stateless_billing.grants.entries import find_grant, grant_draft
from stateless_billing.runtime.backoff import Backoff
from stateless_billing.runtime.clock import Clock
from stateless_billing.stripe import lookups
from stateless_billing.stripe.client import StripeApi, StripeSession
from stateless_billing.stripe.eligibility import find_obstacle
from stateless_billing.stripe.errors import InQuietZone, RequestRejected, StripeFailure
from stateless_billing.stripe.ledger_reader import entries_or_none

SERVICE = "service"  # who reverses a reservation that did not become a grant
RECONCILE_SECONDS = 3 * DAY  # how far back open reservations are completed
# After a reversal: by then, writes decided before it have been sent, and lists show them.
_SETTLING_SECONDS = QUIET_SECONDS + 600
_STARTUP_TIMEOUT_SECONDS = 10.0
_LISTING_TTL_SECONDS = 30  # how long a listing may be used to give grants
_CACHE_SIZE = 10_000
_MAX_CONCURRENT = 4

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Grant:
    """A reservation and its outcome.

    `state`: open, given, refused (reversed before a credit was written) or undone. `credit` is the customer's entry and
    `taken_back` its reversal, if they were read. `is_final`: only an undo can change it.
    """

    reservation: Reservation
    state: str
    credit: Entry | None = None
    reversal: Entry | None = None
    taken_back: Entry | None = None
    detail: str = ""
    is_final: bool = False


class IneligibleCustomer(Exception):
    """The reservation can never become a grant, for the `reason` that its reversal states."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class GrantLedger:
    """Reads the grants record and completes its reservations. Safe to run in several processes."""

    def __init__(self, *, stripe: StripeApi, records: ServiceRecords, clock: Clock, reversals: Reversals) -> None:
        self.stripe = stripe
        self.records = records
        self.reversals = reversals
        self._clock = clock
        self._final: LRUCache[str, Grant] = LRUCache(_CACHE_SIZE)
        self._backoff = Backoff(clock, lambda: stripe.health.recovered_at)
        self._complete = False
        self._uncertain: float | None = None
        self._open: dict[str, Reservation] = {}  # written by this process; a list may not show them yet
        self.in_flight: set[str] = set()  # grants that this process is giving now

    async def list_grants(self, since: int) -> Listing:
        """List the rows since `since` and at least one before, or all rows.

        Raises: StripeFailure.
        """
        async with self.stripe.session() as session:
            page = await session.list_newest_entries(self.records.grants_id, 0)
            read_at = session.now()
            entries = list(page.entries)
            while not page.complete and entries[-1].created >= since:
                page = await session.list_newest_entries(self.records.grants_id, 0, entries[-1].id)
                entries += page.entries
        return Listing(entries, page.complete, read_at)

    async def reconcile(self, since: int | None = None, customer: str | None = None) -> list[Grant]:
        """Complete open reservations and return the grants since `since`, newest first.

        Reservations that cannot be completed now stay open and are retried on the next pass. With `customer`, the state
        of other customers' grants is taken from the record alone, and `run` completes them later.

        Raises: StripeFailure if the record cannot be read.
        """
        now = read_at = int(self._clock.wall())
        recent = now - RECONCILE_SECONDS
        start = recent if since is None else min(since, now - DAY)
        listing = await self.list_grants(min(start, recent) - DAY)
        older = await lookups.find_reversed_entries(
            self.stripe, self.records.grants_id, listing.entries, recent, self._is_finally_reversed
        )
        reservations = self._reservations(listing, older, min(start, recent), recent)
        grants: list[Grant] = []
        for index in range(0, len(reservations), _MAX_CONCURRENT):
            if self._clock.wall() - read_at > _LISTING_TTL_SECONDS:
                read_at = int(self._clock.wall())
                listing = await self.list_grants(min(start, recent) - DAY)
            batch = reservations[index : index + _MAX_CONCURRENT]
            grants += await asyncio.gather(
                *(self._complete_if_recent(reserved, listing, recent, customer) for reserved in batch)
            )
        latest = (row for row in reservations if caps.last_changed_at(row, listing.entries) >= recent)
        is_uncertain = self._uncertain is not None and self._clock.boot() - self._uncertain < _SETTLING_SECONDS
        self._complete = not is_uncertain and not self._open and all(self._final_grant(row, listing) for row in latest)
        grants.reverse()
        return [grant for grant in grants if grant.reservation.entry.created >= start]

    def _reservations(self, listing: Listing, older: Sequence[Entry], since: int, recent: int) -> list[Reservation]:
        """Return the reservations in the rows, oldest first, and this process's own unlisted ones."""
        listed = {entry.id for entry in listing.entries}
        unlisted = [reserved for reserved in self._open.values() if reserved.entry.id not in listed]
        rows = [*older, *reversed(listing.entries)]
        reservations = [*filter(None, map(caps.parse_reservation, rows)), *unlisted]
        for reserved in reservations:
            if caps.last_changed_at(reserved, listing.entries) < recent:
                self._open.pop(reserved.entry.id, None)  # too old to complete; the audit reports it
        return [reserved for reserved in reservations if caps.last_changed_at(reserved, listing.entries) >= since]

    def _is_finally_reversed(self, reservation_id: str) -> bool:
        grant = self._final.get(reservation_id)
        return grant is not None and grant.reversal is not None

    def mark_uncertain(self) -> None:
        """Record that a write may not be listed yet: reconcile until lists must show it."""
        self._uncertain = self._clock.boot()
        self._complete = False

    async def reconcile_if_due(self) -> bool:
        """Reconcile unless the record is known to be complete; return whether it is complete now."""
        if not self._complete and self.records.grants_id and self._backoff.is_due("look"):
            try:
                await self.reconcile()
            except StripeFailure as error:
                log.warning("grants record: reading failed, retrying later: %s", error)
            if self._complete:
                self._backoff.record_success("look")
            else:
                self._backoff.record_failure("look")
        return self._complete

    async def reconcile_at_start(self) -> None:
        """Reconcile during startup, for a limited time; `run` completes the rest."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_STARTUP_TIMEOUT_SECONDS):
                await self._reconcile_or_log()

    async def run(self, seconds: float) -> None:
        """Reconcile whenever it is due, until cancelled. Sends nothing while the record is complete."""
        while True:
            await asyncio.sleep(seconds)
            await self._reconcile_or_log()

    async def _reconcile_or_log(self) -> None:
        try:
            await self.reconcile_if_due()
        except Exception:
            log.exception("grants record: reconciling failed, retrying on the next pass")

    def _final_grant(self, reserved: Reservation, listing: Listing) -> Grant | None:
        """Return a reservation's final grant, unless it was reversed since."""
        grant = self._final.get(reserved.entry.id)
        changed = grant and not grant.reversal and reversal_of(reserved.entry, listing.entries)
        return None if changed else grant

    async def _complete_if_recent(
        self, reserved: Reservation, listing: Listing, recent: int, customer: str | None
    ) -> Grant:
        if caps.last_changed_at(reserved, listing.entries) < recent or customer not in (None, reserved.customer):
            return grant_by_record(reserved, listing)
        if reserved.grant in self.in_flight:
            return Grant(reserved, "open", detail="being given right now")
        try:
            return await self.complete(reserved, listing)
        except StripeFailure as error:
            log.warning("grant %s: stays open, retrying later: %s", reserved.grant, error)
            return Grant(reserved, "open", reversal=reversal_of(reserved.entry, listing.entries), detail=str(error))

    async def complete(self, reserved: Reservation, listing: Listing) -> Grant:
        """Complete a reservation as far as possible now.

        Raises: StripeFailure.
        """
        if final := self._final_grant(reserved, listing):
            return final
        reversal = reversal_of(reserved.entry, listing.entries)
        was_complete, self._complete = self._complete, False
        self._open[reserved.entry.id] = reserved
        grant = await (self.reverse_grant(reserved, reversal) if reversal else self._decide(reserved, listing))
        if grant.is_final:
            self._final[reserved.entry.id] = grant
            self._open.pop(reserved.entry.id, None)
            self._complete = was_complete and not self._open
        log_fields = {"grant": reserved.grant, "customer": reserved.customer, "state": grant.state}
        log.info("grant %s: %s %s", reserved.grant, grant.state, grant.detail, extra=log_fields)
        return grant

    async def _decide(self, reserved: Reservation, listing: Listing) -> Grant:
        verdict = caps.judge_caps(reserved, listing.entries, complete=listing.complete)
        if verdict is None:
            return Grant(reserved, "open", detail="Stripe's list does not show the whole ledger yet")
        if not verdict.fits:
            return await self._refuse_reservation(reserved, f"over_cap:{verdict.broken}")
        if died_before(reserved.grant, reserved.entry.created):
            return await self._refuse_reservation(reserved, "form_dead")
        try:
            entry = await self._write_grant(reserved, listing)
        except IneligibleCustomer as error:
            return await self._refuse_reservation(reserved, error.reason)
        except InQuietZone as error:
            return Grant(reserved, "open", detail=str(error))
        return Grant(reserved, "given", credit=entry, is_final=True)

    async def _write_grant(self, reserved: Reservation, listing: Listing) -> Entry:
        async def check(session: StripeSession) -> Entry | None:
            now = epoch_position(session.now(), reserved.entry.created)
            if now.epoch > 0 and now.in_quiet_zone:
                raise InQuietZone(seconds_until_writable(session.now(), reserved.entry.created))
            if now.epoch > 0:
                raise IneligibleCustomer("lapsed")
            if look_alikes.is_unconfirmed_repeat(reserved, listing):
                raise IneligibleCustomer("look_alike")
            await require_usable(session, reserved.customer)
            return None

        def find_entry(entries: Sequence[Entry]) -> Entry | None:
            return find_grant(reserved.grant, entries)

        since = reserved.entry.created - LISTING_LEAD_SECONDS
        try:
            return await find_or_write(self.stripe, grant_draft(reserved), since, find_entry, check)
        except RequestRejected as error:
            if error.code in ("resource_missing", "customer_invalid"):
                raise IneligibleCustomer("customer_deleted") from error
            raise

    async def _refuse_reservation(self, reserved: Reservation, reason: str) -> Grant:
        reversal = await self.reversals.reverse(reserved.entry, SERVICE, reason)
        return await self.reverse_grant(reserved, reversal)

    async def check_reversible(self, reserved: Reservation) -> None:
        """Take the first reading that proves an old grant's credit is not reversed yet."""
        async with self.stripe.session() as session:
            entries = await entries_or_none(session, reserved.customer, reserved.entry.created - LISTING_LEAD_SECONDS)
        if credit := find_grant(reserved.grant, entries or []):
            await self.reversals.check_possible(credit)

    async def reverse_grant(self, reserved: Reservation, reversal: Entry) -> Grant:
        """Reverse the credit of a reversed reservation, if any, in the same operator's name."""
        operator, detail = reversal.metadata.get("operator", SERVICE), reversal.metadata.get("reason", "")
        async with self.stripe.session() as session:
            since = reserved.entry.created - LISTING_LEAD_SECONDS
            entries = await entries_or_none(session, reserved.customer, since) or []  # a deleted customer has none
            now = session.now()
        grant = replace(_reversed_grant(reserved, reversal), is_final=now - reversal.created >= _SETTLING_SECONDS)
        credit = find_grant(reserved.grant, entries)
        if credit is None:
            return grant
        taken_back = reversal_of(credit, entries) or await self.reversals.reverse(
            credit, operator, detail or "reservation_reversed"
        )
        return replace(grant, state="undone", credit=credit, taken_back=taken_back, is_final=True)


async def require_usable(session: StripeSession, customer_id: str) -> None:
    """Raise IneligibleCustomer for a customer that cannot be credited."""
    if cause := find_obstacle(await session.get_customer(customer_id)):
        raise IneligibleCustomer(cause)


def grant_by_record(reserved: Reservation, listing: Listing) -> Grant:
    """Return a grant as the record alone tells it."""
    reversal = reversal_of(reserved.entry, listing.entries)
    return _reversed_grant(reserved, reversal) if reversal else Grant(reserved, "given", is_final=True)


def _reversed_grant(reserved: Reservation, reversal: Entry) -> Grant:
    state = "refused" if reversal.metadata.get("operator") == SERVICE else "undone"
    return Grant(reserved, state, reversal=reversal, detail=reversal.metadata.get("reason", ""), is_final=True)
