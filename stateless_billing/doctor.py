"""Looks at everything the service depends on and says what to mend. Changes nothing, except with `--init`."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from chain import node
from chain.errors import ChainError
from chain.gateway import Gateway
from chain.signing import Signer
from stateless_billing import bookkeeping, deployments
from stateless_billing.deployments import BadRecord, Deployment, differences
from stateless_billing.errors import StripeFailure
from stateless_billing.rates import NoRate
from stateless_billing.services import NotFit, Services, check_chain
from stateless_billing.stripe_connection import CLOCK_TOLERANCE


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at: whether it is well, and what was found or is to be mended."""

    name: str
    ok: bool
    detail: str


async def examine(services: Services, records: Path = deployments.FOLDER) -> list[Check]:
    """All checks, each on its own: one that fails hides none of the others."""
    looks: list[tuple[str, Callable[[Services], Awaitable[str]]]] = [
        ("stripe", _books),
        ("clock", _clock),
        ("nodes", _nodes),
        ("gateways", _gateways),
        ("deployment", partial(_deployment, records)),
        ("signer", _signer),
        ("price", _price),
    ]
    return [await _look(name, look, services) for name, look in looks]


async def _look(name: str, look: Callable[[Services], Awaitable[str]], services: Services) -> Check:
    try:
        return Check(name, True, await look(services))
    except (NotFit, ChainError, StripeFailure, NoRate, bookkeeping.NotOurAccount, BadRecord) as error:
        return Check(name, False, str(error))


async def _books(services: Services) -> str:
    await services.books.check()
    return f"service record {services.books.service_id}, grants record {services.books.grants_id}"


async def _clock(services: Services) -> str:
    skew = services.stripe.health.skew
    if skew is None:
        raise NotFit("Stripe was not reached, so this machine's clock could not be compared with its")
    if abs(skew) > CLOCK_TOLERANCE:
        raise NotFit(f"this machine's clock is {skew:+.0f} s from Stripe's: set it, nothing is credited until then")
    return f"{skew:+.1f} s from Stripe's"


async def _nodes(services: Services) -> str:
    now = int(services.clock.wall())
    told = []
    for one in services.nodes.each:
        latest, finalized = await node.block(one, "latest"), await node.block(one, "finalized")
        told.append(f"{one.name}: head {now - latest.time} s old, finalized {now - finalized.time} s old")
    if len(told) == 1:
        told.append("one node alone is trusted; configure two so that larger amounts are told alike by both")
    return "; ".join(told)


async def _gateways(services: Services) -> str:
    token = await check_chain(services.nodes, services.gateways)
    states = [f"{one.address} ({'paused' if await one.paused() else 'open'})" for one in services.gateways]
    return f"{', '.join(states)}, token {token.symbol} {token.address}"


async def _deployment(records: Path, services: Services) -> str:
    """Each gateway against what its deployment recorded."""
    recorded = deployments.recorded(services.settings.chain_id, records)
    if recorded is None:
        return f"there is no deployments/{services.settings.chain_id}.json to compare with"
    faults = []
    for gateway in services.gateways:
        if expected := recorded.get(gateway.address):
            found = Deployment(
                token=await gateway.token(),
                treasury=await gateway.treasury(),
                owner=await gateway.owner(),
                signer=await gateway.signer(),
                code_hash=await gateway.code_hash(),
                paused=await gateway.paused(),
            )
            faults += [f"{gateway.address}: {one}" for one in differences(expected, found)]
        else:
            faults.append(f"{gateway.address} is not in deployments/{services.settings.chain_id}.json")
    if faults:
        raise NotFit(f"{'; '.join(faults)}. If that was meant: tools/deploy record 0x<gateway>")
    return f"as recorded in deployments/{services.settings.chain_id}.json"


async def _signer(services: Services) -> str:
    signer = Signer(services.settings.signer_key, services.settings.chain_id)
    await check_signer(services.gateways[0], signer)
    return f"{signer.address}, as the newest gateway expects"


async def check_signer(gateway: Gateway, signer: Signer) -> None:
    """Raises NotFit where the gateway would refuse our signatures, and ChainError."""
    expected = await gateway.signer()
    if expected != signer.address:
        raise NotFit(f"SIGNER_KEY signs as {signer.address}, but {gateway.address} accepts {expected} only")


async def _price(services: Services) -> str:
    rate = await services.feed.now()
    return f"{rate.source}, {int(services.clock.wall()) - rate.at} s old"
