"""Spools report rows to disk and reads them back in report order."""

from collections import Counter
from collections.abc import Iterator

import msgspec

from stateless_billing.audit.report.disk_table import DiskTable
from stateless_billing.audit.rules.rows import Row
from stateless_billing.audit.rules.statuses import Status


class Spool:
    """The rows of one report. A row replaces an earlier one with the same fingerprint.

    Reading is thread-safe once all rows are written.
    """

    def __init__(self) -> None:
        self._rows = DiskTable()
        self.totals = Totals()

    def add(self, row: Row) -> None:
        """Add a row or replace the one with its fingerprint."""
        line = msgspec.json.encode([*row.as_dict().values()])
        if replaced := self._rows.get(row.fingerprint):
            self.totals.add(_decode(replaced), -1)
            self._rows.put(row.fingerprint, _place(row), line)
        else:
            self._rows.add([(row.fingerprint, _place(row), line)])
        self.totals.add(row, 1)

    def get(self, fingerprint: str) -> Row:
        """Return the row with this fingerprint. Raises: KeyError."""
        line = self._rows.get(fingerprint)
        if line is None:
            raise KeyError(fingerprint)
        return _decode(line)

    def __contains__(self, fingerprint: str) -> bool:
        return self._rows.get(fingerprint) is not None

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Row]:
        """Yield all rows in report order."""
        yield from map(_decode, self._rows)

    def close(self) -> None:
        """Delete the file."""
        self._rows.close()


def _place(row: Row) -> bytes:
    """Encode a row's sort key so that bytes compare as the key does."""
    block, log_index, created, row_id = row.sort_key
    return b"%064x%064x" % (block, log_index) + f"{created}\0{row_id}".encode()


def _decode(line: bytes) -> Row:
    return Row(**dict(zip(Row.__slots__, msgspec.json.decode(line), strict=True)))


class Totals:
    """Running totals over rows."""

    def __init__(self) -> None:
        self.statuses: Counter[str] = Counter()
        self.exceptions = 0
        self.cents: Counter[str] = Counter()

    def add(self, row: Row, sign: int) -> None:
        """Add a row, or subtract it if `sign` is -1."""
        self.statuses[row.status] += sign
        self.exceptions += sign * row.exception
        if row.kind == "payment":
            self.cents["expected"] += sign * (row.expected_cents or 0)
            self.cents["credited"] += sign * (row.credited_cents or 0)
        elif row.kind == "grant":
            self.cents["granted"] += sign * (row.credited_cents or 0)
        elif row.kind == "credit":
            self.cents["unexplained"] += sign * (row.credited_cents or 0)
        for status in (Status.HELD, Status.PENDING):
            if row.status == status and row.kind == "payment":
                self.cents[str(status)] += sign * ((row.expected_cents or 0) - (row.credited_cents or 0))
