"""The command line: commands, options and help with examples. Imports nothing that only a command needs."""

import argparse

from stateless_billing.audit.options import PROGRESS
from stateless_billing.audit.options import add_options as add_audit_options
from stateless_billing.version import VERSION, read_commit

PROGRAM = "stateless_billing"
EXIT_CODES = "Exit codes: 0 clean, 1 findings, 2 usage or settings, 3 could not read everything, 4 internal."
_SETTINGS = "Settings come from the environment; .env.example lists them, and a command names what it lacks."

EXAMPLES = {
    "": (
        ("doctor", "check the settings before anything else"),
        ("serve", "run the service"),
        ("audit --help", "show what a command takes"),
    ),
    "serve": (("serve", "pages and API on HOST:PORT, metrics on METRICS_PORT; with SWEEP=off another process sweeps"),),
    "sweep": (
        ("sweep", "find and credit payments until terminated"),
        ("sweep --once", "one sweep; exit code 3 if something could not be read"),
    ),
    "audit": (
        ("audit", "every payment and its credit, as a table"),
        ("audit --from 2026-10-01 --to 2026-10-31 --format csv > october.csv", "one month"),
        ("audit --deep --out reports/october", "every entry of every customer, in every format"),
        (
            "audit --deep --spool october.spool",
            "one that may take long: the same command goes on after an interruption",
        ),
        ("audit --treasury", "also every token that reached the treasury"),
        ("audit --customer cus_NffrFeUfNV2Hib", "one customer"),
        ("audit --self-test", "plant one fault of each kind and report each"),
    ),
    "audit verify": (("audit verify reports/october", "check the sums, and list what changed since"),),
    "audit repair": (
        ("audit repair", "print the repairs; change nothing"),
        ("audit repair --apply --operator admin@example.org", "apply them in the name of an admin"),
    ),
    "explain": (
        ("explain 0x9c5f… # 64 hex digits", "a payment, by the hash of its EVM transaction"),
        ("explain cbtxn_1MyAbc", "a credit, by its balance transaction"),
        ("explain 0xAb12… # 40 hex digits", "all payments of a wallet"),
        ("explain R02-1a2b3c4d", "a finding, by the fingerprint that the audit prints"),
    ),
    "register": (
        ("register", "sign, print JSON lines, and report conflicts"),
        ("register --calldata > batches.jsonl", "EVM transactions of up to 100 registrations"),
    ),
    "doctor": (
        ("doctor --init >> .env", "once: create the bookkeeping customers, print SERVICE_CUSTOMER_ID=cus_…"),
        ("doctor", "check everything, change nothing"),
        ("doctor --json", "the same for a program"),
        ("doctor --watch http://127.0.0.1:9090", "what a process saw that should be impossible, by METRICS_PORT"),
        ("doctor --watch 127.0.0.1:9090 --every 60", "go on, and print what changes, until Ctrl-C"),
    ),
}
"""For each command, the arguments of its examples and what they do."""


class _Parser(argparse.ArgumentParser):
    """A parser whose help ends with the examples of its command; its subparsers are of the same class."""

    def format_help(self) -> str:
        """Return the help, with the examples and the exit codes."""
        self.formatter_class = argparse.RawDescriptionHelpFormatter
        self.epilog = _format_epilog(self.prog.removeprefix(PROGRAM).strip())
        return super().format_help()


def create_parser() -> argparse.ArgumentParser:
    """Create the parser. The result of `parse_args` has the command's `name`."""
    parser = _Parser(prog=PROGRAM, description="Credits a Stripe balance exactly once for every payment on the chain.")
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {VERSION} ({read_commit()})")
    commands = parser.add_subparsers(dest="name", required=True, metavar="COMMAND")

    def add_command(name: str, purpose: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=purpose, description=f"{purpose[0].upper()}{purpose[1:]}.")

    add_command("serve", "serve the API and the pages, and sweep unless SWEEP=off")
    sweep = add_command("sweep", "find and credit payments")
    sweep.add_argument("--once", action="store_true", help="one sweep, then exit")
    register = add_command("register", "sign registrations for all customers with a wallet")
    register.add_argument("--calldata", action="store_true", help="print EVM transactions that anybody may send")
    audit = add_command("audit", "compare every payment on the chain with every credit in Stripe")
    add_audit_options(audit)
    explain = add_command("explain", "explain one payment, credit, wallet or finding")
    explain.add_argument("what", metavar="TX|CBTXN|WALLET|FINGERPRINT")
    explain.add_argument("--progress", choices=PROGRESS, default="auto", help="auto: on a terminal")
    doctor = add_command("doctor", "check settings, keys, nodes, contracts, clock and prices")
    doctor.add_argument("--json", action="store_true", help="print JSON")
    does = doctor.add_mutually_exclusive_group()
    does.add_argument("--init", action="store_true", help="create the two bookkeeping customers in Stripe")
    does.add_argument("--watch", metavar="URL", help="read a process's metrics: which assumption is broken")
    doctor.add_argument("--every", type=int, metavar="SECONDS", help="with --watch: go on, and print what changes")
    return parser


def _format_epilog(command: str) -> str:
    lines = ["examples:"]
    for arguments, purpose in EXAMPLES[command]:
        lines += [f"  python -m {PROGRAM} {arguments}", f"      {purpose}"]
    return "\n".join([*lines, "", _SETTINGS, EXIT_CODES])
