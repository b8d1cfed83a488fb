"""Publishes a report with checksums, and compares a published report with a new one."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from stateless_billing.audit.report.charts import collect_charts
from stateless_billing.audit.report.formats import WRITERS
from stateless_billing.audit.report.report import Options, Report
from stateless_billing.audit.report.run_record import RunRecord
from stateless_billing.audit.rules.rows import Row

MANIFEST = "SHA256SUMS"
RUN = "run.json"
FILES = {"report.json": "json", "report.csv": "csv", "report.jsonl": "jsonl", "report.txt": "table"}
ACCEPTED = "accepted.jsonl"


def prepare_folder(folder: Path) -> None:
    """Create the folder and write to it: an audit takes hours, and its report must find its place. Raises: OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryFile(dir=folder) as file:
        file.write(b"\0")


def publish(report: Report, run: RunRecord, folder: Path) -> None:
    """Write the report in every format, its charts and the manifest of checksums; beside them, who made it."""
    prepare_folder(folder)
    names = []
    for name, format_name in FILES.items():
        names.append(name)
        with (folder / name).open("w", encoding="utf-8", newline="") as file:
            file.writelines(WRITERS[format_name](report))
    for name, svg in collect_charts(report).items():
        names.append(f"{name}.svg")
        (folder / f"{name}.svg").write_text(svg, encoding="utf-8")
    if report.options.accepted:
        names.append(ACCEPTED)
        (folder / ACCEPTED).write_bytes(report.options.accepted)
    lines = [f"{sha256_of(folder / name)}  {name}\n" for name in sorted(names)]
    (folder / MANIFEST).write_text("".join(lines), encoding="utf-8")
    (folder / RUN).write_text(run.as_json(), encoding="utf-8")


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


def read_options(folder: Path) -> tuple[Options, dict[str, dict[str, Any]]]:
    """Read the options of a published report and its rows by fingerprint.

    Raises: OSError, ValueError, KeyError.
    """
    saved = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    inputs = saved["inputs"]
    accepted = (folder / ACCEPTED).read_bytes() if inputs["accepted_sha256"] else b""
    opening = inputs.get("treasury_opening_raw")
    options = Options(
        since=inputs["from"],
        until=inputs["to"],
        customer=inputs["customer"],
        deep=inputs["deep"],
        at=inputs["at"],
        accepted=accepted,
        treasury=inputs.get("treasury", False),  # reports of earlier versions do not have it
        treasury_opening=None if opening is None else int(opening),
    )
    return options, {row["fingerprint"]: row for row in saved["rows"]}


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
