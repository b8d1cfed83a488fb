"""Checks nodes, gateways and signer: reachable, current, consistent with each other and with the settings."""

from functools import partial
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit

from chain import provider
from chain.decoding import PAYMENT_TOPIC, items
from chain.errors import ChainError, NodeError, WrongChain
from chain.payment import Block
from chain.provider import NodeProvider
from chain.signatures import Signer
from stateless_billing.doctor import deployment_records
from stateless_billing.doctor.checks import Check, CheckFailed, CheckNoted, CheckSkipped, State, run_check
from stateless_billing.doctor.deployment_records import BadRecord, Deployment, find_differences
from stateless_billing.domain import money
from stateless_billing.domain.errors import StartupRefused
from stateless_billing.pricing.rates import NoRate
from stateless_billing.services import health
from stateless_billing.services.container import Services
from stateless_billing.services.startup import check_chain

_LOG_RANGES = (10_000, 1_000, 100, 10)  # in blocks
_MISSING_BLOCK = Block(0, "0x" + "00" * 31 + "01", 0)
_TIGHT_CEILING_FACTOR = 2  # note a rate ceiling below this multiple of the current rate


async def check_nodes(services: Services) -> list[Check]:
    """Check each node, then whether they agree."""
    checks = []
    for number, node in enumerate(services.nodes.providers, 1):
        checks.append(await run_check(f"node_{number}", partial(_check_node, services, node)))
        if checks[-1].state is not State.UNREAD:
            checks.append(await run_check(f"node_{number}_logs", partial(_check_logs, services, node)))
    return [*checks, await run_check("agreement", partial(_check_agreement, services))]


async def _check_node(services: Services, node: NodeProvider) -> str:
    try:
        latest = await provider.block(node, "latest")
        finalized = await provider.block(node, "finalized")
    except WrongChain as error:
        raise CheckFailed(str(error), "Correct RPC_URLS or CHAIN_ID.") from error
    except ChainError as error:
        raise CheckSkipped(str(error), "Check its URL and key in RPC_URLS, or remove it.") from error
    now = int(services.stripe_time.wall())
    chain_id = services.settings.chain_id  # verified by the provider before its first request
    detail = f"{node.name}: chain {chain_id}, head {now - latest.time} s old, finalized {now - finalized.time} s old"
    if fault := health.head_fault(latest, services.stripe_time) or health.finality_fault(finalized, now):
        raise CheckFailed(f"{detail}: {fault}", "If this persists, list another node before it in RPC_URLS.")
    return detail


async def _check_logs(services: Services, node: NodeProvider) -> str:
    """The service reads logs by block hash; the range limit is reported for operators who query logs themselves."""
    gateway = services.gateways[0].address
    finalized = await provider.block(node, "finalized")
    try:
        await provider.logs(node, finalized, gateway, PAYMENT_TOPIC)
    except NodeError as error:
        raise CheckFailed(f"no logs by block hash: {error}", "Use a node that supports this in RPC_URLS.") from error
    try:
        await node.request_batch([("eth_chainId", []), ("eth_blockNumber", [])], lambda value: value)
    except NodeError as error:
        raise CheckFailed(
            f"no batch requests, with two calls in one request, which the audit needs: {error}", "Use another node."
        ) from error
    widest = await _widest_log_range(node, gateway, finalized.number)
    detail = f"by block hash; ranges of {widest:,} blocks" if widest else "by block hash; no ranges"
    try:
        await provider.logs(node, _MISSING_BLOCK, gateway, PAYMENT_TOPIC)
    except NodeError:
        return detail
    raise CheckNoted(
        f"{detail}; for a block that does not exist it returns no logs instead of an error",
        "No action: every count is compared with the contract's own. A node that returns an error is safer.",
    )


async def _widest_log_range(node: NodeProvider, gateway: str, until: int) -> int:
    """The widest block range of `_LOG_RANGES` that the node accepts; 0 if none."""
    for width in _LOG_RANGES:
        since = max(0, until - width + 1)
        log_filter = {"address": gateway, "topics": [PAYMENT_TOPIC], "fromBlock": hex(since), "toBlock": hex(until)}
        try:
            await node.request("eth_getLogs", [log_filter], lambda value: items(value, "logs"))
        except NodeError:
            continue
        return until - since + 1
    return 0


async def _check_agreement(services: Services) -> str:
    nodes, urls = services.nodes.providers, services.settings.rpc_urls
    if len(nodes) == 1:
        raise CheckNoted("a single node is trusted", "Configure two, so that larger payments need both to agree.")
    height = min([(await provider.block(node, "finalized")).number for node in nodes])
    hashes = [(node.name, (await provider.block(node, height)).hash) for node in nodes]
    for (name, block_hash), (other_name, other_hash) in pairwise(hashes):
        if block_hash != other_hash:
            raise CheckFailed(
                f"at final block {height}, {name} and {other_name} have different hashes: {block_hash}, {other_hash}",
                "One of them lies or is on a fork: compare with an explorer, and remove it from RPC_URLS.",
            )
    if len({urlsplit(url).hostname for url in urls}) < len(urls):
        raise CheckNoted(f"all agree on block {height}, but two of the nodes share one host", "Use separate hosts.")
    return f"all {len(nodes)} agree on block {height}"


async def check_gateways(services: Services) -> str:
    """Check that each gateway is deployed, takes the token and is not paused."""
    try:
        token = await check_chain(services.nodes, services.gateways)
    except StartupRefused as error:
        raise CheckFailed(
            str(error), "Compare GATEWAY_ADDRESSES, CHAIN_ID and RPC_URLS with what was deployed."
        ) from error
    states = {gateway.address: await gateway.paused() for gateway in services.gateways}
    gateways = ", ".join(f"{address} ({'paused' if paused else 'open'})" for address, paused in states.items())
    detail = f"{gateways}, token {token.symbol} {token.address}"
    if states[services.gateways[0].address]:
        raise CheckNoted(detail, "Quotes are refused until the newest gateway is unpaused: docs/deploying.md, Pausing.")
    return detail


async def check_quotes(services: Services) -> str:
    """Check that the newest gateway accepts quotes at the current price, down to the smallest payment."""
    gateway, settings = services.gateways[0], services.settings
    ceiling, minimum = await gateway.rate_ceiling(), await gateway.minimum_amount()
    if not ceiling:
        raise CheckNoted("the rate ceiling is 0, so there are no quotes", "Call setRateCeiling, unless intended.")
    try:
        market = (await services.price_feed.current_rate()).market
    except NoRate as error:
        raise CheckSkipped(f"not checked without a price: {error}", "See the check `price`.") from error
    rate = money.after_discount_down(market, settings.discount_bps)
    detail = f"{money.format_decimal(rate)} dollars a token after discount, ceiling {money.format_decimal(ceiling, 8)}"
    millionths = rate // 10**10  # of a cent
    if millionths > ceiling:
        raise CheckFailed(f"{detail}: every quote would revert, so none is made", "Have the owner call setRateCeiling.")
    smallest = money.amount_up(settings.min_payment_cents, market, settings.discount_bps)
    if smallest < minimum:
        raise CheckFailed(
            f"a quote of MIN_PAYMENT_CENTS is {money.format_tokens(smallest)} tokens, below the gateway's minimum of"
            f" {money.format_tokens(minimum)}: it would revert",
            "Raise MIN_PAYMENT_CENTS, or have the owner call setMinimumAmount.",
        )
    if millionths * _TIGHT_CEILING_FACTOR > ceiling:
        raise CheckNoted(
            f"{detail}: less than {_TIGHT_CEILING_FACTOR} times the rate",
            "Have the owner raise it before the price reaches it.",
        )
    return detail


async def check_deployment(services: Services, records: Path) -> str:
    """Compare each gateway with the record of its deployment."""
    chain_id = services.settings.chain_id
    try:
        recorded = deployment_records.read_record(chain_id, records)
    except BadRecord as error:
        raise CheckFailed(str(error), "Restore the file from the commit of the deployment.") from error
    if recorded is None:
        raise CheckNoted(
            f"there is no deployments/{chain_id}.json to compare with", "Commit the file that `make deploy` writes."
        )
    faults = []
    for gateway in services.gateways:
        if expected := recorded.get(gateway.address):
            deployed = Deployment(
                token=await gateway.token(),
                treasury=await gateway.treasury(),
                owner=await gateway.owner(),
                signer=await gateway.signer(),
                code_hash=await gateway.code_hash(),
                paused=await gateway.paused(),
            )
            faults += [f"{gateway.address}: {difference}" for difference in find_differences(expected, deployed)]
        else:
            faults.append(f"{gateway.address} is not in deployments/{chain_id}.json")
    if faults:
        raise CheckFailed("; ".join(faults), "If intended: run tools/deploy record 0x<gateway>, and deploy the file.")
    return f"as recorded in deployments/{chain_id}.json"


async def check_signer(services: Services) -> str:
    """Check that the newest gateway accepts the signer's key."""
    ours = Signer(services.settings.signer_key, services.settings.chain_id)
    gateway = services.gateways[0]
    if fault := health.signer_fault(ours.address, await gateway.signer(), gateway.address):
        raise CheckFailed(fault, "Set the SIGNER_KEY of that address, or have the owner call setSigner.")
    return f"{ours.address}, as the newest gateway expects"
