"""The report as text. Byte for byte the same for the same facts."""

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from stateless_billing.audit.report.report import Report
from stateless_billing.audit.rules.rows import COLUMNS, Row, format_count
from stateless_billing.domain import money

_DANGEROUS = ("=", "+", "-", "@", "\t", "\r")
_MAX_TABLE_ROWS = 200


def dump_json(value: object) -> str:
    """JSON in one fixed form."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def write_json(report: Report) -> Iterator[str]:
    """One object; each row on a line of its own."""
    head = json.dumps(report.head(), indent=1, ensure_ascii=False)
    yield head.removesuffix("\n}") + ',\n "rows": ['
    separator = "\n"
    for row in report.spool:
        yield separator + dump_json(row.as_dict())
        separator = ",\n"
    yield "\n]}\n"


def write_jsonl(report: Report) -> Iterator[str]:
    """The head on the first line, then one row a line."""
    yield dump_json(report.head()) + "\n"
    for row in report.spool:
        yield dump_json(row.as_dict()) + "\n"


def write_csv(report: Report) -> Iterator[str]:
    """RFC 4180 with a header, LF, fixed columns; no cell that a spreadsheet would run."""
    yield _csv_line(COLUMNS)
    for row in report.spool:
        yield _csv_line(escape_cell(getattr(row, name)) for name in COLUMNS)


def escape_cell(value: Any) -> str:
    """One cell: numbers as they are, text never as a formula."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    text = str(value)
    return "'" + text if text.startswith(_DANGEROUS) else text


def _csv_line(cells: Iterable[str]) -> str:
    made = io.StringIO()
    csv.writer(made, lineterminator="\n").writerow(cells)
    return made.getvalue()


def write_table(report: Report) -> Iterator[str]:
    """For people: the sums, then what is not as it should be."""
    head = report.head()
    totals, summary, coverage = head["totals"], head["summary"], head["coverage"]
    yield f"{verdict_sentence(report)}\n\n"
    for name in ("expected", "credited", "difference", "granted", "held", "pending", "unexplained"):
        yield f"  {name:<12} {money.format_dollars(totals[f'{name}_cents']):>16}\n"
    yield f"\n  {totals['payments_read']} payments read, {coverage.get('entries_read', 0)} entries of Stripe read\n"
    for status, count in summary["statuses"].items():
        yield f"  {count:>8}  {status}\n"
    for sentence in coverage["missing"]:
        yield f"\nNOT READ: {sentence}\n"
    shown = 0
    for row in report.spool:
        if row.exception and shown < _MAX_TABLE_ROWS:
            shown += 1
            yield f"\n{row.row_id}  {row.status}  {row.fingerprint}\n  {_describe_row(row)}\n  {row.reason}\n"
            yield f"  next: {row.next_action}\n"
    if summary["exceptions"] > shown:
        yield f"\n{summary['exceptions'] - shown} more are in the other formats.\n"
    yield f"\nThe same report again: --at {head['inputs']['at']}\n"


def verdict_sentence(report: Report) -> str:
    """The report in one line."""
    exceptions = format_count(report.spool.totals.exceptions, "exception")
    if not report.coverage.is_complete:
        return f"INCOMPLETE: not everything could be read; {exceptions} in what was read"
    if report.spool.totals.exceptions:
        return exceptions.upper()
    return f"CLEAN: {format_count(len(report.spool), 'row')}, no exception, everything was read"


def _describe_row(row: Row) -> str:
    parts = [row.stripe_customer, row.stripe_txn, row.tx_hash, row.note if row.kind in ("cursor", "identity") else None]
    return " ".join(part for part in parts if part)


WRITERS: dict[str, Callable[[Report], Iterator[str]]] = {
    "table": write_table,
    "csv": write_csv,
    "json": write_json,
    "jsonl": write_jsonl,
}
