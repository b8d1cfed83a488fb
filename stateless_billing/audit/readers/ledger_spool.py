"""Keeps the pages of ledgers that an audit has read in a file, so that an interrupted audit goes on from there.

The file has one JSON object a line: what the audit is of, then one page after the other, as Stripe sent it.
"""

import fcntl
import os
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

import msgspec

from stateless_billing.domain.ledger import CURRENCY, Entry
from stateless_billing.stripe import objects
from stateless_billing.stripe.objects import Customer

VERSION = 1
_HEAD_START = b'{"version":'


class InvalidSpool(Exception):
    """The file cannot be gone on from; the message says why."""


class SpoolFailed(Exception):
    """The file cannot be written or read: as a rule its disk is full. It is as it was before."""

    def __init__(self, path: Path, error: OSError) -> None:
        super().__init__(
            f"{path}: {error.strerror or error}; once that is mended, the same command goes on from {path}"
        )


class PageRequest(NamedTuple):
    """Which page of a customer's ledger: the span of `created` in Unix seconds, and the entry before it."""

    customer_id: str
    since: int | None
    until: int | None
    after: str | None


class SpoolHead(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an audit is of. `at` and `block_hash` pin its block and time; `inputs` are its options and sources."""

    version: int = VERSION
    inputs: str
    at: str
    block_hash: str


class _Line(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    request: PageRequest
    body: str


@dataclass(frozen=True, slots=True)
class _Span:
    start: int
    length: int


class LedgerSpool:
    """The pages by request. In memory are only their places in the file. Methods raise SpoolFailed."""

    def __init__(self, path: Path) -> None:
        """Open or create the file, which nobody else may read, and lock it.

        Raises: InvalidSpool, OSError.
        """
        self._path = path
        self._file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b")
        self._pages: dict[PageRequest, _Span] = {}
        self._newest: dict[str, PageRequest] = {}
        self._end = 0
        self.head: SpoolHead | None = None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._load()
        except BlockingIOError as error:
            self._file.close()
            raise InvalidSpool(f"{path} is in use by another audit") from error
        except InvalidSpool:
            self._file.close()
            raise

    @property
    def pages(self) -> int:
        """How many pages the file has."""
        return len(self._pages)

    @property
    def customers(self) -> int:
        """Of how many customers the file has a page."""
        return len(self._newest)

    def begin(self, head: SpoolHead) -> None:
        """Write what the audit is of to an empty file."""
        self.head = head
        self._append(msgspec.json.encode(head))

    def get(self, request: PageRequest) -> bytes | None:
        """Return the page as Stripe sent it; None if the file does not have it."""
        span = self._pages.get(request)
        return None if span is None else self._read(span)

    def add(self, request: PageRequest, body: bytes) -> None:
        """Append a page that Stripe sent. What is in the file survives a kill of this process.

        Raises: SpoolFailed; ValueError if the page is not in UTF-8.
        """
        line = msgspec.json.encode(_Line(request=request, body=body.decode()))
        self._index(request, _Span(self._append(line), len(line)))

    def newest_entry(self, customer_id: str) -> Entry | None:
        """Return the newest entry of a customer's pages; None if they have none."""
        request = self._newest.get(customer_id)
        if request is None:
            return None
        entries = objects.parse_page(self._read(self._pages[request]), customer_id).entries
        return entries[0] if entries else None

    def close(self) -> None:
        """Close the file, which remains."""
        self._file.close()

    def remove(self) -> None:
        """Close and delete the file."""
        self._path.unlink(missing_ok=True)
        self._file.close()

    def _load(self) -> None:
        start = 0
        for number, line in enumerate(self._file, 1):
            if not line.endswith(b"\n") and (self.head or line.startswith(_HEAD_START)):
                break  # the process was killed while it wrote this line
            try:
                if number == 1:
                    self.head = msgspec.json.decode(line, type=SpoolHead)
                else:
                    self._index(msgspec.json.decode(line, type=_Line).request, _Span(start, len(line) - 1))
            except (ValueError, RecursionError) as error:
                raise InvalidSpool(f"{self._path}, line {number}: not written by an audit") from error
            start += len(line)
        if self.head and self.head.version != VERSION:
            raise InvalidSpool(f"{self._path} was written by another version")
        self._file.truncate(start)
        self._end = start

    def _index(self, request: PageRequest, span: _Span) -> None:
        self._pages[request] = span
        self._newest.setdefault(request.customer_id, request)  # a ledger's newest page is read first

    def _read(self, span: _Span) -> bytes:
        try:
            line = os.pread(self._file.fileno(), span.length, span.start)
        except OSError as error:
            raise SpoolFailed(self._path, error) from error
        return msgspec.json.decode(line, type=_Line).body.encode()

    def _append(self, line: bytes) -> int:
        """Write a line and return its place. What was written of a line that fails is overwritten by the next."""
        start, rest = self._end, memoryview(line + b"\n")
        try:
            while rest:
                rest = rest[os.pwrite(self._file.fileno(), rest, self._end + len(line) + 1 - len(rest)) :]
        except OSError as error:
            raise SpoolFailed(self._path, error) from error
        self._end += len(line) + 1
        return start

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class SpooledPages:
    """The pages of a spool. Those of a ledger count once its newest entry was shown to lie in its chain still.

    A balance that is that entry's own shows it, at no cost; else `is_in_its_chain` asks Stripe for the entry.
    """

    def __init__(self, spool: LedgerSpool, is_in_its_chain: Callable[[Entry], Awaitable[bool]]) -> None:
        self._spool = spool
        self._is_in_its_chain = is_in_its_chain
        self._balances: dict[str, int] = {}
        self._confirmed: dict[str, bool] = {}

    def note_balances(self, customers: Iterable[Customer]) -> None:
        """Note the dollar balances that a list of customers shows."""
        self._balances |= {
            customer.id: customer.balance_cents for customer in customers if customer.currency == CURRENCY
        }

    async def get(self, request: PageRequest) -> bytes | None:
        """Return a page that was read before; None if it must be read now."""
        if request.customer_id not in self._confirmed:
            newest = self._spool.newest_entry(request.customer_id)
            self._confirmed[request.customer_id] = newest is not None and await self._is_confirmed(newest)
        return self._spool.get(request) if self._confirmed[request.customer_id] else None

    def add(self, request: PageRequest, body: bytes) -> None:
        """Keep a page that was read now."""
        self._spool.add(request, body)

    async def _is_confirmed(self, newest: Entry) -> bool:
        balance = self._balances.get(newest.customer)
        return (newest.currency == CURRENCY and balance == newest.ending_cents) or await self._is_in_its_chain(newest)
