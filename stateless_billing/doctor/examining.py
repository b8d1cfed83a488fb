"""All that the doctor looks at, in order; each on its own, so that one that fails hides none of the others."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import httpx

from stateless_billing import deployments
from stateless_billing.doctor import chain_side, others
from stateless_billing.doctor.findings import Check, look
from stateless_billing.doctor.stripe_key import StripeKey
from stateless_billing.services import Services
from stateless_billing.stripe_connection import transport


async def examine(
    services: Services,
    records: Path = deployments.FOLDER,
    stripe: Callable[[], httpx.AsyncBaseTransport] = transport,
) -> list[Check]:
    """Every check. `stripe` makes the connection over which the key's permissions are tried."""
    found = [await look("settings", partial(others.settings, services))]
    key = StripeKey(services.settings, stripe(), services.clock)
    try:
        found += await key.checks()
    finally:
        await key.aclose()
    if key.accepted:
        found.append(await look("stripe_records", partial(others.records, services)))
        found.append(await look("clock", partial(others.clock, services)))
    found += await chain_side.nodes(services)
    for name, looking in (
        ("gateways", chain_side.gateways),
        ("quotes", chain_side.quotes),
        ("deployment", partial(chain_side.deployment, records=records)),
        ("signer", chain_side.signer),
        ("price", others.price),
        ("mail", others.mail),
        ("operators", others.operators),
    ):
        found.append(await look(name, partial(looking, services)))
    return found
