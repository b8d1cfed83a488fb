"""Credits that moderators give: forms, caps, the giving itself, and its undoing.

Reserve first, then read: a reservation on the grants record fixes a grant's place among all grants, and only then the
caps are judged. See `grant_ledger` for what happens after that, and after a crash.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from stateless_billing.bookkeeping.entry_writer import find_or_write
from stateless_billing.bookkeeping.records import ServiceRecords
from stateless_billing.bookkeeping.reversals import Reversals
from stateless_billing.domain import money
from stateless_billing.domain.epochs import LISTING_LEAD_SECONDS
from stateless_billing.domain.errors import ProblemError
from stateless_billing.domain.form_ids import FORM_SECONDS, minted_at
from stateless_billing.domain.ledger import Entry, reversal_of
from stateless_billing.grants import caps, grant_ledger
from stateless_billing.grants.caps import DAY, Caps, Reservation, Usage
from stateless_billing.grants.entries import GrantRequest, reservation_among, reservation_draft
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
ALIKE_SECONDS = 600
_NOTHING = "Nothing was given."
_ID_BYTES = 8


@dataclass(frozen=True, slots=True)
class RemainingLimits:
    """The caps, and what counts against them now."""

    caps: Caps
    operator: Usage
    everyone: Usage

    @property
    def cents(self) -> int:
        """The most that a grant may be now."""
        return max(
            0,
            min(
                self.caps.per_grant,
                self.caps.operator - self.operator.cents,
                self.caps.everyone - self.everyone.cents,
            ),
        )


class Grants:
    """What the pages ask for. Every method may raise StripeFailure; refusals say what happened and what to do."""

    def __init__(
        self,
        stripe: StripeApi,
        books: ServiceRecords,
        locks: KeyedLocks,
        clock: Clock,
        limits: Caps,
        reversals: Reversals,
    ) -> None:
        self._stripe, self._books, self._locks, self._clock = stripe, books, locks, clock
        self.caps = limits
        self.ledger = GrantLedger(stripe, books, clock, reversals)

    def mint(self) -> str:
        """The ID of a new form; it says when it was minted."""
        return f"{int(self._clock.wall())}-{secrets.token_hex(_ID_BYTES)}"

    async def left(self, operator: str) -> RemainingLimits:
        """What an operator may still give now."""
        return self._left((await self.ledger.read(int(self._clock.wall()) - DAY)).entries, operator)

    def _left(self, entries: Sequence[Entry], operator: str) -> RemainingLimits:
        chain = list(reversed(entries))
        since = int(self._clock.wall()) - DAY
        return RemainingLimits(self.caps, caps.spent(chain, since, operator), caps.spent(chain, since))

    def left_by(self, grants: Sequence[Grant], operator: str) -> RemainingLimits:
        """The same by the reservations of a look, which saves a read."""
        living = [one.reservation.entry for one in grants if one.reversal is None]
        return self._left(living, operator)

    async def check(self, wish: GrantRequest) -> tuple[RemainingLimits, Grant | None]:
        """What is left before this grant, and a grant like it of the last ten minutes. Writes nothing."""
        self._check_form(wish)
        listing = await self.ledger.read(int(self._clock.wall()) - DAY)
        left = self._left(listing.entries, wish.operator)
        self._check_caps(wish, left)
        return left, self._alike(wish, listing.entries, listing.at)

    async def give(self, wish: GrantRequest, *, again: bool = False) -> Grant:
        """Give it, or find out what became of an earlier try with the same form. Safe to repeat with the same form.

        `again` says that the operator saw the warning of a grant alike. Raises ProblemError.
        """
        self.ledger.in_flight.add(wish.grant)
        try:
            reserved = await self._reserve(wish, again=again)
            grant = await self.ledger.complete(reserved, await self.ledger.read(reserved.entry.created - DAY))
        except StripeFailure:
            self.ledger.mark_uncertain()
            raise
        finally:
            self.ledger.in_flight.discard(wish.grant)
        metrics.GRANTS.labels(grant.state).inc()
        if grant.state == "given":
            metrics.GRANT_CENTS.inc(wish.cents)
        return grant

    async def _reserve(self, wish: GrantRequest, *, again: bool) -> Reservation:
        minted = self._minted(wish)
        async with self._locks.lock(self._books.grants_id):
            since = min(minted, int(self._clock.wall()) - DAY) - LISTING_LEAD_SECONDS
            listing = await self.ledger.read(since)
            if there := reservation_among(wish.grant, listing.entries):
                return _same(wish, there)
            self._check_form(wish)
            self._check_caps(wish, self._left(listing.entries, wish.operator))
            if not again and self._alike(wish, listing.entries, listing.at):
                raise ProblemError(
                    "look_alike",
                    f"{money.dollars(wish.cents)} were given to this customer within the last ten minutes. {_NOTHING}"
                    " Press once more if you mean to give it twice.",
                )
            entry = await self._write_reservation(wish, minted)
        reserved = caps.reservation(entry)
        assert reserved is not None, "a reservation of our own says what it is"
        return _same(wish, reserved)

    async def _write_reservation(self, wish: GrantRequest, minted: int) -> Entry:
        async def check(session: StripeSession) -> Entry | None:
            try:
                await grant_ledger.usable(session, wish.customer)
            except grant_ledger.IneligibleCustomer as error:
                raise ProblemError("unusable_customer", f"{UNUSABLE[error.reason]} {_NOTHING}") from error
            return None

        def found(entries: Sequence[Entry]) -> Entry | None:
            there = reservation_among(wish.grant, entries)
            return there.entry if there else None

        draft = reservation_draft(wish, minted, self.caps, self._books.grants_id)
        return await find_or_write(self._stripe, draft, minted - LISTING_LEAD_SECONDS, found, check)

    async def status(self, grant: str) -> Grant | None:
        """What became of a form: reads the record, completes what is open. None where it reserved nothing (yet)."""
        since = (minted_at(grant) or int(self._clock.wall())) - LISTING_LEAD_SECONDS
        return next((one for one in await self.ledger.look(since) if one.reservation.grant == grant), None)

    async def undo(self, reservation_id: str, operator: Operator, reason: str) -> Grant:
        """Take a grant back: its reservation first, then what the customer got. Safe to repeat. Raises ProblemError."""
        async with self._stripe.session() as session:
            entry = await lookups.get_entry(session, self._books.grants_id, reservation_id)
            now = session.now()
        reserved = caps.reservation(entry) if entry else None
        if reserved is None:
            raise ProblemError("not_found", "There is no such grant. Nothing was taken back.")
        self._check_undo(reserved, operator, now)
        try:
            reversal = await self.ledger.reversals.reverse(reserved.entry, operator.name, reason)
        except NeedsSecondReading as error:
            await self.ledger.foretell(reserved)
            raise ProblemError(
                "unclear",
                "This grant is a day old or more, so Stripe's list must show twice, half an hour apart, that nobody"
                f" took it back. Nothing was taken back yet. Press again in {-(-error.seconds // 60)} minutes.",
            ) from error
        except LedgerUnproven as error:
            raise ProblemError("unclear", f"Nothing was taken back: {error}. Try again in an hour.") from error
        except StripeFailure:
            self.ledger.mark_uncertain()
            raise
        try:
            listing = await self.ledger.read(reserved.entry.created - DAY)
            done = await self.ledger.complete(reserved, caps.including(listing, reversal))
        except StripeFailure as error:
            raise ProblemError(
                "unclear",
                f"The grant is being taken back, but Stripe did not answer to the end ({error}). It is completed by"
                " the next look; look at the customer in a minute.",
            ) from error
        if done.state == "refused":
            raise ProblemError("already_done", "This grant was refused before; there is nothing to take back.")
        return done

    def _check_undo(self, reserved: Reservation, operator: Operator, now: int) -> None:
        if operator.may(REVERSE):
            return
        if not operator.may(GRANT) or reserved.operator != operator.name:
            raise ProblemError(
                "not_allowed", "Only its giver, or an admin, can take a grant back. Nothing was taken back."
            )
        if now - reserved.entry.created > UNDO_SECONDS:
            raise ProblemError(
                "too_late",
                "Your ten minutes to take it back have passed. Nothing was taken back. Ask an admin to do it.",
            )

    def _minted(self, wish: GrantRequest) -> int:
        minted = minted_at(wish.grant)
        if minted is None:
            raise ProblemError("form_invalid", f"This form is not ours. {_NOTHING} Open the customer's page again.")
        return minted

    def _check_form(self, wish: GrantRequest) -> None:
        if not -LISTING_LEAD_SECONDS <= self._clock.wall() - self._minted(wish) < FORM_SECONDS:
            raise ProblemError(
                "form_dead", f"This form is more than 22 hours old. {_NOTHING} Open the customer's page again."
            )
        if wish.reason not in REASONS:
            raise ProblemError("invalid_input", f"Choose a reason. {_NOTHING}")
        if wish.cents <= 0:
            raise ProblemError("invalid_input", f"The amount must be more than nothing. {_NOTHING}")

    def _check_caps(self, wish: GrantRequest, left: RemainingLimits) -> None:
        limits, dollars = left.caps, money.dollars
        if wish.cents > limits.per_grant:
            raise ProblemError("over_cap", f"One grant may be at most {dollars(limits.per_grant)}. {_NOTHING}")
        for who, cap, used in (
            ("You may", limits.operator, left.operator),
            ("All operators together may", limits.everyone, left.everyone),
        ):
            if used.cents + wish.cents > cap:
                raise ProblemError(
                    "over_cap",
                    f"{who} give {dollars(cap)} in 24 hours, and {dollars(max(0, cap - used.cents))} of that are left."
                    f" {_NOTHING}{_frees(used, int(self._clock.wall()))}",
                )

    def _alike(self, wish: GrantRequest, entries: Sequence[Entry], now: int) -> Grant | None:
        for entry in entries:
            other = caps.reservation(entry) if now - entry.created <= ALIKE_SECONDS else None
            if other is None or other.grant == wish.grant or reversal_of(entry, entries):
                continue
            if (other.customer, other.entry.cents) == (wish.customer, wish.cents):
                return Grant(other, "given")
        return None


def _same(wish: GrantRequest, reserved: Reservation) -> Reservation:
    """The form's own reservation. What it says counts; another operator's, customer's or amount is refused."""
    told = (reserved.operator, reserved.customer, reserved.entry.cents)
    if told != (wish.operator, wish.customer, wish.cents):
        raise ProblemError(
            "already_done",
            f"This form was used before, for {money.dollars(reserved.entry.cents)}; that stands."
            " Nothing more was given. Open the customer's page again for another grant.",
        )
    return reserved


def _frees(used: Usage, now: int) -> str:
    if used.frees_at is None:
        return ""
    minutes = max(1, -(-(used.frees_at - now) // 60))
    hours, rest = divmod(minutes, 60)
    return f" The first part of it frees up in {f'{hours} h {rest} min' if hours else f'{rest} min'}."
