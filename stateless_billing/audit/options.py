"""The options of `audit`, apart from what it needs to run: every other command's parser has them too."""

import argparse
from pathlib import Path

FORMATS = ("table", "csv", "json", "jsonl")


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `audit`."""
    parser.epilog = "Exit codes: 0 clean, 1 exceptions, 2 usage, 3 a source was not read to its end, 4 internal."
    parser.add_argument("--from", dest="since", metavar="DAY|BLOCK", help="the first day (UTC) or block")
    parser.add_argument("--to", dest="until", metavar="DAY|BLOCK", help="the last time (UTC) or block")
    parser.add_argument("--customer", metavar="CUS", help="one customer only")
    parser.add_argument("--format", choices=FORMATS, default="table")
    parser.add_argument("--out", metavar="DIR", type=Path, help="also write every form, pictures and SHA256SUMS there")
    parser.add_argument("--deep", action="store_true", help="read every entry of every customer; compare rates")
    parser.add_argument("--accepted", metavar="FILE", type=Path, help="accepted exceptions: JSON lines")
    parser.add_argument("--at", metavar="BLOCK:TIME", help="make the report of that block and time again")
    parser.add_argument("--progress", choices=("auto", "none"), default="auto")
    parser.add_argument("--self-test", action="store_true", help="plant one of each finding in a copy; find them all")
    steps = parser.add_subparsers(dest="step", metavar="verify DIR | repair")
    verify = steps.add_parser("verify", help="check the sums of a published report, read again, say what changed")
    verify.add_argument("folder", type=Path, metavar="DIR")
    mend = steps.add_parser("repair", help="say what would put the findings right; with --apply, do it")
    mend.add_argument("--apply", action="store_true", help="take the steps")
    mend.add_argument("--operator", metavar="NAME", help="the admin of OPERATORS in whose name they are taken")
