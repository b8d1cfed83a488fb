"""Mutants of grants."""

from collections.abc import Callable, Sequence
from typing import Any

from stateless_billing.domain.ledger import Entry
from stateless_billing.grants import caps
from stateless_billing.grants.caps import Reservation, Verdict
from stateless_billing.grants.grant_ledger import Grant, GrantLedger

Patch = tuple[Any, str, Any]


def _with(entries: Sequence[Entry], mine: Entry) -> list[Entry]:
    """A listing, newest first, with `mine` inserted at its position if it is missing."""
    listed = list(entries)
    if all(entry.id != mine.id for entry in listed):
        listed.insert(sum(entry.created > mine.created for entry in listed), mine)
    return listed


def cap_from_plain_list() -> list[Patch]:
    """The caps are judged by an incomplete listing."""

    def up_to(entries: Sequence[Entry], mine: Entry, *, complete: bool) -> list[Entry]:
        chain = list(reversed(_with(entries, mine)))
        position = next(index for index, entry in enumerate(chain) if entry.id == mine.id)
        return chain[: position + 1]

    return [(caps, "ledger_up_to", up_to)]


def own_row_may_be_hidden() -> list[Patch]:
    """The listing need not show the reservation itself, as long as the balances are consistent."""
    original = caps.ledger_up_to

    def up_to(entries: Sequence[Entry], mine: Entry, *, complete: bool) -> list[Entry] | None:
        return original(_with(entries, mine), mine, complete=complete)

    return [(caps, "ledger_up_to", up_to)]


def caps_before_reserving() -> list[Patch]:
    """The caps are checked before the reservation only."""

    def verdict(mine: Reservation, entries: Sequence[Entry], *, complete: bool) -> Verdict:
        return Verdict(True)

    return [(caps, "judge_caps", verdict)]


def undone_grant_stays() -> list[Patch]:
    """A reversed reservation does not reverse a grant that was written anyway."""

    async def reverse(self: GrantLedger, reserved: Reservation, reversal: Entry) -> Grant:
        return Grant(reserved, "undone", reversal=reversal, is_final=True)

    return [(GrantLedger, "reverse_grant", reverse)]


GRANT_MUTANTS: dict[str, Callable[[], list[Patch]]] = {
    mutant.__name__: mutant
    for mutant in (cap_from_plain_list, own_row_may_be_hidden, caps_before_reserving, undone_grant_stays)
}
