"""Nodes, gateways and signer: that they answer, are up to date, agree with each other and fit the settings."""

from functools import partial
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit

from chain import provider
from chain.decoding import PAYMENT_TOPIC, items
from chain.errors import ChainError, NodeError, WrongChain
from chain.payment import Block
from chain.provider import NodeProvider
from chain.signing import Signer
from stateless_billing.doctor import deployment_records
from stateless_billing.doctor.checks import Check, CheckFailed, CheckNoted, CheckSkipped, State, run_check
from stateless_billing.doctor.deployment_records import BadRecord, Deployment, find_differences
from stateless_billing.domain import money
from stateless_billing.pricing.rates import NoRate
from stateless_billing.services import health
from stateless_billing.services.container import Services
from stateless_billing.services.startup import StartupRefused, check_chain

_WIDTHS = (10_000, 1_000, 100, 10)
_NO_BLOCK = Block(0, "0x" + "00" * 31 + "01", 0)
_TIGHT = 2  # a ceiling below so many times today's rate is worth a note


async def check_nodes(services: Services) -> list[Check]:
    """Each node for itself, then whether they tell the same."""
    found = []
    for place, one in enumerate(services.nodes.each, 1):
        found.append(await run_check(f"node_{place}", partial(_check_node, services, one)))
        if found[-1].state is not State.UNREAD:
            found.append(await run_check(f"node_{place}_logs", partial(_check_logs, services, one)))
    return [*found, await run_check("agreement", partial(_check_agreement, services))]


async def _check_node(services: Services, one: NodeProvider) -> str:
    try:
        latest, finalized = await provider.block(one, "latest"), await provider.block(one, "finalized")
    except WrongChain as error:
        raise CheckFailed(str(error), "Mend RPC_URLS or CHAIN_ID.") from error
    except ChainError as error:
        raise CheckSkipped(str(error), "Check its address and key in RPC_URLS, or take it out.") from error
    now = int(services.clock.wall())
    chain_id = services.settings.chain_id  # which the node was asked for before its first answer counted
    told = f"{one.name}: chain {chain_id}, head {now - latest.time} s old, finalized {now - finalized.time} s old"
    if fault := health.head_fault(latest, now) or health.finality_fault(finalized, now):
        raise CheckFailed(f"{told}: {fault}", "Put another node in front of it in RPC_URLS, if it does not pass.")
    return told


async def _check_logs(services: Services, one: NodeProvider) -> str:
    """By block hash is what the service needs; how wide a range may be is for those who want to look themselves."""
    gateway = services.gateways[0].address
    finalized = await provider.block(one, "finalized")
    try:
        await provider.logs(one, finalized, gateway, PAYMENT_TOPIC)
    except NodeError as error:
        raise CheckFailed(f"no logs by block hash: {error}", "Put a node that serves them into RPC_URLS.") from error
    try:
        await one.request_batch([("eth_chainId", []), ("eth_blockNumber", [])], lambda value: value)
    except NodeError as error:
        raise CheckFailed(
            f"no two calls in one request, which the audit makes: {error}", "Take another node."
        ) from error
    widest = await _widest_log_range(one, gateway, finalized.number)
    told = f"by block hash; ranges of {widest:,} blocks" if widest else "by block hash; no ranges"
    try:
        await provider.logs(one, _NO_BLOCK, gateway, PAYMENT_TOPIC)
    except NodeError:
        return told
    raise CheckNoted(
        f"{told}; of a block that does not exist it says that it holds none",
        "Nothing: every count is compared with the contract's own. A node that says so is the safer one.",
    )


async def _widest_log_range(one: NodeProvider, gateway: str, until: int) -> int:
    """The widest range of blocks that the node takes, of those tried; 0 for none."""
    for width in _WIDTHS:
        since = max(0, until - width + 1)
        asked = {"address": gateway, "topics": [PAYMENT_TOPIC], "fromBlock": hex(since), "toBlock": hex(until)}
        try:
            await one.ask("eth_getLogs", [asked], lambda value: items(value, "logs"))
        except NodeError:
            continue
        return until - since + 1
    return 0


async def _check_agreement(services: Services) -> str:
    each, urls = services.nodes.each, services.settings.rpc_urls
    if len(each) == 1:
        raise CheckNoted("one node alone is trusted", "Configure two, so that larger amounts are told alike by both.")
    height = min([(await provider.block(one, "finalized")).number for one in each])
    told = [(one.name, (await provider.block(one, height)).hash) for one in each]
    for (name, mine), (other, theirs) in pairwise(told):
        if mine != theirs:
            raise CheckFailed(
                f"at the final block {height} {name} and {other} tell different hashes: {mine}, {theirs}",
                "One of them lies or is on a fork: compare with an explorer, and take it out of RPC_URLS.",
            )
    if len({urlsplit(url).hostname for url in urls}) < len(urls):
        raise CheckNoted(f"block {height} is told alike, but two of the nodes are one host's", "Take two that are not.")
    return f"block {height} is told alike by all {len(each)}"


async def check_gateways(services: Services) -> str:
    """That each is there, takes the token, and is open."""
    try:
        token = await check_chain(services.nodes, services.gateways)
    except StartupRefused as error:
        raise CheckFailed(
            str(error), "Compare GATEWAY_ADDRESSES, CHAIN_ID and RPC_URLS with what was deployed."
        ) from error
    states = {one.address: await one.paused() for one in services.gateways}
    told = ", ".join(f"{address} ({'paused' if paused else 'open'})" for address, paused in states.items())
    told = f"{told}, token {token.symbol} {token.address}"
    if states[services.gateways[0].address]:
        raise CheckNoted(told, "Quotes are refused until the newest gateway is open again: docs/deploying.md, Pausing.")
    return told


async def check_quotes(services: Services) -> str:
    """That the newest gateway takes quotes at today's price, and of the smallest payment."""
    gateway, settings = services.gateways[0], services.settings
    ceiling, minimum = await gateway.rate_ceiling(), await gateway.minimum_amount()
    if not ceiling:
        raise CheckNoted("the rate ceiling is 0, so there are no quotes", "setRateCeiling, if that was not meant.")
    try:
        market = (await services.price_feed.current_rate()).market
    except NoRate as error:
        raise CheckSkipped(f"without a price nothing can be said: {error}", "See the line on the price.") from error
    rate = money.after_discount_down(market, settings.discount_bps)
    told = f"{money.format_decimal(rate)} dollars a token after discount, ceiling {money.format_decimal(ceiling, 8)}"
    millionths = rate // 10**10  # of a cent
    if millionths > ceiling:
        raise CheckFailed(f"{told}: every quote would revert, so none is made", "Have the owner call setRateCeiling.")
    smallest = money.amount_up(settings.min_payment_cents, market, settings.discount_bps)
    if smallest < minimum:
        raise CheckFailed(
            f"a quote of MIN_PAYMENT_CENTS is {money.format_tokens(smallest)} tokens, below the gateway's minimum of"
            f" {money.format_tokens(minimum)}: it would revert",
            "Raise MIN_PAYMENT_CENTS, or have the owner call setMinimumAmount.",
        )
    if millionths * _TIGHT > ceiling:
        raise CheckNoted(f"{told}: less than {_TIGHT} times the rate", "Have the owner raise it before the price does.")
    return told


async def check_deployment(services: Services, records: Path) -> str:
    """Each gateway against what its deployment recorded."""
    chain_id = services.settings.chain_id
    try:
        recorded = deployment_records.read_record(chain_id, records)
    except BadRecord as error:
        raise CheckFailed(str(error), "Take the file from the commit of the deployment.") from error
    if recorded is None:
        raise CheckNoted(
            f"there is no deployments/{chain_id}.json to compare with", "Commit the file `make deploy` writes."
        )
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
            faults += [f"{gateway.address}: {one}" for one in find_differences(expected, found)]
        else:
            faults.append(f"{gateway.address} is not in deployments/{chain_id}.json")
    if faults:
        raise CheckFailed("; ".join(faults), "If that was meant: tools/deploy record 0x<gateway>, and deploy the file.")
    return f"as recorded in deployments/{chain_id}.json"


async def check_signer(services: Services) -> str:
    """That the newest gateway accepts what we sign."""
    ours = Signer(services.settings.signer_key, services.settings.chain_id)
    gateway = services.gateways[0]
    if fault := health.signer_fault(ours.address, await gateway.signer(), gateway.address):
        raise CheckFailed(fault, "Set the SIGNER_KEY of that address, or have the owner call setSigner.")
    return f"{ours.address}, as the newest gateway expects"
