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
from stateless_billing.audit.progress import ProgressPrinter, silent
from stateless_billing.audit.readers.stripe import StripeReadError
from stateless_billing.audit.repair import Repair, RepairServices, repair
from stateless_billing.audit.report import publishing
from stateless_billing.audit.report.formats import WRITERS
from stateless_billing.audit.report.report import Options, Report
from stateless_billing.audit.rules import self_test
from stateless_billing.operators.roster import REVERSE, operator
from stateless_billing.runtime.clock import SystemClock
from stateless_billing.settings import Settings

CLEAN, FINDINGS, USAGE, UNREAD = range(4)
Say = Callable[[str], object]
Handing = Callable[[Settings], AbstractAsyncContextManager[RepairServices]]


def run(command: argparse.Namespace, explorer: Callable[[int], str | None], say: Say, hands: Handing) -> int:
    """Run `audit`; its exit code. `hands` lends what a repair works with; nothing else asks for it."""
    known = settings.load(settings.AUDIT)
    auditor = Auditor(known, SystemClock(), _watching(command.progress), explorer(known.chain_id))
    try:
        return asyncio.run(_run(auditor, command, say, hands))
    except KeyboardInterrupt:
        return _fail(UNREAD, "interrupted: nothing can be said")
    except (BadOptions, OSError, ValueError, KeyError) as error:
        return _fail(USAGE, f"{type(error).__name__}: {error}" if isinstance(error, KeyError) else str(error))
    except (ChainError, StripeReadError) as error:
        return _fail(UNREAD, str(error))


def explain(what: str, progress: str, explorer: Callable[[int], str | None], say: Say) -> int:
    """Run `explain`; its exit code: 1 where something is wrong or nothing is known."""
    known = settings.load(settings.AUDIT)
    auditor = Auditor(known, SystemClock(), _watching(progress), explorer(known.chain_id))
    try:
        return asyncio.run(_explain(auditor, what, say))
    except BadOptions as error:
        return _fail(USAGE, str(error))
    except NothingKnown as error:
        say(f"{error}\n")
        return FINDINGS
    except (ChainError, StripeReadError) as error:
        return _fail(UNREAD, str(error))


async def _explain(auditor: Auditor, what: str, say: Say) -> int:
    async with auditor:
        rows, report = await explanation.explain(auditor, what)
        say("\n".join(explanation.story(row) for row in rows))
        for sentence in sorted(report.coverage.missing):
            say(f"NOT READ: {sentence}\n")
        if not report.coverage.complete:
            return UNREAD
        return FINDINGS if any(row.exception for row in rows) else CLEAN


async def _run(auditor: Auditor, command: argparse.Namespace, say: Say, hands: Handing) -> int:
    async with auditor:
        if command.step == "verify":
            return await _verify(auditor, command.folder, say)
        options = _options(command)
        if command.step == "repair":
            return await _repair(auditor, command, options, say, hands)
        if command.self_test:
            return await _self_test(auditor, options, say)
        report = await auditor.run(options)
        try:
            for piece in WRITERS[command.format](report):
                say(piece)
            if command.out:
                publishing.publish(report, command.out)
            return code(report)
        finally:
            report.spool.close()


def code(report: Report) -> int:
    """The exit code of a report."""
    if not report.coverage.complete:
        return UNREAD
    return FINDINGS if report.spool.totals.exceptions else CLEAN


def _options(command: argparse.Namespace) -> Options:
    accepted = command.accepted.read_bytes() if command.accepted else b""
    return Options(command.since, command.until, command.customer, command.deep, command.at, accepted)


async def _verify(auditor: Auditor, folder: Path, say: Say) -> int:
    """Whether the files are as they were made, and whether chain and Stripe still say the same."""
    wrong = publishing.altered_files(folder)
    for name in wrong:
        say(f"{name}: not the file that was published\n")
    options, before = publishing.options_of(folder)
    report = await auditor.run(options)
    try:
        found = publishing.changes(before, report.spool)
        for line in (*(f"NOT READ: {one}" for one in sorted(report.coverage.missing)), *found):
            say(line + "\n")
        if not report.coverage.complete:
            return UNREAD
        same = not wrong and not found
        say(f"{'SAME' if same else 'CHANGED'}: {len(before)} rows at {options.at}\n")
        return CLEAN if same else FINDINGS
    finally:
        report.spool.close()


async def _self_test(auditor: Auditor, options: Options, say: Say) -> int:
    """Plant each fault in a copy of what was read; every one must be found, with nothing else."""
    audit = await auditor.audit(options)
    report = await audit.run()
    report.spool.close()
    failed = 0
    for trial in self_test.trials(audit.collector.samples, audit.scope):
        say(f"{'found ' if trial.passed else 'MISSED'} {trial.planted}: {', '.join(trial.statuses)}\n")
        failed += not trial.passed
    return FINDINGS if failed else CLEAN


async def _repair(auditor: Auditor, command: argparse.Namespace, options: Options, say: Say, hands: Handing) -> int:
    """Only what a complete audit shows is put right, and only in the name of an admin."""
    known = settings.load(settings.SWEEP)
    admin = operator(known.operators, command.operator or "")
    if command.apply and (admin is None or not admin.may(REVERSE)):
        raise BadOptions("--apply needs --operator with the name of an admin of OPERATORS")
    report = await auditor.run(options)
    try:
        if not report.coverage.complete:
            return _fail(UNREAD, *sorted(report.coverage.missing))
        async with hands(known) as services:
            steps = Repair(services, report, admin.name if admin else "", say).steps()
            left = await repair(steps, say, apply=command.apply)
        say(f"{left} steps are left to be taken{'' if command.apply else ': --apply takes them'}\n")
        return FINDINGS if left else CLEAN
    finally:
        report.spool.close()


def _watching(progress: str) -> ProgressReporting:
    if progress == "none":
        return ProgressReporting(silent, silent)
    shown = ProgressPrinter(SystemClock())
    return ProgressReporting(shown.told, shown.announce)


def _fail(exit_code: int, *sentences: str) -> int:
    for sentence in sentences:
        sys.stderr.write(f"stateless_billing: {sentence}\n")
    return exit_code
