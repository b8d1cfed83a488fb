"""What an audit leaves out by its options: the verdict names it. Pure."""

from collections.abc import Mapping
from typing import Any

from stateless_billing.audit.report.report import Options
from stateless_billing.audit.rules.rows import format_count
from stateless_billing.stripe.client import PAGE_SIZE

LEAST_MONTHLY_READS = 10_000
"""Stripe's read allowance: 500 for each transaction of an account, and so many in any case."""


def describe_cost(ledgers: int, rate: int, *, deep: bool) -> str:
    """Say before reading what it takes: requests, time and allowance. `rate` is in reads a second."""
    subject = "every entry of every customer" if deep else "the credits of every payment"
    percent = -(-ledgers * 100 // LEAST_MONTHLY_READS)
    return (
        f"reading {subject}: {ledgers} Stripe reads or more, one per {PAGE_SIZE} entries of a ledger;"
        f" at {rate} a second that takes {-(-ledgers // rate)} s or more. Stripe allows an account 500 reads for each"
        f" of its transactions, and at least {LEAST_MONTHLY_READS:,} a month: these are {percent} % or more of that"
        " least, which all systems of the account share"
    )


def describe_scope(options: Options, counts: Mapping[str, int]) -> dict[str, Any]:
    """Return the scope of a report: whose ledgers it covers, and a sentence for each part that was not read."""
    ledgers = "all" if options.deep else "payers"
    if options.customer:
        ledgers = "customer"
    return {"ledgers": ledgers, "treasury": options.treasury, "not_read": _unread_parts(options, counts)}


def _unread_parts(options: Options, counts: Mapping[str, int]) -> list[str]:
    parts = []
    if options.customer:
        parts.append("other customers were not read")
    elif not options.deep:
        parts.append("ledgers of customers that never paid were not read")
    if not options.deep:
        parts.append("entries from before a customer's first payment were not read")
    if count := counts.get("ledgers_read_by_windows", 0):
        parts.append(f"{format_count(count, 'ledger')} with many entries {_was(count)} read only around the payments")
    if count := counts.get("rates_not_checked", 0):
        parts.append(f"{format_count(count, 'recorded rate')} {_was(count)} not compared with the price feed")
    if not options.treasury and not options.customer:
        parts.append("transfers to the treasury in blocks without a payment were not read")
    if options.since:
        parts.append(f"nothing from before {options.since} was read")
    if options.until:
        parts.append(f"no payment after {options.until} was read")
    return parts


def _was(count: int) -> str:
    return "was" if count == 1 else "were"
