"""A document whose commands need more than README.md asks for says what."""

import re
from pathlib import Path

import pytest

from stateless_billing.sandbox.processes import ROOT

DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
ASKED_FOR = {"git", "make", "node", "npm", "python"}
SHELL = {
    "base64",
    "cat",
    "chmod",
    "do",
    "done",
    "echo",
    "env",
    "export",
    "for",
    "read",
    "sed",
    "sleep",
    "until",
    "while",
}


def commands(text: str) -> set[str]:
    """The programs that the shell examples of a document start; paths within the project are not among them."""
    blocks = re.findall(r"^ *```sh\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL)
    script = re.sub(r"\\\n", " ", "\n".join(blocks))
    script = re.sub(r"<<'(\w+)'\n.*?^ *\1$", "", script, flags=re.MULTILINE | re.DOTALL)
    script = re.sub(r"^ *(\w+=(?!\$\()\S* +)+(?=\S)", "", script, flags=re.MULTILINE)
    return set(re.findall(r"(?:^|\||\$\(|\bdo\b|\buntil \[ \"\$\() *([a-z][\w-]*)(?=[ \n])(?!=)", script, re.MULTILINE))


def test_commands_are_recognized() -> None:
    text = '```sh\nTX=$(jq .a b)\nuntil [ "$(curl x | base64 y)" = z ]; do\n  A=1 fly b\ndone\nbin/python c\n```\n'
    assert commands(text) == {"jq", "until", "curl", "base64", "fly", "done"}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_what_else_is_needed_is_said(path: Path) -> None:
    text = path.read_text()
    prose = re.sub(r"^ *```.*?^ *```$", "", text, flags=re.MULTILINE | re.DOTALL)
    unsaid = [one for one in commands(text) - ASKED_FOR - SHELL if f"`{one}`" not in prose]
    assert not unsaid, f"the README does not ask for {unsaid}: say where they come from"
