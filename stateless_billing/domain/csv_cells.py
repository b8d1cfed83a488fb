"""Formats CSV cells that no spreadsheet runs as formulas. Pure."""

import re

_SIGNS = "=+\\-@\uff1d\uff0b\uff0d\uff20"  # the last four are full-width: some locales read them alike
_UNSEEN = r"\s\x00-\x1f\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff"
_FORMULA = re.compile(rf"[\t\r\n]|[{_UNSEEN}]*[{_SIGNS}]")
_INNER_FORMULA = re.compile(rf"([;\t\r\n][{_UNSEEN}\"']*)(?=[{_SIGNS}])")
"""A sign behind what separates cells or rows where the separator is no comma."""


BYTE_ORDER_MARK = "\ufeff"
"""Begins a CSV file: without it a spreadsheet reads UTF-8 as the machine's own code page."""


def format_cell(value: object) -> str:
    """Format a value; a text that could be read as a formula gets an apostrophe in front of its sign."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    text = _INNER_FORMULA.sub(r"\1'", str(value))
    return f"'{text}" if _FORMULA.match(text) else text
