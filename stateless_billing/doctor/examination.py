"""Runs all checks of `doctor` in order. Each is isolated, so that a failure does not hide the others."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import httpx

from stateless_billing.doctor import chain_checks, deployment_records, settings_checks
from stateless_billing.doctor.checks import Check, run_check
from stateless_billing.doctor.stripe_key_checks import StripeKeyChecks
from stateless_billing.services.container import Services
from stateless_billing.stripe.connection import create_transport


async def examine(
    services: Services,
    records: Path = deployment_records.FOLDER,
    stripe: Callable[[], httpx.AsyncBaseTransport] = create_transport,
) -> list[Check]:
    """Run every check. `stripe` creates the transport for testing the key's permissions."""
    checks = [await run_check("settings", partial(settings_checks.check_settings, services))]
    key = StripeKeyChecks(services.settings, stripe(), services.clock)
    try:
        checks += await key.run()
    finally:
        await key.aclose()
    if key.accepted:
        checks.append(await run_check("stripe_records", partial(settings_checks.check_records, services)))
        checks.append(await run_check("clock", partial(settings_checks.check_clock, services)))
    checks += await chain_checks.check_nodes(services)
    for name, check in (
        ("gateways", chain_checks.check_gateways),
        ("price", settings_checks.check_price),
        ("quotes", chain_checks.check_quotes),
        ("deployment", partial(chain_checks.check_deployment, records=records)),
        ("signer", chain_checks.check_signer),
        ("mail", settings_checks.check_mail),
        ("operators", settings_checks.check_operators),
        ("credit_hook", settings_checks.check_credit_hook),
    ):
        checks.append(await run_check(name, partial(check, services)))
    return checks
