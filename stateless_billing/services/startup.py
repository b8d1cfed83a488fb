"""Checks the chain, the contracts and the Stripe account before anything is served or swept."""

import asyncio
import logging
from dataclasses import dataclass

from chain import provider
from chain.contracts import EarlyViews
from chain.errors import ChainError, WrongChain
from chain.failover import FailoverProvider
from chain.gateway import Gateway
from stateless_billing.bookkeeping.records import NotOurAccount, ServiceRecords
from stateless_billing.stripe.errors import StripeFailure
from stateless_billing.stripe.objects import Customer

log = logging.getLogger(__name__)

STARTED = "nodes, gateways and the Stripe account are checked"
_RETRY_DELAYS = (0.5, 2.0)  # seconds; a passing fault should not keep a process from starting


class StartupRefused(Exception):
    """The service must not start. The message says what is wrong and how to fix it."""


class StartupReadFailed(StartupRefused):
    """The service cannot start because Stripe or the chain could not be read."""


@dataclass(frozen=True, slots=True)
class Token:
    """The ERC-20 token that all gateways take."""

    address: str
    symbol: str
    decimals: int


async def check_startup(
    nodes: FailoverProvider, gateways: list[Gateway], records: ServiceRecords
) -> tuple[Token, Customer]:
    """Check chain, gateways and account; return the gateways' token and the service record. Retries failed reads.

    Raises: StartupRefused, with how to fix it.
    """
    for delay in _RETRY_DELAYS:
        try:
            checked = await _check(nodes, gateways, records)
            break
        except StartupReadFailed as error:
            log.warning("%s", error)
            await asyncio.sleep(delay)
    else:
        checked = await _check(nodes, gateways, records)
    log.info(STARTED)
    return checked


async def _check(nodes: FailoverProvider, gateways: list[Gateway], records: ServiceRecords) -> tuple[Token, Customer]:
    try:
        payment_token, service = await asyncio.gather(
            check_chain(nodes, gateways), records.load(), return_exceptions=True
        )
        if isinstance(payment_token, BaseException):
            raise payment_token
        if isinstance(service, BaseException):
            raise service
    except NotOurAccount as error:
        raise StartupRefused(
            f"{error}. Use the key of the right account, or create the records with `doctor --init`."
        ) from error
    except StripeFailure as error:
        raise StartupReadFailed(
            f"Stripe could not be read: {error}. Check STRIPE_API_KEY and STRIPE_API_BASE."
        ) from error
    except ChainError as error:
        raise StartupReadFailed(
            f"The chain could not be read: {error}. Check RPC_URLS and GATEWAY_ADDRESSES."
        ) from error
    return payment_token, service


async def check_chain(nodes: FailoverProvider, gateways: list[Gateway]) -> Token:
    """Check the chain of every node and the code of every gateway, and return the gateways' token.

    Nodes that do not answer are tolerated as long as one does.

    Raises: StartupRefused, ChainError.
    """
    for failure in await nodes.verify_chains():
        if isinstance(failure, WrongChain):
            raise StartupRefused(f"{failure}. Correct RPC_URLS or CHAIN_ID.") from failure
        log.warning("%s", failure)
    addresses = await asyncio.gather(*(_token_address(nodes, gateway) for gateway in gateways))
    if len(set(addresses)) > 1:
        raise StartupRefused("The gateways take different tokens. All of GATEWAY_ADDRESSES must take the same one.")
    address = addresses[0]
    token = EarlyViews(nodes, address)
    decimals, symbol = await asyncio.gather(token.decimals(), token.symbol())
    if decimals != 18:
        raise StartupRefused(f"The token has {decimals} decimals; only 18 are supported.")
    return Token(address, symbol, decimals)


async def _token_address(nodes: FailoverProvider, gateway: Gateway) -> str:
    """The token that a gateway takes. Raises: StartupRefused, ChainError."""
    views = EarlyViews(nodes, gateway.address)  # the start does not wait for web3
    code, token, total = await asyncio.gather(
        provider.code(nodes, gateway.address), views.token(), views.total_payments(), return_exceptions=True
    )
    if code == b"":
        raise StartupRefused(f"There is no contract at {gateway.address}. Correct GATEWAY_ADDRESSES.")
    for result in (code, token, total):
        if isinstance(result, BaseException):
            raise result
    return str(token)
