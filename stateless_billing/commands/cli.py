"""The commands. Exit codes: 0 clean, 1 findings, 2 usage or settings, 3 could not read everything, 4 internal.

Each command imports what only it needs, so that `serve` starts faster.
"""

import argparse
import asyncio
import json
import logging
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import app
from chain.errors import ChainError
from stateless_billing import settings
from stateless_billing.commands.options import create_parser
from stateless_billing.domain.errors import StartupReadFailed, StartupRefused
from stateless_billing.runtime import logs
from stateless_billing.settings import BadSettings
from stateless_billing.stripe.errors import StripeFailure
from stateless_billing.web.http import networks

if TYPE_CHECKING:
    from stateless_billing.services.container import Services

CLEAN, FINDINGS, USAGE, UNREAD, INTERNAL = range(5)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    command = create_parser().parse_args(arguments)
    logs.configure(settings.secrets())
    try:
        return _COMMANDS[command.name](command)
    except BadSettings as error:
        return _fail(USAGE, *error.faults)
    except StartupReadFailed as error:
        return _fail(UNREAD, str(error))
    except StartupRefused as error:
        return _fail(USAGE, str(error))
    except StripeFailure as error:
        return _fail(UNREAD, f"Stripe could not be read: {error}")
    except KeyboardInterrupt:
        return CLEAN
    except Exception:
        logging.getLogger(__name__).exception("the command failed")
        return INTERNAL


def _serve(command: argparse.Namespace) -> int:
    asyncio.run(app.serve(settings.load(settings.SERVE, serves_pages=True)))
    return CLEAN


def _sweep(command: argparse.Namespace) -> int:
    complete = asyncio.run(app.sweep(settings.load(settings.SWEEP), once=command.once))
    return CLEAN if complete else UNREAD


def _audit(command: argparse.Namespace) -> int:
    from stateless_billing.audit import command as audit_command

    return audit_command.run(command, networks.explorer_url, sys.stdout.write, _repair_services)


@asynccontextmanager
async def _repair_services(loaded: settings.Settings) -> AsyncIterator["Services"]:
    async with app.create_services(loaded) as services:
        await services.start()
        yield services


def _explain(command: argparse.Namespace) -> int:
    from stateless_billing.audit import command as audit_command

    return audit_command.explain(command.what, command.progress, networks.explorer_url, sys.stdout.write)


def _register(command: argparse.Namespace) -> int:
    return FINDINGS if asyncio.run(_print_registrations(calldata=command.calldata)) else CLEAN


async def _print_registrations(*, calldata: bool) -> int:
    """Print signed registrations and report findings. Returns the number of findings."""
    from chain.signatures import Signer
    from stateless_billing.commands import register
    from stateless_billing.services import health

    async with app.create_services(settings.load(settings.SERVE)) as services:
        await services.start()
        gateway = services.gateways[0]
        signer = Signer(services.settings.signer_key, services.settings.chain_id)
        try:
            if fault := health.signer_fault(signer.address, await gateway.signer(), gateway.address):
                raise StartupRefused(fault)
            plan = await register.create_plan(services.stripe, gateway, _print)
        except ChainError as error:
            raise StartupReadFailed(f"The chain could not be read: {error}") from error
    deadline = int(services.clock.wall()) + services.settings.registration_seconds
    signed = register.sign_registrations(plan.targets, gateway, signer, deadline, _print)
    if calldata:
        rows = register.create_calldata(list(signed), gateway)
    else:
        rows = (registration.line() for registration in signed)
    for row in rows:
        print(json.dumps(row))
    for finding in plan.findings:
        _print(f"finding {finding.code}: {', '.join(finding.customers)}: {finding.detail}")
    _print(f"{len(plan.targets)} signed, {plan.registered} registered already, {len(plan.findings)} findings")
    return len(plan.findings)


def _print(message: str) -> None:
    print(message, file=sys.stderr)


def _doctor(command: argparse.Namespace) -> int:
    from stateless_billing.doctor import command as doctor_command

    return doctor_command.run(command, sys.stdout.write)


def _fail(code: int, *messages: str) -> int:
    for message in messages:
        _print(f"stateless_billing: {message}")
    return code


_COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "serve": _serve,
    "sweep": _sweep,
    "audit": _audit,
    "explain": _explain,
    "register": _register,
    "doctor": _doctor,
}
