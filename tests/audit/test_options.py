"""The words of the `audit` command line, and what they become."""

import argparse
from pathlib import Path

import pytest

from stateless_billing.audit.options import FORMATS, add_options
from stateless_billing.audit.report.formats import WRITERS


def parsed(*words: str) -> argparse.Namespace:
    """What the parser makes of it."""
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_options(parser)
    return parser.parse_args(words)


def test_every_format_can_be_written() -> None:
    assert set(FORMATS) == WRITERS.keys()
    assert [parsed("--format", name).format for name in FORMATS] == list(FORMATS)


def test_a_step_keeps_the_options_before_it() -> None:
    command = parsed("--customer", "cus_1", "--deep", "repair", "--apply", "--operator", "Ann")
    assert (command.step, command.customer, command.deep, command.apply) == ("repair", "cus_1", True, True)
    assert parsed("verify", "reports").folder == Path("reports")
    assert parsed().step is None


@pytest.mark.parametrize("words", [("--format", "xml"), ("--progress", "loud")])
def test_other_words_are_refused(words: tuple[str, ...]) -> None:
    with pytest.raises(argparse.ArgumentError):
        parsed(*words)
