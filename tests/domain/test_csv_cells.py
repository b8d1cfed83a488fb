"""No spreadsheet, in any locale, runs a CSV cell as a formula."""

import pytest

from stateless_billing.domain.csv_cells import format_cell

SIGNS = "=+-@\uff1d\uff0b\uff0d\uff20"


@pytest.mark.parametrize("sign", SIGNS)
@pytest.mark.parametrize("before", ["", "\n", "\r", "\t", "\r\n", " ", "\u3000", "\x00", "\ufeff", "\u200b", "\u202e"])
def test_a_cell_never_begins_with_a_sign(sign: str, before: str) -> None:
    cell = format_cell(f"{before}{sign}1+1")
    assert cell[0] == "'"
    assert cell.replace("'", "") == f"{before}{sign}1+1"


@pytest.mark.parametrize("start", ["\n", "\r", "\t"])
def test_a_cell_never_begins_with_a_control_character(start: str) -> None:
    assert format_cell(f"{start}x") == f"'{start}x"


@pytest.mark.parametrize("sign", SIGNS)
@pytest.mark.parametrize("between", [";", "; ", ';"', "\n", "\r\n", "\t", ";\t", ";\u200b", ";\x00", ";\u2067"])
def test_a_sign_behind_another_separator_is_neutralized(sign: str, between: str) -> None:
    assert format_cell(f"note{between}{sign}1+1") == f"note{between}'{sign}1+1"


@pytest.mark.parametrize("value", ["plain", "a=b", "a-b", "x; y", "a@example.org; b", "2026-01-02", ""])
def test_other_texts_are_unchanged(value: str) -> None:
    assert format_cell(value) == value


def test_other_values() -> None:
    assert [format_cell(value) for value in (None, True, False, -750, 0)] == ["", "true", "false", "-750", "0"]
