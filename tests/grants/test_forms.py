"""Notes hold nothing unseen that makes them read as another text."""

import unicodedata
from collections.abc import Callable

import pytest

from stateless_billing.domain.errors import ProblemError
from stateless_billing.grants.forms import parse_note, require_visible, show_controls
from stateless_billing.web.http.inputs import parse_reason

CONTROLS = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


@pytest.mark.parametrize("control", CONTROLS, ids=lambda control: f"U+{ord(control):04X}")
def test_a_character_that_changes_the_direction_of_text_is_refused_with_its_position(control: str) -> None:
    text = f"refund{control} of ticket 123"
    for parse, nothing in ((parse_note, "Nothing was given."), (parse_reason, "Nothing was done.")):
        with pytest.raises(ProblemError) as refusal:
            parse(text)
        assert f"position 7 that changes how the text reads (U+{ord(control):04X}). {nothing}" in refusal.value.detail
    assert show_controls(text) == f"refund[U+{ord(control):04X}] of ticket 123"


def test_all_controls_of_unicode_are_refused() -> None:
    directions = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
    for code in range(0x110000):
        if unicodedata.bidirectional(chr(code)) in directions:
            with pytest.raises(ProblemError):
                require_visible(chr(code), "note", "")


@pytest.mark.parametrize("note", ["שילם פעמיים, כרטיס 123", "دفع مرتين، التذكرة ١٢٣", "paid twice 😀 ticket 1"])
def test_notes_in_any_language_stay_as_they_are(note: str) -> None:
    assert parse_note(note) == show_controls(note) == note


@pytest.mark.parametrize("parse", [parse_note, parse_reason])
def test_what_is_not_seen_is_no_part_of_a_text(parse: Callable[[str], str]) -> None:
    unseen = "\x00\x1b\x7f\x85\u00ad\u180e\u200b\u2060\ufeff"
    for character in unseen:
        assert parse(f"outage{character}of\tthe feed{character}\ntoday{character}") == "outage of the feed today"
        with pytest.raises(ProblemError):
            parse(f"abcd{character * 20}")
    joined = "refund\u200ced to 👩\u200d💻 as asked"
    assert parse(joined) == joined
