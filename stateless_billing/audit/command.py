"""`audit` and its exit codes: 0 clean, 1 findings, 2 usage, 3 could not read everything."""

import argparse
import asyncio
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from chain.errors import ChainError
from stateless_billing import settings
from stateless_billing.audit import explanation
from stateless_billing.audit.auditor import Auditor, BadOptions, ProgressReporting
from stateless_billing.audit.explanation import NothingKnown
from stateless_billing.audit.progress import ProgressPrinter, ignore_progress
from stateless_billing.audit.readers.stripe import StripeReadError
from stateless_billing.audit.repair import Repair, RepairServices, repair
from stateless_billing.audit.report import publishing
from stateless_billing.audit.report.formats import WRITERS
from stateless_billing.audit.report.report import Options, Report
from stateless_billing.audit.rules import self_test
from stateless_billing.operators.roster import REVERSE, find_operator
from stateless_billing.runtime.clock import SystemClock
from stateless_billing.settings import Settings

CLEAN, FINDINGS, USAGE, UNREAD = range(4)
PrintLine = Callable[[str], object]
RepairServicesFactory = Callable[[Settings], AbstractAsyncContextManager[RepairServices]]


def run(
    command: argparse.Namespace,
    explorer: Callable[[int], str | None],
    print_line: PrintLine,
    repair_services: RepairServicesFactory,
) -> int:
    """Run `audit`; its exit code. `repair_services` lends what a repair works with; nothing else asks for it."""
    known = settings.load(settings.AUDIT)
    auditor = Auditor(
        settings=known, clock=SystemClock(), reporting=_reporting(command.progress), explorer=explorer(known.chain_id)
    )
    try:
        return asyncio.run(_run(auditor, command, print_line, repair_services))
    except KeyboardInterrupt:
        return _fail(UNREAD, "interrupted: nothing can be said")
    except (BadOptions, OSError, ValueError, KeyError) as error:
        return _fail(USAGE, f"{type(error).__name__}: {error}" if isinstance(error, KeyError) else str(error))
    except (ChainError, StripeReadError) as error:
        return _fail(UNREAD, str(error))


def explain(what: str, progress: str, explorer: Callable[[int], str | None], print_line: PrintLine) -> int:
    """Run `explain`; its exit code: 1 where something is wrong or nothing is known."""
    known = settings.load(settings.AUDIT)
    auditor = Auditor(
        settings=known, clock=SystemClock(), reporting=_reporting(progress), explorer=explorer(known.chain_id)
    )
    try:
        return asyncio.run(_explain(auditor, what, print_line))
    except BadOptions as error:
        return _fail(USAGE, str(error))
    except NothingKnown as error:
        print_line(f"{error}\n")
        return FINDINGS
    except (ChainError, StripeReadError) as error:
        return _fail(UNREAD, str(error))


async def _explain(auditor: Auditor, what: str, print_line: PrintLine) -> int:
    async with auditor:
        rows, report = await explanation.explain(auditor, what)
        print_line("\n".join(explanation.describe_row(row) for row in rows))
        for sentence in sorted(report.coverage.missing):
            print_line(f"NOT READ: {sentence}\n")
        if not report.coverage.is_complete:
            return UNREAD
        return FINDINGS if any(row.exception for row in rows) else CLEAN


async def _run(
    auditor: Auditor, command: argparse.Namespace, print_line: PrintLine, repair_services: RepairServicesFactory
) -> int:
    async with auditor:
        if command.step == "verify":
            return await _verify(auditor, command.folder, print_line)
        options = _options(command)
        if command.step == "repair":
            return await _repair(auditor, command, options, print_line, repair_services)
        if command.self_test:
            return await _self_test(auditor, options, print_line)
        report = await auditor.run(options)
        try:
            for piece in WRITERS[command.format](report):
                print_line(piece)
            if command.out:
                publishing.publish(report, command.out)
            return exit_code(report)
        finally:
            report.spool.close()


def exit_code(report: Report) -> int:
    """The exit code of a report."""
    if not report.coverage.is_complete:
        return UNREAD
    return FINDINGS if report.spool.totals.exceptions else CLEAN


def _options(command: argparse.Namespace) -> Options:
    accepted = command.accepted.read_bytes() if command.accepted else b""
    return Options(command.since, command.until, command.customer, command.deep, command.at, accepted)


async def _verify(auditor: Auditor, folder: Path, print_line: PrintLine) -> int:
    """Whether the files are as they were made, and whether chain and Stripe still print_line the same."""
    wrong = publishing.find_altered_files(folder)
    for name in wrong:
        print_line(f"{name}: not the file that was published\n")
    options, before = publishing.read_options(folder)
    report = await auditor.run(options)
    try:
        found = publishing.describe_changes(before, report.spool)
        for line in (*(f"NOT READ: {one}" for one in sorted(report.coverage.missing)), *found):
            print_line(line + "\n")
        if not report.coverage.is_complete:
            return UNREAD
        same = not wrong and not found
        print_line(f"{'SAME' if same else 'CHANGED'}: {len(before)} rows at {options.at}\n")
        return CLEAN if same else FINDINGS
    finally:
        report.spool.close()


async def _self_test(auditor: Auditor, options: Options, print_line: PrintLine) -> int:
    """Plant each fault in a copy of what was read; every one must be found, with nothing else."""
    audit = await auditor.audit(options)
    report = await audit.run()
    report.spool.close()
    failed = 0
    for trial in self_test.run_trials(audit.collector.samples, audit.scope):
        print_line(f"{'found ' if trial.passed else 'MISSED'} {trial.planted}: {', '.join(trial.statuses)}\n")
        failed += not trial.passed
    return FINDINGS if failed else CLEAN


async def _repair(
    auditor: Auditor,
    command: argparse.Namespace,
    options: Options,
    print_line: PrintLine,
    repair_services: RepairServicesFactory,
) -> int:
    """Only what a complete audit shows is put right, and only in the name of an admin."""
    known = settings.load(settings.SWEEP)
    admin = find_operator(known.operators, command.operator or "")
    if command.apply and (admin is None or not admin.has_right(REVERSE)):
        raise BadOptions("--apply needs --operator with the name of an admin of OPERATORS")
    report = await auditor.run(options)
    try:
        if not report.coverage.is_complete:
            return _fail(UNREAD, *sorted(report.coverage.missing))
        async with repair_services(known) as services:
            steps = Repair(services, report, admin.name if admin else "", print_line).plan_steps()
            left = await repair(steps, print_line, apply=command.apply)
        print_line(f"{left} steps are left to be taken{'' if command.apply else ': --apply takes them'}\n")
        return FINDINGS if left else CLEAN
    finally:
        report.spool.close()


def _reporting(progress: str) -> ProgressReporting:
    if progress == "none":
        return ProgressReporting(ignore_progress, ignore_progress)
    shown = ProgressPrinter(SystemClock())
    return ProgressReporting(shown.on_progress, shown.on_message)


def _fail(exit_code: int, *sentences: str) -> int:
    for sentence in sentences:
        sys.stderr.write(f"stateless_billing: {sentence}\n")
    return exit_code
