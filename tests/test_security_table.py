"""The table of threats and the ASVS table cite tests and files that exist."""

import re
from pathlib import Path

import pytest

from stateless_billing.sandbox.processes import ROOT

DOCUMENTS = [ROOT / "SECURITY.md", ROOT / "docs" / "asvs.md"]
_CITATION = re.compile(r"`([\w./-]+\.(?:py|sol))::(\w+)`")
PARTIES = (
    "Payers",
    "Strangers",
    "A payer's enemy",
    "Moderators",
    "Admins",
    "Nodes",
    "The price feed",
    "The mail host",
    "Stripe, and other systems in its account",
)

_ASVS_COUNTS = {
    1: (2, 9, 11, 3, 2),
    2: (3, 3, 4, 1),
    3: (0, 2, 4, 6, 5, 0, 2),
    4: (3, 1, 2, 4),
    5: (1, 3, 2, 3),
    6: (3, 12, 4, 4, 5, 3, 0, 4),
    7: (3, 4, 2, 5, 2, 2),
    8: (2, 3, 1, 1),
    9: (3, 4),
    10: (2, 2, 4, 11, 5, 2, 3),
    11: (2, 3, 3, 4, 1, 1),
    12: (3, 2, 4),
    13: (1, 5, 2, 5),
    14: (2, 4, 3),
    15: (3, 3, 7),
    16: (1, 5, 4, 3, 3),
    17: (1, 4, 2),
}
"""Requirements of levels 1 and 2 by chapter, one number a section. Those of level 3 come last in their section."""
_ASVS_RANGE = re.compile(r"\b(\d+)\.(\d+)\.(\d+)(?:\u2013(\d+))?")


def _has_test(path: Path, name: str) -> bool:
    keyword = "function" if path.suffix == ".sol" else "def"
    return path.is_file() and re.search(rf"\b{keyword} {name}\(", path.read_text()) is not None


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_cited_tests_exist(document: Path) -> None:
    citations = _CITATION.findall(document.read_text())
    assert citations
    assert not [f"{path}::{name}" for path, name in citations if not _has_test(ROOT / path, name)]


def test_every_threat_names_what_stops_it_and_a_test() -> None:
    sections = re.split(r"^##", (ROOT / "SECURITY.md").read_text(), flags=re.MULTILINE)
    threats = {
        section.partition("\n")[0].removeprefix("# "): section for section in sections if "| shown by |" in section
    }
    assert tuple(threats) == PARTIES
    for party, section in threats.items():
        rows = [line.split(" | ") for line in section.splitlines() if line.startswith("| ")][1:]
        assert rows, party
        assert not [row for row in rows if len(row) != 3 or not _CITATION.search(row[2])]


def _numbers(cell: str) -> list[str]:
    """Return the requirements that a cell names, ranges written out."""
    return [
        f"{chapter}.{section}.{number}"
        for chapter, section, first, last in _ASVS_RANGE.findall(cell)
        for number in range(int(first), int(last or first) + 1)
    ]


def _asvs_rows() -> list[list[str]]:
    lines = (ROOT / "docs" / "asvs.md").read_text().splitlines()
    return [line.strip("|").split(" | ") for line in lines if re.match(r"\| \d", line)]


def test_each_asvs_requirement_is_in_the_table_once() -> None:
    expected = [
        f"{chapter}.{section}.{number}"
        for chapter, counts in _ASVS_COUNTS.items()
        for section, count in enumerate(counts, 1)
        for number in range(1, count + 1)
    ]
    assert len(expected) == 253
    assert [number for row in _asvs_rows() for number in _numbers(row[0])] == expected


def test_each_asvs_requirement_is_met_or_has_a_reason() -> None:
    rows = _asvs_rows()
    assert {row[1] for row in rows} == {"met", "not", "n/a"}
    assert not [row for row in rows if row[1] == "not" and not row[2].strip()]
    summary = (ROOT / "docs" / "asvs.md").read_text().partition("Not met")[2].partition("\n\n")[0]
    assert [number for row in rows if row[1] == "not" for number in _numbers(row[0])] == _numbers(summary)
