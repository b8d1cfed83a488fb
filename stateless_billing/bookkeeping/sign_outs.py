"""Ends sessions on all processes: the service record stores which, and each process has a recent copy."""

import asyncio
import logging
import secrets
from collections.abc import Mapping
from contextlib import suppress

from stateless_billing.bookkeeping.records import ServiceRecords
from stateless_billing.domain.errors import ProblemError
from stateless_billing.operators.roster import Roster
from stateless_billing.operators.sign_in import OperatorSession
from stateless_billing.operators.sign_outs import (
    MAX_SLOTS,
    NoRoom,
    Pairs,
    merge_slots,
    pair_digest,
    parse_slots,
    plan_write,
)
from stateless_billing.runtime.clock import Clock
from stateless_billing.stripe.client import StripeApi, StripeSession
from stateless_billing.stripe.errors import NotSent, StripeFailure, StripeUnavailable
from stateless_billing.stripe.objects import Customer
from stateless_billing.stripe.rate_limiter import Endpoint

log = logging.getLogger(__name__)

COPY_SECONDS = 20  # the age at which a copy is read again: with the reading it stays below 30 s
UNREADABLE_SECONDS = 600
SETTLE_SECONDS = 2.0  # longer than another process takes between its reading and its writing
_RETRY_SECONDS = 5  # after a failed reading
_READ_SECONDS = 8.0
_MAX_WRITES = 5
_CLOCK_SECONDS = 2  # by which two processes may differ over Stripe's time


class SignOuts:
    """The ended sessions, as of at most half a minute ago."""

    def __init__(self, stripe: StripeApi, records: ServiceRecords, clock: Clock, roster: Roster) -> None:
        self._stripe = stripe
        self._records = records
        self._clock = clock
        self._roster = roster
        self._operator_digests: frozenset[str] | None = None
        self._pairs: Pairs = {}
        self._own: Pairs = {}
        self._metadata: Mapping[str, str] | None = None
        self._read_at: float | None = None
        self._retry_at = 0.0
        self._reading = asyncio.Lock()
        self._settling: set[asyncio.Task[None]] = set()

    def load(self, metadata: Mapping[str, str], read_at: float) -> None:
        """Take the copy from the service record as read at `read_at` (seconds since boot)."""
        self._pairs = merge_slots([*parse_slots(metadata), self._own])
        self._metadata, self._read_at = metadata, read_at

    @property
    def record(self) -> Customer | None:
        """The service record as it was read last; None if it never was."""
        if self._metadata is None:
            return None
        return Customer(self._records.service_id, deleted=False, metadata=self._metadata)

    @property
    def record_age(self) -> int:
        """The seconds since the service record was read last."""
        return int(self._clock.boot() - (self._read_at or 0))

    async def refresh(self) -> None:
        """Read the copy again if it is old. A failure leaves the copy as it is."""
        async with self._reading:
            now = self._clock.boot()
            if now < self._retry_at or (self._read_at is not None and now - self._read_at < COPY_SECONDS):
                return
            try:
                async with asyncio.timeout(_READ_SECONDS):
                    self.load(await self._read_now(), now)
                for digest, second in self._own.items():
                    self._settle_later(digest, second)  # a write that failed
            except (StripeFailure, TimeoutError) as error:
                log.warning("the ended sessions could not be read: %s", str(error) or "timeout")
                self._retry_at = self._clock.boot() + _RETRY_SECONDS

    def require_readable(self) -> None:
        """Refuse while the copy is too old to trust.

        Raises: ProblemError.
        """
        if self._read_at is None or self._clock.boot() - self._read_at > UNREADABLE_SECONDS:
            raise ProblemError(
                "stripe_unavailable",
                "Stripe has not answered for ten minutes, so this page cannot tell whether your session was ended."
                " Nothing was done and no money moved. You are still signed in: try again in a minute.",
            )

    def is_ended(self, session: OperatorSession) -> bool:
        """Whether a session was ended, as far as the copy tells."""
        if not self._pairs:
            return False
        names = self._roster.names_of(session.operator.name)  # the identity may have been another of them
        ended_at = max((self._pairs.get(pair_digest(name), 0) for name in names), default=0)
        return pair_digest(session.id) in self._pairs or session.since < ended_at

    async def end_session(self, session: OperatorSession) -> None:
        """End one session.

        Raises: ProblemError if that could not be stored; this process ends it anyway.
        """
        await self._end(session.id, 0)

    def end_session_later(self, session: OperatorSession) -> None:
        """End a session that another one replaces: here at once, on the other processes once it is stored."""
        digest, second = pair_digest(session.id), int(self._clock.wall())
        self._remember(digest, second)
        self._settle_later(digest, second)

    async def end_operator(self, name: str) -> None:
        """End all sessions that an operator has now.

        Raises: ProblemError if that could not be stored; this process ends them anyway.
        """
        await self._end(name, _CLOCK_SECONDS)

    async def _end(self, text: str, later: int) -> None:
        digest = pair_digest(text)
        try:
            async with self._stripe.session() as session:
                await self._read(session)
                second = session.now() + later
        except StripeFailure as error:
            self._remember(digest, int(self._clock.wall()) + later)
            raise _not_stored() from error
        self._remember(digest, second)
        await self._store(digest, second)
        self._settle_later(digest, second)

    def _settle_later(self, digest: str, second: int) -> None:
        task = asyncio.create_task(self._settle(digest, second))
        self._settling.add(task)
        task.add_done_callback(self._settling.discard)

    def _remember(self, digest: str, second: int) -> None:
        self._own[digest] = second
        self._pairs[digest] = second

    async def _store(self, digest: str, second: int) -> None:
        """Write, read back and repeat: another process may overwrite the same slot."""
        try:
            for _ in range(_MAX_WRITES):
                with suppress(NotSent):  # what was read is too old to decide by: read again
                    if not await self._write_missing(digest, second):
                        self._own.pop(digest, None)
                        return
        except (StripeFailure, NoRoom) as error:
            log.warning("a sign-out could not be stored: %s", error)
            raise _not_stored() from error
        raise _not_stored()

    async def _write_missing(self, digest: str, second: int) -> bool:
        """Read the record and at once, over the same connection, write what it lacks; whether it lacked anything."""
        async with self._stripe.session() as session:
            await session.reserve_together(Endpoint.READ_CUSTOMER, Endpoint.WRITE_CUSTOMER)
            current, read_at = await self._read(session), self._clock.boot()
            start = secrets.randbelow(MAX_SLOTS)  # two processes at once mostly take different slots
            values = plan_write(parse_slots(current), digest, second, self._digests(), start)
            if values:
                service_id = self._records.service_id
                await session.set_metadata(service_id, values, lambda _: self._is_recent(read_at))
        return bool(values)

    def _is_recent(self, read_at: float) -> bool:
        return 0 <= self._clock.boot() - read_at < SETTLE_SECONDS

    async def _settle(self, digest: str, second: int) -> None:
        """Look again once every write that was under way has arrived."""
        await asyncio.sleep(SETTLE_SECONDS)
        try:
            await self._store(digest, second)
        except ProblemError:
            self._remember(digest, second)

    def _digests(self) -> frozenset[str]:
        if self._operator_digests is None:
            self._operator_digests = frozenset(map(pair_digest, self._roster.names))
        return self._operator_digests

    async def _read_now(self) -> Mapping[str, str]:
        async with self._stripe.session() as session:
            return await self._read(session)

    async def _read(self, session: StripeSession) -> Mapping[str, str]:
        service = await session.get_customer(self._records.service_id)
        if not service.metadata:  # deleted or emptied: that ends no session and revives none
            raise StripeUnavailable("the service record is gone")
        return service.metadata


def _not_stored() -> ProblemError:
    return ProblemError(
        "stripe_unavailable",
        "This browser is signed out. Stripe did not store it: a copy of the session elsewhere may live until it is idle"
        " for 12 hours. No money moved. Sign in and sign out everywhere once Stripe answers.",
    )
