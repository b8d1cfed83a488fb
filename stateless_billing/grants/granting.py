"""Gives and undoes grants.

A grant is reserved first and judged afterwards: its reservation on the grants record fixes its position among all
grants, and the caps are judged by that. `grant_ledger.py` completes it, also after a crash.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace

from stateless_billing.bookkeeping.entry_writer import find_or_write
from stateless_billing.bookkeeping.records import ServiceRecords
from stateless_billing.bookkeeping.reversals import Reversals
from stateless_billing.domain import money
from stateless_billing.domain.epochs import LISTING_LEAD_SECONDS
from stateless_billing.domain.errors import ProblemError
from stateless_billing.domain.form_ids import FORM_SECONDS, minted_at
from stateless_billing.domain.ledger import Entry
from stateless_billing.grants import caps, grant_ledger, look_alikes
from stateless_billing.grants.caps import DAY, Caps, Reservation, Usage
from stateless_billing.grants.entries import GrantRequest, find_reservation, reservation_draft
from stateless_billing.grants.forms import REASONS, UNUSABLE
from stateless_billing.grants.grant_ledger import Grant, GrantLedger
from stateless_billing.operators.roster import GRANT, REVERSE, Operator
from stateless_billing.runtime import metrics
from stateless_billing.runtime.clock import Clock
from stateless_billing.runtime.keyed_locks import KeyedLocks
from stateless_billing.stripe import lookups
from stateless_billing.stripe.client import StripeApi, StripeSession
from stateless_billing.stripe.errors import LedgerUnproven, NeedsSecondReading, StripeFailure

UNDO_SECONDS = 600
_NOTHING = "Nothing was given."
_ID_BYTES = 16


@dataclass(frozen=True, slots=True)
class RemainingLimits:
    """The caps and their current usage."""

    caps: Caps
    operator: Usage
    everyone: Usage

    @property
    def cents(self) -> int:
        """The largest grant that is possible now."""
        by_operator = self.caps.operator - self.operator.cents
        by_everyone = self.caps.everyone - self.everyone.cents
        return max(0, min(self.caps.per_grant, by_operator, by_everyone))


class Grants:
    """Grants for the moderators' pages. Every method may raise StripeFailure."""

    def __init__(
        self,
        *,
        stripe: StripeApi,
        records: ServiceRecords,
        locks: KeyedLocks,
        clock: Clock,
        caps: Caps,
        reversals: Reversals,
    ) -> None:
        self._stripe = stripe
        self._records = records
        self._locks = locks
        self._clock = clock
        self.caps = caps
        self.ledger = GrantLedger(stripe=stripe, records=records, clock=clock, reversals=reversals)

    def create_grant_id(self) -> str:
        """Create the ID of a new form, which contains the current time."""
        return f"{int(self._clock.wall())}-{secrets.token_hex(_ID_BYTES)}"

    async def remaining_limits(self, operator: str) -> RemainingLimits:
        """Read what an operator may still give."""
        return self._remaining_limits((await self.ledger.list_grants(int(self._clock.wall()) - DAY)).entries, operator)

    def _remaining_limits(self, entries: Sequence[Entry], operator: str) -> RemainingLimits:
        chain = list(reversed(entries))
        since = int(self._clock.wall()) - DAY
        return RemainingLimits(self.caps, caps.usage_since(chain, since, operator), caps.usage_since(chain, since))

    def remaining_limits_of(self, grants: Sequence[Grant], operator: str) -> RemainingLimits:
        """Compute what an operator may still give from grants already read."""
        entries = [grant.reservation.entry for grant in grants if grant.reversal is None]
        return self._remaining_limits(entries, operator)

    async def preview(self, request: GrantRequest) -> tuple[RemainingLimits, Reservation | None]:
        """Return the limits before a grant, and the grant of the last ten minutes that it repeats.

        Writes nothing.
        """
        self._check_form(request)
        listing = await self.ledger.list_grants(int(self._clock.wall()) - DAY)
        remaining = self._remaining_limits(listing.entries, request.operator)
        self._check_caps(request, remaining)
        return remaining, look_alikes.find_look_alike(request, listing.entries, listing.read_at)

    async def give(self, request: GrantRequest, *, confirm_duplicate: bool = False) -> Grant:
        """Give a grant, or return the result of an earlier try with the same form. Safe to repeat.

        `confirm_duplicate`: the operator confirmed the warning about `request.again`, or about any grant.

        Raises: ProblemError.
        """
        request = replace(request, again=(request.again or look_alikes.ANY) if confirm_duplicate else "")
        self.ledger.in_flight.add(request.grant)
        try:
            reserved = await self._reserve(request)
            grant = await self.ledger.complete(reserved, await self.ledger.list_grants(reserved.entry.created - DAY))
        except StripeFailure:
            self.ledger.mark_uncertain()
            raise
        finally:
            self.ledger.in_flight.discard(request.grant)
        metrics.GRANTS.labels(grant.state).inc()
        if grant.state == "given":
            metrics.GRANT_CENTS.inc(request.cents)
        return grant

    async def _reserve(self, request: GrantRequest) -> Reservation:
        minted = self._minted(request)
        async with self._locks.lock(self._records.grants_id):
            since = min(minted, int(self._clock.wall()) - DAY) - LISTING_LEAD_SECONDS
            listing = await self.ledger.list_grants(since)
            if existing := find_reservation(request.grant, listing.entries):
                return _require_same_request(request, existing)
            self._check_form(request)
            self._check_caps(request, self._remaining_limits(listing.entries, request.operator))
            earlier = look_alikes.find_look_alike(request, listing.entries, listing.read_at)
            if not look_alikes.is_confirmed(earlier, request.again):
                raise ProblemError(
                    "look_alike",
                    f"This customer was given {money.format_dollars(request.cents)} within the last ten minutes."
                    f" {_NOTHING} Press again if you mean to give it twice.",
                )
            entry = await self._write_reservation(request, minted)
        reserved = caps.parse_reservation(entry)
        assert reserved is not None, "our own reservation is valid"
        return _require_same_request(request, reserved)

    async def _write_reservation(self, request: GrantRequest, minted: int) -> Entry:
        async def check(session: StripeSession) -> Entry | None:
            try:
                await grant_ledger.require_usable(session, request.customer)
            except grant_ledger.IneligibleCustomer as error:
                raise ProblemError("unusable_customer", f"{UNUSABLE[error.reason]} {_NOTHING}") from error
            return None

        def find_entry(entries: Sequence[Entry]) -> Entry | None:
            existing = find_reservation(request.grant, entries)
            return existing.entry if existing else None

        draft = reservation_draft(request, minted, self.caps, self._records.grants_id)
        return await find_or_write(self._stripe, draft, minted - LISTING_LEAD_SECONDS, find_entry, check)

    async def status(self, grant: str) -> Grant | None:
        """Reconcile the record and return a form's grant; None if it has reserved nothing so far."""
        since = (minted_at(grant) or int(self._clock.wall())) - LISTING_LEAD_SECONDS
        grants = await self.ledger.reconcile(since)
        return next((given for given in grants if given.reservation.grant == grant), None)

    async def find_undoable(self, reservation_id: str, operator: Operator) -> Reservation:
        """Read a reservation that an operator may reverse.

        Raises: ProblemError.
        """
        async with self._stripe.session() as session:
            entry = await lookups.get_entry(session, self._records.grants_id, reservation_id)
            now = session.now()
        reserved = caps.parse_reservation(entry) if entry else None
        if reserved is None:
            raise ProblemError("not_found", "This grant does not exist. Nothing was taken back.")
        self._check_undo(reserved, operator, now)
        return reserved

    async def undo(self, reservation_id: str, operator: Operator, reason: str) -> Grant:
        """Reverse a grant: its reservation first, then its credit. Safe to repeat.

        Raises: ProblemError.
        """
        reserved = await self.find_undoable(reservation_id, operator)
        try:
            reversal = await self.ledger.reversals.reverse(reserved.entry, operator.name, reason)
        except NeedsSecondReading as error:
            await self.ledger.check_reversible(reserved)
            raise ProblemError(
                "unclear",
                "This grant is at least a day old. Stripe's list must show twice, half an hour apart, that it was not"
                f" taken back before. Nothing was taken back yet. Press again in {-(-error.seconds // 60)} minutes.",
            ) from error
        except LedgerUnproven as error:
            raise ProblemError("unclear", f"Nothing was taken back: {error}. Try again in an hour.") from error
        except StripeFailure:
            self.ledger.mark_uncertain()
            raise
        try:
            listing = await self.ledger.list_grants(reserved.entry.created - DAY)
            grant = await self.ledger.complete(reserved, caps.with_entry(listing, reversal))
        except StripeFailure as error:
            raise ProblemError(
                "unclear",
                f"The grant is being taken back, but Stripe did not finish ({error}). The service completes it"
                " automatically. Check the customer in a minute.",
            ) from error
        if grant.state == "refused":
            raise ProblemError("already_done", "This grant was refused before. There is nothing to take back.")
        return grant

    def may_undo(self, grant: Grant, operator: Operator) -> bool:
        """Return whether an operator may reverse a grant now."""
        if grant.state not in ("given", "open"):
            return False
        age = self._clock.wall() - grant.reservation.entry.created
        own = grant.reservation.operator == operator.name and operator.has_right(GRANT)
        return operator.has_right(REVERSE) or (own and age <= UNDO_SECONDS)

    def _check_undo(self, reserved: Reservation, operator: Operator, now: int) -> None:
        if operator.has_right(REVERSE):
            return
        if not operator.has_right(GRANT) or reserved.operator != operator.name:
            raise ProblemError(
                "not_allowed",
                "Only an admin or the operator who gave a grant can take it back. Nothing was taken back.",
            )
        if now - reserved.entry.created > UNDO_SECONDS:
            raise ProblemError(
                "too_late",
                "More than ten minutes have passed. Nothing was taken back. Ask an admin to take it back.",
            )

    def _minted(self, request: GrantRequest) -> int:
        minted = minted_at(request.grant)
        if minted is None:
            raise ProblemError("form_invalid", f"This form is not ours. {_NOTHING} Open the customer's page again.")
        return minted

    def _check_form(self, request: GrantRequest) -> None:
        if not -LISTING_LEAD_SECONDS <= self._clock.wall() - self._minted(request) < FORM_SECONDS:
            raise ProblemError(
                "form_dead", f"This form is more than 22 hours old. {_NOTHING} Open the customer's page again."
            )
        if request.reason not in REASONS:
            raise ProblemError("invalid_input", f"Choose a reason. {_NOTHING}")
        if request.cents <= 0:
            raise ProblemError("invalid_input", f"The amount must be more than $0.00. {_NOTHING}")

    def _check_caps(self, request: GrantRequest, remaining: RemainingLimits) -> None:
        limits, dollars = remaining.caps, money.format_dollars
        if request.cents > limits.per_grant:
            raise ProblemError("over_cap", f"One grant may be at most {dollars(limits.per_grant)}. {_NOTHING}")
        for who, cap, used in (
            ("You may", limits.operator, remaining.operator),
            ("All operators together may", limits.everyone, remaining.everyone),
        ):
            if used.cents + request.cents > cap:
                raise ProblemError(
                    "over_cap",
                    f"{who} give {dollars(cap)} in 24 hours. {dollars(max(0, cap - used.cents))} is left."
                    f" {_NOTHING}{_freed_sentence(used, int(self._clock.wall()))}",
                )


def _require_same_request(request: GrantRequest, reserved: Reservation) -> Reservation:
    """Refuse a request whose form reserved another amount, or for another operator or customer."""
    reserved_for = (reserved.operator, reserved.customer, reserved.entry.cents)
    if reserved_for != (request.operator, request.customer, request.cents):
        raise ProblemError(
            "already_done",
            f"This form was used before, for {money.format_dollars(reserved.entry.cents)}. That grant stands."
            " Nothing more was given. Open the customer's page again for another grant.",
        )
    return reserved


def _freed_sentence(used: Usage, now: int) -> str:
    if used.frees_at is None:
        return ""
    minutes = max(1, -(-(used.frees_at - now) // 60))
    hours, rest = divmod(minutes, 60)
    return f" Part of it frees up in {f'{hours} h {rest} min' if hours else f'{rest} min'}."
