"""The grants record read, and whatever a crash left open on it completed or undone.

The record is the one ledger of what all moderators gave. A row reserves an amount; the verdict on it is a function of
the ledger up to it; then the customer gets the grant, or the row is reversed. Every step may be repeated by anybody.
"""

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from cachetools import LRUCache

from stateless_billing.bookkeeping.entry_writer import find_or_write
from stateless_billing.bookkeeping.records import ServiceRecords
from stateless_billing.bookkeeping.reversals import Reversals
from stateless_billing.domain.epochs import LISTING_LEAD_SECONDS, QUIET_SECONDS, epoch_position, seconds_until_writable
from stateless_billing.domain.form_ids import died_before
from stateless_billing.domain.ledger import Entry, reversal_of
from stateless_billing.grants import caps
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
RECONCILE_SECONDS = 3 * DAY  # how far back a look completes what it finds open
_SETTLING_SECONDS = (
    QUIET_SECONDS + 600
)  # after a reversal: whoever decided before it has sent by then, and lists show it
_START_SECONDS = 10.0
_FRESH_SECONDS = 30  # seconds for which a listing may be used to give
_CACHE_SIZE = 10_000
_MAX_CONCURRENT = 4

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Grant:
    """A reservation and what became of it.

    `state`: open, given, refused (its reservation was reversed before anything was given) or undone. `credit` is the
    customer's entry and `taken_back` the one that reverses it, where they were seen; `settled`: nothing can change it
    but an undoing.
    """

    reservation: Reservation
    state: str
    credit: Entry | None = None
    reversal: Entry | None = None
    taken_back: Entry | None = None
    detail: str = ""
    is_final: bool = False


class IneligibleCustomer(Exception):
    """The reservation can never become a grant; `reason` for its reversal."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class GrantLedger:
    """Reads the record and completes it. Several processes at once do no harm."""

    def __init__(self, *, stripe: StripeApi, records: ServiceRecords, clock: Clock, reversals: Reversals) -> None:
        self.stripe = stripe
        self.records = records
        self._clock = clock
        self.reversals = reversals
        self._final: LRUCache[str, Grant] = LRUCache(_CACHE_SIZE)
        self._backoff = Backoff(clock)
        self._complete = False
        self._uncertain: float | None = None
        self._open: dict[str, Reservation] = {}  # those that this process knows of: a list may not show them yet
        self.in_flight: set[str] = set()  # grants that this process is giving right now

    async def list_grants(self, since: int) -> Listing:
        """The rows since then and at least one before, or all. Raises StripeFailure."""
        async with self.stripe.session() as session:
            page = await session.list_newest_entries(self.records.grants_id, 0)
            at = session.now()
            entries = list(page.entries)
            while not page.complete and entries[-1].created >= since:
                page = await session.list_newest_entries(self.records.grants_id, 0, entries[-1].id)
                entries += page.entries
        return Listing(entries, page.complete, at)

    async def reconcile(self, since: int | None = None, customer: str | None = None) -> list[Grant]:
        """The reservations since then, newest first, after what is open among the latest was completed.

        What cannot be completed now stays open and is tried again by a later look. With `customer`, what others' are
        is told by the record alone and completed by the next look of `forever`: nobody waits for all of them.
        Raises StripeFailure where the record cannot be read.
        """
        now = read_at = int(self._clock.wall())
        recent = now - RECONCILE_SECONDS
        start = recent if since is None else min(since, now - DAY)
        listing = await self.list_grants(min(start, recent) - DAY)
        older = await lookups.find_reversed_entries(
            self.stripe, self.records.grants_id, listing.entries, recent, self._is_taken_back
        )
        wanted = self._reservations(listing, older, min(start, recent), recent)
        grants: list[Grant] = []
        for place in range(0, len(wanted), _MAX_CONCURRENT):
            if self._clock.wall() - read_at > _FRESH_SECONDS:
                read_at = int(self._clock.wall())
                listing = await self.list_grants(min(start, recent) - DAY)
            grants += await asyncio.gather(
                *(
                    self._complete_or_backoff(one, listing)
                    if caps.last_changed_at(one, listing.entries) >= recent and customer in (None, one.customer)
                    else _grant_without_writing(one, listing)
                    for one in wanted[place : place + _MAX_CONCURRENT]
                )
            )
        latest = (one for one in wanted if caps.last_changed_at(one, listing.entries) >= recent)
        doubted = self._uncertain is not None and self._clock.boot() - self._uncertain < _SETTLING_SECONDS
        self._complete = not doubted and not self._open and all(self._final_grant(one, listing) for one in latest)
        grants.reverse()
        return [one for one in grants if one.reservation.entry.created >= start]

    def _reservations(self, listing: Listing, older: Sequence[Entry], since: int, recent: int) -> list[Reservation]:
        """What the rows reserve, oldest first, and what this process knows to be there beside it."""
        shown = {entry.id for entry in listing.entries}
        hidden = [one for one in self._open.values() if one.entry.id not in shown]
        found = [*filter(None, map(caps.parse_reservation, [*older, *reversed(listing.entries)])), *hidden]
        for one in found:
            if caps.last_changed_at(one, listing.entries) < recent:
                self._open.pop(one.entry.id, None)  # whatever became of it, the audit tells
        return [one for one in found if caps.last_changed_at(one, listing.entries) >= since]

    def _is_taken_back(self, reservation_id: str) -> bool:
        known = self._final.get(reservation_id)
        return known is not None and known.reversal is not None

    def mark_uncertain(self) -> None:
        """Something may have been written that no list shows yet: look again until lists must show it."""
        self._uncertain, self._complete = self._clock.boot(), False

    async def reconcile_if_due(self) -> bool:
        """A look where this process does not know the record to be complete; whether it is complete now."""
        if not self._complete and self.records.grants_id and self._backoff.is_due("look"):
            try:
                await self.reconcile()
            except StripeFailure as error:
                log.warning("the grants record was not read: %s", error)
            if self._complete:
                self._backoff.record_success("look")
            else:
                self._backoff.record_failure("look")
        return self._complete

    async def reconcile_at_start(self) -> None:
        """A look that may not hold up a process that starts for long; what it leaves open a later one completes."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_START_SECONDS):
                await self.reconcile_if_due()

    async def run(self, seconds: float) -> None:
        """Look whenever one is due, until cancelled: no cost while the record is known to be complete."""
        while True:
            await asyncio.sleep(seconds)
            try:
                await self.reconcile_if_due()
            except Exception:
                log.exception("a look at the grants record failed; the next one begins again")

    def _final_grant(self, reserved: Reservation, listing: Listing) -> Grant | None:
        """What became of it, where that was settled before and nothing has happened since."""
        known = self._final.get(reserved.entry.id)
        changed = known and not known.reversal and reversal_of(reserved.entry, listing.entries)
        return None if changed else known

    async def _complete_or_backoff(self, reserved: Reservation, listing: Listing) -> Grant:
        if reserved.grant in self.in_flight:
            return Grant(reserved, "open", detail="being given right now")
        try:
            return await self.complete(reserved, listing)
        except StripeFailure as error:
            log.warning("grant %s: %s", reserved.grant, error)
            return Grant(reserved, "open", reversal=reversal_of(reserved.entry, listing.entries), detail=str(error))

    async def complete(self, reserved: Reservation, listing: Listing) -> Grant:
        """Take one reservation to its end, as far as that is possible now. Raises StripeFailure."""
        if known := self._final_grant(reserved, listing):
            return known
        reversal = reversal_of(reserved.entry, listing.entries)
        complete, self._complete, self._open[reserved.entry.id] = self._complete, False, reserved
        grant = await (self.reverse_grant(reserved, reversal) if reversal else self._decide(reserved, listing))
        if grant.is_final:
            self._final[reserved.entry.id] = grant
            self._open.pop(reserved.entry.id, None)
            self._complete = complete and not self._open
        told = {"grant": reserved.grant, "customer": reserved.customer, "state": grant.state}
        log.info("grant %s: %s %s", reserved.grant, grant.state, grant.detail, extra=told)
        return grant

    async def _decide(self, reserved: Reservation, listing: Listing) -> Grant:
        judged = caps.judge_caps(reserved, listing.entries, complete=listing.complete)
        if judged is None:
            return Grant(reserved, "open", detail="Stripe's list does not show the whole ledger yet")
        if not judged.fits:
            return await self._refuse_reservation(reserved, f"over_cap:{judged.broken}")
        if died_before(reserved.grant, reserved.entry.created):
            return await self._refuse_reservation(reserved, "form_dead")
        try:
            entry = await self._write_grant(reserved)
        except IneligibleCustomer as error:
            return await self._refuse_reservation(reserved, error.reason)
        except InQuietZone as error:
            return Grant(reserved, "open", detail=str(error))
        return Grant(reserved, "given", credit=entry, is_final=True)

    async def _write_grant(self, reserved: Reservation) -> Entry:
        async def check(session: StripeSession) -> Entry | None:
            now = epoch_position(session.now(), reserved.entry.created)
            if now.epoch > 0 and now.in_quiet_zone:
                raise InQuietZone(seconds_until_writable(session.now(), reserved.entry.created))
            if now.epoch > 0:
                raise IneligibleCustomer("lapsed")
            await require_usable(session, reserved.customer)
            return None

        def found(entries: Sequence[Entry]) -> Entry | None:
            return find_grant(reserved.grant, entries)

        try:
            return await find_or_write(
                self.stripe, grant_draft(reserved), reserved.entry.created - LISTING_LEAD_SECONDS, found, check
            )
        except RequestRejected as error:
            if error.code in ("resource_missing", "customer_invalid"):
                raise IneligibleCustomer("customer_deleted") from error
            raise

    async def _refuse_reservation(self, reserved: Reservation, reason: str) -> Grant:
        return await self.reverse_grant(reserved, await self.reversals.reverse(reserved.entry, SERVICE, reason))

    async def check_reversible(self, reserved: Reservation) -> None:
        """Have the ledger of an old grant's customer tell for the first time what takes the grant back."""
        async with self.stripe.session() as session:
            entries = await entries_or_none(session, reserved.customer, reserved.entry.created - LISTING_LEAD_SECONDS)
        if credit := find_grant(reserved.grant, entries or []):
            await self.reversals.check_possible(credit)

    async def reverse_grant(self, reserved: Reservation, reversal: Entry) -> Grant:
        """What a reversed reservation means: a grant that lives is reversed too, by the same hand."""
        by_hand = reversal.metadata.get("operator") != SERVICE
        state, detail = "undone" if by_hand else "refused", reversal.metadata.get("reason", "")
        credit = taken_back = None
        async with self.stripe.session() as session:
            since = reserved.entry.created - LISTING_LEAD_SECONDS
            entries = await entries_or_none(session, reserved.customer, since) or []  # gone, and all it had with it
            now = session.now()
        if credit := find_grant(reserved.grant, entries):
            taken_back = reversal_of(credit, entries) or await self.reversals.reverse(
                credit, reversal.metadata.get("operator", SERVICE), detail or "reservation_reversed"
            )
            state = "undone"
        settled = taken_back is not None or now - reversal.created >= _SETTLING_SECONDS
        return Grant(reserved, state, credit, reversal, taken_back, detail, settled)


async def require_usable(session: StripeSession, customer_id: str) -> None:
    """Refuse a customer that cannot be credited. Raises IneligibleCustomer."""
    if cause := find_obstacle(await session.get_customer(customer_id)):
        raise IneligibleCustomer(cause)


async def _grant_without_writing(reserved: Reservation, listing: Listing) -> Grant:
    """What a reservation became, by the record alone."""
    reversal = reversal_of(reserved.entry, listing.entries)
    if reversal is None:
        return Grant(reserved, "given", is_final=True)
    state = "refused" if reversal.metadata.get("operator") == SERVICE else "undone"
    return Grant(reserved, state, reversal=reversal, detail=reversal.metadata.get("reason", ""), is_final=True)
