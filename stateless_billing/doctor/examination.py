"""All that the doctor looks at, in order; each on its own, so that one that fails hides none of the others."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import httpx

from stateless_billing.doctor import chain_checks, deployment_records, settings_checks
from stateless_billing.doctor.checks import Check, look
from stateless_billing.doctor.stripe_key_checks import StripeKey
from stateless_billing.services.container import Services
from stateless_billing.stripe.connection import transport


async def examine(
    services: Services,
    records: Path = deployment_records.FOLDER,
    stripe: Callable[[], httpx.AsyncBaseTransport] = transport,
) -> list[Check]:
    """Every check. `stripe` makes the connection over which the key's permissions are tried."""
    found = [await look("settings", partial(settings_checks.settings, services))]
    key = StripeKey(services.settings, stripe(), services.clock)
    try:
        found += await key.checks()
    finally:
        await key.aclose()
    if key.accepted:
        found.append(await look("stripe_records", partial(settings_checks.records, services)))
        found.append(await look("clock", partial(settings_checks.clock, services)))
    found += await chain_checks.nodes(services)
    for name, looking in (
        ("gateways", chain_checks.gateways),
        ("quotes", chain_checks.quotes),
        ("deployment", partial(chain_checks.deployment, records=records)),
        ("signer", chain_checks.signer),
        ("price", settings_checks.price),
        ("mail", settings_checks.mail),
        ("operators", settings_checks.operators),
    ):
        found.append(await look(name, partial(looking, services)))
    return found
