"""Writes RFC 4180 CSV whose cells a spreadsheet never runs as formulas. Pure."""

import csv
import io
from collections.abc import Iterable, Sequence

from stateless_billing.domain.csv_cells import BYTE_ORDER_MARK, format_cell


def csv_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Format a header and rows as CSV with a byte order mark."""
    text = io.StringIO()
    text.write(BYTE_ORDER_MARK)
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(header)
    writer.writerows([format_cell(value) for value in row] for row in rows)
    return text.getvalue()
