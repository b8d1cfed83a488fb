"""Named values in a temporary file, so that an audit's memory does not grow with its payments.

The file is SQLite's own for one connection: nobody else can open it, and it is gone with the process.
"""

import sqlite3
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

_CACHE_KIB = 1024
_FETCHED_AT_ONCE = 500
_SETTINGS = ("journal_mode = OFF", "synchronous = OFF", "temp_store = FILE", f"cache_size = -{_CACHE_KIB}")


class DiskTableFailed(OSError):
    """The temporary file cannot be written or read: as a rule its disk is full."""

    def __init__(self, error: sqlite3.Error) -> None:
        super().__init__(
            f"the audit's temporary file: {error}. Nothing was changed. Free space, or set SQLITE_TMPDIR to a folder"
            " that has it (about two kilobytes for each payment or customer), and run the audit again."
        )


class DiskTable:
    """Values with a name and a place in an order. Thread-safe. Every method raises DiskTableFailed."""

    def __init__(self) -> None:
        self._file = sqlite3.connect("", check_same_thread=False, isolation_level=None)
        self.close = weakref.finalize(self, self._file.close)
        """Deletes the file, at the latest with this table."""
        self._lock = threading.Lock()
        for setting in _SETTINGS:
            self._run(f"PRAGMA {setting}")
        self._run("CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT, place BLOB, value BLOB)")
        self._run("BEGIN")  # one transaction, never committed: a commit would write to the disk
        self._is_indexed = False

    def add(self, items: Iterable[tuple[str, bytes, bytes]]) -> None:
        """Append items of name, place and value; several may have one name."""
        with self._lock:
            try:
                self._file.executemany("INSERT INTO item (name, place, value) VALUES (?, ?, ?)", items)
            except sqlite3.Error as error:
                raise DiskTableFailed(error) from error

    def put(self, name: str, place: bytes, value: bytes) -> None:
        """Replace the value of a name, or append it."""
        self._index()
        if self._run("UPDATE item SET place = ?, value = ? WHERE name = ? RETURNING id", place, value, name):
            return
        self.add([(name, place, value)])

    def get(self, name: str) -> bytes | None:
        """Return the value of a name; None if there is none."""
        self._index()
        rows = self._run("SELECT value FROM item WHERE name = ?", name)
        return rows[0][0] if rows else None

    def values_of(self, name: str) -> list[bytes]:
        """Return all values of a name, in the order of their places."""
        self._index()
        return [value for (value,) in self._run("SELECT value FROM item WHERE name = ? ORDER BY place, id", name)]

    def names(self) -> list[str]:
        """Return the names, each once, in the order in which they came."""
        self._index()
        return [name for name, _ in self._run("SELECT name, min(id) FROM item GROUP BY name ORDER BY 2")]

    def __len__(self) -> int:
        count: int = self._run("SELECT count(*) FROM item")[0][0]
        return count

    def __iter__(self) -> Iterator[bytes]:
        """Yield all values in the order of their places."""
        cursor = self._file.cursor()
        ids = self._step(lambda: cursor.execute("SELECT id FROM item ORDER BY place, id").fetchmany(_FETCHED_AT_ONCE))
        while ids:
            for (number,) in ids:
                yield self._run("SELECT value FROM item WHERE id = ?", number)[0][0]
            ids = self._step(lambda: cursor.fetchmany(_FETCHED_AT_ONCE))

    def _index(self) -> None:
        if not self._is_indexed:
            self._run("CREATE INDEX by_name ON item (name)")
            self._is_indexed = True

    def _run(self, statement: str, *values: object) -> Sequence[Any]:
        return self._step(lambda: self._file.execute(statement, values).fetchall())

    def _step(self, call: Callable[[], Sequence[Any]]) -> Sequence[Any]:
        with self._lock:
            try:
                return call()
            except sqlite3.Error as error:
                raise DiskTableFailed(error) from error
