"""Whether this process is fit to serve: what `/readyz` tells. Reads chain and price; Stripe only after a failure."""

import logging
from typing import Any

from chain.errors import ChainError
from stateless_billing.bookkeeping.records import NotOurAccount
from stateless_billing.pricing.rates import NoRate
from stateless_billing.services import health
from stateless_billing.services.container import Services
from stateless_billing.stripe.errors import StripeFailure

log = logging.getLogger(__name__)

_ASK_AGAIN = 60  # seconds after a failed call to Stripe


async def readiness(services: Services) -> dict[str, Any]:
    """`{ready, checks: {name: {ok, age, detail}}}`; `age` in seconds, null where there is none."""
    checks = {"chain": await _chain(services), "stripe": await _stripe(services), "price": await _price(services)}
    if services.settings.signer_key:
        checks["signer"] = await _signer(services)
    # Without a price plain payments wait, and with another's key quotes are void: what was promised is still credited.
    return {"ready": checks["chain"]["ok"] and checks["stripe"]["ok"], "checks": checks}


def _check(ok: bool, age: int | None, detail: str) -> dict[str, Any]:
    return {"ok": ok, "age": age, "detail": detail}


async def _chain(services: Services) -> dict[str, Any]:
    try:
        heads = await services.confirmations.heads()
    except ChainError as error:
        log.warning("readiness: %s", error)
        return _check(False, None, "no node answers properly; the log says why")
    now = int(services.clock.wall())
    age = now - heads.latest.time
    told = f"head {heads.latest.number}, finalized {now - heads.finalized.time} s old"
    fault = health.head_fault(heads.latest, now)
    return _check(fault is None, age, fault or told)


async def _stripe(services: Services) -> dict[str, Any]:
    stripe = services.stripe.health
    if stripe.failure and services.clock.boot() - stripe.failed_at >= _ASK_AGAIN:
        try:  # nobody may come by to try: an idle service reads Stripe only to find out that it is well again
            await services.records.load()
        except (StripeFailure, NotOurAccount) as error:
            log.warning("readiness: %s", error)
    if stripe.skew is not None and (fault := health.clock_fault(stripe.skew)):
        return _check(False, None, fault)
    age = None if stripe.answered_at is None else int(services.clock.boot() - stripe.answered_at)
    return _check(
        stripe.failure is None, age, "the last call failed" if stripe.failure else "the last call was answered"
    )


async def _price(services: Services) -> dict[str, Any]:
    try:
        rate = await services.price_feed.current_rate()
    except NoRate as error:
        return _check(False, None, str(error))
    return _check(True, int(services.clock.wall()) - rate.at, rate.source)


async def _signer(services: Services) -> dict[str, Any]:
    try:
        fault = await services.signer_fault()
    except ChainError:
        return _check(False, None, "no node answers properly; the log says why")
    return _check(fault is None, None, fault or "the newest gateway accepts what is signed")
