"""Tables as CSV (RFC 4180) that a spreadsheet does not run: what could be a formula is made text. Pure."""

import csv
import io
from collections.abc import Iterable, Sequence

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def csv_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """The rows under their header."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(header)
    writer.writerows([_cell(one) for one in row] for row in rows)
    return text.getvalue()


def _cell(value: object) -> str:
    text = "" if value is None else str(value)
    harmless = isinstance(value, int) or not text.startswith(_FORMULA)
    return text if harmless else f"'{text}"
