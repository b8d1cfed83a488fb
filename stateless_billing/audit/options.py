"""Command-line options of `audit`, free of its imports, because every command loads them."""

import argparse
from pathlib import Path

FORMATS = ("table", "csv", "json", "jsonl")
PROGRESS = ("auto", "none")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `audit` to its parser."""
    parser.add_argument("--from", dest="since", metavar="DAY|BLOCK", help="the first day (UTC) or block")
    parser.add_argument("--to", dest="until", metavar="DAY|BLOCK", help="the last time (UTC) or block")
    parser.add_argument("--customer", metavar="CUS", help="one customer only")
    parser.add_argument("--format", choices=FORMATS, default="table", help="what is printed to stdout")
    parser.add_argument(
        "--out", metavar="DIR", type=Path, help="also write every format, the charts and SHA256SUMS there"
    )
    parser.add_argument("--deep", action="store_true", help="read every entry of every customer; compare rates")
    parser.add_argument(
        "--treasury",
        action="store_true",
        help="account for every token that reached the treasury, by all transfers and its balances",
    )
    parser.add_argument(
        "--treasury-opening",
        metavar="AMOUNT",
        help="with --from: its balance before that block in base units, if the node keeps no state that old",
    )
    parser.add_argument("--by", metavar="NAME", help="who runs it: stands in run.json of --out and on stderr")
    parser.add_argument("--accepted", metavar="FILE", type=Path, help="accepted exceptions: JSON lines")
    parser.add_argument("--at", metavar="BLOCK:TIME", help="reproduce the report of that block and time")
    parser.add_argument(
        "--spool",
        metavar="FILE",
        type=Path,
        help="keep what is read in FILE until the report is complete; if it exists, go on from it",
    )
    parser.add_argument("--progress", choices=PROGRESS, default="auto", help="auto: on a terminal")
    parser.add_argument(
        "--self-test",
        action="store_true",
        help="plant one fault of each kind in a copy and check that each is reported; without any settings, in a"
        " made-up payment",
    )
    steps = parser.add_subparsers(dest="step", metavar="verify DIR | repair")
    verify = steps.add_parser(
        "verify", help="check the checksums of a published report, audit again and list what changed"
    )
    verify.add_argument("folder", type=Path, metavar="DIR")
    repair = steps.add_parser("repair", help="list the repairs of the findings; with --apply, apply them")
    repair.add_argument("--apply", action="store_true", help="apply the repairs")
    repair.add_argument("--operator", metavar="NAME", help="the admin of OPERATORS in whose name they are applied")
