"""All that the doctor looks at, in order; each on its own, so that one that fails hides none of the others."""

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
    """Every check. `stripe` makes the connection over which the key's permissions are tried."""
    found = [await run_check("settings", partial(settings_checks.check_settings, services))]
    key = StripeKeyChecks(services.settings, stripe(), services.clock)
    try:
        found += await key.run()
    finally:
        await key.aclose()
    if key.accepted:
        found.append(await run_check("stripe_records", partial(settings_checks.check_records, services)))
        found.append(await run_check("clock", partial(settings_checks.check_clock, services)))
    found += await chain_checks.check_nodes(services)
    for name, looking in (
        ("gateways", chain_checks.check_gateways),
        ("quotes", chain_checks.check_quotes),
        ("deployment", partial(chain_checks.check_deployment, records=records)),
        ("signer", chain_checks.check_signer),
        ("price", settings_checks.check_price),
        ("mail", settings_checks.check_mail),
        ("operators", settings_checks.check_operators),
    ):
        found.append(await run_check(name, partial(looking, services)))
    return found
