"""Publishes a report with checksums, and compares a published report with a new one."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from stateless_billing.audit.report import limits
from stateless_billing.audit.report.charts import collect_charts
from stateless_billing.audit.report.formats import WRITERS
from stateless_billing.audit.report.report import Options, Report
from stateless_billing.audit.report.run_record import RunRecord
from stateless_billing.audit.rules.rows import Row

MANIFEST = "SHA256SUMS"
RUN = "run.json"
REPORT = "report.json"
FILES = {REPORT: "json", "report.csv": "csv", "report.jsonl": "jsonl", "report.txt": "table"}
ACCEPTED = "accepted.jsonl"


_COUNTS_OF_TODAY = ("customers_listed", "rates_checked", "rates_not_checked")
_Raw = Annotated[str, Meta(pattern=r"\A[0-9]{1,90}\Z")]


class _Inputs(msgspec.Struct, frozen=True, kw_only=True):
    """The options of a published report. Reports of earlier versions have no `treasury`."""

    since: str | None = msgspec.field(name="from")
    until: str | None = msgspec.field(name="to")
    customer: str | None
    deep: bool
    at: str
    accepted_sha256: str | None
    treasury: bool = False
    treasury_opening_raw: str | None = None


class _RowHead(msgspec.Struct, frozen=True):
    fingerprint: str
    row_id: str
    status: str


class _Coverage(msgspec.Struct, frozen=True):
    nodes: list[str]
    stripe_reads: int
    customers_listed: int | None = None
    rates_checked: int | None = None
    rates_not_checked: int | None = None


class _Statement(msgspec.Struct, frozen=True, kw_only=True):
    from_block: int
    opening_raw: _Raw
    opening_source: Literal["node", "stated", "token"]
    received_raw: _Raw
    sent_raw: _Raw
    closing_raw: _Raw
    closing_source: Literal["node", "head"]

    def opens_like(self, statement: Mapping[str, Any]) -> bool:
        return (self.from_block, self.opening_source) == (statement["from_block"], statement["opening_source"])

    def closes_like(self, statement: Mapping[str, Any]) -> bool:
        """Whether it adds up to the same closing balance."""
        closing = int(self.opening_raw) + int(self.received_raw) - int(self.sent_raw)
        return {str(closing), statement["closing_raw"]} == {self.closing_raw}


class _Treasury(msgspec.Struct, frozen=True):
    accounts: dict[str, _Statement]


class _Totals(msgspec.Struct, frozen=True):
    treasury: _Treasury | None = None


class _Circumstances(msgspec.Struct, frozen=True):
    """What of a published report is of those who made it, and of when they read."""

    tool: dict[str, str]
    coverage: _Coverage
    totals: _Totals = _Totals()


@dataclass(frozen=True, slots=True)
class PublishedReport:
    """A published report: its options, its rows by fingerprint, and everything but the rows as a JSON object."""

    options: Options
    rows: dict[str, dict[str, Any]]
    head: dict[str, Any]


def prepare_folder(folder: Path) -> None:
    """Create the folder and write to it: an audit takes hours, and its report must find its place. Raises: OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryFile(dir=folder) as file:
        file.write(b"\0")


def publish(report: Report, run: RunRecord, folder: Path) -> None:
    """Write the report in every format, its charts and the manifest of checksums; beside them, who made it."""
    prepare_folder(folder)
    names = []
    for name, pieces in _contents(report):
        names.append(name)
        with (folder / name).open("wb") as file:
            file.writelines(pieces)
    lines = [f"{sha256_of(folder / name)}  {name}\n" for name in sorted(names)]
    (folder / MANIFEST).write_text("".join(lines), encoding="utf-8")
    (folder / RUN).write_text(run.as_json(), encoding="utf-8")


def _contents(report: Report) -> Iterator[tuple[str, Iterator[bytes]]]:
    """Yield the name and content of every file of the manifest."""
    for name, format_name in FILES.items():
        yield name, (piece.encode() for piece in WRITERS[format_name](report))
    for name, svg in collect_charts(report).items():
        yield f"{name}.svg", iter((svg.encode(),))
    if report.options.accepted:
        yield ACCEPTED, iter((report.options.accepted,))


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def find_altered_files(folder: Path) -> list[str]:
    """Return the files that do not match the manifest.

    Raises: OSError, ValueError if it is missing or invalid.
    """
    altered = []
    for line in (folder / MANIFEST).read_text(encoding="utf-8").splitlines():
        expected, _, name = line.partition("  ")
        if Path(name).name != name:
            raise ValueError(f"{MANIFEST} names {name!r}, which is not in the folder")
        path = folder / name
        if not path.is_file() or sha256_of(path) != expected:
            altered.append(name)
    return altered


def read_published(folder: Path) -> PublishedReport:
    """Read a published report. Raises: OSError, ValueError."""
    try:
        content = msgspec.json.decode((folder / REPORT).read_bytes(), type=dict[str, Any])
        rows = {row.fingerprint: fields for row, fields in _read_rows(content.pop("rows", None))}
        inputs = msgspec.convert(content.get("inputs"), _Inputs)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    opening = inputs.treasury_opening_raw
    options = Options(
        since=inputs.since,
        until=inputs.until,
        customer=inputs.customer,
        deep=inputs.deep,
        at=inputs.at,
        accepted=(folder / ACCEPTED).read_bytes() if inputs.accepted_sha256 else b"",
        treasury=inputs.treasury,
        treasury_opening=None if opening is None else int(opening),
    )
    return PublishedReport(options, rows, content)


def _read_rows(rows: object) -> list[tuple[_RowHead, dict[str, Any]]]:
    return list(zip(msgspec.convert(rows, list[_RowHead]), msgspec.convert(rows, list[dict[str, Any]]), strict=True))


def adopt_circumstances(report: Report, published: PublishedReport) -> list[str]:
    """Give a report what may differ for somebody else, or later.

    These are the program's version, the nodes and the number of reads; and what Stripe, the nodes and the price feed no
    longer have, or have only now. Return how the latter differs, one line per value.
    """
    with suppress(msgspec.ValidationError):
        circumstances = msgspec.convert(published.head, _Circumstances)
        coverage = report.coverage
        report.tool = circumstances.tool
        coverage.facts["nodes"] = circumstances.coverage.nodes
        coverage.counts["stripe_reads"] = circumstances.coverage.stripe_reads
        own = report.head()
        for name in _COUNTS_OF_TODAY:
            coverage.counts.pop(name, None)
            if (count := getattr(circumstances.coverage, name)) is not None:
                coverage.counts[name] = count
        coverage.facts["scope"] = limits.describe_scope(report.options, coverage.counts)
        _adopt_statements(report, circumstances.totals.treasury)
        return describe_head_changes(report.head(), own)
    return []


def _adopt_statements(report: Report, treasury: _Treasury | None) -> None:
    """Give the treasury's accounts the published beginning of their reading: how far back it goes is the node's."""
    own = report.chain_totals.get("treasury")
    if not own or not treasury:
        return
    accounts = dict(own["accounts"])
    for account, was in treasury.accounts.items():
        if account not in accounts or not was.closes_like(accounts[account]):
            continue
        adopted = {"closing_source": was.closing_source}
        if not was.opens_like(accounts[account]):
            adopted = msgspec.structs.asdict(was)
        accounts[account] = accounts[account] | adopted
    report.chain_totals["treasury"] = own | {"accounts": accounts}


def find_unlike_files(report: Report, folder: Path) -> list[str]:
    """Return the files that are not byte for byte what this report is published as. Raises: OSError."""
    names, unlike = [], []
    for name, pieces in _contents(report):
        names.append(name)
        if not _holds(folder / name, pieces):
            unlike.append(name)
    lines = (folder / MANIFEST).read_text(encoding="utf-8").splitlines()
    return unlike + ([MANIFEST] if [line.partition("  ")[2] for line in lines] != sorted(names) else [])


def _holds(path: Path, pieces: Iterable[bytes]) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return all(file.read(len(piece)) == piece for piece in pieces) and not file.read(1)


def describe_head_changes(before: Any, after: Any, name: str = "") -> list[str]:
    """Describe how the head of a report differs from an earlier one, one line per value."""
    if not isinstance(before, dict) or not isinstance(after, dict):
        return [] if before == after else [f"{name}: was {before!r}, is {after!r}"]
    names = sorted(before.keys() | after.keys())
    return [
        line
        for key in names
        for line in describe_head_changes(before.get(key), after.get(key), f"{name}.{key}".lstrip("."))
    ]


def describe_changes(before: Mapping[str, Mapping[str, Any]], after: Iterable[Row]) -> list[str]:
    """Describe how a report differs from an earlier one, one line per row."""
    changes, seen = [], set()
    for row in after:
        seen.add(row.fingerprint)
        old = before.get(row.fingerprint)
        if old is None:
            changes.append(f"{row.row_id} {row.status}: new; {row.reason}")
        elif columns := [fingerprint for fingerprint, value in row.as_dict().items() if old.get(fingerprint) != value]:
            differences = ", ".join(
                f"{fingerprint} was {old.get(fingerprint)!r}, is {getattr(row, fingerprint)!r}"
                for fingerprint in columns[:4]
            )
            changes.append(f"{row.row_id} {row.status}: {differences}")
    return changes + [
        f"{old['row_id']} {old['status']}: gone" for fingerprint, old in before.items() if fingerprint not in seen
    ]
