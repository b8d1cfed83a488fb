"""A report in a folder, with the sums that show whether a file was changed, and what changed since it was made."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from stateless_billing.audit.report.charts import collect_charts
from stateless_billing.audit.report.formats import WRITERS
from stateless_billing.audit.report.report import Options, Report
from stateless_billing.audit.rules.rows import Row

MANIFEST = "SHA256SUMS"
FILES = {"report.json": "json", "report.csv": "csv", "report.jsonl": "jsonl", "report.txt": "table"}
ACCEPTED = "accepted.jsonl"


def publish(report: Report, folder: Path) -> None:
    """Write the report in every form, its pictures, and the manifest over them."""
    folder.mkdir(parents=True, exist_ok=True)
    names = []
    for name, form in FILES.items():
        names.append(name)
        with (folder / name).open("w", encoding="utf-8", newline="") as file:
            file.writelines(WRITERS[form](report))
    for name, svg in collect_charts(report).items():
        names.append(f"{name}.svg")
        (folder / f"{name}.svg").write_text(svg, encoding="utf-8")
    if report.options.accepted:
        names.append(ACCEPTED)
        (folder / ACCEPTED).write_bytes(report.options.accepted)
    lines = [f"{sha256_of(folder / name)}  {name}\n" for name in sorted(names)]
    (folder / MANIFEST).write_text("".join(lines), encoding="utf-8")


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def find_altered_files(folder: Path) -> list[str]:
    """The files that are not what the manifest says. Raises OSError or ValueError where there is no manifest."""
    wrong = []
    for line in (folder / MANIFEST).read_text(encoding="utf-8").splitlines():
        wanted, _, name = line.partition("  ")
        if Path(name).name != name:
            raise ValueError(f"{MANIFEST} names {name!r}, which is not in the folder")
        path = folder / name
        if not path.is_file() or sha256_of(path) != wanted:
            wrong.append(name)
    return wrong


def read_options(folder: Path) -> tuple[Options, dict[str, dict[str, Any]]]:
    """What a published report was asked for, and its rows by fingerprint. Raises OSError, ValueError, KeyError."""
    saved = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    asked = saved["inputs"]
    accepted = (folder / ACCEPTED).read_bytes() if asked["accepted_sha256"] else b""
    options = Options(asked["from"], asked["to"], asked["customer"], asked["deep"], asked["at"], accepted)
    return options, {row["fingerprint"]: row for row in saved["rows"]}


def describe_changes(before: Mapping[str, Mapping[str, Any]], now: Iterable[Row]) -> list[str]:
    """What a report says now that it did not say before, a line for each row."""
    found, seen = [], set()
    for row in now:
        seen.add(row.fingerprint)
        old = before.get(row.fingerprint)
        if old is None:
            found.append(f"{row.row_id} {row.status}: new; {row.reason}")
        elif different := [name for name, value in row.as_dict().items() if old.get(name) != value]:
            told = ", ".join(f"{name} was {old.get(name)!r}, is {getattr(row, name)!r}" for name in different[:4])
            found.append(f"{row.row_id} {row.status}: {told}")
    return found + [f"{old['row_id']} {old['status']}: gone" for name, old in before.items() if name not in seen]
