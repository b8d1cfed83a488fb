"""Command-line options of `audit`."""

import argparse
from pathlib import Path

import pytest

from stateless_billing.audit.options import FORMATS, add_options
from stateless_billing.audit.report.formats import WRITERS


def parse(*words: str) -> argparse.Namespace:
    """Parse a command line of `audit`."""
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_options(parser)
    return parser.parse_args(words)


def test_every_format_can_be_written() -> None:
    assert set(FORMATS) == WRITERS.keys()
    assert [parse("--format", name).format for name in FORMATS] == list(FORMATS)


def test_a_step_keeps_the_options_before_it() -> None:
    command = parse("--customer", "cus_1", "--deep", "repair", "--apply", "--operator", "Ann")
    assert (command.step, command.customer, command.deep, command.apply) == ("repair", "cus_1", True, True)
    assert parse("verify", "reports").folder == Path("reports")
    assert parse().step is None


@pytest.mark.parametrize("words", [("--format", "xml"), ("--progress", "loud")])
def test_invalid_options_are_rejected(words: tuple[str, ...]) -> None:
    with pytest.raises(argparse.ArgumentError):
        parse(*words)
