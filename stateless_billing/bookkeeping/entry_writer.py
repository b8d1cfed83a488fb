"""The one way in which entries are written: looked for first, under an epoch's key, while what was decided still holds.

Credits, grants, reservations, reversals and orders all go through `write`.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
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
    """An entry about a fact at `origin`, from which its epochs are counted; `key` names the key of an epoch.

    `holds` is judged before each socket write, beside the epoch: whether it may still be sent at a time.
    """

    customer_id: str
    cents: int
    description: str
    metadata: Mapping[str, str]
    origin: int
    idempotency_key: Callable[[int], str]
    still_valid: Callable[[int], bool] = _always


async def write_entry(session: StripeSession, draft: EntryDraft, checked_at: EpochPosition | None) -> Entry:
    """The one write, over the connection that was read over. `begun` is when the look began; None where none is needed.

    Raises InQuietZone around an epoch's border, NotSent, and what `StripeSession.create_entry` raises.
    """
    decided = epoch_position(session.now(), draft.origin)
    if decided.in_quiet_zone:
        raise InQuietZone(seconds_until_writable(session.now(), draft.origin))
    if checked_at is not None and checked_at != decided:
        raise NotSent("the look began before the border between two keys")

    def still(now: int) -> bool:
        return epoch_position(now, draft.origin) == decided and draft.still_valid(now)

    return await session.create_entry(
        draft.customer_id, draft.cents, draft.description, draft.metadata, draft.idempotency_key(decided.epoch), still
    )


async def find_or_write(
    stripe: StripeApi,
    draft: EntryDraft,
    since: int,
    find_entry: Callable[[Sequence[Entry]], Entry | None],
    check: Callable[[StripeSession], Awaitable[Entry | None]] | None = None,
) -> Entry:
    """The entry that `found` sees in the complete listing since `since`; where it sees none, the one written now.

    `check` may read more over the same connection, find the entry after all, or refuse. After an unclear answer the
    listing is read again.
    Raises StripeFailure, and what `check` raises.
    """

    async def attempt() -> Entry:
        async with stripe.session() as session:
            page = await session.list_newest_entries(draft.customer_id, since)
            begun = epoch_position(session.now(), draft.origin)
            if there := find_entry(await session.list_entries(draft.customer_id, since, page)):
                return there
            if check and (there := await check(session)):
                return there
            return await write_entry(session, draft, begun)

    try:
        try:
            return await attempt()
        except NotSent as error:
            log.info("%s: %s; trying once more", draft.customer_id, error)
            return await attempt()
    except OutcomeUnknown as error:
        log.warning("%s: outcome unknown, looking: %s", draft.customer_id, error)
        if there := await _find_written(stripe, draft.customer_id, since, find_entry):
            return there
        raise


async def _find_written(
    stripe: StripeApi, customer_id: str, since: int, found: Callable[[Sequence[Entry]], Entry | None]
) -> Entry | None:
    try:
        async with stripe.session() as session:
            return found(await session.list_entries(customer_id, since))
    except StripeFailure as error:
        log.warning("%s: could not look either: %s", customer_id, error)
        return None
