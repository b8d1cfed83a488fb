"""Grants with one of their rules broken."""

from collections.abc import Callable, Sequence
from typing import Any

from stateless_billing.domain.ledger import Entry
from stateless_billing.grants import caps
from stateless_billing.grants.caps import Reservation, Verdict
from stateless_billing.grants.grant_ledger import Grant, GrantLedger

Patch = tuple[Any, str, Any]


def _with(entries: Sequence[Entry], mine: Entry) -> list[Entry]:
    """A listing, newest first, with my row where it belongs if it is not shown."""
    listed = list(entries)
    if all(one.id != mine.id for one in listed):
        listed.insert(sum(one.created > mine.created for one in listed), mine)
    return listed


def cap_from_plain_list() -> list[Patch]:
    """The caps are judged by whatever the list shows."""

    def up_to(entries: Sequence[Entry], mine: Entry, *, whole: bool) -> list[Entry]:
        chain = list(reversed(_with(entries, mine)))
        return chain[: next(place for place, one in enumerate(chain) if one.id == mine.id) + 1]

    return [(caps, "ledger_up_to", up_to)]


def own_row_may_be_hidden() -> list[Patch]:
    """The balances must follow from each other, but the list need not show the reservation itself."""
    made = caps.ledger_up_to

    def up_to(entries: Sequence[Entry], mine: Entry, *, whole: bool) -> list[Entry] | None:
        return made(_with(entries, mine), mine, complete=whole)

    return [(caps, "ledger_up_to", up_to)]


def caps_before_reserving() -> list[Patch]:
    """The caps are looked at before the reservation only."""

    def verdict(mine: Reservation, entries: Sequence[Entry], *, whole: bool) -> Verdict:
        return Verdict(True)

    return [(caps, "judge_caps", verdict)]


def undone_grant_stays() -> list[Patch]:
    """A reversed reservation says nothing about a grant that came to life all the same."""

    async def take_back(self: GrantLedger, reserved: Reservation, reversal: Entry) -> Grant:
        return Grant(reserved, "undone", reversal=reversal, is_final=True)

    return [(GrantLedger, "reverse_grant", take_back)]


GRANT_MUTANTS: dict[str, Callable[[], list[Patch]]] = {
    made.__name__: made
    for made in (cap_from_plain_list, own_row_may_be_hidden, caps_before_reserving, undone_grant_stays)
}
