"""Writes the report as text. The same facts give the same bytes."""

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from stateless_billing.audit.report.report import Report
from stateless_billing.audit.rules.rows import COLUMNS, DECIMALS, Row, format_count
from stateless_billing.domain import money
from stateless_billing.domain.csv_cells import BYTE_ORDER_MARK, format_cell

_MAX_TABLE_ROWS = 200
_OPENING_SOURCES = {"node": "the node", "stated": "the auditor", "token": "the token's creation"}


def dump_json(value: object) -> str:
    """Encode a value as compact JSON."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def write_json(report: Report) -> Iterator[str]:
    """Write one JSON object with each row on its own line."""
    head = json.dumps(report.head(), indent=1, ensure_ascii=False)
    yield head.removesuffix("\n}") + ',\n "rows": ['
    separator = "\n"
    for row in report.spool:
        yield separator + dump_json(row.as_dict())
        separator = ",\n"
    yield "\n]}\n"


def write_jsonl(report: Report) -> Iterator[str]:
    """Write JSON lines: the head, then the rows."""
    yield dump_json(report.head()) + "\n"
    for row in report.spool:
        yield dump_json(row.as_dict()) + "\n"


def write_csv(report: Report) -> Iterator[str]:
    """Write RFC 4180 CSV: byte order mark, header, LF line ends and no cell that a spreadsheet would run."""
    yield BYTE_ORDER_MARK + _csv_line(COLUMNS)
    for row in report.spool:
        yield _csv_line(format_cell(getattr(row, name)) for name in COLUMNS)


def _csv_line(cells: Iterable[str]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue()


def write_table(report: Report) -> Iterator[str]:
    """Write the totals and the exceptions for people."""
    head = report.head()
    totals, summary, coverage = head["totals"], head["summary"], head["coverage"]
    for line in verdict_lines(report):
        yield f"{line}\n"
    yield "\n"
    for name in ("expected", "credited", "difference", "granted", "held", "pending", "unexplained"):
        yield f"  {name:<12} {money.format_dollars(totals[f'{name}_cents']):>16}\n"
    yield from _other_sums(totals)
    yield f"\n  {totals['payments_read']} payments read, {coverage.get('entries_read', 0)} entries of Stripe read\n"
    for status, count in summary["statuses"].items():
        yield f"  {count:>8}  {status}\n"
    for sentence in coverage["missing"]:
        yield f"\nNOT READ: {sentence}\n"
    printed = 0
    for row in report.spool:
        if row.exception and printed < _MAX_TABLE_ROWS:
            printed += 1
            yield f"\n{row.row_id}  {row.status}  {row.fingerprint}\n  {_describe_row(row)}\n  {row.reason}\n"
            yield f"  next: {row.next_action}\n"
    if summary["exceptions"] > printed:
        yield f"\n{summary['exceptions'] - printed} more are in the other formats.\n"
    yield f"\nThe same report again: --at {head['inputs']['at']}\n"


def _other_sums(totals: Mapping[str, Any]) -> Iterator[str]:
    """Write what other systems credited, and the balances of the customers that were read."""
    for name, credits_ in totals.get("other_credits", {}).items():
        if credits_["entries"]:
            entries = format_count(credits_["entries"], "credit")
            yield f"  {money.format_dollars(credits_['cents']):>29}  {entries} of another system: {name}\n"
    yield from _treasury_lines(totals.get("treasury"))
    if not (balances := totals.get("balances")) or balances["customers_cents"] is None:
        return
    without, with_ = (money.format_dollars(balances[f"{name}_cents"]) for name in ("customers", "with_bookkeeping"))
    yield f"  {without:>29}  balances of {format_count(balances['ledgers'], 'customer')} read\n"
    yield f"  {with_:>29}  with the bookkeeping customers, where every grant counts twice\n"


def _treasury_lines(treasury: Mapping[str, Any] | None) -> Iterator[str]:
    """Write what reached the treasuries, in tokens."""
    if treasury is None:
        return
    yield f"\n  {_format_tokens(treasury['paid_raw']):>29}  tokens by our payments\n"
    for label, each in treasury["known"].items():
        yield f"  {_format_tokens(each['raw']):>29}  in {format_count(each['transfers'], 'transfer')} through {label}\n"
    stray = treasury["stray"]
    yield f"  {_format_tokens(stray['raw']):>29}  in {format_count(stray['transfers'], 'stray transfer')}\n"
    for account, statement in treasury["accounts"].items():
        amounts = (_format_tokens(statement[f"{name}_raw"]) for name in ("opening", "received", "sent", "closing"))
        opening, received, sent, closing = amounts
        yield f"  {account}: {opening} (by {_OPENING_SOURCES[statement['opening_source']]}) before block"
        yield f" {statement['from_block']} + {received} received - {sent} sent = {closing}\n"
    yield "\n"


def _format_tokens(raw: str) -> str:
    return money.format_decimal(int(raw), DECIMALS).rstrip("0").rstrip(".")


def verdict_lines(report: Report) -> list[str]:
    """Summarize the report in one line, and in a second one what it did not read unless the first says it."""
    exceptions = format_count(report.spool.totals.exceptions, "exception")
    unread = "; ".join(report.coverage.unread_parts)
    if report.is_clean:
        rows = format_count(len(report.spool), "row")
        return [f"CLEAN OF WHAT WAS READ: {unread}" if unread else f"CLEAN: {rows}, no exception, everything was read"]
    if report.coverage.is_complete:
        verdict = exceptions.upper()
    else:
        verdict = f"INCOMPLETE: not everything could be read; {exceptions} in what was read"
    return [verdict, f"NOT LOOKED AT: {unread}"] if unread else [verdict]


def _describe_row(row: Row) -> str:
    parts = [row.stripe_customer, row.stripe_txn, row.tx_hash, row.note if row.kind in ("cursor", "identity") else None]
    return " ".join(part for part in parts if part)


WRITERS: dict[str, Callable[[Report], Iterator[str]]] = {
    "table": write_table,
    "csv": write_csv,
    "json": write_json,
    "jsonl": write_jsonl,
}
