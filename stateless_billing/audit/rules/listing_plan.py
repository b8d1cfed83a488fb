"""Plans the fewest pages that show a customer's credits, and checks for gaps. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from stateless_billing.domain.balance_chain import (
    BALANCE_SLACK_SECONDS,
    chain_entries,
    opening_balance,
    order_by_balance,
)
from stateless_billing.domain.epochs import LISTING_LEAD_SECONDS
from stateless_billing.domain.ledger import Entry
from stateless_billing.stripe.objects import Page

LAG_SECONDS = 2 * 3600  # a narrow window ends this long after the payment; credits are rarely later


@dataclass(frozen=True, slots=True)
class TimeWindow:
    """A span of `created` in Unix seconds, both ends included."""

    since: int
    until: int


def plan_windows(times: Iterable[int], until: int) -> list[TimeWindow]:
    """Return merged windows around the given payment times, newest first."""
    windows: list[TimeWindow] = []
    for time in sorted(times, reverse=True):
        window = TimeWindow(time - LISTING_LEAD_SECONDS, min(time + LAG_SECONDS, until))
        if windows and window.until >= windows[-1].since:
            windows[-1] = TimeWindow(window.since, windows[-1].until)
        else:
            windows.append(window)
    return windows


def narrow_windows(times: Sequence[int], newest: Page, since: int, until: int) -> list[TimeWindow] | None:
    """Return the windows behind the newest page; None if the whole ledger needs no more pages.

    The number of pages in the ledger is estimated from the density of the newest page.
    """
    if newest.complete:
        return None
    oldest = newest.entries[-1].created
    windows = [
        TimeWindow(window.since, min(window.until, oldest))
        for window in plan_windows(times, until)
        if window.since <= oldest
    ]
    span = max(1, newest.entries[0].created - oldest)
    pages = 1 + (oldest - since) // span
    return windows if len(windows) < pages else None


def last_balance(newest: Page, *, starts_at_zero: bool) -> int | None:
    """Return the dollar balance after the newest page of a ledger; None if the page does not tell."""
    chain = order_by_balance(newest.entries)
    if chain:
        return chain[-1].ending_cents
    return 0 if chain is not None and newest.complete and starts_at_zero else None


def fits_balance(balance: int, cents: int, last: Page, newer: Page | None, time: int) -> bool:
    """Return whether a customer may have had a dollar balance at some moment since shortly before `time`.

    `last` has the newest entries up to `time`, after which the balance is `cents`. `newer` is the newest page of those
    after `time`, if it was read; one that does not reach back to them tells nothing.
    """
    if balance == cents or (newer and not newer.complete):
        return True
    chain = order_by_balance([*(newer.entries if newer else ()), *last.entries]) or []
    if chain and order_by_balance(last.entries) == [] and opening_balance(chain[0]) != cents:
        return False
    recent = [entry for entry in chain if entry.created >= time - BALANCE_SLACK_SECONDS]
    return any(balance in (opening_balance(entry), entry.ending_cents) for entry in recent)


def join_entries(runs: Sequence[Sequence[Entry]]) -> list[Entry]:
    """Merge runs of entries, newest first, without duplicates."""
    return list({entry.id: entry for run in runs for entry in run}.values())


def find_break(entries: Sequence[Entry], *, starts_at_zero: bool) -> str:
    """Describe where the balances of entries, newest first, do not add up. Empty if they do.

    Each currency has its own balance. Concurrent entries may have been applied in another order than that of `created`.
    `starts_at_zero` says that the oldest entry opens the ledger.
    """
    by_currency: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        by_currency[entry.currency].append(entry)
    for run in by_currency.values():
        chain = chain_entries(run)
        if chain is None:
            return f"its balances do not follow from one another at {_find_break_in_run(run).id}"
        if starts_at_zero and chain[0].ending_cents != chain[0].cents:
            return f"its first entry, {chain[0].id}, does not start at a zero balance"
    return ""


def _find_break_in_run(run: Sequence[Entry]) -> Entry:
    """Return the oldest entry whose balance does not follow from the previous one."""
    good, bad = 0, len(run)
    while bad - good > 1:
        middle = (good + bad) // 2
        good, bad = (middle, bad) if chain_entries(run[len(run) - middle :]) else (good, middle)
    return run[len(run) - bad]
