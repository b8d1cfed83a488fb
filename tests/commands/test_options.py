"""Every command explains itself by examples that parse, and completes in a shell."""

import argparse
import shlex
import sys

import pytest

from stateless_billing.commands import cli
from stateless_billing.commands.options import EXAMPLES, EXIT_CODES, PROGRAM, create_parser
from stateless_billing.sandbox import processes
from stateless_billing.sandbox.processes import ROOT
from stateless_billing.version import VERSION

COMPLETION = 'eval "$("$1" tools/completion.py bash)"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); '
ROWS = [(command, arguments) for command, rows in EXAMPLES.items() for arguments, _ in rows]


def parsers(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """Return a parser and those of its commands, by the words that select them."""
    collected = {parser.prog.removeprefix(PROGRAM).strip(): parser}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                collected |= parsers(command)
    return collected


def words_of(arguments: str) -> list[str]:
    """Return the words that the program gets, as a shell would split them."""
    return shlex.split(arguments.partition(" >")[0], comments=True)


def test_every_command_has_examples_and_runs_something() -> None:
    assert set(parsers(create_parser())) == set(EXAMPLES)
    top = {command.split()[0] for command in EXAMPLES if command}
    assert top == set(cli._COMMANDS)


@pytest.mark.parametrize("command", EXAMPLES, ids=lambda command: command or "program")
def test_the_help_shows_purpose_examples_and_exit_codes(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main([*command.split(), "--help"])
    shown = capsys.readouterr().out
    assert ended.value.code == 0
    assert EXIT_CODES in shown
    for arguments, purpose in EXAMPLES[command]:
        assert f"  python -m {PROGRAM} {arguments}\n      {purpose}\n" in shown
    assert all(len(line) <= 120 for line in shown.splitlines())


@pytest.mark.parametrize(("command", "arguments"), ROWS, ids=[arguments for _, arguments in ROWS])
def test_every_example_parses(command: str, arguments: str) -> None:
    words = words_of(arguments)
    assert words[: len(command.split())] == command.split()
    if "--help" not in words:
        assert create_parser().parse_args(words).name == words[0]


def test_every_option_is_explained() -> None:
    for command, parser in parsers(create_parser()).items():
        for action in parser._actions:
            explained = action.help or isinstance(action, argparse._SubParsersAction) or not action.option_strings
            assert explained, f"{command} {action.option_strings}"


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"{PROGRAM} {VERSION} (unknown)\n"


def test_a_missing_command_is_a_usage_error() -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main([])
    assert ended.value.code == cli.USAGE


@pytest.mark.parametrize(
    ("line", "completed"),
    [
        (["au"], {"audit"}),
        (["audit", ""], {"verify", "repair"}),
        (["audit", "--format", ""], {"table", "csv", "json", "jsonl"}),
        (["doctor", "--i"], {"--init"}),
    ],
)
def test_the_shell_completes(line: list[str], completed: set[str]) -> None:
    script = COMPLETION + f'_shtab_{PROGRAM}; printf "%s\\n" "${{COMPREPLY[@]}}"'
    done = processes.run(["bash", "-c", script, "bash", sys.executable, PROGRAM, *line], cwd=ROOT, check=True)
    assert completed <= set(done.stdout.split()), done.stderr


def test_the_completed_command_runs_anywhere() -> None:
    script = COMPLETION + f"cd /; {PROGRAM} --version"
    done = processes.run(["bash", "-c", script, "bash", sys.executable, PROGRAM], cwd=ROOT, check=True)
    assert done.stdout == f"{PROGRAM} {VERSION} (unknown)\n"


def test_the_completion_names_its_shells() -> None:
    done = processes.run([sys.executable, "tools/completion.py", "tcsh"], cwd=ROOT)
    assert (done.returncode, done.stderr) == (2, "usage: tools/completion.py bash|zsh|fish\n")
