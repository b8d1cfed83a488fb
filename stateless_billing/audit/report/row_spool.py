"""Rows on their way into the report: kept on disk, in the report's order when read back."""

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
    order: tuple[int, int, str, str]
    at: int
    length: int


class Spool:
    """All rows of one report. A row with the fingerprint of an earlier one takes its place.

    Several threads may read at once when all is written.
    """

    def __init__(self) -> None:
        self._file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the report
        self._close = weakref.finalize(self, self._file.close)
        self._positions: dict[str, _Position] = {}
        self._end = 0
        self._reading = threading.Lock()
        self.totals = Totals()

    def add(self, row: Row) -> None:
        """Keep one row."""
        if row.fingerprint in self._positions:
            self.totals.add(self.get(row.fingerprint), -1)
        self.totals.add(row, 1)
        line = json.dumps([*row.as_dict().values()], separators=(",", ":")).encode()
        self._file.seek(self._end)
        self._file.write(line)
        self._positions[row.fingerprint] = _Position(row.sort_key, self._end, len(line))
        self._end += len(line)

    def get(self, fingerprint: str) -> Row:
        """The row with this fingerprint. Raises KeyError."""
        return self._read(self._positions[fingerprint])

    def __contains__(self, fingerprint: str) -> bool:
        return fingerprint in self._positions

    def __len__(self) -> int:
        return len(self._positions)

    def __iter__(self) -> Iterator[Row]:
        """All rows in order."""
        for place in sorted(self._positions.values(), key=lambda one: one.order):
            yield self._read(place)

    def _read(self, place: _Position) -> Row:
        with self._reading:
            self._file.seek(place.at)
            line = self._file.read(place.length)
        return Row(**dict(zip(Row.__slots__, json.loads(line), strict=True)))

    def close(self) -> None:
        """Give the disk back."""
        self._close()


class Totals:
    """Sums over rows, as they come."""

    def __init__(self) -> None:
        self.statuses: Counter[str] = Counter()
        self.exceptions = 0
        self.cents: Counter[str] = Counter()

    def add(self, row: Row, sign: int) -> None:
        """Count one row, or (-1) uncount it."""
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
