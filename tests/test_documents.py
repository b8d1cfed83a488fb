"""Documents name every program their commands need, and the tour of the code names existing functions."""

import ast
import re
from dataclasses import fields
from pathlib import Path

import pytest

from stateless_billing.commands.options import create_parser
from stateless_billing.sandbox.processes import ROOT
from stateless_billing.settings import Settings

DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
ASKED_FOR = {"git", "make", "node", "npm", "python"}
SHELL = {
    "base64",
    "cat",
    "cd",
    "chmod",
    "do",
    "done",
    "echo",
    "env",
    "eval",
    "export",
    "for",
    "read",
    "sed",
    "sleep",
    "until",
    "while",
}


def commands(text: str) -> set[str]:
    """Return the programs in the shell examples of a document, without paths within the project."""
    blocks = re.findall(r"^ *```sh\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL)
    script = re.sub(r"\\\n", " ", "\n".join(blocks))
    script = re.sub(r"<<'(\w+)'\n.*?^ *\1$", "", script, flags=re.MULTILINE | re.DOTALL)
    script = re.sub(r"^ *(\w+=(?!\$\()\S* +)+(?=\S)", "", script, flags=re.MULTILINE)
    return set(re.findall(r"(?:^|\||\$\(|\bdo\b|\buntil \[ \"\$\() *([a-z][\w-]*)(?=[ \n])(?!=)", script, re.MULTILINE))


def test_commands_are_recognized() -> None:
    text = '```sh\nTX=$(jq .a b)\nuntil [ "$(curl x | base64 y)" = z ]; do\n  A=1 fly b\ndone\nbin/python c\n```\n'
    assert commands(text) == {"jq", "until", "curl", "base64", "fly", "done"}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_further_requirements_are_named(path: Path) -> None:
    text = path.read_text()
    prose = re.sub(r"^ *```.*?^ *```$", "", text, flags=re.MULTILINE | re.DOTALL)
    unnamed = [command for command in commands(text) - ASKED_FOR - SHELL if f"`{command}`" not in prose]
    assert not unnamed, f"{unnamed} are not in the README's requirements: say where they come from"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_leads_to_a_file(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", path.read_text()):
        if not target.startswith(("https://", "http://")):
            assert (path.parent / target).exists(), target


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_target_of_make_exists(path: Path) -> None:
    targets = set(re.findall(r"^([a-z][\w-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    text = path.read_text()
    blocks = "\n".join(re.findall(r"^ *```sh\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL))
    named = {
        *re.findall(r"`make ([a-z][\w-]*)", text),
        *re.findall(r"^ *make ([a-z][\w-]*)", blocks, re.MULTILINE),
    }
    assert named <= targets


def program_calls(text: str) -> list[list[str]]:
    """Return the arguments of each complete call of the program in a document's code."""
    code = [*re.findall(r"`([^`\n]+)`", text), *re.findall(r"^ *```sh\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL)]
    calls = re.findall(r"python -m stateless_billing +([^#|>\n)]+)", re.sub(r"\\\n", " ", "\n".join(code)))
    return [call.split() for call in calls]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_call_of_the_program_parses(path: Path) -> None:
    for arguments in program_calls(path.read_text()):
        assert create_parser().parse_args(arguments).name == arguments[0]


def test_the_containers_of_the_documents_get_settings_and_no_secrets() -> None:
    text = (ROOT / "docs" / "deploying.md").read_text()
    by_name = {field.name.upper(): field for field in fields(Settings)}
    passed = re.findall(r" -e (\w+)=(\S+)", text)
    assert len(passed) > 3
    for name, value in passed:
        assert not by_name[name].metadata["secret"]
        by_name[name].metadata["parse"](value)


def test_the_index_lists_every_document() -> None:
    index = (ROOT / "docs" / "README.md").read_text()
    for path in sorted((ROOT / "docs").glob("*.md")):
        assert path.name == "README.md" or f"]({path.name})" in index, path.name
    for name in ("CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"):
        assert f"](../{name})" in index


def test_the_readme_fits_on_a_screen_and_leads_every_reader_on() -> None:
    text = (ROOT / "README.md").read_text()
    screen = "\n".join(text.splitlines()[:40])
    assert screen.count("make demo") == screen.count("make test") == 1
    for reader in ("pay", "integrate it", "help payers and grant credit", "audit", "operate", "develop"):
        assert f"\n| {reader} |" in screen
    assert "CHANGELOG.md" in screen
    assert "LICENSE" in screen


def definitions(path: Path) -> set[str]:
    """The classes and functions of a module, and the methods as `Class.method`."""
    names = set[str]()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            names |= {
                f"{node.name}.{method.name}"
                for method in node.body
                if isinstance(method, ast.FunctionDef | ast.AsyncFunctionDef)
            }
    return names


def test_the_tour_names_existing_functions() -> None:
    text = (ROOT / "docs" / "code.md").read_text()
    rows = re.findall(r"^\|[^|]*\| `([\w/]+\.py)` \| ([^|]+) \|", text, re.MULTILINE)
    assert len(rows) > 30
    missing = [
        (path, name)
        for path, cell in rows
        for name in re.findall(r"`([\w.]+)`", cell)
        if name not in definitions(ROOT / path)
    ]
    assert not missing
