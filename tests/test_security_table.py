"""The table of threats and the ASVS table cite tests and files that exist."""

import re
from pathlib import Path

import pytest

from stateless_billing.sandbox.processes import ROOT

DOCUMENTS = [ROOT / "SECURITY.md"]
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
