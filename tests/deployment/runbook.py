"""Reads docs/runbook.md: its sections and commands, and validates the commands for Fly."""

import re
import shlex

from stateless_billing.sandbox.localchain import ROOT

TEXT = (ROOT / "docs" / "runbook.md").read_text()
FLY_COMMANDS = {  # https://fly.io/docs/flyctl/: the commands and options used
    ("apps", "create"): set(),
    ("auth", "login"): set(),
    ("certs", "add"): set(),
    ("deploy",): {"--skip-release-command"},
    ("logs",): set(),
    ("scale", "count"): set(),
    ("secrets", "deploy"): set(),
    ("secrets", "import"): {"--stage"},
    ("secrets", "set"): {"--stage"},
    ("status",): set(),
}


def section(title: str) -> str:
    """Return the text of a section."""
    [text] = re.findall(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL)
    return str(text)


def commands(text: str) -> list[str]:
    """Return the commands of the fenced blocks in order, each with its here-document."""
    parsed: list[str] = []
    for indent, block in re.findall(r"^( *)```sh\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL):
        lines = [line.removeprefix(indent) for line in block.splitlines()]
        end = ""
        for line in lines:
            if end:
                parsed[-1] += "\n" + line
                end = "" if line == end else end
            else:
                parsed.append(line)
                heredoc = re.search(r"<<'(\w+)'$", line)
                end = heredoc[1] if heredoc else ""
    return parsed


def fly_commands() -> list[str]:
    """Return every command for Fly on the page, in blocks and in prose."""
    inline = re.findall(r"`(fly [^`]+)`", TEXT)
    return [" ".join(command.split()) for command in inline if "/" not in command.split()[0]] + [
        command for command in commands(TEXT) if command.startswith("fly ")
    ]


def is_valid_fly_command(command: str) -> bool:
    """Whether Fly has the command and its options."""
    words = shlex.split(command.partition(" < ")[0])[1:]
    for prefix, options in FLY_COMMANDS.items():
        if tuple(words[: len(prefix)]) == prefix:
            return {word for word in words if word.startswith("-")} <= options
    return False
