"""`audit` and `explain`.

Exit codes: 0 clean, 1 findings, 2 usage, 3 a source could not be read completely.
"""

import argparse
import asyncio
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from pathlib import Path

from chain.errors import ChainError
from stateless_billing import settings
from stateless_billing.audit import explanation
from stateless_billing.audit.auditor import Auditor, InvalidOptions, ProgressReporting, invalid_spool
from stateless_billing.audit.explanation import NothingFound
from stateless_billing.audit.progress import ProgressPrinter, ignore_progress
from stateless_billing.audit.readers.ledger_spool import InvalidSpool, LedgerSpool, SpoolFailed
from stateless_billing.audit.readers.stripe import StripeReadError
from stateless_billing.audit.repair import Repair, RepairServices, repair
from stateless_billing.audit.report import publishing
from stateless_billing.audit.report.disk_table import DiskTableFailed
from stateless_billing.audit.report.formats import WRITERS
from stateless_billing.audit.report.report import Options, Report
from stateless_billing.audit.report.run_record import create_run_record
from stateless_billing.audit.rules import self_test
from stateless_billing.audit.rules.self_test import Trial
from stateless_billing.operators.roster import REVERSE, find_operator
from stateless_billing.runtime.clock import SystemClock
from stateless_billing.settings import Settings

CLEAN, FINDINGS, USAGE, UNREAD = range(4)
MAX_AMOUNT_DIGITS = 78  # of a uint256
PrintLine = Callable[[str], object]
RepairServicesFactory = Callable[[Settings], AbstractAsyncContextManager[RepairServices]]


def run(
    command: argparse.Namespace,
    explorer: Callable[[int], str | None],
    print_line: PrintLine,
    repair_services: RepairServicesFactory,
) -> int:
    """Run `audit` and return its exit code. Only a repair opens `repair_services`."""
    if command.self_test and command.step is None and not settings.is_any_set(settings.AUDIT):
        return _print_trials(self_test.run_trials([], self_test.create_scope()), print_line)
    loaded = settings.load(settings.AUDIT)
    auditor = Auditor(
        settings=loaded,
        clock=SystemClock(),
        reporting=_reporting(command.progress),
        explorer=explorer(loaded.chain_id),
    )
    try:
        return asyncio.run(_run(auditor, command, print_line, repair_services))
    except KeyboardInterrupt:
        return _fail(UNREAD, f"interrupted: the audit is incomplete{_going_on(command)}")
    except (DiskTableFailed, SpoolFailed) as error:
        return _fail(UNREAD, str(error))
    except InvalidOptions as error:
        return _fail(USAGE, str(error))
    except (ChainError, StripeReadError) as error:
        return _fail(UNREAD, str(error))


def explain(subject: str, progress: str, explorer: Callable[[int], str | None], print_line: PrintLine) -> int:
    """Run `explain` and return its exit code: 1 if a row is an exception or nothing was found."""
    loaded = settings.load(settings.AUDIT)
    auditor = Auditor(
        settings=loaded, clock=SystemClock(), reporting=_reporting(progress), explorer=explorer(loaded.chain_id)
    )
    try:
        return asyncio.run(_explain(auditor, subject, print_line))
    except InvalidOptions as error:
        return _fail(USAGE, str(error))
    except NothingFound as error:
        print_line(f"{error}\n")
        return FINDINGS
    except (ChainError, StripeReadError, DiskTableFailed) as error:
        return _fail(UNREAD, str(error))


async def _explain(auditor: Auditor, subject: str, print_line: PrintLine) -> int:
    async with auditor:
        rows, report = await explanation.explain(auditor, subject)
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
        return await _audit(auditor, command, options, print_line)


async def _audit(auditor: Auditor, command: argparse.Namespace, options: Options, print_line: PrintLine) -> int:
    """Audit, print and publish the report, and only then remove the spool."""
    try:
        if command.out:
            publishing.prepare_folder(command.out)
    except OSError as error:
        raise InvalidOptions(f"--out: {error}") from error
    started = int(SystemClock().wall())
    with _open_spool(command.spool) as spool:
        report = await auditor.run(options, spool)
        record = create_run_record(auditor.settings, command.by, started, int(SystemClock().wall()))
        try:
            for piece in WRITERS[command.format](report):
                print_line(piece)
            sys.stdout.flush()
            if command.out:
                publishing.publish(report, record, command.out)
        except DiskTableFailed:
            raise
        except OSError as error:
            return _fail(UNREAD, f"the report could not be written: {error}{_going_on(command)}")
        finally:
            report.spool.close()
        try:
            if spool and report.coverage.is_complete:
                spool.remove()
        except OSError as error:
            auditor.reporting.on_message(f"delete {command.spool}, which holds what customers paid: {error}")
    auditor.reporting.on_message(record.sentence)
    return exit_code(report)


@contextmanager
def _open_spool(path: Path | None) -> Iterator[LedgerSpool | None]:
    """Open the file that keeps what is read, if it is named. Raises: InvalidOptions."""
    if path is None:
        yield None
        return
    try:
        spool = LedgerSpool(path)
    except InvalidSpool as error:
        raise invalid_spool(error) from error
    except OSError as error:
        raise InvalidOptions(f"--spool: {error}") from error
    with spool:
        yield spool


def _going_on(command: argparse.Namespace) -> str:
    return f"; the same command goes on from {command.spool}" if command.spool else ""


def exit_code(report: Report) -> int:
    """Return the exit code for a report."""
    if not report.coverage.is_complete:
        return UNREAD
    return FINDINGS if report.spool.totals.exceptions else CLEAN


def _options(command: argparse.Namespace) -> Options:
    try:
        accepted = command.accepted.read_bytes() if command.accepted else b""
    except OSError as error:
        raise InvalidOptions(f"--accepted: {error}") from error
    opening = command.treasury_opening
    if opening is not None and not (opening.isascii() and opening.isdigit() and len(opening) <= MAX_AMOUNT_DIGITS):
        raise InvalidOptions("--treasury-opening takes a whole number of base units")
    return Options(
        since=command.since,
        until=command.until,
        customer=command.customer,
        deep=command.deep,
        at=command.at,
        accepted=accepted,
        treasury=command.treasury,
        treasury_opening=None if opening is None else int(opening),
    )


async def _verify(auditor: Auditor, folder: Path, print_line: PrintLine) -> int:
    """Check the files of a published report, then audit the same snapshot again and compare every byte."""
    try:
        altered = publishing.find_altered_files(folder)
        published = publishing.read_published(folder)
    except (OSError, ValueError) as error:
        raise InvalidOptions(f"{folder} holds no published report: {type(error).__name__}: {error}") from error
    for name in altered:
        print_line(f"{name}: not the file that was published\n")
    report = await auditor.run(published.options)
    try:
        for line in publishing.adopt_circumstances(report, published):
            print_line(f"read differently now: {line}\n")
        changes = publishing.describe_changes(published.rows, report.spool)
        changes += publishing.describe_head_changes(published.head, report.head())
        for line in (*(f"NOT READ: {sentence}" for sentence in sorted(report.coverage.missing)), *changes):
            print_line(line + "\n")
        if not report.coverage.is_complete:
            return UNREAD
        unlike = publishing.find_unlike_files(report, folder)
        for name in unlike:
            print_line(f"{name}: not what this report is published as\n")
        unchanged = not altered and not changes and not unlike
        print_line(f"{'SAME' if unchanged else 'CHANGED'}: {len(published.rows)} rows at {published.options.at}\n")
        return CLEAN if unchanged else FINDINGS
    finally:
        report.spool.close()


async def _self_test(auditor: Auditor, options: Options, print_line: PrintLine) -> int:
    """Plant each kind of fault in a copy of the data and check that it is reported."""
    audit = await auditor.prepare(options)
    report = await audit.run()
    report.spool.close()
    return _print_trials(self_test.run_trials(audit.collector.samples, audit.scope), print_line)


def _print_trials(trials: Sequence[Trial], print_line: PrintLine) -> int:
    failed = 0
    for trial in trials:
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
    """List the repairs that a complete audit calls for.

    With `--apply`, apply them in the name of an admin.
    """
    loaded = settings.load(settings.SWEEP)
    admin = find_operator(loaded.operators, command.operator or "")
    if command.apply and (admin is None or not admin.has_right(REVERSE)):
        raise InvalidOptions("--apply needs --operator with the name of an admin of OPERATORS")
    report = await auditor.run(options)
    try:
        if not report.coverage.is_complete:
            return _fail(UNREAD, *sorted(report.coverage.missing))
        async with repair_services(loaded) as services:
            steps = Repair(services, report, admin.name if admin else "", print_line).plan_steps()
            remaining = await repair(steps, print_line, apply=command.apply)
        print_line(f"{remaining} steps remain{'' if command.apply else ': --apply applies them'}\n")
        return FINDINGS if remaining else CLEAN
    finally:
        report.spool.close()


def _reporting(progress: str) -> ProgressReporting:
    if progress == "none":
        return ProgressReporting(ignore_progress, ignore_progress)
    printer = ProgressPrinter(SystemClock())
    return ProgressReporting(printer.on_progress, printer.on_message)


def _fail(exit_code: int, *sentences: str) -> int:
    for sentence in sentences:
        sys.stderr.write(f"stateless_billing: {sentence}\n")
    return exit_code
