"""Reads docs/runbook.md: its sections, the commands in them, and whether a command for Fly has the form of one."""

import re
import shlex

from stateless_billing.sandbox.localchain import ROOT

TEXT = (ROOT / "docs" / "runbook.md").read_text()
FLY_COMMANDS = {  # https://fly.io/docs/flyctl/, those we use, with the options we use
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
    """One section's text."""
    [found] = re.findall(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL)
    return str(found)


def commands(text: str) -> list[str]:
    """The commands of its fenced blocks in order; one with a here-document is one."""
    found: list[str] = []
    for indent, block in re.findall(r"^( *)```sh\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL):
        lines = [line.removeprefix(indent) for line in block.splitlines()]
        end = ""
        for line in lines:
            if end:
                found[-1] += "\n" + line
                end = "" if line == end else end
            else:
                found.append(line)
                here = re.search(r"<<'(\w+)'$", line)
                end = here[1] if here else ""
    return found


def for_fly() -> list[str]:
    """Every command for Fly on the page, in blocks and in sentences."""
    inline = re.findall(r"`(fly [^`]+)`", TEXT)
    return [" ".join(one.split()) for one in inline if "/" not in one.split()[0]] + [
        one for one in commands(TEXT) if one.startswith("fly ")
    ]


def is_flys(command: str) -> bool:
    """Whether a command is one that Fly has, with options that it takes."""
    words = shlex.split(command.partition(" < ")[0])[1:]
    for known, options in FLY_COMMANDS.items():
        if tuple(words[: len(known)]) == known:
            return {word for word in words if word.startswith("-")} <= options
    return False
