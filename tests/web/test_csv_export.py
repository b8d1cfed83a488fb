"""CSV cells are read back as written and never start a formula."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stateless_billing.web.http.csv_export import csv_table

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)


def parse_csv(text: str) -> list[list[str]]:
    """Parse CSV as a program does."""
    return list(csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline="")))


@pytest.mark.parametrize(
    "cell", ["=1+1", "+1", "-1", "@SUM(A1)", '=HYPERLINK("http://evil.example","x")', "-", "=" * 400]
)
def test_formulas_become_text(cell: str) -> None:
    assert parse_csv(csv_table(["note"], [[cell]]))[1] == [f"'{cell}"]


@pytest.mark.parametrize("start", ["\t", "\r", "\n"])
def test_formulas_behind_a_control_character_become_text(start: str) -> None:
    assert parse_csv(csv_table(["note"], [[f"{start}=1"]]))[1] == [f"'{start}'=1"]


def test_numbers_and_empty_cells_are_unchanged() -> None:
    assert csv_table(["cents", "credit"], [[-750, None], [0, ""]]) == "\ufeffcents,credit\r\n-750,\r\n0,\r\n"


def test_an_empty_table_has_its_header() -> None:
    assert csv_table(["a", "b"], []).encode() == b"\xef\xbb\xbfa,b\r\n", "UTF-8 with a byte order mark"


@given(st.lists(st.lists(TEXTS, min_size=2, max_size=2), max_size=5))
def test_every_text_is_read_back(rows: list[list[str]]) -> None:
    back = parse_csv(csv_table(["one", "two"], rows))[1:]
    assert [[cell.replace("'", "") for cell in row] for row in back] == [
        [cell.replace("'", "") for cell in row] for row in rows
    ]
    assert not [cell for row in back for cell in row if cell[:1] in ("=", "+", "-", "@", "\t", "\n", "\r")]
