"""Spools report rows to disk and reads them back in report order."""

import json
import tempfile
import threading
import weakref
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from stateless_billing.audit.rules.rows import Row
from stateless_billing.audit.rules.statuses import Status


@dataclass(frozen=True, slots=True)
class _Position:
    sort_key: tuple[int, int, str, str]
    offset: int
    length: int


class Spool:
    """The rows of one report. A row replaces an earlier one with the same fingerprint.

    Reading is thread-safe once all rows are written.
    """

    def __init__(self) -> None:
        self._file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the report
        self._close = weakref.finalize(self, self._file.close)
        self._positions: dict[str, _Position] = {}
        self._end = 0
        self._read_lock = threading.Lock()
        self.totals = Totals()

    def add(self, row: Row) -> None:
        """Add a row or replace the one with its fingerprint."""
        if row.fingerprint in self._positions:
            self.totals.add(self.get(row.fingerprint), -1)
        self.totals.add(row, 1)
        line = json.dumps([*row.as_dict().values()], separators=(",", ":")).encode()
        self._file.seek(self._end)
        self._file.write(line)
        self._positions[row.fingerprint] = _Position(row.sort_key, self._end, len(line))
        self._end += len(line)

    def get(self, fingerprint: str) -> Row:
        """Return the row with this fingerprint. Raises: KeyError."""
        return self._read(self._positions[fingerprint])

    def __contains__(self, fingerprint: str) -> bool:
        return fingerprint in self._positions

    def __len__(self) -> int:
        return len(self._positions)

    def __iter__(self) -> Iterator[Row]:
        """Yield all rows in report order."""
        for position in sorted(self._positions.values(), key=lambda position: position.sort_key):
            yield self._read(position)

    def _read(self, position: _Position) -> Row:
        with self._read_lock:
            self._file.seek(position.offset)
            line = self._file.read(position.length)
        return Row(**dict(zip(Row.__slots__, json.loads(line), strict=True)))

    def close(self) -> None:
        """Delete the file."""
        self._close()


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
