"""Decides whether this process is fit to serve, for `/readyz`.

It reads nothing of Stripe: `StripeProbe` does, after a failure.
"""

import asyncio
import logging
from typing import Annotated

import msgspec
from msgspec import Meta

from chain.errors import ChainError
from stateless_billing.crediting.confirmations import REQUIRED_NODES
from stateless_billing.pricing.rates import NoRate
from stateless_billing.services import health
from stateless_billing.services.container import Services
from stateless_billing.services.startup import STARTED

log = logging.getLogger(__name__)


class CheckResponse(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One check."""

    ok: Annotated[bool, Meta(description="Whether it is as it should be.")]
    age: (
        Annotated[int, Meta(description="How old what it looked at is, in seconds; null where that has no age.")] | None
    )
    detail: Annotated[str, Meta(description="What was seen, for people.")]


class ReadinessResponse(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether the process is fit to serve, and each check by name."""

    ready: Annotated[bool, Meta(description="Start, chain and Stripe are as they should be.")]
    checks: Annotated[dict[str, CheckResponse], Meta(description="Every check by its name.")]


async def readiness(services: Services) -> ReadinessResponse:
    """Run all checks. Start, chain and Stripe alone decide: without the others, something is still credited."""
    startup = check_startup(services)
    chain, price, signer = await asyncio.gather(check_chain(services), check_price(services), _signer(services))
    checks = {"startup": startup, **chain, "stripe": check_stripe(services), "price": price, **signer}
    return ReadinessResponse(
        ready=startup.ok and checks["chain"].ok and checks["stripe"].ok,
        checks=checks,
    )


async def check_chain(services: Services) -> dict[str, CheckResponse]:
    """Check the chain's head, the nodes and finality."""
    return {"chain": await _chain(services), "nodes": _nodes(services), "finality": _finality(services)}


async def _signer(services: Services) -> dict[str, CheckResponse]:
    return {"signer": await check_signer(services)} if services.settings.signer_key else {}


def _check(ok: bool, age: int | None, detail: str) -> CheckResponse:
    return CheckResponse(ok=ok, age=age, detail=detail)


def check_startup(services: Services) -> CheckResponse:
    """Tell whether the start has checked chain and account."""
    if services.startup.has_passed:
        return _check(True, None, STARTED)
    source = "the chain" if services.token is None else "Stripe"
    return _check(False, None, f"{source} could not be read since the start; the log says why")


async def _chain(services: Services) -> CheckResponse:
    try:
        heads = await services.confirmations.heads()
    except ChainError as error:
        log.warning("readiness: %s", error)
        return _check(False, None, "no node answers properly; the log says why")
    now = int(services.stripe_time.wall())
    age = now - heads.latest.time
    detail = f"head {heads.latest.number}, finalized {now - heads.finalized.time} s old"
    unreadable = [f"{block.number} of {block.gateway}" for block in services.sweeper.unreadable()]
    if unreadable:
        detail += f"; no node shows the payments in block {', '.join(unreadable)}: only these wait"
    fault = health.head_fault(heads.latest, services.stripe_time)
    return _check(fault is None, age, fault or detail)


def _nodes(services: Services) -> CheckResponse:
    faults = services.nodes.faults()
    if not faults:
        return _check(True, None, "no node is known to be behind or away")
    detail = "; ".join(faults)
    if len(services.nodes.nodes) - len(faults) < REQUIRED_NODES:
        detail += ": payments above the first tier of CONFIRMATIONS wait for two nodes"
    return _check(False, None, detail)


def _finality(services: Services) -> CheckResponse:
    heads = services.confirmations.latest
    if heads is None:
        return _check(False, None, "no node answers properly; the log says why")
    now = int(services.stripe_time.wall())
    fault = health.finality_fault(heads.finalized, now)
    return _check(fault is None, now - heads.finalized.time, fault or f"finalized {heads.finalized.number}")


def check_stripe(services: Services) -> CheckResponse:
    """Tell how Stripe answered last, without asking it."""
    stripe, skew = services.stripe.health, services.stripe_time.skew
    if skew is not None and (fault := health.clock_fault(skew)):
        return _check(False, None, fault)
    age = None if stripe.answered_at is None else int(services.clock.boot() - stripe.answered_at)
    detail = "the last call failed" if stripe.failure else "the last call was answered"
    if skew is not None and (warning := health.clock_warning(skew)):
        detail += f"; {warning}"
    if stripe.connection_fault:
        detail = stripe.connection_fault
    return _check(stripe.failure is None and stripe.connection_fault is None, age, detail)


async def check_price(services: Services) -> CheckResponse:
    """Check that the price feed has a current rate."""
    try:
        rate = await services.price_feed.current_rate()
    except NoRate as error:
        return _check(False, None, str(error))
    return _check(True, int(services.clock.wall()) - rate.at, rate.source)


async def check_signer(services: Services) -> CheckResponse:
    """Check that the newest gateway accepts our signatures; needs the signer's key."""
    try:
        fault = await services.signer_fault()
    except ChainError:
        return _check(False, None, "no node answers properly; the log says why")
    return _check(fault is None, None, fault or "the newest gateway accepts what is signed")
