"""Prints a command `stateless_billing` with its completion, for `eval` in bash, zsh or fish."""

import shlex
import sys
from pathlib import Path

import shtab

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from stateless_billing.commands.options import PROGRAM, create_parser  # noqa: E402 - needs the path above

SHELLS = {
    "bash": '{name}() {{ PYTHONPATH={root} {python} -m {name} "$@"; }}',
    "zsh": '{name}() {{ PYTHONPATH={root} {python} -m {name} "$@"; }}',
    "fish": "function {name}; env PYTHONPATH={root} {python} -m {name} $argv; end",
}


def main() -> int:
    """Print the definitions for one shell."""
    if len(sys.argv) != 2 or sys.argv[1] not in SHELLS:
        sys.stderr.write(f"usage: tools/completion.py {'|'.join(SHELLS)}\n")
        return 2
    shell = sys.argv[1]
    quoted = {"root": shlex.quote(str(ROOT)), "python": shlex.quote(sys.executable)}
    print(SHELLS[shell].format(name=PROGRAM, **quoted))
    print(shtab.complete(create_parser(), shell=shell))
    return 0


if __name__ == "__main__":
    sys.exit(main())
