"""The `doctor` command. Exit codes: 0 clean, 1 something to fix, 2 settings, 3 something could not be checked."""

import argparse
import asyncio
import json
import sys
from collections import Counter
from collections.abc import Callable

from stateless_billing import settings
from stateless_billing.bookkeeping import records
from stateless_billing.doctor.checks import CLEAN, USAGE, Check, State, as_document, exit_code_of
from stateless_billing.doctor.examination import examine
from stateless_billing.doctor.watch import watch
from stateless_billing.runtime.clock import SystemClock
from stateless_billing.services.container import Services
from stateless_billing.settings import BadSettings

Report = Callable[[str], object]


def run(command: argparse.Namespace, report: Report) -> int:
    """Run `doctor` and return its exit code. Raises: BadSettings, and StripeFailure with `--init`."""
    if command.every is not None and command.watch is None:
        sys.stderr.write("stateless_billing: --every: give --watch URL as well\n")
        return USAGE
    if command.watch is not None:
        return watch(command.watch, command.every, report, sys.stderr.write, as_json=command.json)
    if command.init:
        report(f"SERVICE_CUSTOMER_ID={asyncio.run(_create_records())}\n")
        sys.stderr.write(_NEW_RECORD)
        return CLEAN
    try:
        loaded = settings.load(settings.SERVE)
    except BadSettings as error:
        if command.json:
            mend = "Every setting is in .env.example."
            faults = [Check("settings", State.MEND, fault, mend) for fault in error.faults]
            report(json.dumps(as_document(faults, USAGE), indent=2) + "\n")
        raise
    checks = asyncio.run(_examine(loaded))
    exit_code = exit_code_of(checks)
    if command.json:
        report(json.dumps(as_document(checks, exit_code), indent=2) + "\n")
    else:
        report("".join(f"{check.line()}\n" for check in checks))
        _print_summary(checks)
    return exit_code


_NEW_RECORD = (
    "If this account already had a service record, the new one does not contain its orders. Payments older than the new"
    " record that are still uncredited after 23 hours are held (ledger_unproven) until you return to the earlier record"
    " or credit them by hand. Its rate override, open payments and grants ledger are lost too.\n"
)


async def _create_records() -> str:
    async with Services(settings.load(settings.STRIPE), SystemClock()) as services:
        return await records.create_records(services.stripe)


async def _examine(loaded: settings.Settings) -> list[Check]:
    async with Services(loaded, SystemClock()) as services:
        return await examine(services)


def _print_summary(checks: list[Check]) -> None:
    count = Counter(check.state for check in checks)
    summary = f"{count[State.MEND]} to mend, {count[State.UNREAD]} not looked at, {count[State.NOTE]} to note"
    sys.stderr.write(f"{len(checks)} checks: {summary}\n")
