"""How a customer's credits are read with the fewest pages, and whether what was read hangs together. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from stateless_billing.domain.balance_chain import is_gapless
from stateless_billing.domain.epochs import LISTING_LEAD_SECONDS
from stateless_billing.domain.ledger import Entry
from stateless_billing.stripe.objects import Page

LAG_SECONDS = 2 * 3600  # a narrow window ends so long after the payment: a credit is hardly ever later


@dataclass(frozen=True, slots=True)
class TimeWindow:
    """A span of `created`, both ends included, in unix seconds."""

    since: int
    until: int


def plan_windows(times: Iterable[int], until: int) -> list[TimeWindow]:
    """The narrow windows in which the credits of payments at these times are looked for, newest first, merged."""
    found: list[TimeWindow] = []
    for time in sorted(times, reverse=True):
        window = TimeWindow(time - LISTING_LEAD_SECONDS, min(time + LAG_SECONDS, until))
        if found and window.until >= found[-1].since:
            found[-1] = TimeWindow(window.since, found[-1].until)
        else:
            found.append(window)
    return found


def narrow_windows(times: Sequence[int], newest: Page, since: int, until: int) -> list[TimeWindow] | None:
    """The narrow windows that are left behind the newest page; None where the ledger itself needs no more pages.

    The page's own density tells how many pages the ledger goes on for.
    """
    if newest.complete:
        return None
    oldest = newest.entries[-1].created
    left = [TimeWindow(one.since, min(one.until, oldest)) for one in plan_windows(times, until) if one.since <= oldest]
    span = max(1, newest.entries[0].created - oldest)
    pages = 1 + (oldest - since) // span
    return left if len(left) < pages else None


def join_entries(runs: Sequence[Sequence[Entry]]) -> list[Entry]:
    """The entries of several runs, newest first, each once."""
    kept = {entry.id: entry for run in runs for entry in run}
    return list(kept.values())


def find_break(entries: Sequence[Entry], *, opening: bool) -> str:
    """Where a run of entries, newest first, does not add up; empty where it does. `opening`: it begins the ledger.

    Each currency has its balance. Entries of one second may have been applied in any order.
    """
    by_currency: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        by_currency[entry.currency].append(entry)
    for run in by_currency.values():
        chain = is_gapless(run)
        if chain is None:
            return f"its balances do not follow from one another at {_find_break_in_run(run).id}"
        if opening and chain[0].ending_cents != chain[0].cents:
            return f"its first entry, {chain[0].id}, does not begin at nothing"
    return ""


def _find_break_in_run(run: Sequence[Entry]) -> Entry:
    """The entry, counted from the oldest, with which the balances stop following from one another."""
    good, bad = 0, len(run)
    while bad - good > 1:
        middle = (good + bad) // 2
        good, bad = (middle, bad) if is_gapless(run[len(run) - middle :]) else (good, middle)
    return run[len(run) - bad]
