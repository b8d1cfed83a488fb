"""Writes RFC 4180 CSV whose cells a spreadsheet never runs as formulas. Pure."""

import csv
import io
from collections.abc import Iterable, Sequence

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def csv_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Format a header and rows as CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(header)
    writer.writerows([_format_cell(value) for value in row] for row in rows)
    return text.getvalue()


def _format_cell(value: object) -> str:
    text = "" if value is None else str(value)
    is_formula = not isinstance(value, int) and text.startswith(_FORMULA_STARTS)
    return f"'{text}" if is_formula else text
