"""The only path that writes entries: look first, then write under the key of an epoch.

Credits, grants, reservations, reversals and orders all go through `write_entry`.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from stateless_billing.domain.epochs import EpochPosition, epoch_position, seconds_until_writable
from stateless_billing.domain.ledger import Entry
from stateless_billing.stripe.client import StripeApi, StripeSession
from stateless_billing.stripe.errors import InQuietZone, NotSent, OutcomeUnknown, StripeFailure

log = logging.getLogger(__name__)


def _always(now: int) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class EntryDraft:
    """A balance transaction to write.

    `origin` is the Unix time from which its epochs are counted; `idempotency_key(epoch)` returns the key of an epoch.
    `still_valid(now)` is checked before each socket write, together with the epoch.
    """

    customer_id: str
    cents: int
    description: str
    metadata: Mapping[str, str]
    origin: int
    idempotency_key: Callable[[int], str]
    still_valid: Callable[[int], bool] = _always


async def write_entry(session: StripeSession, draft: EntryDraft, checked_at: EpochPosition | None) -> Entry:
    """Write an entry over the session's connection.

    `checked_at` is the position at which the ledger check started; None if no check is needed.

    Raises: InQuietZone, NotSent, and the failures of `StripeSession.create_entry`.
    """
    position = epoch_position(session.now(), draft.origin)
    if position.in_quiet_zone:
        raise InQuietZone(seconds_until_writable(session.now(), draft.origin))
    if checked_at is not None and checked_at != position:
        raise NotSent("the ledger was checked in another epoch")

    def still_valid(now: int) -> bool:
        return epoch_position(now, draft.origin) == position and draft.still_valid(now)

    entry = await session.create_entry(
        customer_id=draft.customer_id,
        cents=draft.cents,
        description=draft.description,
        metadata=draft.metadata,
        key=draft.idempotency_key(position.epoch),
        still_valid=still_valid,
    )
    with suppress(NotSent):  # it is not known what the time is
        session.watch.written(entry, draft.origin, position.epoch, session.now())
    return entry


async def find_or_write(
    stripe: StripeApi,
    draft: EntryDraft,
    since: int,
    find_entry: Callable[[Sequence[Entry]], Entry | None],
    check: Callable[[StripeSession], Awaitable[Entry | None]] | None = None,
) -> Entry:
    """Return the entry that `find_entry` finds, or write it.

    `find_entry` receives the complete listing since `since`. `check` may read more over the same connection, find the
    entry after all, or refuse. If the outcome of the write is unknown, the listing is read again.

    Raises: StripeFailure, and whatever `check` raises.
    """

    async def attempt() -> Entry:
        async with stripe.session() as session:
            page = await session.list_newest_entries(draft.customer_id, since)
            checked_at = epoch_position(session.now(), draft.origin)
            if entry := find_entry(await session.list_entries(draft.customer_id, since, page)):
                return entry
            if check and (entry := await check(session)):
                return entry
            return await write_entry(session, draft, checked_at)

    try:
        try:
            return await attempt()
        except NotSent as error:
            log.info("customer %s: write not sent, retrying: %s", draft.customer_id, error)
            return await attempt()
    except OutcomeUnknown as error:
        log.warning("customer %s: write outcome unknown, reading back: %s", draft.customer_id, error)
        if entry := await _find_written(stripe, draft.customer_id, since, find_entry):
            return entry
        raise


async def _find_written(
    stripe: StripeApi, customer_id: str, since: int, find_entry: Callable[[Sequence[Entry]], Entry | None]
) -> Entry | None:
    try:
        async with stripe.session() as session:
            return find_entry(await session.list_entries(customer_id, since))
    except StripeFailure as error:
        log.warning("customer %s: reading back failed: %s", customer_id, error)
        return None
